/** The quota in Redis: what a draw costs, and the worst rolling minute that each algorithm admits. */

import { Ratelimit } from '@upstash/ratelimit';
import type { Redis } from '@upstash/redis';
import { createUpstashQuota } from '../src/stores/upstash/quota.ts';
import { createRedis } from '../src/stores/upstash/redis.ts';
import {
  type Bridge,
  connectRedis,
  startBridge,
  startRedis,
  type TestRedis,
  type TestRedisClient,
} from '../test/support/redis.ts';
import { createTestClock, readTestClock } from '../test/support/redis-clock.ts';
import { startContender, startSink } from './child.ts';
import { post } from './messages.ts';
import { table } from './report.ts';

const LIMIT = 20_000;
const WINDOW = { windowMs: 60_000, guardMs: 500 };

/** Draws `cost` calls of one user, all or none; true when granted. */
type Draw = (cost: number) => Promise<boolean>;

const algorithms: { title: string; create: (redis: Redis, user: string) => Draw }[] = [
  {
    title: "Postern's exact window",
    create: (redis, user) => {
      const quota = createUpstashQuota({ ...WINDOW, redis });
      return async (cost) => (await quota.draw(user, LIMIT, cost)).granted;
    },
  },
  { title: 'fixedWindow', create: builtIn(Ratelimit.fixedWindow(LIMIT, '60 s')) },
  { title: 'slidingWindow', create: builtIn(Ratelimit.slidingWindow(LIMIT, '60 s')) },
  { title: 'tokenBucket', create: builtIn(Ratelimit.tokenBucket(LIMIT, '60 s', LIMIT)) },
];

/** As its documentation has it, but without the cache and the time-out that answer for Redis. */
function builtIn(limiter: ConstructorParameters<typeof Ratelimit>[0]['limiter']) {
  return (redis: Redis, user: string): Draw => {
    const ratelimit = new Ratelimit({ redis, limiter, timeout: 0, ephemeralCache: false });
    return async (cost) => (await ratelimit.limit(user, { rate: cost })).success;
  };
}

const connect = (bridge: Bridge) => createRedis({ url: bridge.url, token: bridge.token, timeoutMs: 10_000 });

/** The worst of three ways to spend: all of it, and all that is to be had again after each of these pauses. */
const PAUSES_MS = [200, 30_000, 59_900];

export async function measureAlgorithms(): Promise<string> {
  const redis = await startRedis();
  const client = await connectRedis(redis);
  const real = await startBridge(redis);
  const rows: string[][] = [];
  for (const { title, create } of algorithms) {
    const cost = await costOf(create(connect(real), `cost-${title}`), client, real);
    rows.push([title, ...cost, `${await worstMinute(create, redis)}`]);
  }
  await real.close();
  client.destroy();
  await redis.close();
  const head = [
    '',
    'requests per draw',
    'draws/s, one after the other',
    'Redis µs per draw',
    'worst 60 s of 20000',
  ];
  return table(head, rows);
}

async function costOf(draw: Draw, client: TestRedisClient, bridge: Bridge): Promise<string[]> {
  const draws = 3000;
  for (let i = 0; i < 500; i++) await draw(1);
  const requests = bridge.requests();
  await client.sendCommand(['CONFIG', 'RESETSTAT']);
  const start = performance.now();
  for (let i = 0; i < draws; i++) await draw(1);
  const seconds = (performance.now() - start) / 1000;
  const perDraw = await scriptMicroseconds(client, draws);
  return [
    `${((bridge.requests() - requests) / draws).toFixed(2)}`,
    (draws / seconds).toFixed(0),
    perDraw.toFixed(1),
  ];
}

/** Redis's own time in scripts, whatever they call, divided by the draws. */
async function scriptMicroseconds(client: TestRedisClient, draws: number): Promise<number> {
  const stats = String(await client.sendCommand(['INFO', 'commandstats']));
  const spent = [...stats.matchAll(/cmdstat_evalsha?:calls=\d+,usec=(\d+)/g)].map(([, usec]) => Number(usec));
  return spent.reduce((sum, usec) => sum + usec, 0) / draws;
}

/** On a clock of the bench's own: Redis's for our script, the process's for theirs. */
async function worstMinute(create: (redis: Redis, user: string) => Draw, redis: TestRedis): Promise<number> {
  const client = await connectRedis(redis);
  const clock = await createTestClock(client);
  const bridge = await startBridge(redis, { rewrite: readTestClock });
  const wallClock = Date.now;
  // On a whole minute, where the windows of the built-in algorithms begin.
  let now = Math.ceil(wallClock() / 60_000) * 60_000;
  Date.now = () => now;
  const pass = async (ms: number) => {
    now += ms;
    await clock.advance(ms);
  };
  let worst = 0;
  try {
    for (const pause of PAUSES_MS) {
      const draw = create(connect(bridge), `worst-${pause}-${now}`);
      const granted: { at: number; calls: number }[] = [];
      const spend = async () => {
        for (let calls = 1000; calls >= 1; ) {
          if (await draw(calls)) granted.push({ at: now, calls });
          else calls = Math.floor(calls / 10);
        }
      };
      await pass(59_900);
      for (let burst = 0; burst < 3; burst++) {
        await spend();
        await pass(pause);
      }
      worst = Math.max(worst, mostInAMinute(granted));
      await pass(200_000);
      now = Math.ceil(now / 60_000) * 60_000;
    }
  } finally {
    Date.now = wallClock;
    await bridge.close();
    client.destroy();
  }
  return worst;
}

function mostInAMinute(granted: readonly { at: number; calls: number }[]): number {
  const from = (start: number) =>
    granted
      .filter(({ at }) => at >= start && at <= start + 60_000)
      .reduce((sum, { calls }) => sum + calls, 0);
  return Math.max(...granted.map(({ at }) => from(at)));
}

const SUSTAINED_SECONDS = 65;

/** 20000 messages a minute of one api_user through the whole gateway, and what a draw costs at full state. */
export async function measureSustained(): Promise<string> {
  const redis = await startRedis();
  const client = await connectRedis(redis);
  const bridge = await startBridge(redis);
  const sink = await startSink();
  const postern = await startContender('postern', sink.port, sink.caFile, {
    UPSTASH_REDIS_REST_URL: bridge.url,
    UPSTASH_REDIS_REST_TOKEN: bridge.token,
  });
  for (let i = 0; i < 500; i++) await post(postern.port);

  const requests = bridge.requests();
  const before = await postern.usage();
  const start = performance.now();
  const latencies: number[] = [];
  const pending: Promise<void>[] = [];
  const total = Math.round((LIMIT / 60) * SUSTAINED_SECONDS);
  // An open loop: a slow answer does not slow the next question down.
  while (pending.length < total) {
    const due = Math.min(total, ((performance.now() - start) / 60_000) * LIMIT);
    while (pending.length < due) {
      const sent = performance.now();
      pending.push(post(postern.port).then(() => void latencies.push(performance.now() - sent)));
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(pending);
  const seconds = (performance.now() - start) / 1000;
  const after = await postern.usage();
  const asked = bridge.requests() - requests;

  await client.sendCommand(['CONFIG', 'RESETSTAT']);
  const quota = createUpstashQuota({ ...WINDOW, redis: connect(bridge) });
  for (let i = 0; i < 2000; i++) await quota.draw('ifaxin', 1_000_000);
  const atFullState = await scriptMicroseconds(client, 2000);

  await postern.end();
  await sink.end();
  await bridge.close();
  client.destroy();
  await redis.close();
  latencies.sort((a, b) => a - b);
  const percentile = (share: number) => `${latencies[Math.floor(latencies.length * share)]?.toFixed(1)} ms`;
  return table(
    [
      'messages',
      'a minute',
      'cores used',
      'p50',
      'p99',
      'Redis requests per message',
      'Redis µs per draw, full state',
    ],
    [
      [
        `${total}`,
        ((total / seconds) * 60).toFixed(0),
        ((after.cpuMicroseconds - before.cpuMicroseconds) / 1e6 / seconds).toFixed(2),
        percentile(0.5),
        percentile(0.99),
        (asked / total).toFixed(2),
        atFullState.toFixed(1),
      ],
    ],
  );
}
