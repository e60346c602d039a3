import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WindowOptions } from '../../../src/quota.ts';
import { WINDOW_LUA } from '../../../src/stores/upstash/window-script.ts';
import { ExactWindow, GRAIN_MS, spanOf } from '../../../src/stores/window.ts';
import {
  connectRedis,
  describeWithRedis,
  startRedis,
  stripFlags,
  type TestRedis,
  type TestRedisClient,
} from '../../support/redis.ts';

/** One step of a random history; `gap` is the time since the step before, back in time where negative. */
interface Step {
  readonly mode: 'draw' | 'peek' | 'close';
  readonly gap: number;
  /** Index into the run's limits. */
  readonly limit: number;
  /** The cost of a draw as a share of the limit, or the milliseconds of a closure. */
  readonly share: number;
  readonly closure: number;
}

interface Run {
  readonly window: WindowOptions;
  readonly limits: readonly [number, number];
  readonly steps: readonly Step[];
}

/** 100 runs of 1,000 steps are the 100,000 that this promise was asked to hold for. */
const RUNS = 100;
const STEPS = 1_000;

const windows: WindowOptions[] = [
  { windowMs: 60_000, guardMs: 500 },
  { windowMs: 10_000, guardMs: 0 },
  { windowMs: 30_000, guardMs: 1 },
];

const runs: fc.Arbitrary<Run> = fc
  .record({
    window: fc.constantFrom(...windows),
    limit: fc.constantFrom(1, 2, 10, 100, 1_000, 20_000),
    /** Dense runs fill hundreds of sub-buckets, sparse ones let everything go again. */
    pace: fc.constantFrom(1, 30, 300, 3_000),
  })
  .chain(({ window, limit, pace }) => {
    const span = spanOf(window);
    const edges = [GRAIN_MS - 1, GRAIN_MS, GRAIN_MS + 1, span - GRAIN_MS, span - 1, span, span + 1];
    const gap = fc.oneof(
      { weight: 20, arbitrary: fc.constant(0) },
      { weight: 80, arbitrary: fc.integer({ min: 0, max: 2 * pace }) },
      { weight: 3, arbitrary: fc.constantFrom(...edges) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 * span }) },
      { weight: 2, arbitrary: fc.integer({ min: -2 * span, max: 0 }) },
    );
    const share = fc.oneof(
      { weight: 12, arbitrary: fc.constant(0) },
      { weight: 3, arbitrary: fc.double({ min: 0, max: 0.02, noNaN: true }) },
      { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
    );
    const mode = fc.oneof(
      { weight: 90, arbitrary: fc.constant('draw' as const) },
      { weight: 9, arbitrary: fc.constant('peek' as const) },
      { weight: 1, arbitrary: fc.constant('close' as const) },
    );
    const step = fc.record({
      mode,
      gap,
      share,
      limit: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1),
      closure: fc.integer({ min: 0, max: 12_000 }),
    });
    return fc.record({
      window: fc.constant(window),
      limits: fc.constant([limit, Math.ceil(limit * 0.6)] as const),
      steps: fc.array(step, { minLength: STEPS, maxLength: STEPS, size: 'max' }),
    });
  });

/** A step with its numbers worked out. */
interface Call {
  readonly mode: Step['mode'];
  readonly now: number;
  readonly limit: number;
  readonly amount: number;
}

/** Starts on a day in 2001: a server's clock, not one that starts at 0. */
function callsOf({ limits, steps }: Run): Call[] {
  let now = 1_000_000_000_000;
  return steps.map(({ mode, gap, limit: index, share, closure }) => {
    now += gap;
    const limit = limits[index] as number;
    const cost = Math.max(1, Math.ceil(share * limit));
    return { mode, now, limit, amount: mode === 'draw' ? cost : mode === 'close' ? closure : 0 };
  });
}

type Answer = readonly [granted: number, remaining: number, resetMs: number, retryAfterMs: number];

function inProcess(window: ExactWindow, { mode, now, limit, amount }: Call): Answer {
  if (mode === 'draw') {
    const draw = window.draw(now, limit, amount);
    return [Number(draw.granted), draw.remaining, draw.resetMs, draw.retryAfterMs];
  }
  if (mode === 'close') window.close(now, amount);
  const state = window.peek(now, limit);
  return [0, state.remaining, state.resetMs, 0];
}

/** Every granted draw, and nothing clever. Its clock is the latest granted draw, as the window's. */
class Oracle {
  readonly #draws: { readonly at: number; readonly cost: number }[] = [];
  readonly #heldMs: number;
  #closedUntil = 0;

  constructor({ windowMs, guardMs }: WindowOptions) {
    this.#heldMs = windowMs + guardMs;
  }

  /** Says what is wrong with the answer, or null. */
  objection({ mode, now, limit, amount }: Call, [granted, , , retryAfterMs]: Answer): string | null {
    const time = Math.max(now, this.#draws.at(-1)?.at ?? 0);
    if (mode === 'peek') return null;
    if (mode === 'close') {
      this.#closedUntil = Math.max(this.#closedUntil, time + amount);
      return null;
    }
    if (granted === 1) {
      this.#draws.push({ at: time, cost: amount });
      if (time < this.#closedUntil) return 'granted while closed';
      if (this.#held(time, 0) > limit)
        return 'a closed interval of window and guard holds more than the limit';
      return null;
    }
    const isClosed = (at: number) => at < this.#closedUntil;
    const fitsALate = (at: number) => this.#held(at, GRAIN_MS - 1) + amount <= limit;
    if (!isClosed(time) && fitsALate(time)) return 'refused by more than a grain';

    const later = time + retryAfterMs;
    if (isClosed(later) || this.#held(later, 0) + amount > limit) return 'told to come back too early';
    if (!isClosed(later - 1) && fitsALate(later - 1)) return 'told to come back late by more than a grain';
    return null;
  }

  /** Calls in the closed interval of window + guard, and of so much before, that ends at `at`. */
  #held(at: number, more: number): number {
    let held = 0;
    for (let i = this.#draws.length - 1; i >= 0; i--) {
      const draw = this.#draws[i] as { at: number; cost: number };
      if (draw.at < at - this.#heldMs - more) break;
      held += draw.cost;
    }
    return held;
  }
}

describeWithRedis('the window in Lua, the window in process and a list of all draws', () => {
  let redis: TestRedis;
  let client: TestRedisClient;
  let sha: string;
  beforeAll(async () => {
    redis = await startRedis();
    client = await connectRedis(redis);
    // The last argument is the clock: only here, the script as it is sent asks the server.
    const clock = '{ math.floor(ARGV[#ARGV] / 1000), ARGV[#ARGV] % 1000 * 1000 }';
    sha = await client.scriptLoad(stripFlags(WINDOW_LUA).replace("redis.call('TIME')", clock));
  });
  afterAll(async () => {
    client.destroy();
    await redis.close();
  });

  let keys = 0;

  async function inRedis(calls: readonly Call[], window: WindowOptions): Promise<Answer[]> {
    keys += 1;
    const settings = [String(spanOf(window)), String(GRAIN_MS)];
    const replies = calls.map(({ mode, now, limit, amount }) =>
      client.sendCommand<number[]>([
        ...['EVALSHA', sha, '1', `{${keys}}`, mode, ...settings],
        ...[String(limit), String(amount), String(now)],
      ]),
    );
    return (await Promise.all(replies)).map(
      ([granted = Number.NaN, remaining = Number.NaN, resetMs = Number.NaN, retryAfterMs = Number.NaN]) => [
        granted,
        remaining,
        resetMs,
        retryAfterMs,
      ],
    );
  }

  test(`agree on ${RUNS * STEPS} random draws, costs, closures and gaps`, { timeout: 120_000 }, async () => {
    let granted = 0;
    let refused = 0;
    const property = fc.asyncProperty(runs, async (run) => {
      const calls = callsOf(run);
      const window = new ExactWindow(run.window);
      const oracle = new Oracle(run.window);
      const replies = await inRedis(calls, run.window);
      calls.forEach((call, i) => {
        const answer = inProcess(window, call);
        expect(replies[i], `step ${i}`).toEqual(answer);
        expect(oracle.objection(call, answer), `step ${i}`).toBeNull();
        if (call.mode !== 'draw') return;
        if (answer[0] === 1) granted += 1;
        else refused += 1;
      });
    });
    await fc.assert(property, { numRuns: RUNS });
    // The histories are worth something only if both happen often.
    expect(granted).toBeGreaterThan(RUNS * STEPS * 0.1);
    expect(refused).toBeGreaterThan(RUNS * STEPS * 0.1);
  });
});
