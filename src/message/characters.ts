/** Characters that hide or mislead, how an error names them, and how an error quotes what a caller wrote. */

/** What shows nothing: white space, format characters, fillers, and a Braille pattern without dots. */
const INVISIBLE = /[\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]/u;

const isInvisible = (char: string): boolean => INVISIBLE.test(char);

/** The text without invisible characters in front, which come along by copy and paste. */
export function trimInvisibleStart(text: string): string {
  let start = 0;
  for (const char of text) {
    if (!isInvisible(char)) break;
    start += char.length;
  }
  return text.slice(start);
}

/** As `trimInvisibleStart`, at the end. */
export function trimInvisibleEnd(text: string): string {
  let end = text.length;
  for (;;) {
    const isPair = /[\udc00-\udfff]/.test(text.charAt(end - 1));
    const char = text.slice(end - (isPair ? 2 : 1), end);
    if (end === 0 || !isInvisible(char)) return text.slice(0, end);
    end -= char.length;
  }
}

/** Whether it shows nothing, or is another form of some other character: full-width, superscript, a ligature. */
const isMisleading = (char: string): boolean =>
  isInvisible(char) ||
  char.normalize('NFD') !== char.normalize('NFKD') ||
  (char > '\u007f' && char.normalize('NFC') < '\u0080');

/** The first misleading character beyond ASCII; null where there is none. */
export function misleadingIn(text: string): string | null {
  for (const char of text) if (char > '\u007f' && isMisleading(char)) return char;
  return null;
}

const NAMES: Readonly<Record<string, string>> = {
  '\u00a0': 'NO-BREAK SPACE',
  '\u00ad': 'SOFT HYPHEN',
  '\u034f': 'COMBINING GRAPHEME JOINER',
  '\u061c': 'ARABIC LETTER MARK',
  '\u115f': 'HANGUL CHOSEONG FILLER',
  '\u1160': 'HANGUL JUNGSEONG FILLER',
  '\u180e': 'MONGOLIAN VOWEL SEPARATOR',
  '\u2002': 'EN SPACE',
  '\u2003': 'EM SPACE',
  '\u2007': 'FIGURE SPACE',
  '\u2008': 'PUNCTUATION SPACE',
  '\u2009': 'THIN SPACE',
  '\u200a': 'HAIR SPACE',
  '\u200b': 'ZERO WIDTH SPACE',
  '\u200c': 'ZERO WIDTH NON-JOINER',
  '\u200d': 'ZERO WIDTH JOINER',
  '\u200e': 'LEFT-TO-RIGHT MARK',
  '\u200f': 'RIGHT-TO-LEFT MARK',
  '\u2028': 'LINE SEPARATOR',
  '\u2029': 'PARAGRAPH SEPARATOR',
  '\u202a': 'LEFT-TO-RIGHT EMBEDDING',
  '\u202b': 'RIGHT-TO-LEFT EMBEDDING',
  '\u202c': 'POP DIRECTIONAL FORMATTING',
  '\u202d': 'LEFT-TO-RIGHT OVERRIDE',
  '\u202e': 'RIGHT-TO-LEFT OVERRIDE',
  '\u202f': 'NARROW NO-BREAK SPACE',
  '\u2060': 'WORD JOINER',
  '\u2066': 'LEFT-TO-RIGHT ISOLATE',
  '\u2067': 'RIGHT-TO-LEFT ISOLATE',
  '\u2068': 'FIRST STRONG ISOLATE',
  '\u2069': 'POP DIRECTIONAL ISOLATE',
  '\u2800': 'BRAILLE PATTERN BLANK',
  '\u3000': 'IDEOGRAPHIC SPACE',
  '\u3164': 'HANGUL FILLER',
  '\ufe0e': 'VARIATION SELECTOR-15',
  '\ufe0f': 'VARIATION SELECTOR-16',
  '\ufeff': 'ZERO WIDTH NO-BREAK SPACE',
  '\uffa0': 'HALFWIDTH HANGUL FILLER',
};

/** `U+200B ZERO WIDTH SPACE`, `full-width "＜" (U+FF1C)`, `"张" (U+5F20)`. */
export function nameOfCharacter(char: string): string {
  const code = `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  if (isInvisible(char)) return `${code} ${NAMES[char] ?? '(invisible)'}`;
  return /[\uff01-\uff5e]/.test(char) ? `full-width "${char}" (${code})` : `"${char}" (${code})`;
}

/** What an error quotes of the input at most, in UTF-16 code units. */
const MAX_QUOTED = 60;

/** The beginning of what a caller wrote, for an error to show. */
export const excerpt = (text: string): string =>
  text.length <= MAX_QUOTED ? text : `${text.slice(0, MAX_QUOTED).toWellFormed()}…`;
