/** A body's JSON, and what can be told of it before it is parsed. */

import { isCanonicalBase64 } from './message/base64.ts';
import { type Failure, failure } from './outcome.ts';
import { Pace } from './pace.ts';

/** Far more than a hundred messages have; so many are parsed within a fifth of a second. */
const MOST_VALUES = 100_000;

/** More elements of a list cost more one by one than as a whole. */
const MOST_ELEMENTS = 1000;

/** Bytes from which on a string is worth a look of its own. */
const LONG = 8 * 1024;

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LETTER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

interface Span {
  readonly start: number;
  readonly end: number;
}

interface Scanned {
  /** The long strings between their quotes, in their order and without the keys. */
  readonly long: readonly Span[];
  /** The elements of a list; empty where it is none, has very many, or seems to be no JSON. */
  readonly elements: readonly Span[];
}

/**
 * Whether JSON has at most so many values, keys and containers: `JSON.parse` takes up to 2 µs for each, so a text of
 * 16 MB can hold up everything for seconds, while its strings of whatever length cost next to nothing.
 *
 * Linear, and done where the limit is passed. Text that is no JSON is counted as well as it goes.
 */
export const hasAtMost = (values: number, json: string): boolean => scan(Buffer.from(json), values) !== null;

/** Null where the JSON has more than so many values. */
function scan(json: Buffer, values: number): Scanned | null {
  const long: Span[] = [];
  const elements: Span[] = [];
  let count = 0;
  let depth = 0;
  /** Where the list's next element starts; -1 behind the list, and where there is none. */
  let start = json[0] === OPEN_BRACKET ? 1 : -1;
  /** Where the last token ended. */
  let before = -1;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] as number;
    if (byte === COLON && long.at(-1)?.end === before) long.pop();
    if (byte === COMMA || byte === COLON || byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      count += 1;
      if (count > values) return null;
      if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth += 1;
    } else if (byte === QUOTE) {
      const first = at + 1;
      at = endOfString(json, first);
      if (at - first >= LONG && at < json.length) long.push({ start: first, end: at });
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
      depth -= 1;
    }
    if (start !== -1 && (depth === 0 || (depth === 1 && byte === COMMA))) {
      elements.push({ start, end: at });
      start = depth === 0 || elements.length > MOST_ELEMENTS ? -1 : at + 1;
    }
    if (byte > SPACE) before = at;
  }
  const isList = start === -1 && before === elements.at(-1)?.end && json[before] === CLOSE_BRACKET;
  return { long, elements: isList ? elements : [] };
}

/** The index of the closing quote. */
function endOfString(json: Buffer, from: number): number {
  for (let end = nextQuote(json, from); end !== -1; end = nextQuote(json, end + 1)) {
    if (backslashesBefore(json, end, from) % 2 === 0) return end;
  }
  return json.length;
}

/** A call of `indexOf` costs as much as a look at so many bytes. */
const NEAR = 32;

function nextQuote(json: Buffer, from: number): number {
  const near = Math.min(from + NEAR, json.length);
  for (let at = from; at < near; at += 1) if (json[at] === QUOTE) return at;
  return json.indexOf(QUOTE, near);
}

/** In one row, back to `start` at most. */
function backslashesBefore(json: Buffer, at: number, start: number): number {
  let from = at;
  while (from > start && json[from - 1] === BACKSLASH) from -= 1;
  return at - from;
}

type Parsed = { readonly json: unknown } | Failure;

/** The parsed JSON (RFC 8259), or why there is none. Others have a turn between two pieces of a large one. */
export async function parseJson(body: Uint8Array): Promise<Parsed> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const pace = new Pace();
  // It has neither a long string nor too many values.
  if (bytes.length < LONG) return parseAtOnce(bytes, pace);
  const scanned = scan(bytes, MOST_VALUES);
  await pace.giveWay();
  if (!scanned && decodeUtf8(bytes) !== null) {
    return failure('invalid-request', `The JSON has more than ${MOST_VALUES} values.`);
  }
  const json =
    scanned &&
    ((await parseApart(bytes, scanned.long, pace)) ?? (await parseList(bytes, scanned.elements, pace)));
  return json === null ? parseAtOnce(bytes, pace) : { json };
}

async function parseAtOnce(bytes: Buffer, pace: Pace): Promise<Parsed> {
  if (bytes.length === 0) return failure('invalid-request', 'The body is empty.');
  const text = decodeUtf8(bytes);
  if (text === null) {
    return isGzip(bytes) ? UNSAID_GZIP : failure('invalid-request', 'The body is not UTF-8.');
  }
  await pace.giveWay();
  try {
    return { json: JSON.parse(text) };
  } catch (error) {
    // The engine quotes what stood there, and a part of the message is nothing for a log: only the place is given.
    const [place = ''] = /(?: at position \d+.*)?$/.exec((error as SyntaxError).message) ?? [];
    return failure('invalid-request', `The body is not JSON${place}.`);
  }
}

/** RFC 1952 section 2.3.1. */
const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

const UNSAID_GZIP = failure(
  'unsupported-media-type',
  'The body is gzip: say so with Content-Encoding: gzip.',
);

/**
 * Files in base64 are nearly all of a large body, or one text is. They are taken out of it, so that `JSON.parse` does
 * not read and copy files, nor a letter outside ASCII elsewhere make two bytes of each of their characters.
 *
 * @returns null where there are none, or it is no JSON
 */
async function parseApart(bytes: Buffer, long: readonly Span[], pace: Pace): Promise<unknown> {
  const apart = new Map<string, string>();
  const rest: Uint8Array[] = [];
  const mark = crypto.randomUUID();
  let from = 0;
  for (const span of long) {
    const text = (await fileAt(bytes, span, pace)) ?? (await textAt(bytes, span, pace));
    if (text === null) continue;
    const standIn = `${mark} ${apart.size}`;
    apart.set(standIn, text);
    rest.push(bytes.subarray(from, span.start), Buffer.from(standIn));
    from = span.end;
    await pace.giveWay();
  }
  if (apart.size === 0) return null;
  rest.push(bytes.subarray(from));
  const text = decodeUtf8(Buffer.concat(rest));
  if (text === null) return null;
  try {
    return putBack(JSON.parse(text), apart);
  } catch {
    return null;
  }
}

/**
 * A large list, such as a batch, element by element: a letter outside ASCII makes two bytes of each character around it,
 * and fresh memory for a large text of these costs more than to parse it.
 *
 * @returns null where it is no such list, or no JSON
 */
async function parseList(bytes: Buffer, elements: readonly Span[], pace: Pace): Promise<unknown[] | null> {
  if (elements.length === 0 || bytes.length < PIECE) return null;
  const list: unknown[] = [];
  for (const { start, end } of elements) {
    const text = decodeUtf8(bytes.subarray(start, end), { ignoreBOM: true });
    if (text === null) return null;
    try {
      list.push(JSON.parse(text));
    } catch {
      return null;
    }
    await pace.giveWay();
  }
  return list;
}

/** So much of a string shows whether it is a file, in bytes. */
const BEGINNING = 1024;

async function fileAt(bytes: Buffer, { start, end }: Span, pace: Pace): Promise<string | null> {
  if (!isCanonicalBase64(bytes.toString('latin1', start, Math.min(start + BEGINNING, end)))) return null;
  await pace.giveWay(SHORT_MS);
  const text = bytes.toString('latin1', start, end);
  await pace.giveWay();
  return isCanonicalBase64(text) ? text : null;
}

/** Bytes of a text that are parsed in one go: strings of this size are made where others were, in memory that is at hand. */
const PIECE = 64 * 1024;

/** The string that the pieces make takes a moment which cannot be cut, in milliseconds. */
const SHORT_MS = 1;

/** A text of several pieces; null where it has but one, or is no JSON. */
async function textAt(bytes: Buffer, { start, end }: Span, pace: Pace): Promise<string | null> {
  if (end - start <= PIECE) return null;
  // An escape sequence is longer than what it stands for. Joined, the pieces would be a string in fresh memory of the
  // engine's own, where one that is made of bytes may get what another one had.
  const text = Buffer.allocUnsafe(end - start);
  let size = 0;
  let length = 0;
  let half = '';
  for (let from = start; from < end; ) {
    const to = from + PIECE < end ? cutBefore(bytes, from + PIECE, from) : end;
    const encoded = decodeUtf8(bytes.subarray(from, to), { ignoreBOM: true });
    if (encoded === null) return null;
    let piece: string;
    try {
      piece = half + JSON.parse(`"${encoded}"`);
    } catch {
      return null;
    }
    half = to < end && /[\ud800-\udbff]$/.test(piece) ? piece.slice(-1) : '';
    piece = piece.slice(0, piece.length - half.length);
    // UTF-8 has no form for a lone surrogate.
    if (!piece.isWellFormed()) return null;
    size += text.write(piece, size);
    length += piece.length;
    from = to;
    await pace.giveWay();
  }
  await pace.giveWay(SHORT_MS);
  return text.toString(size === length ? 'latin1' : 'utf8', 0, size);
}

/**
 * The nearest place up to `at` that is neither in an escape sequence (RFC 8259 section 7) nor in a character of UTF-8, as
 * `start` is not.
 */
function cutBefore(bytes: Buffer, at: number, start: number): number {
  for (let from = at - 1; from > at - 6; from -= 1) {
    if (bytes[from] !== BACKSLASH) continue;
    if (backslashesBefore(bytes, from, start) % 2 === 1) break;
    const length = bytes[from + 1] === LETTER_U ? 6 : 2;
    if (from + length > at) return from;
    break;
  }
  let cut = at;
  // A character has at most three bytes behind its first: more are no UTF-8, and would lead back for ever.
  while (cut > at - 3 && ((bytes[cut] as number) & 0xc0) === 0x80) cut -= 1;
  return cut;
}

/** Without recursion: JSON may be as deep as it is long. */
function putBack(json: unknown, apart: ReadonlyMap<string, string>): unknown {
  const root = { json };
  const containers: Record<string, unknown>[] = [root];
  for (let container = containers.pop(); container; container = containers.pop()) {
    for (const [key, value] of Object.entries(container)) {
      if (typeof value === 'string') {
        const text = apart.get(value);
        if (text !== undefined) container[key] = text;
      } else if (typeof value === 'object' && value !== null) {
        containers.push(value as Record<string, unknown>);
      }
    }
  }
  return root.json;
}

/** Takes a byte order mark away, where it is not to be ignored as one. */
function decodeUtf8(bytes: Uint8Array, { ignoreBOM = false } = {}): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM }).decode(bytes);
  } catch {
    return null;
  }
}
