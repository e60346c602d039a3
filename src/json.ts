/** A body's JSON, and what can be told of it before it is parsed. */

import { isCanonicalBase64 } from './message/base64.ts';
import { type Failure, failure } from './outcome.ts';

/** Far more than a hundred messages have; so many are parsed within a fifth of a second. */
const MOST_VALUES = 100_000;

/** Bytes from which on a string is worth a look of its own. */
const LONG = 8 * 1024;

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;

/** A string's place between its quotes. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Whether JSON has at most so many values, keys and containers: `JSON.parse` takes up to 2 µs for each, so a text of
 * 16 MB can hold up everything for seconds, while its strings of whatever length cost next to nothing.
 *
 * Linear, and done where the limit is passed. Text that is no JSON is counted as well as it goes.
 */
export const hasAtMost = (values: number, json: string): boolean =>
  longStrings(Buffer.from(json), values) !== null;

/** The long strings of JSON, in their order and without the keys; null where it has more than so many values. */
function longStrings(json: Buffer, values: number): Span[] | null {
  const found: Span[] = [];
  let count = 0;
  /** Where the last token ended. */
  let before = -1;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === COLON && found.at(-1)?.end === before) found.pop();
    if (byte === COMMA || byte === COLON || byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      count += 1;
      if (count > values) return null;
    } else if (byte === QUOTE) {
      const start = at + 1;
      at = endOfString(json, start);
      if (at - start >= LONG && at < json.length) found.push({ start, end: at });
    }
    if (byte !== undefined && byte > SPACE) before = at;
  }
  return found;
}

/** The index of the closing quote. */
function endOfString(json: Buffer, from: number): number {
  for (let end = json.indexOf(QUOTE, from); end !== -1; end = json.indexOf(QUOTE, end + 1)) {
    let backslashes = 0;
    while (json[end - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return json.length;
}

/** The parsed JSON (RFC 8259), or why there is none. */
export function parseJson(body: Uint8Array): { readonly json: unknown } | Failure {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const long = longStrings(bytes, MOST_VALUES);
  const json = long && parseWithFiles(bytes, long);
  if (json !== null) return { json };

  const text = decodeUtf8(bytes);
  if (text === null) return failure('invalid-request', 'The body is not UTF-8.');
  if (!long) return failure('invalid-request', `The JSON has more than ${MOST_VALUES} values.`);
  try {
    return { json: JSON.parse(text) };
  } catch (error) {
    // The engine quotes what stood there, and a part of the message is nothing for a log: only the place is given.
    const [place = ''] = /(?: at position \d+.*)?$/.exec((error as SyntaxError).message) ?? [];
    return failure('invalid-request', `The body is not JSON${place}.`);
  }
}

/**
 * Files in base64 are nearly all of a large body. They are taken out of it, so that `JSON.parse` does not read and copy
 * them, nor a letter outside ASCII elsewhere make two bytes of each of their characters.
 *
 * @returns null where there are none, or what is left is no JSON
 */
function parseWithFiles(bytes: Buffer, long: readonly Span[]): unknown {
  const files = new Map<string, string>();
  const rest: Uint8Array[] = [];
  const mark = crypto.randomUUID();
  let from = 0;
  for (const { start, end } of long) {
    const text = bytes.toString('latin1', start, end);
    if (!isCanonicalBase64(text)) continue;
    const standIn = `${mark} ${files.size}`;
    files.set(standIn, text);
    rest.push(bytes.subarray(from, start), Buffer.from(standIn));
    from = end;
  }
  if (files.size === 0) return null;
  rest.push(bytes.subarray(from));
  const text = decodeUtf8(Buffer.concat(rest));
  if (text === null) return null;
  try {
    return putBack(JSON.parse(text), files);
  } catch {
    return null;
  }
}

/** Without recursion: JSON may be as deep as it is long. */
function putBack(json: unknown, files: ReadonlyMap<string, string>): unknown {
  const root = { json };
  const containers: Record<string, unknown>[] = [root];
  for (let container = containers.pop(); container; container = containers.pop()) {
    for (const [key, value] of Object.entries(container)) {
      if (typeof value === 'string') {
        const file = files.get(value);
        if (file !== undefined) container[key] = file;
      } else if (typeof value === 'object' && value !== null) {
        containers.push(value as Record<string, unknown>);
      }
    }
  }
  return root.json;
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
