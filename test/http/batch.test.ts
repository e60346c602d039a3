/** What a batch does to those who are not in it. */

import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { messageRoutes } from '../../src/http/messages.ts';
import { createLog } from '../../src/log.ts';

test('every item starts in a turn of its own, also where none waits for anything', async () => {
  const never = () => {
    throw new Error('No message of this batch is valid.');
  };
  const app = new Hono().route(
    '/',
    messageRoutes({
      submit: never,
      compose: never,
      deadlineMs: 10_000,
      maxMessageBytes: 1000,
      log: createLog('silent'),
    }),
  );
  let turns = 0;
  const count = () => {
    turns += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  const response = await app.request('/batch', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(Array.from({ length: 100 }, () => ({}))),
  });
  clearImmediate(counting);
  const items = (await response.json()) as { status: number }[];
  expect(items.map(({ status }) => status)).toEqual(Array.from({ length: 100 }, () => 422));
  expect(turns).toBeGreaterThanOrEqual(100);
});
