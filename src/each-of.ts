/** The messages of a batch: some at a time, each in a turn of its own. */

/** Messages of one batch in flight at once: enough to keep a login's connections busy. */
export const BATCH_WORKERS = 8;

/**
 * Runs `work` for every item, `workers` at a time; the results are in the items' order.
 *
 * Every item starts in a turn of the event loop of its own: the validation of a large message takes long
 * enough to be felt by all others, and one that fails waits for nothing. A turn costs some 5 µs.
 */
export async function eachOf<T, R>(
  items: readonly T[],
  workers: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  let turn = Promise.resolve();
  const nextTurn = () => {
    turn = turn.then(() => new Promise((resolve) => setImmediate(resolve)));
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
