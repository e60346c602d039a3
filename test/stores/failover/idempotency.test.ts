import { beforeEach, describe, expect, test } from 'vitest';
import { type Idempotency, KEPT_MS } from '../../../src/idempotency.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { createFailoverIdempotency } from '../../../src/stores/failover/idempotency.ts';
import { createMemoryIdempotency } from '../../../src/stores/memory/idempotency.ts';
import { idempotencyContract } from '../../contract/idempotency.ts';
import { type FailoverParts, failoverParts } from '../../support/failover.ts';

const LEASE = 30_000;
/** The first pause of an availability. */
const PAUSE = 1_000;

let parts: FailoverParts<Idempotency>;
let lost: unknown[];
beforeEach(() => {
  parts = failoverParts<Idempotency>((now) => createMemoryIdempotency({ now }));
  lost = [];
});

/** One more instance before the same shared keys. */
const instance = (goOn = true): Idempotency =>
  createFailoverIdempotency({
    shared: parts.shared.store,
    local: parts.empty(),
    goOn,
    availability: parts.newAvailability(),
    onLost: (error) => lost.push(error),
  });

const begin = (keys: Idempotency, fingerprint = 'print') =>
  keys.begin({ apiUser: 'u', key: 'k', fingerprint, leaseMs: LEASE, keptMs: KEPT_MS, recordChars: 100 });

async function lease(keys: Idempotency): Promise<string> {
  const found = await begin(keys);
  if (found.state !== 'fresh') throw new Error(`expected a fresh key, found ${found.state}`);
  return found.token;
}

const REPLAY = { state: 'replay', record: 'record' };

describe.each([
  ['answer', null],
  ['are away', 'away'],
  ['lose their replies', 'reply lost'],
] as const)('the contract, while the shared keys %s', (_, fault) => {
  idempotencyContract(async () => {
    parts.shared.fault = fault;
    return { idempotency: instance(), advance: parts.advance, answers: fault === null };
  });
});

describe('one instance sends a key once', () => {
  test.each(['away', 'reply lost'] as const)('begun while the store is: %s', async (fault) => {
    const keys = instance();
    parts.shared.fault = fault;
    await keys.finish('k', await lease(keys), 'record');
    parts.shared.fault = null;
    expect(await begin(keys)).toEqual(REPLAY);
  });

  test('ended while the store is away', async () => {
    const keys = instance();
    const token = await lease(keys);
    parts.shared.fault = 'away';
    await keys.finish('k', token, 'record');
    expect(lost).toHaveLength(1);
    parts.shared.fault = null;
    expect(await begin(keys)).toEqual(REPLAY);
    // To the others its end is not known, and never will be: they do not send it.
    await parts.advance(LEASE);
    expect(await begin(instance())).toEqual({ state: 'lost' });
  });

  test('in flight while the store comes back empty', async () => {
    const keys = instance();
    await lease(keys);
    parts.shared.inner = parts.empty();
    expect(await begin(keys)).toMatchObject({ state: 'busy' });
  });
});

describe('several instances send a key once while the store answers', () => {
  test('what one has in flight, or has ended, the other does not send', async () => {
    const [one, other] = [instance(), instance()];
    const token = await lease(one);
    expect(await begin(other)).toMatchObject({ state: 'busy' });
    expect(await begin(other, 'another')).toEqual({ state: 'mismatch' });
    await one.finish('k', token, 'record');
    for (const keys of [one, other]) expect(await begin(keys)).toEqual(REPLAY);
  });

  test('what one has let go the other may send', async () => {
    const [one, other] = [instance(), instance()];
    const token = await lease(one);
    await begin(other);
    await one.release('k', token);
    await other.finish('k', await lease(other), 'record');
    for (const keys of [one, other]) expect(await begin(keys)).toEqual(REPLAY);
  });
});

test('the shared store is asked once to begin, once to end, and never about what is known here', async () => {
  const keys = instance();
  const token = await lease(keys);
  expect(parts.shared.asked).toBe(1);
  await keys.finish('k', token, 'record');
  expect(parts.shared.asked).toBe(2);
  await begin(keys);
  expect(parts.shared.asked).toBe(2);
});

test('a store that is known to be away is not asked before a pause has passed', async () => {
  const [refusing, alone] = [instance(false), instance()];
  parts.shared.fault = 'away';
  for (let i = 0; i < 2; i++) await expect(begin(refusing)).rejects.toThrow(StoreUnavailable);
  for (let i = 0; i < 2; i++) await begin(alone);
  expect(parts.shared.asked).toBe(2);

  parts.shared.fault = null;
  await parts.advance(PAUSE);
  // Free again: nothing was begun under it.
  await lease(refusing);
  expect(parts.shared.asked).toBe(3);
});

test('a bug in the shared keys is not taken for an outage, and the key is free again', async () => {
  const keys = instance();
  const { inner } = parts.shared;
  Object.assign(parts.shared, { inner: null });
  await expect(begin(keys)).rejects.toThrow(TypeError);
  parts.shared.inner = inner;
  await lease(keys);
});

test('a key whose release the store did not hear is fresh again for the instance that owns it', async () => {
  const keys = instance();
  const token = await lease(keys);
  parts.shared.fault = 'away';
  await keys.release('k', token);
  expect(lost).toHaveLength(1);
  parts.shared.fault = null;
  const again = await lease(keys);
  await keys.finish('k', again, 'record');
  expect(await begin(keys)).toEqual(REPLAY);
  expect(await begin(instance())).toEqual(REPLAY);
});
