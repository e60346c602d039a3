/** Bodies of parts in transfer: 7bit, quoted-printable and base64 (RFC 2045 section 6), measured before they are made. */

import { giveWay } from '../give-way.ts';

export interface Body {
  readonly encoding: '7bit' | 'quoted-printable' | 'base64';
  /** Bytes as transferred. */
  readonly size: number;
  /** Writes them at an offset; returns the offset behind them. Others have a turn between two slices. */
  write(out: Buffer, at: number): Promise<number>;
}

/** Bytes, or lines of base64, that are worked on in one go: some milliseconds. */
const SLICE = 1024 * 1024;
const SLICE_LINES = 16 * 1024;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const EQUALS = 0x3d;

/** Upstream breaks up lines over 990 bytes. */
const MAX_PLAIN_LINE = 990;

/** RFC 2045 sections 6.7 and 6.8. */
const MAX_ENCODED_LINE = 76;

/** A caller's base64, wrapped and otherwise as it came. */
export function base64Body(base64: string): Body {
  return {
    encoding: 'base64',
    size: wrappedSize(base64.length),
    async write(out, at) {
      let turn = performance.now();
      for (let from = 0; from < base64.length; from += SLICE_LINES * MAX_ENCODED_LINE) {
        if (from > 0) at = writeLineEnd(out, at);
        at = writeLines(base64.slice(from, from + SLICE_LINES * MAX_ENCODED_LINE), out, at);
        turn = await giveWay(turn);
      }
      return at;
    },
  };
}

function writeLines(base64: string, out: Buffer, at: number): number {
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

const wrappedSize = (characters: number): number =>
  characters + Math.max(0, Math.ceil(characters / MAX_ENCODED_LINE) - 1) * 2;

function writeLineEnd(out: Buffer, at: number): number {
  out[at] = CR;
  out[at + 1] = LF;
  return at + 2;
}

/** Text, its line ends as CRLF (RFC 2046 section 4.1.1): as it is where that is safe, else in the shorter encoding. */
export async function textBody(text: string): Promise<Body> {
  const start = performance.now();
  const bytes = Buffer.from(text);
  await giveWay(start);
  const { isPlain, size, quotedSize } = await measure(bytes);
  if (isPlain) return { encoding: '7bit', size, write: (out, at) => writePlain(bytes, out, at, size) };
  if (quotedSize <= wrappedSize(Math.ceil(size / 3) * 4)) {
    const write = (out: Buffer, at: number) => writeQuoted(bytes, out, at);
    return { encoding: 'quoted-printable', size: quotedSize, write };
  }
  const normalized = Buffer.allocUnsafe(size);
  await writePlain(bytes, normalized, 0, size);
  return base64Body(normalized.toString('base64'));
}

/** What a byte is to quoted-printable. */
const LITERAL = 0;
const ENCODED = 1;
const BLANK = 2;
const LINE_END = 3;
/** Begins "From ", which begins a message in a mailbox file: some servers write ">" before it. */
const LETTER_F = 4;

const KIND = new Uint8Array(256).fill(ENCODED);
KIND.fill(LITERAL, 0x21, 0x7f);
KIND[EQUALS] = ENCODED;
KIND[SPACE] = BLANK;
KIND[TAB] = BLANK;
KIND[CR] = LINE_END;
KIND[LF] = LINE_END;
KIND[0x46] = LETTER_F;

/** At the front of a line, a soft one included. */
const isFrom = (bytes: Buffer, at: number, column: number): boolean =>
  (column === 0 || column + 1 >= MAX_ENCODED_LINE) &&
  bytes[at + 1] === 0x72 &&
  bytes[at + 2] === 0x6f &&
  bytes[at + 3] === 0x6d &&
  bytes[at + 4] === SPACE;

/** A server on the way may take blanks at the end of a line away. */
const isAtLineEnd = (bytes: Buffer, at: number): boolean =>
  at + 1 === bytes.length || KIND[bytes[at + 1] as number] === LINE_END;

interface Measured {
  /** ASCII in lines that no server touches. */
  readonly isPlain: boolean;
  /** With CRLF. */
  readonly size: number;
  /** In quoted-printable. */
  readonly quotedSize: number;
}

/** One pass, which keeps step with `writeQuoted`. */
async function measure(bytes: Buffer): Promise<Measured> {
  let isPlain = true;
  let size = bytes.length;
  let quotedSize = 0;
  let column = 0;
  let lineStart = 0;
  let at = 0;
  let turn = performance.now();
  for (let end = SLICE; at < bytes.length; end += SLICE) {
    for (const last = Math.min(end, bytes.length); at < last; at++) {
      const byte = bytes[at] as number;
      const kind = KIND[byte] as number;
      let width = 1;
      if (kind !== LITERAL) {
        if (kind === LINE_END) {
          if (at - lineStart > MAX_PLAIN_LINE) isPlain = false;
          if (byte === CR && bytes[at + 1] === LF) at++;
          else size++;
          lineStart = at + 1;
          quotedSize += 2;
          column = 0;
          continue;
        }
        if (kind === ENCODED) {
          if (byte !== EQUALS) isPlain = false;
          width = 3;
        } else if (kind === BLANK ? isAtLineEnd(bytes, at) : isFrom(bytes, at, column)) {
          isPlain = false;
          width = 3;
        }
      }
      // The last column is the soft line break's.
      if (column + width >= MAX_ENCODED_LINE) {
        quotedSize += 3;
        column = 0;
      }
      quotedSize += width;
      column += width;
    }
    turn = await giveWay(turn);
  }
  if (bytes.length - lineStart > MAX_PLAIN_LINE) isPlain = false;
  return { isPlain, size, quotedSize };
}

async function writePlain(bytes: Buffer, out: Buffer, at: number, size: number): Promise<number> {
  const asItIs = size === bytes.length;
  let from = 0;
  let turn = performance.now();
  for (let end = SLICE; from < bytes.length; end += SLICE) {
    const last = Math.min(end, bytes.length);
    if (asItIs) {
      at += bytes.copy(out, at, from, last);
      from = last;
    }
    for (; from < last; from++) {
      const byte = bytes[from] as number;
      if (KIND[byte] !== LINE_END) {
        out[at++] = byte;
        continue;
      }
      if (byte === CR && bytes[from + 1] === LF) from++;
      at = writeLineEnd(out, at);
    }
    turn = await giveWay(turn);
  }
  return at;
}

const HEX = Buffer.from('0123456789ABCDEF');

async function writeQuoted(bytes: Buffer, out: Buffer, at: number): Promise<number> {
  let column = 0;
  let from = 0;
  let turn = performance.now();
  for (let end = SLICE; from < bytes.length; end += SLICE) {
    for (const last = Math.min(end, bytes.length); from < last; from++) {
      const byte = bytes[from] as number;
      const kind = KIND[byte] as number;
      let width = 1;
      if (kind !== LITERAL) {
        if (kind === LINE_END) {
          if (byte === CR && bytes[from + 1] === LF) from++;
          at = writeLineEnd(out, at);
          column = 0;
          continue;
        }
        const isEncoded =
          kind === ENCODED || (kind === BLANK ? isAtLineEnd(bytes, from) : isFrom(bytes, from, column));
        if (isEncoded) width = 3;
      }
      if (column + width >= MAX_ENCODED_LINE) {
        out[at] = EQUALS;
        at = writeLineEnd(out, at + 1);
        column = 0;
      }
      if (width === 1) {
        out[at] = byte;
      } else {
        out[at] = EQUALS;
        out[at + 1] = HEX[byte >> 4] as number;
        out[at + 2] = HEX[byte & 15] as number;
      }
      at += width;
      column += width;
    }
    turn = await giveWay(turn);
  }
  return at;
}
