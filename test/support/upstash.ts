import { afterAll, beforeAll, beforeEach } from 'vitest';
import {
  type Bridge,
  connectRedis,
  describeWithRedis,
  startBridge,
  startRedis,
  type TestRedis,
  type TestRedisClient,
} from './redis.ts';
import { createTestClock, readTestClock } from './redis-clock.ts';

/** A real Redis behind Upstash's REST protocol, emptied before each test. Its members are there while tests run. */
export interface Upstash {
  readonly client: TestRedisClient;
  /** On the server's clock. */
  readonly bridge: Bridge;
  /** A second way to the same Redis. */
  readonly other: Bridge;
  /** On a clock of the test's, which {@link clock} moves. */
  readonly clocked: Bridge;
  clock(): ReturnType<typeof createTestClock>;
}

/** A suite on that; without a `redis-server` it is left out. */
export function describeWithUpstash(name: string, suite: (upstash: Upstash) => void): void {
  describeWithRedis(name, () => {
    let redis: TestRedis;
    let client: TestRedisClient;
    let bridges: [Bridge, Bridge, Bridge];
    beforeAll(async () => {
      redis = await startRedis();
      client = await connectRedis(redis);
      bridges = await Promise.all([
        startBridge(redis),
        startBridge(redis),
        startBridge(redis, { rewrite: readTestClock }),
      ]);
    });
    afterAll(async () => {
      await Promise.all(bridges.map((bridge) => bridge.close()));
      client.destroy();
      await redis.close();
    });
    beforeEach(async () => {
      await client.flushAll();
    });

    suite({
      get client() {
        return client;
      },
      get bridge() {
        return bridges[0];
      },
      get other() {
        return bridges[1];
      },
      get clocked() {
        return bridges[2];
      },
      clock: () => createTestClock(client),
    });
  });
}
