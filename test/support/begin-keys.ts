/**
 * One of several processes that begin the same idempotency keys at the same time.
 * Waits for a line on its stdin, then prints the states it found as JSON.
 */
import { once } from 'node:events';
import { createUpstashIdempotency } from '../../src/stores/upstash/idempotency.ts';
import { createRedis } from '../../src/stores/upstash/redis.ts';

const [url = '', token = '', keys = '0'] = process.argv.slice(2);
const idempotency = createUpstashIdempotency(createRedis({ url, token, timeoutMs: 10_000 }));

console.log('ready');
await once(process.stdin, 'data');
process.stdin.destroy();
const states = await Promise.all(
  Array.from({ length: Number(keys) }, (_, i) =>
    idempotency.begin({
      apiUser: 'u',
      key: `key ${i}`,
      fingerprint: 'print',
      leaseMs: 30_000,
      keptMs: 30_000,
      recordChars: 100,
    }),
  ),
);
console.log(JSON.stringify(states.map(({ state }) => state)));
