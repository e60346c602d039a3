/** Text that reaches a header in any form: what subject, names, files and custom headers have in common. */

import { hasEncodedWord } from './encoded-word.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to refuse
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Printable ASCII, which goes out as it is. */
export const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** As a quoted string (RFC 5322 section 3.2.4). */
export const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** Of one header field in all its lines, in characters. A line has its own limit, and is folded to keep it. */
export const MAX_FIELD = 65_536;

/** What is wrong with text that reaches a header in any form; null where nothing is. */
export function textProblem(text: string): string | null {
  if (CONTROL.test(text)) return 'Remove the control characters: no CR, LF, NUL or other control character.';
  if (!text.isWellFormed()) return 'Remove the lone surrogates: the text must be well-formed Unicode.';
  return null;
}

/**
 * As `textProblem`, for text that the gateway encodes (RFC 2047, RFC 2231): the recipient has to read
 * exactly what the caller wrote, so what a reader would decode once more is refused.
 */
export function encodedTextProblem(text: string): string | null {
  const problem = textProblem(text);
  if (problem !== null) return problem;
  if (hasEncodedWord(text)) return 'Write the text in plain Unicode: the gateway does the RFC 2047 encoding.';
  return foldingProblem(text);
}

const LONGEST_WORD = 899;
const MOST_SPACES = 59;

/**
 * Why the text cannot be folded. ASCII folds at spaces only: a longer run would make a line over 990 bytes, which
 * upstream rewrites, and a run of spaces a line of nothing.
 */
export function foldingProblem(text: string): string | null {
  if (text.length <= MOST_SPACES || !isAscii(text)) return null;
  const isFoldable =
    text.split(' ').every((word) => word.length <= LONGEST_WORD) &&
    !text.includes(' '.repeat(MOST_SPACES + 1));
  if (isFoldable) return null;
  return `Break the text up: at most ${LONGEST_WORD} characters without a space, and at most ${MOST_SPACES} spaces in a row.`;
}
