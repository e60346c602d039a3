/** Base64 in the forms that encoders and browsers hand out, and the one canonical form of it. */

import { excerpt } from './characters.ts';

/** The alphabet, padding and zero trailing bits of RFC 4648 section 4, without line breaks; or what is wrong. */
export type CanonicalBase64 = { readonly base64: string } | { readonly problem: string };

/**
 * Makes text canonical. Line breaks (RFC 2045 section 6.8), the URL-safe alphabet (RFC 4648 section 5) and missing
 * padding have one reading, and are put right. What may be damage is refused: a space where a "+" may have been,
 * padding amid the text, bits behind the last byte.
 */
export function canonicalBase64(text: string): CanonicalBase64 {
  const padded = hasLines(text) ? text : withPadding(text);
  if (isCanonicalBase64(padded)) return { base64: padded };
  return standardOf(text.startsWith('\ufeff') ? text.slice(1) : text);
}

/** Then it needs more than padding, and a large text need not be copied to see it. */
const hasLines = (text: string): boolean => /\s/.test(text.slice(0, 100));

const withPadding = (base64: string): string =>
  base64.endsWith('=') ? base64 : base64 + '='.repeat(-base64.length & 3);

/** Small enough to stay in the processor's cache, which makes decoding cost next to nothing. */
const CHUNK = 65_536;
const scratch = Buffer.alloc(CHUNK);

const TAB = 0x09;
const SPACE = 0x20;

const WHITE = 0;
const FOREIGN = 255;
/** For each octet the one of the standard alphabet that it stands for. */
const STANDARD = new Uint8Array(256).fill(FOREIGN);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=') {
  STANDARD[char.charCodeAt(0)] = char.charCodeAt(0);
}
STANDARD[0x2d] = 0x2b;
STANDARD[0x5f] = 0x2f;
for (const char of ' \t\r\n\f') STANDARD[char.charCodeAt(0)] = WHITE;

/**
 * The text in the standard alphabet, without white space and with its padding. Spaces in a line are taken for white space
 * only where they stand behind equally many characters each, as a shell or a template makes them of line breaks; elsewhere
 * each may have been a "+".
 *
 * Large text comes out in pieces that the engine has not joined yet, so that this happens in the turn that reads it first.
 */
function standardOf(text: string): CanonicalBase64 {
  if (Buffer.byteLength(text) !== text.length) return { problem: foreignProblem(text) };
  let base64 = '';
  let end = '';
  let hasPadding = false;
  let isBroken = false;
  let lineStart = 0;
  let lineLength = -1;
  /** The white space that was just passed, if any, has a line break. */
  let gap: 'spaces' | 'break' | null = null;
  let hasSpaces = false;
  let isEven = true;
  for (let from = 0; from < text.length; from += CHUNK) {
    const size = scratch.write(text.slice(from, from + CHUNK), 'latin1');
    let written = 0;
    for (let at = 0; at < size; ) {
      const octet = STANDARD[scratch[at] as number] as number;
      if (octet === FOREIGN) return { problem: foreignProblem(text) };
      if (octet === WHITE) {
        const isBreak = scratch[at] !== SPACE && scratch[at] !== TAB;
        if (isBreak || gap === null) gap = isBreak ? 'break' : 'spaces';
        at += 1;
        continue;
      }
      const position = base64.length + written;
      if (gap !== null && position > 0) {
        if (gap === 'spaces') hasSpaces = true;
        const length = position - lineStart;
        if (lineLength === -1) lineLength = length;
        if (length !== lineLength || length % 4 !== 0) isEven = false;
        lineStart = position;
      }
      gap = null;
      const start = at;
      at = standardize(start, size, written);
      written += at - start;
    }
    const piece = scratch.toString('latin1', 0, written);
    const padding = hasPadding ? 0 : piece.indexOf('=');
    if (padding !== -1) {
      hasPadding = true;
      if (!/^=*$/.test(piece.slice(padding))) isBroken = true;
    }
    base64 += piece;
    end = (end + piece).slice(-4);
  }
  const last = base64.length - lineStart;
  if (hasSpaces && !(isEven && last % 4 === 0 && last <= lineLength)) {
    return {
      problem:
        'Remove the spaces from the base64 text; if they stand for "+", it was decoded once too often.',
    };
  }
  if (isBroken) return { problem: 'Encode the bytes in one go: the base64 text has padding before its end.' };
  const padding = hasPadding ? '' : '='.repeat(-base64.length & 3);
  const length = base64.length + padding.length;
  return length % 4 === 0 && isCanonicalBase64((end + padding).slice(-4))
    ? { base64: base64 + padding }
    : {
        problem: 'Use whole base64 text: it is cut off or has the wrong padding (RFC 4648 section 4).',
      };
}

/** Moves what stands at `from` in the scratch to `to`, as far as it is base64; returns where it ends. */
function standardize(from: number, size: number, to: number): number {
  let at = from;
  for (; at < size; at += 1) {
    const octet = STANDARD[scratch[at] as number] as number;
    if (octet === WHITE || octet === FOREIGN) break;
    scratch[to + at - from] = octet;
  }
  return at;
}

const foreignProblem = (text: string): string =>
  `Use base64 text alone: "${excerpt(text)}" has characters other than A-Z, a-z, 0-9, "+", "/" and "=".`;

/**
 * Whether text is canonical base64. Buffer's decoder passes over what it does not know, so text is base64 where it
 * makes as many bytes as its length says; apart from what the decoder also knows, and what it takes for another
 * character.
 */
export function isCanonicalBase64(text: string): boolean {
  if (text.length % 4 !== 0 || text.includes('-') || text.includes('_')) return false;
  if (Buffer.byteLength(text) !== text.length) return false;
  let bytes = 0;
  for (let at = 0; at < text.length; at += CHUNK)
    bytes += scratch.write(text.slice(at, at + CHUNK), 'base64');
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  if (bytes !== (text.length / 4) * 3 - padding) return false;
  const last = text.slice(-4);
  return padding === 0 || Buffer.from(last, 'base64').toString('base64') === last;
}

/** The first bytes of what canonical base64 encodes. */
export const firstBytes = (base64: string, bytes: number): Buffer =>
  Buffer.from(base64.slice(0, Math.ceil(bytes / 3) * 4), 'base64');
