/** The URLs in a style sheet (CSS Syntax Module Level 3). */

export interface CssUrl {
  /** Where the URL stands in the style sheet, without quotes and white space around it. */
  readonly start: number;
  readonly end: number;
  /** With its escapes decoded. */
  readonly url: string;
  /** Without quotes, and with a character that ends it early: no client reads the declaration. */
  readonly isBroken: boolean;
}

const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const OPEN = 0x28;
const CLOSE = 0x29;
const ASTERISK = 0x2a;
const HYPHEN = 0x2d;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;

/** What takes a URL as a plain string too (CSS Images Module Level 4). */
const IMAGE_FUNCTION = /^(?:(?:-webkit-)?image-set|image|(?:-webkit-)?cross-fade|src)$/;

/**
 * Finds every `url(…)`, and the strings that stand for one in `image-set(…)`; not those in comments.
 *
 * Linear, and by character codes: a pattern for each of the characters looked for takes ten times as long.
 */
export function* cssUrls(css: string): Generator<CssUrl> {
  let depth = 0;
  /** Of the open parentheses in which strings are URLs, how deep each is. */
  const images: number[] = [];
  for (let at = 0; at < css.length; at += 1) {
    switch (css.charCodeAt(at)) {
      case SLASH:
        if (css.charCodeAt(at + 1) === ASTERISK) at = endOfComment(css, at + 2);
        break;
      case BACKSLASH:
        at += 1;
        break;
      case CLOSE:
        if (images.at(-1) === depth) images.pop();
        depth = Math.max(0, depth - 1);
        break;
      case OPEN: {
        const name = nameBefore(css, at);
        depth += 1;
        if (name === 'url') {
          const url = urlAt(css, at + 1);
          yield url;
          // The closing parenthesis is still to come.
          at = url.isQuoted ? url.end : url.close - 1;
        } else if (name !== '' && IMAGE_FUNCTION.test(name)) {
          images.push(depth);
        }
        break;
      }
      case DOUBLE_QUOTE:
      case SINGLE_QUOTE: {
        const end = endOfString(css, at + 1, css.charCodeAt(at), true);
        if (images.length > 0 && images.at(-1) === depth) {
          yield { start: at + 1, end, url: unescapeCss(css.slice(at + 1, end)), isBroken: false };
        }
        at = end;
      }
    }
  }
}

/** The index of the last character of a comment. */
function endOfComment(css: string, from: number): number {
  const end = css.indexOf('*/', from);
  return end === -1 ? css.length : end + 1;
}

/** Longer than the name of any function that is looked for, written in escapes. */
const LONGEST_NAME = 100;

/** The name of the function whose parenthesis stands at the index, in lower case. */
function nameBefore(css: string, parenthesis: number): string {
  let start = parenthesis;
  while (start > 0 && parenthesis - start < LONGEST_NAME && isInName(css, start - 1)) start -= 1;
  return start === parenthesis ? '' : unescapeCss(css.slice(start, parenthesis)).trim().toLowerCase();
}

/** A letter, or white space that ends an escape; the name of a function that matters has nothing else. */
function isInName(css: string, at: number): boolean {
  const code = css.charCodeAt(at);
  const isLetter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
  if (isLetter || code === HYPHEN || code === BACKSLASH || (code >= 0x30 && code <= 0x39)) return true;
  return isWhite(css[at]) && isHex(css.charCodeAt(at - 1));
}

const isWhite = (char: string | undefined): boolean => char !== undefined && ' \t\r\n\f'.includes(char);

interface UrlFunction extends CssUrl {
  readonly isQuoted: boolean;
  /** Of an unquoted URL, the index of its closing parenthesis. */
  readonly close: number;
}

/** What `url(` is followed by. */
function urlAt(css: string, from: number): UrlFunction {
  let start = from;
  while (isWhite(css[start])) start += 1;
  const quote = css.charCodeAt(start);
  if (quote === DOUBLE_QUOTE || quote === SINGLE_QUOTE) {
    const end = endOfString(css, start + 1, quote, false);
    const url = unescapeCss(css.slice(start + 1, end));
    return { start: start + 1, end, url, isBroken: false, isQuoted: true, close: end };
  }
  const close = endOfString(css, start, CLOSE, false);
  let end = close;
  while (end > start && isWhite(css[end - 1])) end -= 1;
  const text = css.slice(start, end);
  const isBroken = /["'(]/.test(text.includes('\\') ? text.replace(/\\./gs, '') : text);
  return { start, end, url: unescapeCss(text), isBroken, isQuoted: false, close };
}

const LINE_FEED = 0x0a;

/**
 * The index of the character that ends a string and is not escaped.
 *
 * @param endsAtBreak whether a line break ends it as well; browsers drop a URL with one, and it is clear what it says
 */
function endOfString(css: string, from: number, last: number, endsAtBreak: boolean): number {
  let at = from;
  for (; at < css.length; at += 1) {
    const code = css.charCodeAt(at);
    if (code === last || (endsAtBreak && code === LINE_FEED)) break;
    if (code === BACKSLASH) at += 1;
  }
  return Math.min(at, css.length);
}

/** Decodes escapes (section 4.3.7); an escaped line break is nothing. */
function unescapeCss(text: string): string {
  let found = text.indexOf('\\');
  if (found === -1) return text;
  let decoded = '';
  let from = 0;
  while (found !== -1) {
    decoded += text.slice(from, found);
    let at = found + 1;
    let code = 0;
    while (at - found <= 6 && isHex(text.charCodeAt(at))) {
      code = code * 16 + Number.parseInt(text.charAt(at), 16);
      at += 1;
    }
    if (at > found + 1) {
      decoded += characterOf(code);
      if (isWhite(text[at])) at += text.startsWith('\r\n', at) ? 2 : 1;
    } else if (/[\r\n\f]/.test(text.charAt(at))) {
      at += text.startsWith('\r\n', at) ? 2 : 1;
    } else {
      // Any other character stands for itself, a second backslash too.
      decoded += text.charAt(at);
      at += 1;
    }
    from = at;
    found = text.indexOf('\\', from);
  }
  return decoded + text.slice(from);
}

const isHex = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);

const characterOf = (code: number): string =>
  code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? '\ufffd' : String.fromCodePoint(code);
