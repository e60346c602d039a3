/** ASN.1 in DER (X.690): as much of it as a certificate takes. */

const tlv = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(content.length)]), content]);
};

/** X.690 section 8.1.3. */
function lengthOctets(length: number): number[] {
  if (length < 128) return [length];
  const octets = [];
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 255);
  return [128 + octets.length, ...octets];
}

export const sequence = (...parts: Uint8Array[]): Buffer => tlv(0x30, ...parts);
export const set = (...parts: Uint8Array[]): Buffer => tlv(0x31, ...parts);
export const octetString = (content: Uint8Array): Buffer => tlv(0x04, content);
export const utf8String = (text: string): Buffer => tlv(0x0c, Buffer.from(text));
export const yes: Buffer = tlv(0x01, Buffer.from([255]));

/** @param bytes - of a number that is not negative, the most significant first */
export const integer = (bytes: Uint8Array): Buffer =>
  tlv(0x02, (bytes[0] ?? 0) > 127 ? Buffer.from([0]) : Buffer.alloc(0), bytes);

/** @param unused - bits at the end of the last byte */
export const bitString = (content: Uint8Array, unused = 0): Buffer =>
  tlv(0x03, Buffer.from([unused]), content);

/** `[number]` around a whole value. */
export const explicit = (number: number, content: Uint8Array): Buffer => tlv(0xa0 + number, content);
/** `[number]` in place of a plain value's own tag. */
export const implicit = (number: number, content: Uint8Array): Buffer => tlv(0x80 + number, content);

export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return tlv(0x06, Buffer.from([40 * first + second, ...rest.flatMap(base128)]));
}

/** Seven bits a byte, with a mark on all but the last (X.690 section 8.19.2). */
function base128(number: number): number[] {
  const octets = [number & 127];
  for (let rest = number >>> 7; rest > 0; rest >>>= 7) octets.unshift(128 + (rest & 127));
  return octets;
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). */
export function time(date: Date): Buffer {
  const digits = `${date
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/\D/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? tlv(0x17, Buffer.from(digits.slice(2)))
    : tlv(0x18, Buffer.from(digits));
}
