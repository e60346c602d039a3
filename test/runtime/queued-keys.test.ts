import { expect, test } from 'vitest';
import { withQueuedKeys } from '../../src/runtime/queued-keys.ts';
import { StoreUnavailable } from '../../src/store.ts';
import { createMemoryIdempotency } from '../../src/stores/memory/idempotency.ts';

const REQUEST = {
  apiUser: 'u',
  key: 'k',
  fingerprint: 'print',
  leaseMs: 30_000,
  keptMs: 60_000,
  recordChars: 10,
};

test('a key of the outbox is its message’s, for as long as the outbox has it', async () => {
  let queued: { id: string; fingerprint: string } | null = { id: 'a', fingerprint: 'print' };
  const keys = withQueuedKeys(createMemoryIdempotency(), { find: async () => queued });
  expect(await keys.begin(REQUEST)).toEqual({ state: 'replay', record: 'a' });
  expect(await keys.begin({ ...REQUEST, fingerprint: 'other' })).toEqual({ state: 'mismatch' });
  queued = null;
  expect(await keys.begin({ ...REQUEST, fingerprint: 'other' })).toMatchObject({ state: 'fresh' });
});

test('nothing begins under a key while the outbox is away, and the key is free afterwards', async () => {
  let isAway = true;
  const find = () => (isAway ? Promise.reject(new StoreUnavailable('away')) : Promise.resolve(null));
  const keys = withQueuedKeys(createMemoryIdempotency(), { find });
  await expect(keys.begin(REQUEST)).rejects.toThrow(StoreUnavailable);
  isAway = false;
  expect(await keys.begin(REQUEST)).toMatchObject({ state: 'fresh' });
});
