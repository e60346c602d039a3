import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Redis } from '@upstash/redis';
import { describe, expect, test } from 'vitest';
import { type Idempotency, KEPT_MS } from '../../../src/idempotency.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { createUpstashIdempotency } from '../../../src/stores/upstash/idempotency.ts';
import { createRedis } from '../../../src/stores/upstash/redis.ts';
import { idempotencyContract } from '../../contract/idempotency.ts';
import type { Bridge } from '../../support/redis.ts';
import { describeWithUpstash } from '../../support/upstash.ts';

const storeAt = ({ url, token }: Pick<Bridge, 'url' | 'token'>) =>
  createUpstashIdempotency(createRedis({ url, token, timeoutMs: 10_000 }));

const begin = (store: Idempotency, key: string, fingerprint = 'print') =>
  store.begin({ apiUser: 'u', key, fingerprint, leaseMs: 30_000, keptMs: KEPT_MS, recordChars: 100 });

describeWithUpstash('idempotency in Upstash Redis', (upstash) => {
  describe('on a clock of the test', () => {
    idempotencyContract(async () => ({ idempotency: storeAt(upstash.clocked), ...(await upstash.clock()) }));
  });

  describe('on the clock of the server', () => {
    test('each operation is one request once its script is known', async () => {
      const store = storeAt(upstash.bridge);
      const cycle = async (key: string) => {
        const found = await begin(store, key);
        const token = found.state === 'fresh' ? found.token : '';
        await store.finish(key, token, 'record');
        await store.release(key, token);
      };
      await cycle('first');
      const before = upstash.bridge.requests();
      await cycle('second');
      expect(upstash.bridge.requests() - before).toBe(3);
    });

    test('every key has an expiry', async () => {
      const store = storeAt(upstash.bridge);
      await begin(store, 'k');
      expect(await upstash.client.pTTL('postern:idempotency:k')).toBeGreaterThan(86_000_000);
    });

    test('of two processes that begin the same keys at once, one gets each', async () => {
      const keys = 200;
      const processes = [1, 2].map(() => {
        const script = fileURLToPath(new URL('../../support/begin-keys.ts', import.meta.url));
        const child = spawn(
          process.execPath,
          [script, upstash.bridge.url, upstash.bridge.token, String(keys)],
          {
            stdio: ['pipe', 'pipe', 'inherit'],
          },
        );
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
      const store = storeAt({ url: upstash.bridge.url, token: 'wrong' });
      const away = { name: 'StoreUnavailable', cause: { message: expect.stringContaining('Unauthorized') } };
      await expect(begin(store, 'k')).rejects.toMatchObject(away);
      await expect(store.ping()).rejects.toMatchObject(away);
      const finish = store.finish('k', 'token', 'a record with ben@ifaxin.com');
      await expect(finish).rejects.toMatchObject(away);
      await expect(finish).rejects.not.toMatchObject({
        cause: { message: expect.stringContaining('ben@ifaxin.com') },
      });
    });

    test.each([
      ['of another kind', (key: string) => upstash.client.set(key, 'a text')],
      ['without a fingerprint', (key: string) => upstash.client.hSet(key, { token: 't', until: '1' })],
      ['without the end of its lease', (key: string) => upstash.client.hSet(key, { print: 'print' })],
      [
        'with nonsense for that end',
        (key: string) => upstash.client.hSet(key, { print: 'print', until: 'x' }),
      ],
    ])('a key %s is lost, not fresh', async (_name, damage) => {
      await damage('postern:idempotency:k');
      expect(await begin(storeAt(upstash.bridge), 'k')).toEqual({ state: 'lost' });
    });
  });

  test.each([[null], ['Aborted'], [[]], [['replay']], [['busy', 'soon']], [['new']]])(
    'the reply %j is no state',
    async (result) => {
      const redis = new Redis({ request: async () => ({ result: result as never }) });
      const store = createUpstashIdempotency(redis);
      await expect(begin(store, 'k')).rejects.toThrow(StoreUnavailable);
      await expect(store.finish('k', 'token', 'record')).rejects.toThrow(StoreUnavailable);
    },
  );
});
