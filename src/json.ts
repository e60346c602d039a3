/** A body's JSON, and what can be told of it before it is parsed. */

import { type Failure, failure } from './outcome.ts';

/** Far more than a hundred messages have; so many are parsed within a fifth of a second. */
const MOST_VALUES = 100_000;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;

/**
 * Whether JSON has at most so many values, keys and containers: `JSON.parse` takes up to 2 µs for each, so a text of
 * 16 MB can hold up everything for seconds, while its strings of whatever length cost next to nothing.
 *
 * Linear, and done where the limit is passed. Text that is no JSON is counted as well as it goes.
 */
export function hasAtMost(values: number, json: string): boolean {
  let count = 0;
  for (let at = 0; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code === COMMA || code === COLON || code === OPEN_BRACKET || code === OPEN_BRACE) {
      count += 1;
      if (count > values) return false;
    } else if (code === QUOTE) {
      at = endOfString(json, at + 1);
    }
  }
  return true;
}

/** The index of the closing quote. */
function endOfString(json: string, from: number): number {
  for (let end = json.indexOf('"', from); end !== -1; end = json.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (json.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return json.length;
}

/** The parsed JSON (RFC 8259), or why there is none. */
export function parseJson(body: Uint8Array): { readonly json: unknown } | Failure {
  const text = decodeUtf8(body);
  if (text === null) return failure('invalid-request', 'The body is not UTF-8.');
  if (!hasAtMost(MOST_VALUES, text)) {
    return failure('invalid-request', `The JSON has more than ${MOST_VALUES} values.`);
  }
  try {
    return { json: JSON.parse(text) };
  } catch (error) {
    // The engine quotes what stood there, and a part of the message is nothing for a log: only the place is given.
    const [place = ''] = /(?: at position \d+.*)?$/.exec((error as SyntaxError).message) ?? [];
    return failure('invalid-request', `The body is not JSON${place}.`);
  }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
