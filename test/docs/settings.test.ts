/** The code, the documents and what is deployed know the same settings. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string): string => readFileSync(path, 'utf8');
const names = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, name = '']) => name);
const sorted = (list: readonly string[]): string[] => [...new Set(list)].toSorted();

const COMMON = names(read('src/config.ts'), /^ {4}([A-Z][A-Z_]+): v\./gm);
const OF_WORKERS = ['DELIVERY_SHARDS'];
/** A process that listens by itself. */
const OF_NODE = [
  'HOST',
  'PORT',
  'TRUSTED_PROXIES',
  'METRICS_TOKEN',
  'SMTP_DOOR_PORT',
  'SMTPS_DOOR_PORT',
  'SMTP_DOOR_CERT',
  'SMTP_DOOR_KEY',
];
/** An outbox in AWS, which has no limit of its own. */
const OF_AWS = ['OUTBOX_BUCKET', 'OUTBOX_QUEUE_URL'];
const NOT_OF_AWS = ['OUTBOX_MAX_BYTES'];
/** Lambda itself sets them. */
const BY_AWS = COMMON.filter((name) => name.startsWith('AWS_'));

const without = (...left: string[]) => COMMON.filter((name) => !left.includes(name));

describe('the settings', () => {
  it('are found in the code', () => {
    expect(COMMON.length).toBeGreaterThan(30);
    expect(COMMON).toEqual(expect.arrayContaining([...OF_NODE, ...OF_AWS, ...NOT_OF_AWS]));
    expect(read('src/runtime/cloudflare/settings.ts')).toContain(OF_WORKERS[0]);
  });

  it('stand in the table of docs/settings.md', () => {
    const page = read('docs/settings.md');
    const rows = page.split('\n').filter((row) => row.startsWith('| `'));
    const variables = rows.map((row) => row.split('|')[1] ?? '').join();
    expect(sorted(names(variables, /`([A-Z_]+)`/g))).toEqual(sorted(COMMON));
    // It has no row: the page on Workers tells of it.
    expect(page).toContain(`\`${OF_WORKERS[0]}\``);
    expect(read('docs/workers.md')).toContain(`\`${OF_WORKERS[0]}\``);
  });

  it('stand in wrangler.toml', () => {
    const toml = read('wrangler.toml');
    const secrets = names(toml, /^# {3}((?:[A-Z_]+(?:, )?)+)$/gm).flatMap((line) => line.split(', '));
    const variables = names(toml, /^# ([A-Z_]+) = "/gm);
    expect(sorted([...secrets, ...variables])).toEqual(
      sorted([...without(...OF_NODE, ...OF_AWS, ...BY_AWS), ...OF_WORKERS]),
    );
  });

  it('stand in serverless.yml, each with the variable of its own name', () => {
    const [, environment = ''] =
      /\n {2}environment:\n([\s\S]*?)\n(?: {2})?\w/.exec(read('serverless.yml')) ?? [];
    const variables = names(environment, /^ {4}([A-Z_]+): \$\{env:\1[,}]/gm);
    expect(sorted(variables)).toEqual(sorted(without(...OF_NODE, ...NOT_OF_AWS, ...BY_AWS)));
  });
});
