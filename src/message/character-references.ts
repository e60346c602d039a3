/** Character references in attribute values (HTML standard, section 13.2.5.72). */

/** Decoded text that knows where each of its characters stood. */
export interface Decoded {
  readonly text: string;
  /** The index in the encoded text of an index in `text`; from call to call the indexes must not fall. */
  readonly sourceOf: (index: number) => number;
}

/**
 * The named references to ASCII, which alone can be part of a URI, and to white space; any other stays as it is.
 * Those without a semicolon are named in the standard one by one (section 13.5).
 */
const NAMED: ReadonlyMap<string, number> = new Map(
  Object.entries({
    'Tab;': '\t',
    'NewLine;': '\n',
    'excl;': '!',
    'quot;': '"',
    quot: '"',
    'QUOT;': '"',
    QUOT: '"',
    'num;': '#',
    'dollar;': '$',
    'percnt;': '%',
    'amp;': '&',
    amp: '&',
    'AMP;': '&',
    AMP: '&',
    'apos;': "'",
    'lpar;': '(',
    'rpar;': ')',
    'ast;': '*',
    'midast;': '*',
    'plus;': '+',
    'comma;': ',',
    'period;': '.',
    'sol;': '/',
    'colon;': ':',
    'semi;': ';',
    'lt;': '<',
    lt: '<',
    'LT;': '<',
    LT: '<',
    'equals;': '=',
    'gt;': '>',
    gt: '>',
    'GT;': '>',
    GT: '>',
    'quest;': '?',
    'commat;': '@',
    'lsqb;': '[',
    'lbrack;': '[',
    'bsol;': '\\',
    'rsqb;': ']',
    'rbrack;': ']',
    'Hat;': '^',
    'lowbar;': '_',
    'UnderBar;': '_',
    'grave;': '`',
    'DiacriticalGrave;': '`',
    'lcub;': '{',
    'lbrace;': '{',
    'verbar;': '|',
    'vert;': '|',
    'VerticalLine;': '|',
    'rcub;': '}',
    'rbrace;': '}',
    'nbsp;': '\u00a0',
    nbsp: '\u00a0',
    'NonBreakingSpace;': '\u00a0',
  }).map(([name, char]) => [name, char.charCodeAt(0)]),
);

/**
 * Decodes the value of an attribute. Linear, and without a copy where there is nothing to decode.
 *
 * Character by character into one buffer: putting pieces of a string together takes ten times as long where a
 * template engine has encoded each "+" or everything.
 */
export function decodeReferences(value: string): Decoded {
  if (!value.includes('&')) return { text: value, sourceOf: (index) => index };
  const units = new Uint16Array(value.length);
  let length = 0;
  let all = 0;
  for (let at = 0; at < value.length; length += 1) {
    let code = value.charCodeAt(at);
    const end = code === AMPERSAND ? endOfReference(value, at + 1) : -1;
    if (end !== -1) code = characterOf(value, at + 1, end);
    if (code > 0xffff) {
      units[length] = 0xd800 + ((code - 0x10000) >> 10);
      length += 1;
      code = 0xdc00 + ((code - 0x10000) & 0x3ff);
    }
    units[length] = code;
    all |= code;
    at = end === -1 ? at + 1 : end;
  }
  const decoded = units.subarray(0, length);
  const text =
    all < 256
      ? Buffer.from(decoded).toString('latin1')
      : Buffer.from(decoded.buffer, 0, length * 2).toString('utf16le');
  return { text, sourceOf: sourceFinder(value) };
}

/** Reads the references once more, up to where an index is asked for. */
function sourceFinder(value: string): (index: number) => number {
  let at = 0;
  let length = 0;
  return (index) => {
    while (length < index && at < value.length) {
      const end = value.charCodeAt(at) === AMPERSAND ? endOfReference(value, at + 1) : -1;
      length += end !== -1 && characterOf(value, at + 1, end) > 0xffff ? 2 : 1;
      at = end === -1 ? at + 1 : end;
    }
    return at;
  };
}

const HASH = 0x23;
const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
/** Of the names above, with its semicolon. */
const LONGEST_NAME = 17;

/** Behind a reference; -1 where none stands behind the ampersand. */
function endOfReference(value: string, from: number): number {
  if (value.charCodeAt(from) !== HASH) return endOfName(value, from);
  const isHex = isX(value.charCodeAt(from + 1));
  const start = isHex ? from + 2 : from + 1;
  let end = start;
  while (isDigit(value.charCodeAt(end), isHex)) end += 1;
  if (end === start) return -1;
  return value.charCodeAt(end) === SEMICOLON ? end + 1 : end;
}

/** A name without semicolon is none where something goes on with it (section 13.2.5.73). */
function endOfName(value: string, from: number): number {
  let end = from;
  while (isLetter(value.charCodeAt(end)) && end - from < LONGEST_NAME) end += 1;
  if (end === from) return -1;
  if (value.charCodeAt(end) === SEMICOLON) return NAMED.has(value.slice(from, end + 1)) ? end + 1 : -1;
  return NAMED.has(value.slice(from, end)) && !/[0-9=]/.test(value.charAt(end)) ? end : -1;
}

const isX = (code: number): boolean => (code | 0x20) === 0x78;
const isLetter = (code: number): boolean => (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
const isDigit = (code: number, isHex: boolean): boolean =>
  (code >= 0x30 && code <= 0x39) || (isHex && (code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);

/** The code point of the reference from behind its ampersand up to its end. */
function characterOf(value: string, from: number, end: number): number {
  if (value.charCodeAt(from) !== HASH) return NAMED.get(value.slice(from, end)) ?? 0;
  const isHex = isX(value.charCodeAt(from + 1));
  let code = 0;
  for (
    let at = isHex ? from + 2 : from + 1;
    isDigit(value.charCodeAt(at), isHex) && code <= 0x10ffff;
    at += 1
  ) {
    const digit = value.charCodeAt(at);
    code = code * (isHex ? 16 : 10) + (digit < 0x40 ? digit - 0x30 : (digit | 0x20) - 0x57);
  }
  const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isCharacter ? code : 0xfffd;
}
