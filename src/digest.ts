import { Pace } from './pace.ts';

/** The SHA-256 of a text's UTF-8 bytes (FIPS 180-4), in hex. */
export const sha256 = (text: string): Promise<string> => sha256OfBytes(new TextEncoder().encode(text));

async function sha256OfBytes(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Buffer.from(digest).toString('hex');
}

/** Bytes, or characters, that are digested in one go. */
const SLICE = 256 * 1024;

/**
 * A digest of a large text or of bytes, in hex: that of its slices' digests, since Web Crypto takes a text as a whole
 * alone. Others have a turn between them.
 */
export async function digestOfLarge(large: string | Uint8Array): Promise<string> {
  const digests: string[] = [];
  const pace = new Pace();
  for (let from = 0; from < large.length; ) {
    const end = from + SLICE;
    // A pair of surrogates is one character: its halves would be digested as any other's.
    const to = typeof large === 'string' && /[\ud800-\udbff]/.test(large.charAt(end - 1)) ? end + 1 : end;
    const slice = large.slice(from, to);
    digests.push(await (typeof slice === 'string' ? sha256(slice) : sha256OfBytes(slice)));
    from = to;
    await pace.giveWay();
  }
  return sha256(digests.join(' '));
}
