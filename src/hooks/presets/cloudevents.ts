/** CloudEvents 1.0 over HTTP, structured (one JSON object) and binary (attributes as `ce-` headers). */

import { at, text } from '../json-read.ts';
import type { HookEvent, Preset } from '../notice.ts';
import { facts, join, section } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

export const cloudevents: Preset = (event) => {
  const isBinary = event.headers['ce-specversion'] !== undefined;
  const read = (name: string): string | null =>
    isBinary ? headerText(event, `ce-${name}`) : text(event.payload, name);
  const type = read('type');
  if (type === null) return anyNotice(event.payload, 'CloudEvent');
  const source = read('source');
  const subject = read('subject');
  const id = read('id');
  const data = isBinary ? event.payload : at(event.payload, 'data');
  const name = join(': ', [type, subject]) ?? type;
  const content = data === undefined || data === null ? null : anyNotice(data, name);
  return {
    subject: name,
    title: name,
    tone: 'neutral',
    sections: [
      ...section(
        null,
        null,
        facts([
          ['Source', source],
          ['Subject', subject],
          ['Time', read('time')],
          ['Id', id],
        ]),
      ),
      ...(content?.sections ?? []).map((part) => ({ ...part, title: 'Data' })),
    ],
    link: null,
    thread: subject === null ? null : `cloudevents:${source ?? ''}:${subject}`,
    // Section 3.1: producers make `source` and `id` together unique.
    key: id === null ? null : `${source ?? ''}:${id}`,
  };
};

/** A header's value without its percent-encoding (HTTP binding, section 3.1.3.2). */
function headerText({ headers }: HookEvent, name: string): string | null {
  const value = text(headers[name]);
  if (value === null || !value.includes('%')) return value;
  try {
    return text(decodeURIComponent(value));
  } catch {
    return value;
  }
}
