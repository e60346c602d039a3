/** The events of the log and their fields, as docs/logs.md names them. */

import { readFileSync } from 'node:fs';

export const LOGS_PAGE = readFileSync('docs/logs.md', 'utf8');

const words = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);

/** Event → its fields. */
export const DOCUMENTED_EVENTS: ReadonlyMap<string, readonly string[]> = documentedEvents();

function documentedEvents(): Map<string, string[]> {
  const rows = LOGS_PAGE.split('\n')
    .filter((row) => /^\| `.*\| (?:debug|info|warn|error)/.test(row))
    .map((row) => row.split('|').map((cell) => cell.trim()));
  const events = new Map(
    rows.map(([, event = '', , , fields = '']) => [event.replaceAll('`', ''), words(fields)]),
  );
  const [, message = ''] = /## `message`([\s\S]*?)\n## /.exec(LOGS_PAGE) ?? [];
  const fields = message.split('\n').filter((row) => row.startsWith('| `'));
  events.set(
    'message',
    fields.flatMap((row) => words(row.split('|')[1] ?? '')),
  );
  return events;
}
