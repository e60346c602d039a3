/** docs/console.md: its pictures are there, and its commands and its snippet do what they say. */

import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Postern, start } from '../../src/runtime/node.ts';
import { ROOT } from '../support/child.ts';

const run = promisify(execFile);
const page = await readFile(join(ROOT, 'docs/console.md'), 'utf8');
const code = page.match(/(?:^ {4}.*\n)+/gm) ?? [];
let postern: Postern;

beforeAll(async () => {
  postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0' }, () => {});
});
afterAll(() => postern.close());

/** A piece of code, for the port that was free. */
const snippet = (part: string): string =>
  (code.find((one) => one.includes(part)) ?? '')
    .replace(/^ {4}/gm, '')
    .replaceAll('localhost:8080', `localhost:${postern.port}`);

it('has its pictures, none of them large', async () => {
  const names = [...page.matchAll(/\]\((images\/[^)]+)\)/g)].map(([, name]) =>
    join(ROOT, 'docs', name ?? ''),
  );
  expect(names.length).toBeGreaterThan(7);
  for (const name of names) expect((await stat(name)).size).toBeLessThan(150_000);
});

it('waits for a mail as the snippet does, after a fault of the command', async () => {
  await run('bash', ['-c', snippet('/sandbox/fault')]);
  const send = () =>
    fetch(`http://localhost:${postern.port}/v1/messages`, {
      method: 'POST',
      headers: { Authorization: 'Bearer sandbox-token-for-development', 'Content-Type': 'application/json' },
      body: JSON.stringify({
        from: 'a@example.com',
        to: 'ada@example.com',
        subject: 'Welcome',
        text: 'Hello Ada',
      }),
    });
  for (let times = 0; times < 3; times++) expect((await send()).status).toBe(503);
  const script = run(process.execPath, [
    '--input-type=module',
    '-e',
    `${snippet('wait=10')}\nconsole.log(text);`,
  ]);
  expect((await send()).status).toBe(200);
  expect((await script).stdout.trim()).toBe('Hello Ada');
});
