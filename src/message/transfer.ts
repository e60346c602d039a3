/** Bodies of parts in transfer (RFC 2045 section 6), measured before they are made. */

import type { Pace } from '../pace.ts';

export interface Body {
  readonly encoding: '7bit' | 'quoted-printable' | 'base64';
  /** Bytes as transferred. */
  readonly size: number;
  /** Whether the last line has its line end. */
  readonly isEnded: boolean;
  /** Writes them at an offset; returns the offset behind them. */
  write(out: Buffer, at: number, pace: Pace): Promise<number>;
}

/** RFC 2045 sections 6.7 and 6.8. */
export const MAX_ENCODED_LINE = 76;

/** Characters of base64, in whole lines, that are worked on in one go. */
const SLICE = 4096 * MAX_ENCODED_LINE;

const CR = 0x0d;
const LF = 0x0a;

/** A caller's base64, wrapped and otherwise as it came. */
export function base64Body(base64: string): Body {
  return {
    encoding: 'base64',
    size: wrappedSize(base64.length),
    isEnded: false,
    async write(out, at, pace) {
      for (let from = 0; from < base64.length; from += SLICE) {
        if (from > 0) at = writeLineEnd(out, at);
        at = writeLines(base64.slice(from, from + SLICE), out, at);
        await pace.giveWay();
      }
      return at;
    },
  };
}

/** Base64 in lines, without a line end behind the last one. */
export function writeLines(base64: string, out: Buffer, at: number): number {
  const end = at + wrappedSize(base64.length);
  // Behind where it belongs, in one go: line by line, a string costs several times as much as bytes that move.
  let from = end - base64.length;
  out.write(base64, from, 'latin1');
  for (; end - from > MAX_ENCODED_LINE; from += MAX_ENCODED_LINE) {
    out.copyWithin(at, from, from + MAX_ENCODED_LINE);
    at = writeLineEnd(out, at + MAX_ENCODED_LINE);
  }
  out.copyWithin(at, from, end);
  return end;
}

/** What base64 of so many characters takes in lines. */
export const wrappedSize = (characters: number): number =>
  characters + Math.max(0, Math.ceil(characters / MAX_ENCODED_LINE) - 1) * 2;

export function writeLineEnd(out: Buffer, at: number): number {
  out[at] = CR;
  out[at + 1] = LF;
  return at + 2;
}
