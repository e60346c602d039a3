/** docs/sending.md has its programs from examples/, where each is run. */

import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { MESSAGE_COMPONENTS } from '../../src/message/schema.ts';

const page = await readFile('docs/sending.md', 'utf8');

test('each program is the example that it names', async () => {
  const programs = [...page.matchAll(/\]\(\.\.\/(examples\/[^)]+)\)\n\n```\w+\n([\s\S]*?)```\n/g)];
  expect(programs).toHaveLength([...page.matchAll(/^## /gm)].length);
  for (const [, path = '', program] of programs) expect(program).toBe(await readFile(path, 'utf8'));
});

test('the table has every field of a message', () => {
  const [, table = ''] = /\n\| field .*\n([\s\S]*?)\n\n/.exec(page) ?? [];
  const named = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  expect(named.toSorted()).toEqual(Object.keys(MESSAGE_COMPONENTS.Message.pipe[0].entries).toSorted());
});
