import type { TestRedisClient } from './redis.ts';

const CLOCK = 'clock of the test';

/** For a bridge: scripts read the test's clock in place of the server's. */
export const readTestClock = (lua: string): string =>
  lua.replace("redis.call('TIME')", `redis.call('HMGET', '${CLOCK}', 's', 'us')`);

/** The clock that scripts of such a bridge read. It stands still on a day in 2001 until it is moved. */
export async function createTestClock(client: TestRedisClient) {
  const set = (ms: number) => client.hSet(CLOCK, { s: Math.floor(ms / 1000), us: (ms % 1000) * 1000 });
  let now = 1_000_000_000_000;
  await set(now);

  return {
    /** Moves the clock, and the expiry of every key with it. */
    async advance(ms: number): Promise<void> {
      now += ms;
      await set(now);
      for (const key of await client.keys('*')) {
        const left = await client.pTTL(key);
        if (left >= 0) await client.pExpire(key, left - ms);
      }
    },
  };
}
