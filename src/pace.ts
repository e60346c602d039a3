/** The longest piece of work, in milliseconds, behind which others are not let through. */
const LONG_MS = 10;

/**
 * Of work on a large message, in pieces: other requests have a turn between two of them where the last turn took long. On
 * Workers the clock stands still while code runs, so there they never do.
 */
export class Pace {
  #start = performance.now();

  async giveWay(): Promise<void> {
    if (performance.now() - this.#start < LONG_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#start = performance.now();
  }
}
