import { createHash } from 'node:crypto';
import { Pace } from './pace.ts';

/** The SHA-256 of a text's UTF-8 bytes (FIPS 180-4), in hex. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Bytes, or characters, that are digested in one go. */
const SLICE = 64 * 1024;

/**
 * The SHA-256 of large texts and bytes one behind the other, in hex. It is no text's own digest where a pair of surrogates
 * stands across two slices. Others have a turn between them.
 */
export async function sha256OfAll(parts: Iterable<string | Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  const pace = new Pace();
  for (const part of parts) {
    for (let from = 0; from < part.length; from += SLICE) {
      hash.update(part.slice(from, from + SLICE));
      await pace.giveWay();
    }
  }
  return hash.digest('hex');
}
