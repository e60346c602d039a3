/** The shared quota of an api_user: the contract. A call is one attempt to hand upstream a message. */

/** What an api_user has left, as the store's clock sees it. */
export interface QuotaState {
  /** Calls per window. */
  readonly limit: number;
  /** Calls that could be drawn now. */
  readonly remaining: number;
  /** Milliseconds until the whole limit is available again; 0 when it is. */
  readonly resetMs: number;
}

/** The answer to a draw: all of its cost or nothing. */
export interface Draw extends QuotaState {
  readonly granted: boolean;
  /** Milliseconds until the refused cost fits; 0 when granted. */
  readonly retryAfterMs: number;
}

/**
 * One window per api_user, labels and doors together. An api_user is the same in upper and lower case: should
 * upstream not mind it, another spelling must not be another window.
 *
 * Every method rejects with `StoreUnavailable` when the store is away and must not be replaced.
 */
export interface Quota {
  /** Draws `cost` calls (a whole number from 1 to `limit`) of `apiUser`, all or none. */
  draw(apiUser: string, limit: number, cost?: number): Promise<Draw>;
  /** Reads the window; draws nothing. */
  peek(apiUser: string, limit: number): Promise<QuotaState>;
  /** Refuses every draw of `apiUser` for the next `ms` milliseconds: upstream said 536. Never shortens a closure. */
  close(apiUser: string, ms: number): Promise<void>;
  /** Asks the store itself whether it answers; no window is touched. */
  ping(): Promise<void>;
}

/** The window's shape, from the settings. */
export interface WindowOptions {
  /** Length of the window in milliseconds. */
  readonly windowMs: number;
  /** Added to the window for the spread of the way to upstream, in milliseconds. */
  readonly guardMs: number;
}

/** @throws RangeError for a cost that no window of this limit can ever hold. */
export function assertCost(cost: number, limit: number): void {
  if (!(Number.isSafeInteger(cost) && cost >= 1 && cost <= limit))
    throw new RangeError(`A draw costs a whole number of calls from 1 to the limit ${limit}, not ${cost}`);
}

/** @throws RangeError for a closure that is not a length of time. */
export function assertClosure(ms: number): void {
  if (!(Number.isSafeInteger(ms) && ms >= 0))
    throw new RangeError(`A quota is closed for a whole number of milliseconds, not ${ms}`);
}
