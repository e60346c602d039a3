/** How many of one holder may do a thing at the same time; the others wait in their order. */

export class Turns {
  readonly #most: number;
  /** Those who wait; a holder is here as long as it has a turn. */
  readonly #holders = new Map<string, { taken: number; readonly waiting: (() => void)[] }>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Waits for a turn and resolves with what gives it back; null when `signal` aborts first. */
  async take(holder: string, signal: AbortSignal): Promise<(() => void) | null> {
    const turns = this.#holders.get(holder) ?? { taken: 0, waiting: [] };
    this.#holders.set(holder, turns);
    if (turns.taken < this.#most) turns.taken++;
    else if (!(await waitIn(turns.waiting, signal))) return null;
    return () => {
      const next = turns.waiting.shift();
      if (next) return next();
      turns.taken--;
      if (turns.taken === 0) this.#holders.delete(holder);
    };
  }
}

/** False when `signal` aborts before this one is called. */
function waitIn(queue: (() => void)[], signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const onTurn = () => {
      signal.removeEventListener('abort', onAbort);
      resolve(true);
    };
    const onAbort = () => {
      queue.splice(queue.indexOf(onTurn), 1);
      resolve(false);
    };
    queue.push(onTurn);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
