/** What a batch does to other requests. */

import { Hono } from 'hono';
import { expect, test } from 'vitest';
import type { Env } from '../../src/http/context.ts';
import { messageRoutes } from '../../src/http/messages.ts';
import { createSend } from '../../src/send.ts';

test('every item starts in a turn of its own, also where none waits for anything', async () => {
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
        send: createSend({ submit, enqueue: null, maxMessageBytes: 1000, emit: () => {} }),
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
  expect(turns).toBeGreaterThanOrEqual(100);
});
