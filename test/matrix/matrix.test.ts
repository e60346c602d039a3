/** `npm run matrix` runs this with MATRIX=full: all pairs, and prints what came of them. */

import { expect, test } from 'vitest';
import { nameOf, type Pair, run, type Verdict } from './pair.ts';
import { summaryOf, tableOf } from './table.ts';
import { type MatrixStep, STEPS, USED, waysOf } from './ways.ts';

const isFull = process.env.MATRIX === 'full';
const only = process.env.MATRIX_ONLY;

/** Pairs at once: most of them wait. */
const AT_ONCE = 32;

/** Of all pairs, one in so many is in the fast subset. */
const SAMPLED = 29;

const pairs: Pair[] = STEPS.flatMap((step) =>
  waysOf(step).flatMap((way) =>
    (['http', 'smtp'] as const).flatMap((door) =>
      [false, true].flatMap((isUsed) =>
        ([null, 1] as const).map((times) => ({ step, way, door, isUsed, times })),
      ),
    ),
  ),
).filter(
  ({ step, way, isUsed, times }) =>
    (!isUsed || USED.includes(step)) &&
    (times === null || !(way.upstream || step === 'after dot' || step === 'idle')),
);

async function runAll(chosen: readonly Pair[], atOnce: number): Promise<Verdict[]> {
  const queue = chosen.values();
  const verdicts: Verdict[] = [];
  const worker = async () => {
    for (const pair of queue) {
      verdicts.push(
        await run(pair).catch((error: Error) => ({
          pair,
          delivery: 'error',
          wrong: [error.message],
          toldMs: 0,
          nextMs: 0,
        })),
      );
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return verdicts;
}

const wrongs = (verdicts: readonly Verdict[]): string[] =>
  verdicts.flatMap(({ pair, wrong }) => wrong.map((one) => `${nameOf(pair)}: ${one}`)).sort();

/** Of what is open: sockets, servers and timers that keep the process. */
const open = (): number =>
  process.getActiveResourcesInfo().filter((name) => /^(?:TCP|TLS|Pipe|Timeout)/.test(name)).length;

const chosen = pairs.filter((pair, index) =>
  only === undefined ? isFull || index % SAMPLED === 0 : nameOf(pair).includes(only),
);

test(`${chosen.length} of ${pairs.length} pairs: outcome told = outcome real`, async () => {
  const before = open();
  const verdicts = await runAll(chosen, AT_ONCE);
  console.log(`${tableOf(verdicts)}\n\n${summaryOf(verdicts)}`);
  expect(wrongs(verdicts)).toEqual([]);
  await expect.poll(open, { timeout: 20_000 }).toBeLessThanOrEqual(before);
}, 3_600_000);

/** Of the process, upstream's own included, in milliseconds: a loop over what has come so far takes many seconds. */
const MOST_CPU_MS = 1500;

test('a flood costs little time of the processor', { timeout: 600_000 }, async () => {
  const steps: readonly MatrixStep[] = isFull ? STEPS : ['greeting', 'data'];
  const floods = pairs.filter(
    ({ step, way, door, isUsed, times }) =>
      way.flood && door === 'http' && !isUsed && times === null && steps.includes(step),
  );
  const costly: string[] = [];
  for (const pair of floods) {
    const start = process.cpuUsage();
    await run(pair);
    const { user, system } = process.cpuUsage(start);
    const ms = Math.round((user + system) / 1000);
    if (isFull) console.log(`${nameOf(pair)}: ${ms} ms`);
    if (ms > MOST_CPU_MS) costly.push(`${nameOf(pair)}: ${ms} ms`);
  }
  expect(costly).toEqual([]);
});
