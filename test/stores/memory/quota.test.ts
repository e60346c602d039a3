import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { createMemoryQuota } from '../../../src/stores/memory/quota.ts';
import { CONTRACT_WINDOW, quotaContract } from '../../contract/quota.ts';
import { standingClock } from '../../support/clock.ts';

describe('the quota in process', () => {
  quotaContract(async () => {
    const { now, advance } = standingClock();
    return { quota: createMemoryQuota({ ...CONTRACT_WINDOW, now }), advance };
  });

  test('runs on the monotonic clock by default', async () => {
    const quota = createMemoryQuota({ windowMs: 20, guardMs: 0 });
    const started = performance.now();
    await quota.draw('u', 1);
    while (!(await quota.draw('u', 1)).granted) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(performance.now() - started).toBeGreaterThan(20);
  });

  test('a fraction of a millisecond of the clock never lets go early', async () => {
    let now = 1_000.9;
    const quota = createMemoryQuota({ windowMs: 1_000, guardMs: 0, now: () => now });
    await quota.draw('u', 1);
    now = 2_000.9;
    expect(await quota.draw('u', 1)).toMatchObject({ granted: false, retryAfterMs: 1 });
    now = 2_001;
    expect(await quota.draw('u', 1)).toMatchObject({ granted: true });
  });

  test('idle users take no memory', async () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    let now = 0;
    const quota = createMemoryQuota({ ...CONTRACT_WINDOW, now: () => now });
    const draw = async (users: number) => {
      for (let i = 0; i < users; i++) {
        now += 100;
        await quota.draw(`user ${now}`, 10);
      }
      gc();
      return process.memoryUsage().heapUsed;
    };
    const early = await draw(5_000);
    const late = await draw(150_000);
    // 150,000 windows would take some 30 MB, the 1,210 of the last two minutes are there both times.
    expect(late - early).toBeLessThan(5_000_000);
  });
});
