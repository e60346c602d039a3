/**
 * Looks in the logs of all gateways of a run for keys, tokens, what was in a message, and addresses where
 * docs/logs.md allows none; the run fails where it finds one.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOCUMENTED_EVENTS } from './documented-events.ts';
import { LOGS_FOLDER, type LogRecord } from './logged.ts';

export default function collectLogs(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'postern-logs-'));
  process.env[LOGS_FOLDER] = folder;
  return function checkLogs() {
    const records = readdirSync(folder)
      .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
      .filter((line) => line !== '')
      .map((line): LogRecord => JSON.parse(line));
    rmSync(folder, { recursive: true });
    const checked = records.reduce((sum, { lines }) => sum + lines.length, 0);
    const problems = records.flatMap((record) =>
      record.lines.flatMap((line) =>
        problemsOf(line, record).map((problem) => `${record.test}: ${problem}: ${line}`),
      ),
    );
    if (records.length === 0) return;
    console.log(
      `${checked} log lines of ${records.length} gateways: ${problems.length} with what must not be there`,
    );
    if (problems.length > 0) throw new Error(problems.slice(0, 20).join('\n'));
  };
}

const ADDRESS = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g;

/** Where any address may stand: recipients that upstream refused, its words, and what the settings say. */
const WITH_ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  message: ['rejected', 'smtp'],
  settings: ['accounts'],
};

/** What stands in a line that must not; exported for its test. */
export function problemsOf(
  line: string,
  { secrets, texts, known }: Omit<LogRecord, 'test' | 'lines'>,
): string[] {
  const problems: string[] = [];
  if (secrets.some((secret) => line.includes(secret))) problems.push('a secret');
  // As JSON has it: a quote or a line break in a text is written in another way.
  if (texts.some((text) => line.includes(JSON.stringify(text).slice(1, -1))))
    problems.push('a part of a message');
  const { time, level, event, ...facts } = JSON.parse(line) as Record<string, unknown>;
  const documented = DOCUMENTED_EVENTS.get(String(event)) ?? [];
  for (const [field, value] of Object.entries(facts)) {
    if (!documented.includes(field)) problems.push(`an undocumented field ${field}`);
    const mayHaveAddress = WITH_ADDRESSES[String(event)]?.includes(field) === true;
    const addresses = (JSON.stringify(value) ?? '').match(ADDRESS) ?? [];
    if (!mayHaveAddress && addresses.some((address) => !known.includes(address))) {
      problems.push(`an address in ${field}`);
    }
  }
  return problems;
}
