/** The longest piece of work, in milliseconds, behind which others are not let through. */
const LONG_MS = 10;

/**
 * Of work on a large message, in pieces: other requests have a turn between two of them where the last turn took long. On
 * Workers the clock stands still while code runs, so there they never do.
 */
export class Pace {
  #start = performance.now();

  /** @param longMs - less where a long piece follows that cannot be cut */
  async giveWay(longMs = LONG_MS): Promise<void> {
    if (performance.now() - this.#start < longMs) return;
    // Twice: behind an event of a socket, the first one comes before the next event.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    this.#start = performance.now();
  }
}
