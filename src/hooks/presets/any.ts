/** Any JSON: a table of what it holds, by path. */

import { at, text } from '../json-read.ts';
import type { Fact, Notice, Preset } from '../notice.ts';
import { firstLine } from '../notice-parts.ts';

const MAX_DEPTH = 6;
const MAX_FACTS = 150;

/** Where events of many makers say what they are. */
const TITLES = [
  'title',
  'subject',
  'event',
  'event_type',
  'eventType',
  'type',
  'name',
  'action',
  'message',
  'text',
];

export const any: Preset = ({ payload }) => anyNotice(payload, titleOf(payload));

/** The same table under a subject that a preset knows. */
export function anyNotice(payload: unknown, subject: string): Notice {
  const plain = text(payload);
  return {
    subject,
    title: subject,
    tone: 'neutral',
    sections: [{ title: null, text: plain, facts: plain === null ? tableOf(payload) : [] }],
    link: null,
    thread: null,
    // An `id` or `event_id` is as often that of the thing, whose later events are no repetition.
    key: null,
  };
}

function titleOf(payload: unknown): string {
  for (const name of TITLES) {
    const value = at(payload, name);
    if (typeof value === 'string' && value.trim() !== '') return firstLine(value.trim());
  }
  return typeof payload === 'string' && payload.trim() !== ''
    ? firstLine(payload.trim())
    : 'An event came in';
}

function tableOf(payload: unknown): readonly Fact[] {
  const facts: Fact[] = [];
  addFacts(facts, '', payload, 0);
  if (facts.length > MAX_FACTS) facts[MAX_FACTS] = { name: '…', value: 'There is more in the event.' };
  return facts;
}

/** Adds at most one fact more than the table may have, which says that there is more. */
function addFacts(facts: Fact[], path: string, value: unknown, depth: number): void {
  if (facts.length > MAX_FACTS) return;
  if (typeof value !== 'object' || value === null) {
    facts.push({ name: path || 'value', value: String(value) });
    return;
  }
  const short = summary(value, depth);
  if (short !== null) {
    facts.push({ name: path || 'value', value: short });
    return;
  }
  for (const [key, member] of Object.entries(value)) {
    addFacts(facts, path === '' ? key : `${path}.${key}`, member, depth + 1);
    if (facts.length > MAX_FACTS) return;
  }
}

/** One line for what needs no rows of its own: an empty value, a list of scalars, and what lies too deep. */
function summary(value: object, depth: number): string | null {
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    const isFlat = value.length <= 20 && value.every((item) => typeof item !== 'object' || item === null);
    if (isFlat) return value.map(String).join(', ');
    return depth >= MAX_DEPTH ? '[…]' : null;
  }
  if (Object.keys(value).length === 0) return '{}';
  return depth >= MAX_DEPTH ? '{…}' : null;
}
