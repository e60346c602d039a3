import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Quota } from '../../../src/quota.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { Availability } from '../../../src/stores/failover/availability.ts';
import { createFailoverQuota } from '../../../src/stores/failover/quota.ts';
import { createMemoryQuota } from '../../../src/stores/memory/quota.ts';
import { createUpstashQuota } from '../../../src/stores/upstash/quota.ts';
import { createRedis } from '../../../src/stores/upstash/redis.ts';
import { CONTRACT_WINDOW } from '../../contract/quota.ts';
import {
  type Bridge,
  describeWithRedis,
  startBridge,
  startRedis,
  type TestRedis,
} from '../../support/redis.ts';

const TIMEOUT_MS = 1_500;

describeWithRedis('Redis goes away and comes back under load', () => {
  let redis: TestRedis;
  let bridge: Bridge;
  let changes: boolean[];
  let availability: Availability;
  beforeEach(async () => {
    redis = await startRedis();
    bridge = await startBridge(redis);
    changes = [];
    availability = new Availability({ onChange: (available) => changes.push(available) });
  });
  afterEach(async () => {
    redis.thaw();
    await bridge.close();
    await redis.close();
  });

  const failover = (local: Quota | null): Quota =>
    createFailoverQuota({
      ...CONTRACT_WINDOW,
      shared: createUpstashQuota({
        ...CONTRACT_WINDOW,
        redis: createRedis({ ...bridge, timeoutMs: TIMEOUT_MS }),
      }),
      local,
      availability,
    });

  /** Twenty callers that draw without end until `during` is over. */
  async function underLoad(
    quota: Quota,
    limit: number,
    during: (seen: Seen) => Promise<void>,
  ): Promise<Seen> {
    const seen: Seen = { calls: 0, granted: 0, refused: 0, unavailable: 0, failed: [], longestMs: 0 };
    let over = false;
    const callers = Array.from({ length: 20 }, async () => {
      while (!over) {
        seen.calls += 1;
        const started = performance.now();
        try {
          const draw = await quota.draw('u', limit);
          if (draw.granted) seen.granted += 1;
          else seen.refused += 1;
        } catch (error) {
          if (error instanceof StoreUnavailable) seen.unavailable += 1;
          else seen.failed.push(error);
        }
        seen.longestMs = Math.max(seen.longestMs, performance.now() - started);
        await pause(5);
      }
    });
    try {
      await during(seen);
    } finally {
      over = true;
      await Promise.all(callers);
    }
    return seen;
  }

  interface Seen {
    calls: number;
    granted: number;
    refused: number;
    unavailable: number;
    readonly failed: unknown[];
    longestMs: number;
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await pause(10);
  }

  const HARM: [string, () => void | Promise<void>, () => void | Promise<void>][] = [
    ['stopped, and restarted empty', () => redis.stop(), () => redis.restart()],
    ['frozen', () => redis.freeze(), () => redis.thaw()],
  ];

  test.each(HARM)('%s: no call is lost or waits too long, and the limit holds', async (_name, harm, heal) => {
    const limit = 1_000;
    const quota = failover(createMemoryQuota(CONTRACT_WINDOW));
    const seen = await underLoad(quota, limit, async (seen) => {
      await until(() => seen.granted >= 300);
      await harm();
      await until(() => !availability.available);
      const before = seen.granted;
      await until(() => seen.granted >= before + 100);
      await heal();
      await until(() => availability.available);
      await until(() => seen.granted >= limit && seen.refused >= 100);
    });

    expect(seen.failed).toEqual([]);
    expect(seen.unavailable).toBe(0);
    expect(seen.granted + seen.refused).toBe(seen.calls);
    expect(seen.granted).toBe(limit);
    expect(seen.longestMs).toBeLessThan(TIMEOUT_MS);
    expect(changes).toEqual([false, true]);
  });

  test.each(HARM)(
    '%s, and to be refused then: no call waits too long, Redis is left alone',
    async (_name, harm, heal) => {
      const quota = failover(null);
      const seen = await underLoad(quota, 1_000_000, async (seen) => {
        await until(() => seen.granted >= 300);
        await harm();
        await until(() => !availability.available);
        const requests = bridge.requests();
        const calls = seen.calls;
        await until(() => seen.calls >= calls + 500);
        // Those that were under way, and at most a probe or two.
        expect(bridge.requests() - requests).toBeLessThan(25);
        await heal();
        await until(() => availability.available);
        const granted = seen.granted;
        await until(() => seen.granted >= granted + 100);
      });

      expect(seen.failed).toEqual([]);
      expect(seen.unavailable).toBeGreaterThanOrEqual(480);
      expect(seen.granted + seen.unavailable).toBe(seen.calls);
      expect(seen.longestMs).toBeLessThan(TIMEOUT_MS);
      expect(changes).toEqual([false, true]);
    },
  );
});
