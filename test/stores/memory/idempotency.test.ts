import { describe, expect, test } from 'vitest';
import { IdempotencyUnavailable } from '../../../src/idempotency.ts';
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

  const MEGABYTE = 'x'.repeat(500_000);

  async function finished(store: ReturnType<typeof createMemoryIdempotency>, key: string) {
    const found = await store.begin(key, 'print', 30_000);
    if (found.state === 'fresh') await store.finish(key, found.token, MEGABYTE);
  }

  test('when memory is full the oldest finished keys go, those in flight stay', async () => {
    const store = createMemoryIdempotency({ now: () => 0 });
    await store.begin('in flight', 'print', 30_000);
    for (let i = 0; i < 100; i++) await finished(store, `k${i}`);

    expect(await store.begin('in flight', 'print', 30_000)).toMatchObject({ state: 'busy' });
    expect(await store.begin('k99', 'print', 30_000)).toMatchObject({ state: 'replay' });
    expect(await store.begin('k50', 'print', 30_000)).toMatchObject({ state: 'replay' });
    expect(await store.begin('k0', 'print', 30_000)).toMatchObject({ state: 'fresh' });
  });

  test('with nothing but keys in flight a new one is refused rather than an old one forgotten', async () => {
    const store = createMemoryIdempotency({ now: () => 0 });
    let leased = 0;
    const fill = async () => {
      for (; leased < 200_000; leased++) await store.begin(`k${leased}`, 'print', 30_000);
    };
    await expect(fill()).rejects.toThrow(IdempotencyUnavailable);
    expect(leased).toBeGreaterThan(100_000);
    expect(await store.begin('k0', 'print', 30_000)).toMatchObject({ state: 'busy' });
  });
});
