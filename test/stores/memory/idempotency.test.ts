import { describe, expect, test } from 'vitest';
import type { Idempotency } from '../../../src/idempotency.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { createMemoryIdempotency } from '../../../src/stores/memory/idempotency.ts';
import { idempotencyContract } from '../../contract/idempotency.ts';

describe('idempotency in process', () => {
  idempotencyContract(async () => {
    let now = 5_000_000;
    return {
      idempotency: createMemoryIdempotency({ now: () => now }),
      advance: async (ms) => {
        now += ms;
      },
    };
  });

  const begin = (store: Idempotency, key: string) =>
    store.begin({ apiUser: 'u', key, fingerprint: 'print', leaseMs: 30_000, recordChars: 500_000 });

  const MEGABYTE = 'x'.repeat(500_000);

  async function finished(store: ReturnType<typeof createMemoryIdempotency>, key: string) {
    const found = await begin(store, key);
    if (found.state === 'fresh') await store.finish(key, found.token, MEGABYTE);
  }

  test('when memory is full the oldest finished keys go, those in flight stay', async () => {
    const store = createMemoryIdempotency({ now: () => 0 });
    await begin(store, 'in flight');
    for (let i = 0; i < 100; i++) await finished(store, `k${i}`);

    expect(await begin(store, 'in flight')).toMatchObject({ state: 'busy' });
    expect(await begin(store, 'k99')).toMatchObject({ state: 'replay' });
    expect(await begin(store, 'k50')).toMatchObject({ state: 'replay' });
    expect(await begin(store, 'k0')).toMatchObject({ state: 'fresh' });
  });

  test('with nothing but keys in flight a new one is refused rather than an old one forgotten', async () => {
    const store = createMemoryIdempotency({ now: () => 0 });
    let leased = 0;
    const fill = async () => {
      for (; leased < 200_000; leased++) await begin(store, `k${leased}`);
    };
    await expect(fill()).rejects.toThrow(StoreUnavailable);
    expect(leased).toBeGreaterThan(100_000);
    expect(await begin(store, 'k0')).toMatchObject({ state: 'busy' });
  });
});
