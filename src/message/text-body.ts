/** A text in transfer: 7bit where that is safe, else quoted-printable or base64, whichever is shorter. */

import type { Pace } from '../pace.ts';
import { MAX_LINE } from '../sendcloud.ts';
import { type Body, MAX_ENCODED_LINE, wrappedSize, writeLineEnd, writeLines } from './transfer.ts';

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const EQUALS = 0x3d;

/** Text, its line ends as CRLF (RFC 2046 section 4.1.1). Others have a turn between two slices of a large one. */
export async function textBody(text: string, pace: Pace): Promise<Body> {
  const slices = new Slices(text);
  const quoter = new Quoter();
  let quotedSize = 0;
  for (; slices.next(); await pace.giveWay()) quotedSize += quoter.quote(slices, scratch, 0);
  const { isPlain, size } = quoter;
  const encodedSize = wrappedSize(Math.ceil(size / 3) * 4);
  const isEnded = /[\r\n]/.test(text.slice(-1));
  if (isPlain) return { encoding: '7bit', size, isEnded, write: plainly(slices) };
  return quotedSize <= encodedSize
    ? { encoding: 'quoted-printable', size: quotedSize, isEnded, write: quoted(slices) }
    : { encoding: 'base64', size: encodedSize, isEnded: false, write: inBase64(slices, size) };
}

/** Characters of a text that are worked on in one go. */
const SLICE = 16 * 1024;
/** Bytes behind one that say how it is encoded. */
const LOOK_AHEAD = 4;
const MOST_BYTES = 3 * (SLICE + 1) + LOOK_AHEAD;

/**
 * The UTF-8 of a text, slice by slice in one buffer, which stays in the processor's cache: a buffer for all of a large text
 * would cost as much as the work on it.
 */
class Slices {
  readonly bytes: Buffer;
  /** Where the next byte is that was not used. */
  at = 0;
  /** Bytes before this one may be used, and those behind it looked at. */
  end = 0;
  /** Behind the last byte. */
  length = 0;
  readonly #text: string;
  #taken = 0;

  constructor(text: string) {
    this.#text = text;
    this.bytes = text.length > SLICE ? Buffer.allocUnsafe(MOST_BYTES) : Buffer.from(text);
  }

  rewind(): void {
    this.at = 0;
    this.length = 0;
    this.#taken = 0;
  }

  /** Goes on to the next slice, with what was not used in front; false where there is none. */
  next(): boolean {
    const text = this.#text;
    const from = this.#taken;
    if (from === text.length) return false;
    this.#taken = Math.min(from + SLICE, text.length);
    if (text.length <= SLICE) {
      this.length = this.bytes.length;
    } else {
      // A pair of surrogates is one character.
      if ((text.charCodeAt(this.#taken - 1) & 0xfc00) === 0xd800 && this.#taken < text.length) this.#taken++;
      this.bytes.copyWithin(0, this.at, this.length);
      this.length -= this.at;
      this.length += this.bytes.write(text.slice(from, this.#taken), this.length);
    }
    this.at = 0;
    this.end = this.#taken === text.length ? this.length : this.length - LOOK_AHEAD;
    return true;
  }
}

/** What a slice becomes where only its size is asked for. */
const scratch = Buffer.allocUnsafe(Math.ceil(MOST_BYTES * 3 * 1.05));

/** What a byte is to quoted-printable: the first three stand for themselves within a line. */
const LITERAL = 0;
const BLANK = 1;
/** Begins "From ", which begins a message in a mailbox file: some servers write ">" before it. */
const LETTER_F = 2;
const ENCODED = 3;
const LINE_END = 4;

const KIND = new Uint8Array(256).fill(ENCODED);
KIND.fill(LITERAL, 0x21, 0x7f);
KIND[EQUALS] = ENCODED;
KIND[SPACE] = BLANK;
KIND[TAB] = BLANK;
KIND[CR] = LINE_END;
KIND[LF] = LINE_END;
KIND[0x46] = LETTER_F;

/** The last column is the soft line break's. */
const MOST_COLUMNS = MAX_ENCODED_LINE - 1;

const HEX = Buffer.from('0123456789ABCDEF');

/** Quoted-printable (RFC 2045 section 6.7) over the bounds of slices, and what it saw of the text. */
class Quoter {
  /** ASCII in lines that no server touches. */
  isPlain = true;
  /** Of the text with CRLF, in bytes. */
  size = 0;
  #column = 0;
  /** Bytes of the line that has not ended yet. */
  #lineLength = 0;

  /** Writes what a slice becomes; returns the offset behind it. */
  quote(slices: Slices, out: Buffer, at: number): number {
    const { bytes, end, length } = slices;
    let from = slices.at;
    let lineStart = from - this.#lineLength;
    let column = this.#column;
    let { isPlain } = this;
    let size = this.size - from;
    while (from < end) {
      const byte = bytes[from] as number;
      const kind = KIND[byte] as number;
      if (kind === LINE_END) {
        if (from - lineStart > MAX_LINE) isPlain = false;
        if (byte === CR && from + 1 < length && bytes[from + 1] === LF) from++;
        else size++;
        from++;
        lineStart = from;
        at = writeLineEnd(out, at);
        column = 0;
        continue;
      }
      if (kind === ENCODED || changesOnTheWay(kind, bytes, from, length, column)) {
        if (byte !== EQUALS) isPlain = false;
        if (column + 3 > MOST_COLUMNS) {
          at = writeSoftBreak(out, at);
          column = 0;
        }
        out[at] = EQUALS;
        out[at + 1] = HEX[byte >> 4] as number;
        out[at + 2] = HEX[byte & 15] as number;
        at += 3;
        column += 3;
        from++;
        continue;
      }
      if (column === MOST_COLUMNS) {
        at = writeSoftBreak(out, at);
        column = 0;
      }
      const start = from;
      const last = Math.min(end, from + MOST_COLUMNS - column);
      do out[at++] = bytes[from++] as number;
      while (from < last && (KIND[bytes[from] as number] as number) < ENCODED);
      // A blank that turns out to end the line is taken back.
      if (
        from - start > 1 &&
        KIND[bytes[from - 1] as number] === BLANK &&
        isAtLineEnd(bytes, from - 1, length)
      ) {
        at--;
        from--;
      }
      column += from - start;
    }
    slices.at = from;
    this.#lineLength = from - lineStart;
    this.#column = column;
    this.isPlain = isPlain && this.#lineLength <= MAX_LINE;
    this.size = size + from;
    return at;
  }
}

/** What stands for itself, but not here: a server on the way may take blanks at the end of a line away, or quote "From ". */
function changesOnTheWay(kind: number, bytes: Buffer, at: number, length: number, column: number): boolean {
  if (kind === BLANK) return isAtLineEnd(bytes, at, length);
  return (
    kind === LETTER_F &&
    (column === 0 || column === MOST_COLUMNS) &&
    at + 4 < length &&
    bytes[at + 1] === 0x72 &&
    bytes[at + 2] === 0x6f &&
    bytes[at + 3] === 0x6d &&
    bytes[at + 4] === SPACE
  );
}

const isAtLineEnd = (bytes: Buffer, at: number, length: number): boolean =>
  at + 1 === length || KIND[bytes[at + 1] as number] === LINE_END;

function writeSoftBreak(out: Buffer, at: number): number {
  out[at] = EQUALS;
  return writeLineEnd(out, at + 1);
}

const quoted =
  (slices: Slices): Body['write'] =>
  async (out, at, pace) => {
    const quoter = new Quoter();
    for (slices.rewind(); slices.next(); await pace.giveWay()) at = quoter.quote(slices, out, at);
    return at;
  };

const plainly =
  (slices: Slices): Body['write'] =>
  async (out, at, pace) => {
    for (slices.rewind(); slices.next(); await pace.giveWay()) at = normalize(slices, out, at);
    return at;
  };

/** What a line of base64 holds, in bytes. */
const LINE_BYTES = (MAX_ENCODED_LINE / 4) * 3;

const inBase64 =
  (slices: Slices, size: number): Body['write'] =>
  async (out, at, pace) => {
    // What is less than a line stays for the next slice, whose line ends may become twice as long.
    const room = Buffer.allocUnsafe(Math.min(size, LINE_BYTES + 2 * MOST_BYTES));
    let kept = 0;
    let left = size;
    for (slices.rewind(); slices.next(); await pace.giveWay()) {
      const end = normalize(slices, room, kept);
      left -= end - kept;
      const whole = left === 0 ? end : end - (end % LINE_BYTES);
      at = writeLines(room.toString('base64', 0, whole), out, at);
      if (left > 0) at = writeLineEnd(out, at);
      room.copyWithin(0, whole, end);
      kept = end - whole;
    }
    return at;
  };

/** A slice with CRLF line ends. */
function normalize(slices: Slices, out: Buffer, at: number): number {
  const { bytes, end, length } = slices;
  let from = slices.at;
  for (; from < end; from++) {
    const byte = bytes[from] as number;
    if (KIND[byte] !== LINE_END) {
      out[at++] = byte;
      continue;
    }
    if (byte === CR && from + 1 < length && bytes[from + 1] === LF) from++;
    at = writeLineEnd(out, at);
  }
  slices.at = from;
  return at;
}
