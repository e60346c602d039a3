/** Base64 in the forms that encoders and browsers hand out, and the one canonical form of it. */

import type { Pace } from '../pace.ts';
import { excerpt } from './characters.ts';

/** The alphabet, padding and zero trailing bits of RFC 4648 section 4, without line breaks; or what is wrong. */
export type CanonicalBase64 = { readonly base64: string } | { readonly problem: string };

/**
 * Makes text canonical. Line breaks (RFC 2045 section 6.8), the URL-safe alphabet (RFC 4648 section 5) and missing
 * padding have one reading, and are put right. What may be damage is refused: a space where a "+" may have been,
 * padding amid the text, bits behind the last byte.
 */
export function canonicalBase64(text: string): CanonicalBase64 {
  if (isCanonicalBase64(text)) return { base64: text };
  const steps = standardOf(text);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same; others have a turn between two slices of a large text. */
export async function canonicalInSlices(text: string, pace: Pace): Promise<CanonicalBase64> {
  if (isCanonicalBase64(text)) return { base64: text };
  const steps = standardOf(text);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await pace.giveWay();
  }
}

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
 */
function* standardOf(given: string): Generator<undefined, CanonicalBase64> {
  const text = given.startsWith('\ufeff') ? given.slice(1) : given;
  if (Buffer.byteLength(text) !== text.length) return { problem: foreignProblem(text) };
  const bytes = Buffer.allocUnsafe(text.length);
  let written = 0;
  let lineStart = 0;
  let lineLength = -1;
  /** The white space that was just passed, if any, has a line break. */
  let gap: 'spaces' | 'break' | null = null;
  let hasSpaces = false;
  let isEven = true;
  for (let from = 0; from < text.length; from += CHUNK) {
    let at = written;
    const end = at + bytes.write(text.slice(from, from + CHUNK), at, 'latin1');
    while (at < end) {
      const octet = STANDARD[bytes[at] as number] as number;
      if (octet === FOREIGN) return { problem: foreignProblem(text) };
      if (octet === WHITE) {
        const isBreak = bytes[at] !== SPACE && bytes[at] !== TAB;
        if (isBreak || gap === null) gap = isBreak ? 'break' : 'spaces';
        at += 1;
        continue;
      }
      if (gap !== null && written > 0) {
        if (gap === 'spaces') hasSpaces = true;
        const length = written - lineStart;
        if (lineLength === -1) lineLength = length;
        if (length !== lineLength || length % 4 !== 0) isEven = false;
        lineStart = written;
      }
      gap = null;
      const start = at;
      at = standardize(bytes, start, end, written);
      written += at - start;
    }
    yield;
  }
  const base64 = bytes.toString('latin1', 0, written);
  const last = written - lineStart;
  if (hasSpaces && !(isEven && last % 4 === 0 && last <= lineLength)) {
    return {
      problem:
        'Remove the spaces from the base64 text; if they stand for "+", it was decoded once too often.',
    };
  }
  const padding = base64.indexOf('=');
  if (padding !== -1 && !/^=*$/.test(base64.slice(padding))) {
    return { problem: 'Encode the bytes in one go: the base64 text has padding before its end.' };
  }
  const padded = padding === -1 ? base64 + '='.repeat(-base64.length & 3) : base64;
  return padded.length % 4 === 0 && isCanonicalBase64(padded.slice(-4))
    ? { base64: padded }
    : {
        problem: 'Use whole base64 text: it is cut off or has the wrong padding (RFC 4648 section 4).',
      };
}

/** Moves what stands at `from` to `to`, as far as it is base64; returns where it ends. */
function standardize(bytes: Buffer, from: number, end: number, to: number): number {
  let at = from;
  for (; at < end; at += 1) {
    const octet = STANDARD[bytes[at] as number] as number;
    if (octet === WHITE || octet === FOREIGN) break;
    bytes[to + at - from] = octet;
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
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  for (let at = 0; at < text.length; at += CHUNK) {
    const chunk = text.slice(at, at + CHUNK);
    const isLast = at + CHUNK >= text.length;
    const bytes = (chunk.length / 4) * 3 - (isLast ? padding : 0);
    if (scratch.write(chunk, 'base64') !== bytes) return false;
  }
  const last = text.slice(-4);
  return padding === 0 || Buffer.from(last, 'base64').toString('base64') === last;
}

/** The first bytes of what canonical base64 encodes. */
export const firstBytes = (base64: string, bytes: number): Buffer =>
  Buffer.from(base64.slice(0, Math.ceil(bytes / 3) * 4), 'base64');
