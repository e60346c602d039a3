import { beforeEach, expect, test } from 'vitest';
import { type Idempotency, KEPT_MS } from '../../src/idempotency.ts';
import { StoreUnavailable } from '../../src/store.ts';

export interface IdempotencyUnderTest {
  readonly idempotency: Idempotency;
  /** Moves the store's clock; the clock stands still otherwise. */
  readonly advance: (ms: number) => Promise<void>;
  /** False for a store that goes on though what all share does not answer. */
  readonly answers?: boolean;
}

/** Keys expire by the store's real clock in some stores: no test is closer to it than this. */
const MINUTE = 60_000;

const HOUR = 60 * MINUTE;

const LEASE = 30_000;

/** What every store of idempotency keys promises. `make` gives an empty store. */
export function idempotencyContract(make: () => Promise<IdempotencyUnderTest>): void {
  let store: Idempotency;
  let advance: IdempotencyUnderTest['advance'];
  let answers: boolean;
  beforeEach(async () => {
    ({ idempotency: store, advance, answers = true } = await make());
  });

  const begin = (key: string, fingerprint = 'print', recordChars = 4096, keptMs = KEPT_MS) =>
    store.begin({ apiUser: 'u', key, fingerprint, leaseMs: LEASE, keptMs, recordChars });

  async function lease(key: string): Promise<string> {
    const found = await begin(key);
    if (found.state !== 'fresh') throw new Error(`expected a fresh key, found ${found.state}`);
    return found.token;
  }

  test('a new key is fresh, and busy while its lease runs', async () => {
    await lease('k');
    await advance(10_000);
    expect(await begin('k')).toEqual({ state: 'busy', retryAfterMs: 20_000 });
  });

  test('a finished key is replayed, record unchanged', async () => {
    const token = await lease('k');
    const record = JSON.stringify({ a: 1, text: 'ü – "quoted" \\ \u0000 🎉' });
    await store.finish('k', token, record);
    expect(await begin('k')).toEqual({ state: 'replay', record });
  });

  test.each(['', '42', 'null', '{"a":1}'])('the record %j comes back as that string', async (record) => {
    await store.finish('k', await lease('k'), record);
    expect(await begin('k')).toEqual({ state: 'replay', record });
  });

  test('a released key is fresh again, for another body too', async () => {
    const token = await lease('k');
    await store.release('k', token);
    const again = await begin('k', 'another');
    expect(again).toEqual({ state: 'fresh', token: expect.any(String) });
    expect(again).not.toMatchObject({ token });
  });

  test('another fingerprint is a mismatch in every state', async () => {
    const mismatch = { state: 'mismatch' };
    const token = await lease('k');
    expect(await begin('k', 'another')).toEqual(mismatch);
    await advance(LEASE);
    expect(await begin('k', 'another')).toEqual(mismatch);
    await store.finish('k', token, 'record');
    expect(await begin('k', 'another')).toEqual(mismatch);
  });

  test('a lease that ran out unrecorded is lost, never fresh', async () => {
    await lease('k');
    await advance(29_999);
    expect(await begin('k')).toEqual({ state: 'busy', retryAfterMs: 1 });
    await advance(1);
    expect(await begin('k')).toEqual({ state: 'lost' });
    await advance(1_000_000);
    expect(await begin('k')).toEqual({ state: 'lost' });
  });

  test('an owner that comes late still tells how it ended', async () => {
    const token = await lease('k');
    await advance(60_000);
    await store.finish('k', token, 'late');
    expect(await begin('k')).toEqual({ state: 'replay', record: 'late' });
  });

  test('only the owner may finish or release', async () => {
    const token = await lease('k');
    await store.finish('k', 'stranger', 'wrong');
    await store.release('k', 'stranger');
    expect(await begin('k')).toMatchObject({ state: 'busy' });

    await store.release('k', token);
    const second = await lease('k');
    await store.finish('k', token, 'of the first owner');
    await store.release('k', token);
    expect(await begin('k')).toMatchObject({ state: 'busy' });
    await store.finish('k', second, 'of the second');
    expect(await begin('k')).toEqual({ state: 'replay', record: 'of the second' });
  });

  test('a record is final', async () => {
    const token = await lease('k');
    await store.finish('k', token, 'first');
    await store.finish('k', token, 'second');
    await store.release('k', token);
    expect(await begin('k')).toEqual({ state: 'replay', record: 'first' });
  });

  test('finishing or releasing an unknown key does nothing', async () => {
    await store.finish('k', 'token', 'record');
    await store.release('k', 'token');
    expect(await begin('k')).toMatchObject({ state: 'fresh' });
  });

  test('a record is kept for 24 hours from its finish', async () => {
    const token = await lease('k');
    await advance(20 * MINUTE);
    await store.finish('k', token, 'record');
    await advance(KEPT_MS - MINUTE);
    expect(await begin('k')).toMatchObject({ state: 'replay' });
    await advance(2 * MINUTE);
    expect(await begin('k')).toMatchObject({ state: 'fresh' });
  });

  test('a key is kept for as long as it was asked, among others that are kept longer', async () => {
    await lease('before');
    const found = await begin('k', 'print', 4096, HOUR);
    await advance(20 * MINUTE);
    await store.finish('k', found.state === 'fresh' ? found.token : '', 'record');
    await advance(HOUR - MINUTE);
    expect(await begin('k')).toMatchObject({ state: 'replay' });
    await advance(2 * MINUTE);
    expect(await begin('k', 'another')).toMatchObject({ state: 'fresh' });
    expect(await begin('before')).toMatchObject({ state: 'lost' });
  });

  test('a lost key is kept for 24 hours', async () => {
    await lease('k');
    await advance(KEPT_MS - MINUTE);
    expect(await begin('k')).toMatchObject({ state: 'lost' });
    await advance(2 * MINUTE);
    expect(await begin('k')).toMatchObject({ state: 'fresh' });
  });

  test('a record as long as was announced comes back whole', async () => {
    const record = 'r'.repeat(180_000);
    const found = await begin('k', 'print', record.length);
    await store.finish('k', found.state === 'fresh' ? found.token : '', record);
    expect(await begin('k')).toEqual({ state: 'replay', record });
  });

  test('keys do not share a state', async () => {
    await lease('k');
    await lease('l');
  });

  test('of many that begin at once exactly one is fresh', async () => {
    const found = await Promise.all(Array.from({ length: 40 }, () => begin('k')));
    expect(found.filter(({ state }) => state === 'fresh')).toHaveLength(1);
    expect(found.filter(({ state }) => state === 'busy')).toHaveLength(39);
  });

  test('a ping tells whether it answers, and begins nothing', async () => {
    if (answers) await store.ping();
    else await expect(store.ping()).rejects.toThrow(StoreUnavailable);
    await lease('ping');
  });
}
