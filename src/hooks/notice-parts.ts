/** The parts of a notice, made of values that may be missing. */

import { list, number, text } from './json-read.ts';
import type { Fact, Notice, Section } from './notice.ts';

/** A fact's name, its value (null: no fact) and where it leads. */
type Entry = readonly [name: string, value: string | null, url?: string | null];

/** An array and no rest parameter: a payload may have more entries than a call has arguments. */
export function facts(entries: readonly Entry[]): readonly Fact[] {
  return entries.flatMap(([name, value, url]) => {
    if (value === null) return [];
    return [url ? { name, value, url } : { name, value }];
  });
}

/** One section; none at all where it would be empty. */
export function section(
  title: string | null,
  text: string | null,
  facts: readonly Fact[] = [],
): readonly Section[] {
  return text === null && facts.length === 0 ? [] : [{ title, text, facts }];
}

export function link(text: string, url: string | null): Notice['link'] {
  return url === null ? null : { text, url };
}

/** A text's first line. */
export function firstLine(text: string): string {
  return text.split('\n', 1)[0]?.trim() ?? '';
}

/** `payment_failed` → `Payment failed`. */
export function sentence(name: string): string {
  const words = name.replace(/[._-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The commits of a push, as GitHub and GitLab tell them. */
export function commitsOf(payload: unknown): readonly Section[] {
  const entries = list(payload, 'commits').map((commit) => {
    const subject = firstLine(text(commit, 'title') ?? text(commit, 'message') ?? 'No message');
    const author = text(commit, 'author.name');
    return [
      (text(commit, 'id') ?? '').slice(0, 7) || 'commit',
      author === null ? subject : `${subject} (${author})`,
      text(commit, 'url'),
    ] as const;
  });
  return section('Commits', null, facts(entries));
}

/** Seconds since 1970 as `2025-05-02 10:00 UTC`. */
export function time(object: unknown, path: string): string | null {
  const seconds = number(object, path);
  // Beyond these a date has no text, or not one of this form.
  if (seconds === null || seconds < 0 || seconds > 4e9) return null;
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** The texts that are there, joined; null where there are none. */
export function join(separator: string, parts: readonly (string | null)[]): string | null {
  const found = parts.filter((part) => part !== null);
  return found.length === 0 ? null : found.join(separator);
}
