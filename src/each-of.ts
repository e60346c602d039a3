/** The messages of a batch, some at a time. */

import { Pace } from './pace.ts';

/** Messages of one batch in flight at once: enough to keep a login's connections busy. */
export const BATCH_WORKERS = 8;

/**
 * Runs `work` for every item, `workers` at a time; the results are in the items' order.
 *
 * The items start one behind the other, and others have a turn between two of them where those before took long: the
 * validation of a large message is felt by all others, and one that fails waits for nothing.
 */
export async function eachOf<T, R>(
  items: readonly T[],
  workers: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  const pace = new Pace();
  let turn = Promise.resolve();
  const nextTurn = () => {
    turn = turn.then(() => pace.giveWay());
    return turn;
  };
  const worker = async () => {
    for (const [index, item] of queue) {
      await nextTurn();
      results[index] = await work(item, index);
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return results;
}
