/** The messages of a batch, some at a time, each with an end of its own. */

import { NO_TIME } from './deliver.ts';
import type { Log } from './log.ts';
import { INTERNAL } from './outcome.ts';
import { Pace } from './pace.ts';
import type { Send } from './send.ts';

/** Messages of one batch. */
export const MOST_IN_BATCH = 100;

/** Messages of one batch in flight at once: enough to keep a login's connections busy. */
export const BATCH_WORKERS = 8;

/** An exception is the failure of its own message: it must not hide how the others of a batch ended. */
export const eachAlone =
  (send: Send, log: Log): Send =>
  (request, signal) =>
    send(request, signal).catch((error: Error) => {
      log.error('internal', { requestId: request.origin.requestId, error: error.stack ?? String(error) });
      return { result: INTERNAL, replayed: false, quota: null, timing: { compose: 0, ...NO_TIME } };
    });

/**
 * Runs `work` for every item, `workers` at a time; the results are in the items' order.
 *
 * Items start one after another, and other requests get a turn when the last item took long: validating a large
 * message delays all of them.
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
