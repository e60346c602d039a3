import { beforeEach, describe, expect, test } from 'vitest';
import { type Idempotency, IdempotencyUnavailable } from '../../../src/idempotency.ts';
import { createFailoverIdempotency } from '../../../src/stores/failover/idempotency.ts';
import { createMemoryIdempotency } from '../../../src/stores/memory/idempotency.ts';
import { idempotencyContract } from '../../contract/idempotency.ts';

const LEASE = 30_000;

/** Shared keys that can be away, or do what they are told and lose the reply. */
class Shared implements Idempotency {
  asked = 0;
  fault: 'away' | 'reply lost' | null = null;
  keys: Idempotency = memory();

  begin = (...of: Parameters<Idempotency['begin']>) => this.#reach(() => this.keys.begin(...of));
  finish = (...of: Parameters<Idempotency['finish']>) => this.#reach(() => this.keys.finish(...of));
  release = (...of: Parameters<Idempotency['release']>) => this.#reach(() => this.keys.release(...of));

  async #reach<T>(step: () => Promise<T>): Promise<T> {
    this.asked++;
    if (this.fault === 'away') throw new Error('away');
    const reply = await step();
    if (this.fault) throw new Error(this.fault);
    return reply;
  }
}

let now: number;
let shared: Shared;
let available: boolean;
let lost: unknown[];
const memory = () => createMemoryIdempotency({ now: () => now });

/** One more instance before the same Redis. */
const instance = (goOn = true): Idempotency =>
  createFailoverIdempotency({
    shared,
    local: memory(),
    goOn,
    available: () => available,
    onLost: (error) => lost.push(error),
  });

beforeEach(() => {
  now = 5_000_000;
  shared = new Shared();
  available = true;
  lost = [];
});

async function lease(keys: Idempotency): Promise<string> {
  const found = await keys.begin('k', 'print', LEASE);
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
    shared.fault = fault;
    return {
      idempotency: instance(),
      advance: async (ms) => {
        now += ms;
      },
    };
  });
});

describe('one instance sends a key once', () => {
  test.each(['away', 'reply lost'] as const)('begun while Redis is: %s', async (fault) => {
    const keys = instance();
    shared.fault = fault;
    await keys.finish('k', await lease(keys), 'record');
    shared.fault = null;
    expect(await keys.begin('k', 'print', LEASE)).toEqual(REPLAY);
  });

  test('ended while Redis is away', async () => {
    const keys = instance();
    const token = await lease(keys);
    shared.fault = 'away';
    await keys.finish('k', token, 'record');
    expect(lost).toHaveLength(1);
    shared.fault = null;
    expect(await keys.begin('k', 'print', LEASE)).toEqual(REPLAY);
    // To the others its end is not known, and never will be: they do not send it.
    now += LEASE;
    expect(await instance().begin('k', 'print', LEASE)).toEqual({ state: 'lost' });
  });

  test('in flight while Redis comes back empty', async () => {
    const keys = instance();
    await lease(keys);
    shared.keys = memory();
    expect(await keys.begin('k', 'print', LEASE)).toMatchObject({ state: 'busy' });
  });
});

describe('several instances send a key once while Redis answers', () => {
  test('what one has in flight, or has ended, the other does not send', async () => {
    const [one, other] = [instance(), instance()];
    const token = await lease(one);
    expect(await other.begin('k', 'print', LEASE)).toMatchObject({ state: 'busy' });
    expect(await other.begin('k', 'another', LEASE)).toEqual({ state: 'mismatch' });
    await one.finish('k', token, 'record');
    for (const keys of [one, other]) expect(await keys.begin('k', 'print', LEASE)).toEqual(REPLAY);
  });

  test('what one has let go the other may send', async () => {
    const [one, other] = [instance(), instance()];
    const token = await lease(one);
    await other.begin('k', 'print', LEASE);
    await one.release('k', token);
    await other.finish('k', await lease(other), 'record');
    for (const keys of [one, other]) expect(await keys.begin('k', 'print', LEASE)).toEqual(REPLAY);
  });
});

test('Redis is asked once to begin, once to end, and never about what is known here', async () => {
  const keys = instance();
  const token = await lease(keys);
  expect(shared.asked).toBe(1);
  await keys.finish('k', token, 'record');
  expect(shared.asked).toBe(2);
  await keys.begin('k', 'print', LEASE);
  expect(shared.asked).toBe(2);
});

test('a Redis that is known to be away is not asked', async () => {
  available = false;
  await lease(instance());
  await expect(instance(false).begin('k', 'print', LEASE)).rejects.toThrow(IdempotencyUnavailable);
  expect(shared.asked).toBe(0);
});

test('where this instance must not go on alone, a key that Redis refused to tell of is free again', async () => {
  const keys = instance(false);
  shared.fault = 'away';
  for (let i = 0; i < 2; i++) {
    await expect(keys.begin('k', 'print', LEASE)).rejects.toThrow(IdempotencyUnavailable);
  }
  shared.fault = null;
  await lease(keys);
});

test('a key whose release Redis did not hear is fresh again for the instance that owns it', async () => {
  const keys = instance();
  const token = await lease(keys);
  shared.fault = 'away';
  await keys.release('k', token);
  expect(lost).toHaveLength(1);
  shared.fault = null;
  const again = await lease(keys);
  await keys.finish('k', again, 'record');
  expect(await keys.begin('k', 'print', LEASE)).toEqual(REPLAY);
  expect(await instance().begin('k', 'print', LEASE)).toEqual(REPLAY);
});
