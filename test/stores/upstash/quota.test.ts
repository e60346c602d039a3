import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Redis } from '@upstash/redis';
import { describe, expect, test, vi } from 'vitest';
import type { Quota } from '../../../src/quota.ts';
import { createUpstashQuota } from '../../../src/stores/upstash/quota.ts';
import { createRedis } from '../../../src/stores/upstash/redis.ts';
import { CONTRACT_WINDOW, quotaContract } from '../../contract/quota.ts';
import type { Bridge } from '../../support/redis.ts';
import { describeWithUpstash } from '../../support/upstash.ts';

const quotaAt = ({ url, token }: Pick<Bridge, 'url' | 'token'>, timeoutMs = 10_000): Quota =>
  createUpstashQuota({ ...CONTRACT_WINDOW, redis: createRedis({ url, token, timeoutMs }) });

describeWithUpstash('the quota in Upstash Redis', (upstash) => {
  describe('on a clock of the test', () => {
    quotaContract(async () => ({ quota: quotaAt(upstash.clocked), ...(await upstash.clock()) }));

    test('a key lives as long as its window, however long it is in use', async () => {
      const clock = await upstash.clock();
      const quota = quotaAt(upstash.clocked);
      for (let i = 0; i < 100; i++) {
        await clock.advance(7_000);
        await quota.draw('u', 10, 1);
        expect(await upstash.client.pTTL('postern:quota:{u}')).toBeGreaterThan(60_000);
      }
      await clock.advance(130_000);
      expect(await upstash.client.exists('postern:quota:{u}')).toBe(0);
    });
  });

  describe('on the clock of the server', () => {
    test('a draw is one request once the script is known, granted or refused', async () => {
      const quota = quotaAt(upstash.bridge);
      await upstash.client.scriptFlush();
      await quota.draw('u', 20);
      const before = upstash.bridge.requests();
      for (let i = 0; i < 30; i++) await quota.draw('u', 20);
      await quota.peek('u', 20);
      await quota.close('u', 10);
      expect(upstash.bridge.requests() - before).toBe(32);
    });

    test('a script that the server forgot is sent again, and drawn once', async () => {
      const quota = quotaAt(upstash.bridge);
      await quota.draw('u', 10);
      await upstash.client.scriptFlush();
      expect((await quota.draw('u', 10)).remaining).toBe(8);
    });

    test('one key per api_user, in braces for a cluster', async () => {
      const quota = quotaAt(upstash.bridge);
      await quota.draw('u', 10);
      await quota.close('u', 10);
      await quota.draw('v', 10);
      expect((await upstash.client.keys('*')).sort()).toEqual(['postern:quota:{u}', 'postern:quota:{v}']);
    });

    test('two instances share one window', async () => {
      const quotas = [quotaAt(upstash.bridge), quotaAt(upstash.other)];
      const draws = await Promise.all(Array.from({ length: 400 }, (_, i) => quotas[i % 2]?.draw('u', 300)));
      expect(draws.filter((draw) => draw?.granted)).toHaveLength(300);
      await quotas[0]?.close('u', 30_000);
      expect((await quotas[1]?.draw('v', 10))?.granted).toBe(true);
      expect((await quotas[1]?.draw('u', 400))?.granted).toBe(false);
    });

    test('a window runs on by the clock of the server', async () => {
      const quota = createUpstashQuota({
        windowMs: 50,
        guardMs: 0,
        redis: createRedis({ ...upstash.bridge, timeoutMs: 10_000 }),
      });
      await quota.draw('u', 1);
      while (!(await quota.draw('u', 1)).granted) await new Promise((resolve) => setTimeout(resolve, 5));
      const { resetMs } = await quota.peek('u', 1);
      expect(resetMs).toBeLessThanOrEqual(51);
    });

    test('the window is a limiter of @upstash/ratelimit', async () => {
      const { Ratelimit } = await import('@upstash/ratelimit');
      const { exactWindow } = await import('../../../src/stores/upstash/limiter.ts');
      const { createWindowScript } = await import('../../../src/stores/upstash/window-script.ts');
      const client = createRedis({ ...upstash.bridge, timeoutMs: 10_000 });
      const ratelimit = new Ratelimit({
        redis: client,
        limiter: exactWindow(createWindowScript(client, CONTRACT_WINDOW), 5),
        timeout: 0,
      });
      const started = Date.now();
      expect(await ratelimit.limit('u', { rate: 4 })).toMatchObject({
        success: true,
        limit: 5,
        remaining: 1,
      });
      const refused = await ratelimit.limit('u', { rate: 2 });
      expect(refused).toMatchObject({ success: false, remaining: 1 });
      expect(refused.reset).toBeGreaterThanOrEqual(started + 60_501);
      expect(await ratelimit.getRemaining('u')).toMatchObject({
        limit: 5,
        remaining: 1,
        reset: refused.reset,
      });
      await ratelimit.resetUsedTokens('u');
      expect(await ratelimit.getRemaining('u')).toMatchObject({ remaining: 5 });
    });

    test.each([
      ['wrong token', () => ({ url: upstash.bridge.url, token: 'wrong' })],
      ['nothing there', () => ({ url: 'http://127.0.0.1:1', token: upstash.bridge.token })],
    ])('%s: every method rejects with StoreUnavailable', async (_name, at) => {
      const quota = quotaAt(at());
      const unavailable = { name: 'StoreUnavailable' };
      await expect(quota.draw('u', 10)).rejects.toMatchObject(unavailable);
      await expect(quota.peek('u', 10)).rejects.toMatchObject(unavailable);
      await expect(quota.close('u', 10)).rejects.toMatchObject(unavailable);
      await expect(quota.ping()).rejects.toMatchObject(unavailable);
    });

    test('a key that is something else is not taken for a window', async () => {
      await upstash.client.set('postern:quota:{u}', 'something else');
      await expect(quotaAt(upstash.bridge).draw('u', 10)).rejects.toMatchObject({ name: 'StoreUnavailable' });
    });
  });

  test('a draw whose reply is lost is not sent again', async () => {
    let requests = 0;
    const server = createServer((request) => {
      requests += 1;
      request.socket.destroy();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(quotaAt({ url, token: 'token' }).draw('u', 10)).rejects.toThrow('Redis did not answer');
    server.close();
    expect(requests).toBe(1);
  });

  test('a draw that is slow to be answered is not taken for granted', async () => {
    vi.useFakeTimers();
    const { promise: answer, resolve } = Promise.withResolvers<{ result: never }>();
    const quota = createUpstashQuota({ ...CONTRACT_WINDOW, redis: new Redis({ request: () => answer }) });
    const draw = quota.draw('u', 10);
    await vi.advanceTimersByTimeAsync(60_000);
    vi.useRealTimers();
    resolve({ result: [0, 0, 7, 5, 1_000] as never });
    expect(await draw).toEqual({ granted: false, limit: 10, remaining: 0, resetMs: 7, retryAfterMs: 5 });
  });

  test.each([[undefined], ['Aborted'], [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 'five']], [[1, 2, 3, 4, null]]])(
    'the reply %j is no draw',
    async (result) => {
      const quota = createUpstashQuota({
        ...CONTRACT_WINDOW,
        redis: new Redis({ request: async () => ({ result: result as never }) }),
      });
      await expect(quota.draw('u', 10)).rejects.toMatchObject({ name: 'StoreUnavailable' });
    },
  );
});
