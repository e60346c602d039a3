import { beforeEach, describe, expect, test } from 'vitest';
import type { Quota } from '../../../src/quota.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { createFailoverQuota } from '../../../src/stores/failover/quota.ts';
import { createMemoryQuota } from '../../../src/stores/memory/quota.ts';
import { CONTRACT_WINDOW, quotaContract } from '../../contract/quota.ts';
import { type FailoverParts, failoverParts } from '../../support/failover.ts';

const SPAN = 60_501;

let parts: FailoverParts<Quota>;
beforeEach(() => {
  parts = failoverParts<Quota>((now) => createMemoryQuota({ ...CONTRACT_WINDOW, now }));
});

/** An instance with a window of its own, or with none. */
const failover = (local: Quota | null = parts.empty()): Quota =>
  createFailoverQuota({ ...CONTRACT_WINDOW, ...parts, shared: parts.shared.store, local });

describe.each([
  ['answers', null],
  ['is away', 'away'],
] as const)('the contract, while the shared quota %s', (_, fault) => {
  quotaContract(async () => {
    parts.shared.fault = fault;
    return { quota: failover(), advance: parts.advance, answers: fault === null };
  });
});

describe('while the shared quota answers, it alone decides', () => {
  test('what others drew counts', async () => {
    const { shared, changes, availability } = parts;
    const quota = failover();
    await shared.inner.draw('u', 10, 9);
    expect(await quota.draw('u', 10, 2)).toMatchObject({ granted: false, remaining: 1 });
    expect(await quota.draw('u', 10, 1)).toMatchObject({ granted: true, remaining: 0 });
    expect(changes).toEqual([]);
    expect(availability.available).toBe(true);
  });
});

describe('while the shared quota is away, the local window decides', () => {
  test('it goes on from what this instance drew, not from an empty window', async () => {
    const { shared } = parts;
    const quota = failover();
    await quota.draw('u', 10, 7);
    shared.fault = 'away';
    expect(await quota.draw('u', 10, 4)).toMatchObject({ granted: false, remaining: 3 });
    expect(await quota.draw('u', 10, 3)).toMatchObject({ granted: true, remaining: 0 });
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 0 });
  });

  test('it counts what the shared one let go a little earlier than it would itself', async () => {
    const { shared, advance, empty } = parts;
    const quota = failover();
    await quota.draw('u', 10, 10);
    shared.inner = empty();
    await advance(1_000);
    await quota.draw('u', 10, 10);
    shared.fault = 'away';
    await advance(SPAN - 1_000);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 1_000 });
  });

  test('a closure from before holds', async () => {
    const { shared } = parts;
    const quota = failover();
    await quota.close('u', 10_000);
    shared.fault = 'away';
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 10_000 });
  });

  test('one that comes back empty hands out no second quota', async () => {
    const { shared, advance, empty } = parts;
    const quota = failover();
    await quota.draw('u', 10, 6);
    shared.fault = 'away';
    await quota.draw('u', 10, 3);
    Object.assign(shared, { fault: null, inner: empty() });
    await advance(1_000);
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 1 });
    expect(await quota.draw('u', 10, 2)).toMatchObject({ granted: false, remaining: 1 });
    expect(await quota.draw('u', 10, 1)).toMatchObject({ granted: true });
    await advance(SPAN);
    expect(await quota.draw('u', 10, 10)).toMatchObject({ granted: true });
  });

  test('one that comes back decides again', async () => {
    const { shared, advance } = parts;
    const quota = failover();
    shared.fault = 'away';
    await quota.draw('u', 10);
    shared.fault = null;
    await shared.inner.draw('u', 10, 10);
    await advance(1_000);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false });
  });
});

describe('without a local window', () => {
  test('every method rejects while the shared quota is away', async () => {
    const { shared } = parts;
    const quota = failover(null);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: true });
    shared.fault = 'away';
    for (let i = 0; i < 2; i++) {
      await expect(quota.draw('u', 10)).rejects.toThrow(StoreUnavailable);
      await expect(quota.peek('u', 10)).rejects.toThrow(StoreUnavailable);
      await expect(quota.close('u', 10)).rejects.toThrow(StoreUnavailable);
    }
    expect(shared.asked).toBe(2);
  });

  test('a call of its own fault says nothing about the shared quota', async () => {
    const { shared } = parts;
    const quota = failover(null);
    await expect(quota.draw('u', 10, 11)).rejects.toThrow(RangeError);
    await expect(quota.close('u', -1)).rejects.toThrow(RangeError);
    expect(shared.asked).toBe(0);
  });
});

describe('asking again', () => {
  test('after a pause that grows from one second to ten, and shrinks again', async () => {
    const { shared, advance } = parts;
    const quota = failover();
    shared.fault = 'away';
    await quota.draw('u', 1_000_000);
    const asked = async (ms: number) => {
      const before = shared.asked;
      for (let passed = 0; passed < ms; passed += 100) {
        await advance(100);
        await quota.draw('u', 1_000_000);
      }
      return shared.asked - before;
    };
    expect(await asked(900)).toBe(0);
    expect(await asked(100)).toBe(1);
    expect(await asked(2_000)).toBe(1);
    expect(await asked(4_000)).toBe(1);
    expect(await asked(8_000)).toBe(1);
    expect(await asked(30_000)).toBe(3);

    shared.fault = null;
    expect(await asked(10_000)).toBe(1);
    shared.fault = 'away';
    await quota.draw('u', 1_000_000);
    expect(await asked(900)).toBe(0);
    expect(await asked(100)).toBe(1);
  });

  test('one call at a time, the others do not wait for it', async () => {
    const { shared, advance, availability } = parts;
    const quota = failover();
    shared.fault = 'away';
    await quota.draw('u', 10);
    await advance(1_000);
    shared.held = Promise.withResolvers();
    const probe = quota.draw('u', 10);
    for (let i = 0; i < 5; i++) expect(await quota.draw('u', 10)).toMatchObject({ granted: true });
    await advance(60_000);
    await quota.peek('u', 10);
    expect(shared.asked).toBe(2);

    shared.fault = null;
    shared.held.resolve();
    await probe;
    expect(availability.available).toBe(true);
  });

  test('many that fail together make one change and one pause of a second', async () => {
    const { shared, advance, changes } = parts;
    const quota = failover();
    shared.fault = 'away';
    shared.held = Promise.withResolvers();
    const draws = Array.from({ length: 20 }, () => quota.draw('u', 100));
    shared.held.resolve();
    expect((await Promise.all(draws)).every((draw) => draw.granted)).toBe(true);
    expect(changes).toEqual([[false, 'away at call 1']]);
    await advance(1_000);
    await quota.draw('u', 100);
    expect(shared.asked).toBe(21);
  });

  test('each change of state is told once, with its error', async () => {
    const { shared, advance, changes, availability } = parts;
    const quota = failover();
    shared.fault = 'away';
    for (let i = 0; i < 3; i++) await quota.draw('u', 10);
    expect(changes).toEqual([[false, 'away at call 1']]);
    expect(availability.available).toBe(false);
    shared.fault = null;
    await advance(1_000);
    for (let i = 0; i < 3; i++) await quota.draw('u', 10);
    expect(changes).toEqual([[false, 'away at call 1'], [true]]);
  });

  test('a bug in the shared quota is neither hidden nor taken for an outage', async () => {
    const { shared, advance, availability } = parts;
    const quota = failover();
    const { inner } = shared;
    Object.assign(shared, { inner: null });
    await expect(quota.draw('u', 10)).rejects.toThrow(TypeError);
    expect(availability.available).toBe(true);

    shared.fault = 'away';
    await quota.draw('u', 10);
    shared.fault = null;
    await advance(1_000);
    await expect(quota.draw('u', 10)).rejects.toThrow(TypeError);
    shared.inner = inner;
    await advance(10_000);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: true });
    expect(availability.available).toBe(true);
  });
});
