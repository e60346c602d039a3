import { expect, onTestFinished, test, vi } from 'vitest';
import { createEnqueue } from '../src/enqueue.ts';
import { KEPT_MS } from '../src/idempotency.ts';
import { createLog } from '../src/log.ts';
import { StoreUnavailable } from '../src/store.ts';
import { createMemoryIdempotency } from '../src/stores/memory/idempotency.ts';
import { openSqliteOutbox } from '../src/stores/sqlite/outbox.ts';
import { ACCEPTED, entry } from './contract/outbox.ts';

const HOUR = 3_600_000;

const account = { apiUser: 'ifaxin', apiKey: 'the-key', from: null, labels: null, quota: 1000 };

const { envelope, content, facts } = entry('a');
const submission = {
  caller: { account, ownKey: false },
  label: null,
  envelope,
  content,
  idempotency: { key: 'k', index: null, fingerprint: 'print' },
  facts: {
    origin: { requestId: 'r', door: 'http', clientAddress: '', startedAt: 0 },
    id: 'a',
    composeMs: 0,
    warnings: [],
  },
} as const;

test('a key is its message’s until 24 hours after the end, however often it comes meanwhile', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const log = createLog('silent');
  const outbox = openSqliteOutbox({ path: ':memory:', maxBytes: 1e9, keepMs: 7 * KEPT_MS, log });
  onTestFinished(() => outbox.close());
  const idempotency = createMemoryIdempotency({ now: () => Date.now() });
  const enqueue = createEnqueue({ outbox, idempotency, wake: () => {}, log });
  const replayedAfter = async (ms: number) => {
    vi.setSystemTime(Date.now() + ms);
    const enqueued = await enqueue(submission, { id: 'a', facts, sendAt: null });
    return 'replayed' in enqueued ? enqueued.replayed : enqueued;
  };

  expect(await replayedAfter(0)).toBe(false);
  vi.setSystemTime(Date.now() + HOUR);
  const [claim] = await outbox.claim({ count: 1, leaseMs: HOUR, except: new Set() });
  if (claim) await outbox.settle(claim, ACCEPTED);
  // The store of keys has it no more, the outbox has.
  expect(await replayedAfter(KEPT_MS - HOUR / 2)).toBe(true);
  expect(await replayedAfter(HOUR)).toBe(false);
});

test('a put that fails says why in the log', async () => {
  const lines: unknown[] = [];
  const enqueue = createEnqueue({
    outbox: {
      put: () =>
        Promise.reject(new StoreUnavailable('away', { cause: new Error('database or disk is full') })),
      read: async () => null,
    },
    idempotency: createMemoryIdempotency(),
    wake: () => {},
    log: createLog('info', (line) => lines.push(JSON.parse(line))),
  });
  const failed = await enqueue(submission, { id: 'a', facts, sendAt: null });
  expect(failed).toMatchObject({ code: 'store-unavailable' });
  expect(lines).toMatchObject([
    { event: 'the outbox is away', requestId: 'r', error: 'Error: database or disk is full' },
  ]);
});
