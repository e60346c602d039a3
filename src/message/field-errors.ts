/** The errors of one message: from the issues of its schema, and from the checks behind it. */

import type { BaseIssue } from 'valibot';
import type { FieldError } from '../outcome.ts';
import { excerpt } from './characters.ts';

export const NOT_A_LIST = 'Use an object here, not a list.';

/** Errors in one answer: enough to mend a message, and bounded however much is wrong. */
const MAX_ERRORS = 100;

/** Every error once, in the order they are found: the first hundred. */
export class FieldErrors {
  readonly list: FieldError[] = [];
  readonly #seen = new Set<string>();
  readonly #faulty = new Set<string>();

  add(pointer: string, message: string): void {
    const key = `${pointer}\n${message}`;
    if (this.#seen.has(key)) return;
    if (this.list.length < MAX_ERRORS) {
      this.#seen.add(key);
      // Strict parsers of JSON refuse an answer with a lone surrogate.
      this.list.push({ pointer: pointer.toWellFormed(), message: message.toWellFormed() });
    }
    // Also of what is not listed any more, since the checks to come pass over what is faulty.
    for (let at = pointer; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) this.#faulty.add(at);
  }

  /** Whether something at or below the pointer is wrong. */
  at(pointer: string): boolean {
    return this.#faulty.has(pointer);
  }
}

/** A longer key is not repeated in a pointer: the error stands at its object, and quotes the beginning. */
export const MAX_KEY = 100;

/** One reference token of a JSON Pointer (RFC 6901 section 3), with its slash. */
export const token = (key: unknown): string => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;

/**
 * Turns one issue of a valibot schema into errors.
 *
 * @param base the pointer of the value that the schema was given
 * @param fieldsAt the names of the fields that the object at a pointer may have
 */
export function addIssue(
  errors: FieldErrors,
  issue: BaseIssue<unknown>,
  base: string,
  fieldsAt: (pointer: string) => readonly string[],
): void {
  const path = issue.path ?? [];
  const last = path.at(-1);
  const long = path.findIndex(({ key }) => typeof key === 'string' && key.length > MAX_KEY);
  const pointerTo = (length: number) =>
    base +
    path
      .slice(0, length)
      .map(({ key }) => token(key))
      .join('');
  if (last?.type === 'object' && Array.isArray(last.input)) {
    // Both kinds of object schema take a list for one.
    errors.add(pointerTo(path.length - 1), NOT_A_LIST);
    return;
  }
  if (issue.type === 'strict_object' && last?.origin === 'key') {
    const owner = pointerTo(path.length - 1);
    if (issue.expected === 'never') addUnknownFields(errors, owner, last.input as object, fieldsAt(owner));
    else errors.add(pointerTo(path.length), 'This field is required.');
    return;
  }
  const pointer = pointerTo(long === -1 ? path.length : long);
  // Of the branches of a union, the one that the value was meant for.
  const kind = Array.isArray(issue.input) ? 'array' : 'object';
  const branch = branchesOf(issue).filter((inner) => inner.path?.[0].type === kind);
  if (branch.length === 0) errors.add(pointer, issue.message);
  for (const inner of branch) addIssue(errors, inner, pointer, fieldsAt);
}

/** The issues of all branches of a union, and of the unions among them. */
const branchesOf = ({ issues }: BaseIssue<unknown>): BaseIssue<unknown>[] =>
  (issues ?? []).flatMap((inner) => (inner.path === undefined ? branchesOf(inner) : [inner]));

/** The schema stops at the first unknown field; here is every one, as far as one answer goes. */
function addUnknownFields(
  errors: FieldErrors,
  owner: string,
  object: object,
  fields: readonly string[],
): void {
  const unknown = Object.keys(object).filter((key) => !fields.includes(key));
  const known = `the fields here are ${fields.join(', ')}.`;
  for (const key of unknown.slice(0, MAX_ERRORS)) {
    if (key.length > MAX_KEY) errors.add(owner, `Remove the field "${excerpt(key)}": ${known}`);
    else errors.add(owner + token(key), `Remove this field: ${known}`);
  }
}
