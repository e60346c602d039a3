import { StoreUnavailable } from '../../store.ts';

/** Pauses between two questions to a store that is away, in milliseconds: doubled from the first to the last. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 10_000;

export interface AvailabilityOptions {
  /** Runs at each change; with the error that showed the store to be away. */
  readonly onChange: (available: boolean, error?: StoreUnavailable) => void;
  /** Milliseconds of a clock that does not step back; the process's monotonic clock by default. */
  readonly now?: () => number;
}

/**
 * Whether a store answers, as the last call to it showed: one for all that is kept in it. While it is away calls fail
 * at once, except one after each pause, which finds out whether it is back.
 */
export class Availability {
  readonly #onChange: AvailabilityOptions['onChange'];
  readonly #now: () => number;
  #error: StoreUnavailable | null = null;
  #pauseMs = FIRST_PAUSE_MS;
  #askAgainAt = 0;
  #backAt = Number.NEGATIVE_INFINITY;

  constructor({ onChange, now = () => performance.now() }: AvailabilityOptions) {
    this.#onChange = onChange;
    this.#now = now;
  }

  get available(): boolean {
    return this.#error === null;
  }

  /** Milliseconds since the store was last away; infinite where it never was, 0 while it is. */
  get sinceBackMs(): number {
    return this.available ? this.#now() - this.#backAt : 0;
  }

  /** Asks the store, or rejects at once with StoreUnavailable while it is away and left alone. */
  async ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#error === null) return this.#observe(question);

    if (this.#now() < this.#askAgainAt) {
      throw new StoreUnavailable('The store did not answer and is left alone for a moment', {
        cause: this.#error,
      });
    }

    // Calls made meanwhile fail at once.
    this.#askAgainAt = Number.POSITIVE_INFINITY;
    try {
      return await this.#observe(question);
    } finally {
      this.#pauseMs = Math.min(2 * this.#pauseMs, LAST_PAUSE_MS);
      this.#askAgainAt = this.#now() + this.#pauseMs;
    }
  }

  async #observe<T>(question: () => Promise<T>): Promise<T> {
    try {
      const answer = await question();
      this.#isBack();
      return answer;
    } catch (error) {
      if (error instanceof StoreUnavailable) this.#isAway(error);
      throw error;
    }
  }

  #isBack(): void {
    if (this.#error === null) return;
    this.#error = null;
    this.#backAt = this.#now();
    this.#onChange(true);
  }

  /** Calls in flight fail one after the other: only the first one starts a pause. */
  #isAway(error: StoreUnavailable): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#askAgainAt = this.#now() + this.#pauseMs;
    this.#onChange(false, error);
  }
}
