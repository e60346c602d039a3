import type { Ratelimit } from '@upstash/ratelimit';
import type { Draw } from '../../quota.ts';
import type { WindowScript } from './window-script.ts';

/** An algorithm of `@upstash/ratelimit`. The library does not export the type itself. */
export type Limiter = ConstructorParameters<typeof Ratelimit>[0]['limiter'];

/** What the library hands on unchanged besides its own fields. */
export type LimiterResponse = Awaited<ReturnType<ReturnType<Limiter>['limit']>> & Omit<Draw, 'granted'>;

/**
 * The exact window as a limiter of `@upstash/ratelimit`, where `rate` is the cost of a draw.
 *
 * Hint: without `timeout: 0` the library grants what Redis did not answer in 5 s.
 *
 * @example
 * new Ratelimit({ redis, limiter: exactWindow(script, 20_000), timeout: 0 })
 */
export function exactWindow(script: WindowScript, limit: number): Limiter {
  return () => ({
    async limit(_context, key, rate = 1): Promise<LimiterResponse> {
      const { granted, remaining, resetMs, retryAfterMs, time } = await script('draw', key, limit, rate);
      const reset = time + resetMs;
      return { success: granted, limit, remaining, reset, pending: Promise.resolve(), resetMs, retryAfterMs };
    },

    async getRemaining(_context, key) {
      const { remaining, resetMs, time } = await script('peek', key, limit, 0);
      return { limit, remaining, reset: time + resetMs, resetMs };
    },

    async resetTokens(context, key) {
      if ('redis' in context) await context.redis.del(key);
    },
  });
}
