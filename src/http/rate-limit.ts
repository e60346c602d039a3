/** `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC 9651). */

import type { MiddlewareHandler } from 'hono';
import type { Quota, QuotaState } from '../quota.ts';
import { StoreUnavailable } from '../store.ts';
import type { Env } from './context.ts';

/** Seconds until the whole limit is back, never more than the window that the policy names. */
export const resetSeconds = (state: QuotaState, windowSeconds: number): number =>
  Math.min(windowSeconds, Math.ceil(state.resetMs / 1000));

/**
 * Puts the caller's window on every answer to an authenticated request.
 *
 * A handler that drew a call says what was left (`c.set('quotaState', …)`); for any other the store is asked.
 */
export function rateLimit(quota: Quota, windowSeconds: number): MiddlewareHandler<Env> {
  return async function rateLimit(c, next) {
    await next();
    const { apiUser, quota: limit } = c.get('caller').account;
    const state = c.get('quotaState') ?? (await peek(apiUser, limit));
    // `c.header` would make a new response of the one that stands.
    const { headers } = c.res;
    headers.set('RateLimit-Policy', `"apiuser";q=${limit};w=${windowSeconds}`);
    if (state) {
      headers.set('RateLimit', `"apiuser";r=${state.remaining};t=${resetSeconds(state, windowSeconds)}`);
    }
  };

  /** A store that is away must not turn an answer that stands into an error. */
  async function peek(apiUser: string, limit: number): Promise<QuotaState | null> {
    try {
      return await quota.peek(apiUser, limit);
    } catch (error) {
      if (error instanceof StoreUnavailable) return null;
      throw error;
    }
  }
}
