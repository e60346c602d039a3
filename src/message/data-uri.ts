/** Data URIs (RFC 2397) as browsers read them (URL and Fetch standards). */

import { canonicalBase64 } from './base64.ts';
import { essenceOf } from './media-type.ts';

const SCHEME = /^\s*d[\t\r\n]*a[\t\r\n]*t[\t\r\n]*a[\t\r\n]*:/i;
/** More than white space, scheme and media type take. */
const LONGEST_HEAD = 1000;

/** Whether it is a data URI, and of which type: '' where it has none; null for anything else. */
export function dataUriType(uri: string): string | null {
  const head = uri.slice(0, LONGEST_HEAD);
  const scheme = SCHEME.exec(head)?.[0];
  return scheme === undefined
    ? null
    : essenceOf((/[^;,]*/.exec(head.slice(scheme.length)) as RegExpExecArray)[0]);
}

export interface DataUri {
  /** Canonical. */
  readonly base64: string;
  /** With its `#`; '' where there is none. */
  readonly fragment: string;
}

/** Reads what a data URI holds, in base64 or percent-encoded. */
export function readDataUri(uri: string): DataUri | { readonly problem: string } {
  const scheme = SCHEME.exec(uri.slice(0, LONGEST_HEAD))?.[0] ?? '';
  const comma = uri.slice(0, LONGEST_HEAD).indexOf(',');
  if (comma === -1) return { problem: 'It has no comma between the media type and the data.' };
  const isBase64 = /;\s*base64\s*$/i.test(uri.slice(scheme.length, comma));
  const data = uri.slice(comma + 1);
  const hash = isBase64 ? data.indexOf('#') : fragmentOfSvg(data);
  const fragment = hash === -1 ? '' : data.slice(hash).trim();
  const bytes = hash === -1 ? data : data.slice(0, hash);
  if (!isBase64) return { base64: percentDecode(bytes.trim()).toString('base64'), fragment };
  const canonical = canonicalBase64(bytes.includes('%') ? percentDecode(bytes).toString('latin1') : bytes);
  return 'problem' in canonical ? canonical : { base64: canonical.base64, fragment };
}

/** A color such as `#f00` belongs to the picture, though a strict reader would cut it there. */
function fragmentOfSvg(data: string): number {
  const hash = data.lastIndexOf('#');
  return hash !== -1 && /svg\s*(?:>|%3e)\s*$/i.test(data.slice(Math.max(0, hash - 20), hash)) ? hash : -1;
}

const HEX = new Int8Array(256).fill(-1);
for (const [value, digit] of [...'0123456789abcdef'].entries()) {
  HEX[digit.charCodeAt(0)] = value;
  HEX[digit.toUpperCase().charCodeAt(0)] = value;
}

/** The bytes of percent-encoded text (URL standard, section 1.3): other characters are their UTF-8. */
function percentDecode(text: string): Buffer {
  const octets = Buffer.from(text);
  let at = octets.indexOf('%');
  if (at === -1) return octets;
  let written = at;
  for (; at < octets.length; at += 1) {
    let octet = octets[at] as number;
    if (octet === 0x25) {
      const high = HEX[octets[at + 1] ?? 0] as number;
      const low = HEX[octets[at + 2] ?? 0] as number;
      if (high !== -1 && low !== -1) {
        octet = high * 16 + low;
        at += 2;
      }
    }
    octets[written] = octet;
    written += 1;
  }
  return octets.subarray(0, written);
}
