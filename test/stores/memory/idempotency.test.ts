import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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

  const request = (apiUser: string, key: string) => ({
    apiUser,
    key,
    fingerprint: 'print',
    leaseMs: 30_000,
    keptMs: KEPT_MS,
    recordChars: 10,
  });

  test('runs on the monotonic clock by default', async () => {
    const store = createMemoryIdempotency();
    await store.begin(request('u', 'k'));
    expect(await store.begin(request('u', 'k'))).toMatchObject({ state: 'busy' });
  });

  test('a key is kept to the millisecond', async () => {
    const { now, advance } = standingClock();
    const store = createMemoryIdempotency({ now });
    await store.begin({ ...request('u', 'before'), keptMs: 2 * KEPT_MS });
    await store.begin(request('u', 'k'));
    await advance(KEPT_MS - 1);
    expect(await store.begin(request('u', 'k'))).toEqual({ state: 'lost' });
    await advance(1);
    expect(await store.begin(request('u', 'k'))).toMatchObject({ state: 'fresh' });
  });

  test('what is over takes no memory', async () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    const { now, advance } = standingClock();
    const store = createMemoryIdempotency({ now });
    let users = 0;
    const days = async (count: number) => {
      for (let day = 0; day < count; day++) {
        for (const end = users + 1000; users < end; users++)
          await store.begin(request(`user ${users}`, `k${users}`));
        await advance(KEPT_MS);
      }
      gc();
      return process.memoryUsage().heapUsed;
    };
    const early = await days(2);
    // A thousand keys and their api_users each day would take some 80 MB.
    expect((await days(100)) - early).toBeLessThan(10_000_000);
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
    // As much as is left to all others.
    expect(begun).toBe(34);
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

  test('one record may fill all of it, and not a byte more', async () => {
    const most = (64 * 1024 * 1024 - 768) / 2 - 1;
    await expect(begin(newStore(), 'u', 'k', most + 1)).rejects.toThrow(StoreUnavailable);
    const store = newStore();
    expect(await begin(store, 'u', 'k', most)).toMatchObject({ state: 'fresh' });
    await expect(begin(store, 'v', 'k2', 0)).rejects.toThrow(StoreUnavailable);
  });

  test('one that has most, but all of it in flight, shuts out no newcomer', async () => {
    const store = newStore();
    for (let i = 0; i < 20; i++) await begin(store, 'busy', `b${i}`);
    for (const [apiUser, count] of [
      ['one', 19],
      ['two', 19],
      ['three', 9],
    ] as const) {
      for (let i = 0; i < count; i++) await finish(store, apiUser, `${apiUser} ${i}`);
    }
    expect(await begin(store, 'new', 'n')).toMatchObject({ state: 'fresh' });
    expect(await begin(store, 'busy', 'b0')).toMatchObject({ state: 'busy' });
    expect(await begin(store, 'one', 'one 0')).toMatchObject({ state: 'fresh' });
  });

  test('of two that have as much, each pushes out its own', async () => {
    const store = newStore();
    const record = 'x'.repeat(504_000);
    for (let i = 0; i < 33; i++) await finish(store, 'one', `one ${i}`, record);
    for (let i = 0; i < 33; i++) await finish(store, 'two', `two ${i}`, record);
    await finish(store, 'two', 'two 33', record);
    expect(await begin(store, 'one', 'one 0')).toMatchObject({ state: 'replay' });
    expect(await begin(store, 'two', 'two 0')).toMatchObject({ state: 'fresh' });
  });

  test('a key that is begun anew, hour after hour, takes its room once', async () => {
    const clock = standingClock();
    const store = newStore(clock);
    await begin(store, 'u', 'before', 10);
    const record = 'x'.repeat(3_000_000);
    for (let hour = 0; hour < 23; hour++) {
      const again = { apiUser: 'u', key: 'k', fingerprint: 'print', leaseMs: LEASE, keptMs: 3_600_000 };
      const found = await store.begin({ ...again, recordChars: record.length });
      await store.finish('k', found.state === 'fresh' ? found.token : '', record);
      await clock.advance(3_600_000);
    }
    expect(await begin(store, 'u', 'before')).toEqual({ state: 'lost' });
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
