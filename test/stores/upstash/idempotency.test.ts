import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Redis } from '@upstash/redis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createUpstashIdempotency } from '../../../src/stores/upstash/idempotency.ts';
import { createRedis } from '../../../src/stores/upstash/redis.ts';
import { idempotencyContract } from '../../contract/idempotency.ts';
import {
  type Bridge,
  connectRedis,
  describeWithRedis,
  startBridge,
  startRedis,
  type TestRedis,
  type TestRedisClient,
} from '../../support/redis.ts';
import { createTestClock, readTestClock } from '../../support/redis-clock.ts';

const storeAt = ({ url, token }: Pick<Bridge, 'url' | 'token'>) =>
  createUpstashIdempotency(createRedis({ url, token, timeoutMs: 10_000 }));

describeWithRedis('idempotency in Upstash Redis', () => {
  let redis: TestRedis;
  let client: TestRedisClient;
  beforeAll(async () => {
    redis = await startRedis();
    client = await connectRedis(redis);
  });
  afterAll(async () => {
    client.destroy();
    await redis.close();
  });
  beforeEach(async () => {
    await client.flushAll();
  });

  describe('on a clock of the test', () => {
    let bridge: Bridge;
    beforeAll(async () => {
      bridge = await startBridge(redis, { rewrite: readTestClock });
    });
    afterAll(() => bridge.close());

    idempotencyContract(async () => ({ idempotency: storeAt(bridge), ...(await createTestClock(client)) }));
  });

  describe('on the clock of the server', () => {
    let bridge: Bridge;
    beforeAll(async () => {
      bridge = await startBridge(redis);
    });
    afterAll(() => bridge.close());

    test('each operation is one request once its script is known', async () => {
      const store = storeAt(bridge);
      const cycle = async (key: string) => {
        const found = await store.begin(key, 'print', 30_000);
        const token = found.state === 'fresh' ? found.token : '';
        await store.finish(key, token, 'record');
        await store.release(key, token);
      };
      await cycle('first');
      const before = bridge.requests();
      await cycle('second');
      expect(bridge.requests() - before).toBe(3);
    });

    test('every key has an expiry', async () => {
      const store = storeAt(bridge);
      await store.begin('k', 'print', 30_000);
      expect(await client.pTTL('postern:idempotency:k')).toBeGreaterThan(86_000_000);
    });

    test('of two processes that begin the same keys at once, one gets each', async () => {
      const keys = 200;
      const processes = [1, 2].map(() => {
        const script = fileURLToPath(new URL('../../support/begin-keys.ts', import.meta.url));
        const child = spawn(process.execPath, [script, bridge.url, bridge.token, String(keys)], {
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        return { child, lines: createInterface({ input: child.stdout }) };
      });
      await Promise.all(processes.map(({ lines }) => once(lines, 'line')));
      const found = await Promise.all(
        processes.map(async ({ child, lines }) => {
          child.stdin.write('go\n');
          const [line] = await once(lines, 'line');
          return JSON.parse(line) as string[];
        }),
      );
      for (let i = 0; i < keys; i++)
        expect(found.map((states) => states[i]).sort()).toEqual(['busy', 'fresh']);
    });

    test('a store that is away rejects, and its error does not tell the record', async () => {
      const store = storeAt({ url: bridge.url, token: 'wrong' });
      await expect(store.begin('k', 'print', 30_000)).rejects.toThrow('Unauthorized');
      const finish = store.finish('k', 'token', 'a record with ben@ifaxin.com');
      await expect(finish).rejects.toThrow('Unauthorized');
      await expect(finish).rejects.not.toThrow('ben@ifaxin.com');
    });
  });

  test.each([[null], ['Aborted'], [[]], [['replay']], [['busy', 'soon']], [['new']]])(
    'the reply %j is no state',
    async (result) => {
      const redis = new Redis({ request: async () => ({ result: result as never }) });
      const store = createUpstashIdempotency(redis);
      await expect(store.begin('k', 'print', 30_000)).rejects.toThrow('something else');
      await expect(store.finish('k', 'token', 'record')).rejects.toThrow('something else');
    },
  );
});
