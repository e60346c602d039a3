import { createHash } from 'node:crypto';
import { Pace } from './pace.ts';

/** The SHA-256 of a text's UTF-8 bytes (FIPS 180-4), in hex. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Bytes, or characters, that are digested in one go. */
const SLICE = 64 * 1024;

/** The SHA-256 of large texts and bytes one behind the other, in hex. Others have a turn between two slices. */
export async function sha256OfAll(parts: Iterable<string | Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  const pace = new Pace();
  for (const part of parts) {
    for (let from = 0; from < part.length; ) {
      const end = from + SLICE;
      // A pair of surrogates is one character: its halves would be digested as any other's.
      const to = typeof part === 'string' && /[\ud800-\udbff]/.test(part.charAt(end - 1)) ? end + 1 : end;
      hash.update(part.slice(from, to));
      from = to;
      await pace.giveWay();
    }
  }
  return hash.digest('hex');
}
