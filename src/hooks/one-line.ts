import { withoutEncodedWords } from '../message/encoded-word.ts';

/** Ends of lines, other control characters, and those that turn the direction of writing around: `gpj.exe` from `exe.jpg`. */
const BREAKS = /[\s\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu;

/** A stranger's text as a subject, a name or a file's name, of at most `most` UTF-16 code units. */
export const oneLine = (text: string, most: number): string =>
  withoutEncodedWords(clip(text.replace(BREAKS, ' ').trim().toWellFormed(), most));

/** At most `most` UTF-16 units, the last a `…` where something was cut; no pair of surrogates is split. */
export function clip(text: string, most: number): string {
  if (text.length <= most) return text;
  const kept = text.slice(0, most - 1);
  return `${kept.isWellFormed() ? kept : kept.slice(0, -1)}…`;
}
