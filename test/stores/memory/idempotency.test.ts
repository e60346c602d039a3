import { describe, expect, test } from 'vitest';
import { type Idempotency, KEPT_MS } from '../../../src/idempotency.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { createMemoryIdempotency } from '../../../src/stores/memory/idempotency.ts';
import { idempotencyContract } from '../../contract/idempotency.ts';
import { standingClock } from '../../support/clock.ts';

describe('idempotency in process', () => {
  idempotencyContract(async () => {
    const { now, advance } = standingClock();
    return { idempotency: createMemoryIdempotency({ now }), advance };
  });
});

describe('64 MiB shared out', () => {
  const LEASE = 30_000;
  const RECORD = 'x'.repeat(500_000);
  /** More than fit, of a megabyte each. */
  const MANY = 100;

  const begin = (store: Idempotency, apiUser: string, key: string, recordChars = RECORD.length) =>
    store.begin({ apiUser, key, fingerprint: 'print', leaseMs: LEASE, keptMs: KEPT_MS, recordChars });

  async function finish(store: Idempotency, apiUser: string, key: string, record = RECORD): Promise<void> {
    const found = await begin(store, apiUser, key, record.length);
    if (found.state !== 'fresh') throw new Error(`expected a fresh key, found ${found.state}`);
    await store.finish(key, found.token, record);
  }

  const newStore = (clock = standingClock()) => createMemoryIdempotency({ now: clock.now });

  test('the oldest finished keys go, those in flight stay', async () => {
    const store = newStore();
    await begin(store, 'u', 'in flight');
    for (let i = 0; i < MANY; i++) await finish(store, 'u', `k${i}`);

    expect(await begin(store, 'u', 'in flight')).toMatchObject({ state: 'busy' });
    expect(await begin(store, 'u', 'k99')).toMatchObject({ state: 'replay' });
    expect(await begin(store, 'u', 'k50')).toMatchObject({ state: 'replay' });
    expect(await begin(store, 'u', 'k0')).toMatchObject({ state: 'fresh' });
  });

  test('one api_user fills it, and the older key of another one still replays', async () => {
    const store = newStore();
    await finish(store, 'quiet', 'older', 'the answer');
    for (let i = 0; i < MANY; i++) await finish(store, 'loud', `k${i}`);
    expect(await begin(store, 'quiet', 'older')).toEqual({ state: 'replay', record: 'the answer' });
  });

  test('many small keys of one push out no key of another', async () => {
    const store = newStore();
    const small = 'x'.repeat(2000);
    for (let i = 0; i < 30; i++) await finish(store, 'quiet', `q${i}`);
    for (let i = 0; i < 20_000; i++) await finish(store, 'loud', `l${i}`, small);
    for (let i = 0; i < 30; i++)
      expect(await begin(store, 'quiet', `q${i}`)).toMatchObject({ state: 'replay' });
    expect(await begin(store, 'loud', 'l0', 2)).toMatchObject({ state: 'fresh' });
  });

  test('a newcomer gets its room from the one that has most', async () => {
    const store = newStore();
    for (let i = 0; i < 10; i++) await finish(store, 'quiet', `q${i}`);
    for (let i = 0; i < MANY; i++) await finish(store, 'loud', `l${i}`);
    for (let i = 0; i < 5; i++) await finish(store, 'new', `n${i}`);
    for (let i = 0; i < 10; i++) {
      expect(await begin(store, 'quiet', `q${i}`)).toMatchObject({ state: 'replay' });
    }
  });

  test('one whose keys are all in flight pushes out none of those who have less', async () => {
    const store = newStore();
    for (let i = 0; i < 33; i++) await begin(store, 'loud', `l${i}`);
    for (let i = 0; i < 20; i++) await finish(store, 'one', `one ${i}`);
    for (let i = 0; i < 14; i++) await finish(store, 'other', `other ${i}`);
    await expect(begin(store, 'loud', 'l33')).rejects.toThrow(StoreUnavailable);
    expect(await begin(store, 'one', 'one 0')).toMatchObject({ state: 'replay' });
    expect(await begin(store, 'other', 'other 0')).toMatchObject({ state: 'replay' });
  });

  test('one that had it alone gives half to another, oldest first', async () => {
    const store = newStore();
    for (let i = 0; i < 60; i++) await finish(store, 'first', `f${i}`);
    for (let i = 0; i < MANY; i++) await finish(store, 'second', `s${i}`);
    for (let i = 30; i < 60; i++)
      expect(await begin(store, 'first', `f${i}`)).toMatchObject({ state: 'replay' });
    for (let i = 72; i < MANY; i++)
      expect(await begin(store, 'second', `s${i}`)).toMatchObject({ state: 'replay' });
  });

  test('a record for which there is no room is refused at the beginning', async () => {
    const store = newStore();
    await expect(begin(store, 'u', 'k', 40_000_000)).rejects.toThrow(StoreUnavailable);
    expect(await begin(store, 'u', 'k')).toMatchObject({ state: 'fresh' });
  });

  test('one api_user with too much in flight is refused, the others are not', async () => {
    const store = newStore();
    let begun = 0;
    const crowd = async () => {
      for (; begun < MANY; begun++) await begin(store, 'loud', `k${begun}`);
    };
    await expect(crowd()).rejects.toThrow(StoreUnavailable);
    expect(begun).toBeGreaterThan(30);
    expect(await begin(store, 'loud', 'k0')).toMatchObject({ state: 'busy' });
    for (const apiUser of ['quiet', 'silent']) {
      for (let i = 0; i < 7; i++)
        expect(await begin(store, apiUser, `${apiUser} ${i}`)).toMatchObject({ state: 'fresh' });
    }
    expect(await begin(store, 'loud', 'k0')).toMatchObject({ state: 'busy' });
  });

  test('what ended without a record is in flight no longer', async () => {
    const clock = standingClock();
    const store = newStore(clock);
    for (let i = 0; i < 30; i++) await begin(store, 'u', `k${i}`);
    await clock.advance(LEASE);
    for (let i = 30; i < 60; i++) expect(await begin(store, 'u', `k${i}`)).toMatchObject({ state: 'fresh' });
    expect(await begin(store, 'u', 'k0')).toEqual({ state: 'lost' });
  });

  test('a released key gives its room back', async () => {
    const store = newStore();
    for (let i = 0; i < MANY; i++) {
      const found = await begin(store, 'u', 'k');
      await store.release('k', found.state === 'fresh' ? found.token : '');
    }
    expect(await begin(store, 'u', 'k')).toMatchObject({ state: 'fresh' });
  });
});
