/** The exact window of an api_user as pure arithmetic, for every store that decides for itself. */

import { assertClosure, assertCost, type Draw, type QuotaState, type WindowOptions } from '../quota.ts';

/** A draw joins the newest sub-bucket while that one's first draw is younger than this, in milliseconds. */
export const GRAIN_MS = 250;

/**
 * Milliseconds from a draw to the first one at which it is let go. The window is closed at both ends and
 * a clock of whole milliseconds is up to one late, so the last millisecond has to pass as well.
 */
export const spanOf = ({ windowMs, guardMs }: WindowOptions): number => windowMs + guardMs + 1;

/** Draws made within one grain, let go together. Times are those of its first and its last draw. */
interface SubBucket {
  readonly first: number;
  last: number;
  count: number;
  next: SubBucket | null;
}

/**
 * The exact window of one api_user: pure arithmetic over the caller's clock, in whole milliseconds.
 *
 * No closed interval of window + guard ever holds more than the limit, because a sub-bucket is let go only
 * after its last draw has left that interval. Its first draw is thereby held at most one grain too long.
 *
 * The window's own clock is the latest granted draw: an earlier `now` counts as that, so a clock that steps
 * back frees nothing. Only a granted draw and a closure change the state, so a refusal leaves no trace.
 *
 * A draw takes amortised constant time; a refusal looks at as many sub-buckets as must go for its cost, at
 * most (window + guard) / grain + 2.
 */
export class ExactWindow {
  readonly #span: number;
  #oldest: SubBucket | null = null;
  #newest: SubBucket | null = null;
  #used = 0;
  #closedUntil = Number.NEGATIVE_INFINITY;

  constructor(options: WindowOptions) {
    this.#span = spanOf(options);
  }

  /**
   * Draws `cost` calls at `now`, all or none. The limit may differ from call to call.
   *
   * @throws RangeError for a cost that is not a whole number from 1 to `limit`.
   */
  draw(now: number, limit: number, cost: number): Draw {
    assertCost(cost, limit);
    const time = this.#clock(now);
    const retryAfterMs = this.#wait(time, limit - cost);
    if (retryAfterMs > 0) return { granted: false, retryAfterMs, ...this.#state(time, limit) };

    this.#letGo(time);
    this.#count(time, cost);
    return { granted: true, retryAfterMs: 0, limit, remaining: limit - this.#used, resetMs: this.#span };
  }

  /** The window at `now`; changes nothing. */
  peek(now: number, limit: number): QuotaState {
    return this.#state(this.#clock(now), limit);
  }

  /**
   * Refuses every draw from `now` on for `ms`, unless it is closed for longer already.
   *
   * @throws RangeError for an `ms` that is not a whole number from 0.
   */
  close(now: number, ms: number): void {
    assertClosure(ms);
    this.#closedUntil = Math.max(this.#closedUntil, this.#clock(now) + ms);
  }

  /** Nothing is counted and nothing closed at `now`: a new window would answer the same. */
  isIdle(now: number): boolean {
    return this.#resetMs(this.#clock(now)) === 0;
  }

  #clock(now: number): number {
    return this.#newest === null ? now : Math.max(now, this.#newest.last);
  }

  /** Milliseconds until not more than `room` calls are held and the window is open. */
  #wait(time: number, room: number): number {
    let at = Math.max(time, this.#closedUntil);
    let used = this.#used;
    for (let bucket = this.#oldest; bucket !== null && used > room; bucket = bucket.next) {
      used -= bucket.count;
      at = Math.max(at, bucket.last + this.#span);
    }
    return at - time;
  }

  #state(time: number, limit: number): QuotaState {
    let used = this.#used;
    for (let bucket = this.#oldest; bucket !== null && this.#isOver(bucket, time); bucket = bucket.next)
      used -= bucket.count;
    const remaining = time < this.#closedUntil ? 0 : Math.max(0, limit - used);
    return { limit, remaining, resetMs: this.#resetMs(time) };
  }

  #resetMs(time: number): number {
    const back = this.#newest === null ? time : this.#newest.last + this.#span;
    return Math.max(0, back - time, this.#closedUntil - time);
  }

  #isOver(bucket: SubBucket, time: number): boolean {
    return time - bucket.last >= this.#span;
  }

  #letGo(time: number): void {
    while (this.#oldest !== null && this.#isOver(this.#oldest, time)) {
      this.#used -= this.#oldest.count;
      this.#oldest = this.#oldest.next;
    }
    if (this.#oldest === null) this.#newest = null;
  }

  #count(time: number, cost: number): void {
    this.#used += cost;
    if (this.#newest !== null && time - this.#newest.first < GRAIN_MS) {
      this.#newest.last = time;
      this.#newest.count += cost;
      return;
    }
    const bucket: SubBucket = { first: time, last: time, count: cost, next: null };
    if (this.#newest === null) this.#oldest = bucket;
    else this.#newest.next = bucket;
    this.#newest = bucket;
  }
}
