/**
 * What the gateways of a test run write into their logs, kept for the check at the run's end: `log-check.ts` looks in
 * all of it for what must not be there.
 */

import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

/** Names the folder that takes the records; set by the check. */
export const LOGS_FOLDER = 'POSTERN_TEST_LOGS';

/** What one gateway wrote. */
export interface LogRecord {
  readonly test: string;
  /** Its settings' keys and tokens. */
  readonly secrets: readonly string[];
  /** What messages that it took had in them. */
  readonly texts: readonly string[];
  /** Addresses that its settings name. */
  readonly known: readonly string[];
  readonly lines: readonly string[];
}

/** Shorter ones stand in other words, too. */
const LEAST_SECRET = 7;
const LEAST_TEXT = 12;

export function keepLog(
  test: string,
  settings: Readonly<Record<string, string>>,
  lines: readonly string[],
  bodies: readonly unknown[] = [],
): void {
  const folder = process.env[LOGS_FOLDER];
  if (folder === undefined) return;
  const record: LogRecord = {
    test,
    secrets: secretsOf(settings),
    texts: bodies.flatMap(textsOf),
    known: inMembers(settings.ACCOUNTS, /^from$/),
    lines,
  };
  appendFileSync(join(folder, `${process.pid}.jsonl`), `${JSON.stringify(record)}\n`);
}

function secretsOf(settings: Readonly<Record<string, string>>): string[] {
  const plain = [
    'SENDCLOUD_API_KEY',
    'METRICS_TOKEN',
    'UPSTASH_REDIS_REST_TOKEN',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN',
  ].map((name) => settings[name]);
  const tokens = settings.GATEWAY_TOKENS?.split(',') ?? [];
  const inJson = ['ACCOUNTS', 'HOOKS'].flatMap((name) =>
    inMembers(settings[name], /^(?:apiKey|tokens|secret)$/),
  );
  return [...plain, ...tokens, ...inJson].filter(isLong);
}

const isLong = (secret: string | undefined): secret is string => (secret?.length ?? 0) >= LEAST_SECRET;

/** What says something of a message and is no address. */
const textsOf = (body: unknown): string[] =>
  inMembers(
    typeof body === 'string' ? body : JSON.stringify(body),
    /^(?:subject|text|html|content|filename)$/,
  ).filter((text) => text.length >= LEAST_TEXT);

/** The strings in the members of these names, at any depth; none where it is no JSON. */
function inMembers(json: string | undefined, names: RegExp): string[] {
  const found: string[] = [];
  try {
    JSON.parse(json ?? 'null', (name, value: unknown) => {
      if (names.test(name)) found.push(...[value].flat().filter((one) => typeof one === 'string'));
      return value;
    });
  } catch {
    return [];
  }
  return found;
}
