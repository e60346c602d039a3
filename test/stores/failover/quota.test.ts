import { beforeEach, describe, expect, test } from 'vitest';
import { type Quota, QuotaUnavailable } from '../../../src/quota.ts';
import { createFailoverQuota, type FailoverQuota } from '../../../src/stores/failover/quota.ts';
import { createMemoryQuota } from '../../../src/stores/memory/quota.ts';
import { CONTRACT_WINDOW, quotaContract } from '../../contract/quota.ts';

const SPAN = 60_501;

/** A shared quota that can be away, or keep its callers waiting. */
class Shared implements Quota {
  asked = 0;
  away = false;
  held: PromiseWithResolvers<void> | null = null;
  window: Quota;

  constructor(window: Quota) {
    this.window = window;
  }
  async draw(apiUser: string, limit: number, cost?: number) {
    await this.#reach();
    return this.window.draw(apiUser, limit, cost);
  }
  async peek(apiUser: string, limit: number) {
    await this.#reach();
    return this.window.peek(apiUser, limit);
  }
  async close(apiUser: string, ms: number) {
    await this.#reach();
    return this.window.close(apiUser, ms);
  }
  async #reach() {
    this.asked += 1;
    await this.held?.promise;
    if (this.away) throw new QuotaUnavailable(`away at call ${this.asked}`);
  }
}

let now: number;
let shared: Shared;
let changes: [boolean, string?][];
const clock = () => now;
const memory = () => createMemoryQuota({ ...CONTRACT_WINDOW, now: clock });

function failover(local: Quota | null): FailoverQuota {
  return createFailoverQuota({
    ...CONTRACT_WINDOW,
    shared,
    local,
    now: clock,
    onChange: (available, error) => changes.push(error ? [available, error.message] : [available]),
  });
}

beforeEach(() => {
  now = 5_000_000;
  shared = new Shared(memory());
  changes = [];
});

const advance = async (ms: number) => {
  now += ms;
};

describe('the contract, while the shared quota answers', () => {
  quotaContract(async () => ({ quota: failover(memory()), advance }));
});

describe('the contract, while the shared quota is away', () => {
  quotaContract(async () => {
    shared.away = true;
    return { quota: failover(memory()), advance };
  });
});

describe('while the shared quota answers, it alone decides', () => {
  test('what others drew counts', async () => {
    const quota = failover(memory());
    await shared.window.draw('u', 10, 9);
    expect(await quota.draw('u', 10, 2)).toMatchObject({ granted: false, remaining: 1 });
    expect(await quota.draw('u', 10, 1)).toMatchObject({ granted: true, remaining: 0 });
    expect(changes).toEqual([]);
    expect(quota.available()).toBe(true);
  });
});

describe('while the shared quota is away, the local window decides', () => {
  test('it goes on from what this instance drew, not from an empty window', async () => {
    const quota = failover(memory());
    await quota.draw('u', 10, 7);
    shared.away = true;
    expect(await quota.draw('u', 10, 4)).toMatchObject({ granted: false, remaining: 3 });
    expect(await quota.draw('u', 10, 3)).toMatchObject({ granted: true, remaining: 0 });
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 0 });
  });

  test('it counts what the shared one let go a little earlier than it would itself', async () => {
    const quota = failover(memory());
    await quota.draw('u', 10, 10);
    shared.window = memory();
    now += 1_000;
    await quota.draw('u', 10, 10);
    shared.away = true;
    now += SPAN - 1_000;
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 1_000 });
  });

  test('a closure from before holds', async () => {
    const quota = failover(memory());
    await quota.close('u', 10_000);
    shared.away = true;
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 10_000 });
  });

  test('one that comes back empty hands out no second quota', async () => {
    const quota = failover(memory());
    await quota.draw('u', 10, 6);
    shared.away = true;
    await quota.draw('u', 10, 3);
    Object.assign(shared, { away: false, window: memory() });
    now += 1_000;
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 1 });
    expect(await quota.draw('u', 10, 2)).toMatchObject({ granted: false, remaining: 1 });
    expect(await quota.draw('u', 10, 1)).toMatchObject({ granted: true });
    now += SPAN;
    expect(await quota.draw('u', 10, 10)).toMatchObject({ granted: true });
  });

  test('one that comes back decides again', async () => {
    const quota = failover(memory());
    shared.away = true;
    await quota.draw('u', 10);
    shared.away = false;
    await shared.window.draw('u', 10, 10);
    now += 1_000;
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false });
  });
});

describe('without a local window', () => {
  test('every method rejects while the shared quota is away', async () => {
    const quota = failover(null);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: true });
    shared.away = true;
    for (let i = 0; i < 2; i++) {
      await expect(quota.draw('u', 10)).rejects.toThrow(QuotaUnavailable);
      await expect(quota.peek('u', 10)).rejects.toThrow(QuotaUnavailable);
      await expect(quota.close('u', 10)).rejects.toThrow(QuotaUnavailable);
    }
    expect(shared.asked).toBe(2);
  });

  test('a call of its own fault says nothing about the shared quota', async () => {
    const quota = failover(null);
    await expect(quota.draw('u', 10, 11)).rejects.toThrow(RangeError);
    await expect(quota.close('u', -1)).rejects.toThrow(RangeError);
    expect(shared.asked).toBe(0);
  });
});

describe('asking again', () => {
  test('after a pause that grows from one second to ten, and shrinks again', async () => {
    const quota = failover(memory());
    shared.away = true;
    await quota.draw('u', 1_000_000);
    const asked = async (ms: number) => {
      const before = shared.asked;
      for (let passed = 0; passed < ms; passed += 100) {
        now += 100;
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

    shared.away = false;
    expect(await asked(10_000)).toBe(1);
    shared.away = true;
    await quota.draw('u', 1_000_000);
    expect(await asked(900)).toBe(0);
    expect(await asked(100)).toBe(1);
  });

  test('one call at a time, the others do not wait for it', async () => {
    const quota = failover(memory());
    shared.away = true;
    await quota.draw('u', 10);
    now += 1_000;
    shared.held = Promise.withResolvers();
    const probe = quota.draw('u', 10);
    for (let i = 0; i < 5; i++) expect(await quota.draw('u', 10)).toMatchObject({ granted: true });
    now += 60_000;
    await quota.peek('u', 10);
    expect(shared.asked).toBe(2);

    shared.away = false;
    shared.held.resolve();
    await probe;
    expect(quota.available()).toBe(true);
  });

  test('many that fail together make one change and one pause of a second', async () => {
    const quota = failover(memory());
    shared.away = true;
    shared.held = Promise.withResolvers();
    const draws = Array.from({ length: 20 }, () => quota.draw('u', 100));
    shared.held.resolve();
    expect((await Promise.all(draws)).every((draw) => draw.granted)).toBe(true);
    expect(changes).toEqual([[false, 'away at call 20']]);
    now += 1_000;
    await quota.draw('u', 100);
    expect(shared.asked).toBe(21);
  });

  test('each change of state is told once, with its error', async () => {
    const quota = failover(memory());
    shared.away = true;
    for (let i = 0; i < 3; i++) await quota.draw('u', 10);
    expect(changes).toEqual([[false, 'away at call 1']]);
    expect(quota.available()).toBe(false);
    shared.away = false;
    now += 1_000;
    for (let i = 0; i < 3; i++) await quota.draw('u', 10);
    expect(changes).toEqual([[false, 'away at call 1'], [true]]);
  });

  test('a bug in the shared quota is neither hidden nor taken for an outage', async () => {
    const quota = failover(memory());
    const { window } = shared;
    Object.assign(shared, { window: null });
    await expect(quota.draw('u', 10)).rejects.toThrow(TypeError);
    expect(quota.available()).toBe(true);

    shared.away = true;
    await quota.draw('u', 10);
    shared.away = false;
    now += 1_000;
    await expect(quota.draw('u', 10)).rejects.toThrow(TypeError);
    shared.window = window;
    now += 10_000;
    expect(await quota.draw('u', 10)).toMatchObject({ granted: true });
    expect(quota.available()).toBe(true);
  });
});
