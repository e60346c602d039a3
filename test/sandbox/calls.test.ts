import { expect, it } from 'vitest';
import type { MessageEvent } from '../../src/message-event.ts';
import { Calls } from '../../src/sandbox/calls.ts';
import { createMemoryQuota } from '../../src/stores/memory/quota.ts';

const memory = () => createMemoryQuota({ windowMs: 60_000, guardMs: 500 });
const totals = ({ seconds }: Calls) =>
  seconds.reduce(
    (sum, { calls }) => ({
      http: sum.http + calls.http,
      smtp: sum.smtp + calls.smtp,
      outbox: sum.outbox + calls.outbox,
      reported: sum.reported + calls.reported,
    }),
    { http: 0, smtp: 0, outbox: 0, reported: 0 },
  );
const ended = (door: MessageEvent['door'], more: Partial<MessageEvent> = {}) =>
  ({ door, outcome: 'accepted', smtp: null, ...more }) as MessageEvent;

it('tells the calls of each door, refused draws aside', async () => {
  const calls = new Calls();
  const quota = calls.counted(memory(), 10);
  for (let call = 0; call < 3; call++) await quota.draw('a', 10);
  calls.observe(ended('http'));
  calls.observe(ended('smtp'));
  await quota.draw('a', 9);
  calls.observe(ended('outbox'));
  await quota.draw('a', 10, 4);
  expect((await quota.draw('a', 10, 5)).granted).toBe(false);
  await quota.draw('form:contact:127.0.0.1', 5);
  expect(totals(calls)).toEqual({ http: 2, smtp: 1, outbox: 1, reported: 4 });
  expect((await quota.peek('a', 10)).remaining).toBe(2);
});

it('moves no call for a message of the SMTP door that drew none', async () => {
  const calls = new Calls();
  await calls.counted(memory(), 10).draw('a', 10);
  calls.observe(ended('smtp', { outcome: 'not-sent' }));
  calls.observe(ended('smtp', { outcome: 'not-sent', smtp: { code: 535, phase: 'auth', response: '535' } }));
  expect(totals(calls)).toMatchObject({ http: 1, smtp: 0 });
  calls.observe(ended('smtp', { outcome: 'not-sent', smtp: { code: 450, phase: 'rcpt', response: '450' } }));
  expect(totals(calls)).toMatchObject({ http: 0, smtp: 1 });
});

it('knows until when upstream closed the window', async () => {
  const calls = new Calls();
  const quota = calls.counted(memory(), 10);
  expect(calls.closedUntil).toBe(0);
  const before = Date.now();
  await quota.close('a', 10_000);
  await quota.close('a', 1_000);
  expect(calls.closedUntil).toBeGreaterThanOrEqual(before + 10_000);
  expect((await quota.draw('a', 10)).granted).toBe(false);
});
