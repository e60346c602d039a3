/** The longest piece of work, in milliseconds, behind which others are not let through. */
const LONG_MS = 10;

/**
 * Between two pieces of work on a large message: lets other requests have a turn where the one since `start` (by
 * `performance.now()`) took long. On Workers that clock stands still while code runs, so there it never does.
 *
 * @returns the start of the next piece
 */
export async function giveWay(start: number): Promise<number> {
  if (performance.now() - start < LONG_MS) return start;
  await new Promise((resolve) => setImmediate(resolve));
  return performance.now();
}
