/** What a batch does to other requests. */

import { Hono } from 'hono';
import { expect, test, vi } from 'vitest';
import type { Env } from '../../src/http/context.ts';
import { messageRoutes } from '../../src/http/messages.ts';
import { createSend } from '../../src/send.ts';

/** Turns that others have while a batch is refused whose messages take so many milliseconds each, by a clock of the test's own. */
async function turnsDuring(milliseconds: number): Promise<number> {
  let time = 0;
  using _ = vi.spyOn(performance, 'now').mockImplementation(() => time);
  const emit = () => {
    time += milliseconds;
  };
  const submit = () => {
    throw new Error('No message of this batch is valid.');
  };
  const app = new Hono<Env>()
    .use(async (c, next) => {
      const account = { apiUser: 'ifaxin', apiKey: 'the-key', from: null, labels: null, quota: 10 };
      c.set('caller', { account, ownKey: false });
      c.set('body', new Uint8Array(await c.req.arrayBuffer()));
      await next();
    })
    .route(
      '/',
      messageRoutes({
        send: createSend({ submit, enqueue: null, maxMessageBytes: 1000, emit }),
        deadlineMs: () => 10_000,
        clientAddress: () => '',
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
  return turns;
}

test('others have a turn between two messages that take long, also where none waits for anything', async () => {
  expect(await turnsDuring(20)).toBeGreaterThanOrEqual(40);
  expect(await turnsDuring(2)).toBeGreaterThanOrEqual(10);
  expect(await turnsDuring(0)).toBeLessThan(10);
});
