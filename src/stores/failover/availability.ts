import { QuotaUnavailable } from '../../quota.ts';

/** Pauses between two questions to a store that is away, in milliseconds: doubled from the first to the last. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 10_000;

export interface AvailabilityOptions {
  /** Told of each change; with the error that showed the store to be away. */
  readonly onChange: (available: boolean, error?: QuotaUnavailable) => void;
  /** Milliseconds of a clock that does not step back. */
  readonly now: () => number;
}

/**
 * Whether the store answers, as its last call showed. While it is away nobody waits for it, except one call
 * after each pause, which finds out whether it is back.
 */
export class Availability {
  readonly #options: AvailabilityOptions;
  #error: QuotaUnavailable | null = null;
  #pauseMs = FIRST_PAUSE_MS;
  #askAgainAt = 0;

  constructor(options: AvailabilityOptions) {
    this.#options = options;
  }

  get available(): boolean {
    return this.#error === null;
  }

  /** Asks the store, or rejects at once with QuotaUnavailable while it is away and left alone. */
  async ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#error === null) return this.#observe(question);

    if (this.#options.now() < this.#askAgainAt)
      throw new QuotaUnavailable('Redis did not answer and is left alone for a moment', {
        cause: this.#error,
      });

    // Whoever comes while this call waits is not to wait as well.
    this.#askAgainAt = Number.POSITIVE_INFINITY;
    try {
      return await this.#observe(question);
    } finally {
      this.#pauseMs = Math.min(2 * this.#pauseMs, LAST_PAUSE_MS);
      this.#askAgainAt = this.#options.now() + this.#pauseMs;
    }
  }

  async #observe<T>(question: () => Promise<T>): Promise<T> {
    try {
      const answer = await question();
      this.#isBack();
      return answer;
    } catch (error) {
      if (error instanceof QuotaUnavailable) this.#isAway(error);
      throw error;
    }
  }

  #isBack(): void {
    if (this.#error === null) return;
    this.#error = null;
    this.#options.onChange(true);
  }

  /** The calls that were under way fail one after the other: only the first one starts a pause. */
  #isAway(error: QuotaUnavailable): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#askAgainAt = this.#options.now() + this.#pauseMs;
    this.#options.onChange(false, error);
  }
}
