/** The longest piece of work, in milliseconds, behind which others are not let through. */
const LONG_MS = 10;

/**
 * Between two pieces of work on a large message: lets other requests have a turn where the one since `start` (by
 * `performance.now()`) took long. On Workers that clock stands still while code runs, so there it never does.
 */
export async function giveWay(start: number): Promise<void> {
  if (performance.now() - start < LONG_MS) return;
  await new Promise((resolve) => setImmediate(resolve));
}
