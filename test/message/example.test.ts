import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { EXAMPLE } from '../../src/message/example.ts';
import { parseMessage } from '../../src/message/parse.ts';

it('is a message, and the one in README', () => {
  expect(parseMessage(EXAMPLE)).toHaveProperty('message');
  const [, body = ''] = /-d '(\{[^']*\})'/.exec(readFileSync('README.md', 'utf8')) ?? [];
  expect(JSON.parse(body)).toEqual(EXAMPLE);
});
