import { Ratelimit } from '@upstash/ratelimit';
import type { Redis } from '@upstash/redis';
import { assertClosure, assertCost, type Quota, type WindowOptions } from '../../quota.ts';
import { canonicalApiUser } from '../../sendcloud.ts';
import { exactWindow, type LimiterResponse } from './limiter.ts';
import { ping } from './script.ts';
import { createWindowScript } from './window-script.ts';

const PREFIX = 'postern:quota';

export interface UpstashQuotaOptions extends WindowOptions {
  /** From `createRedis`, which never sends a draw twice. */
  readonly redis: Redis;
}

/**
 * The quota in Upstash Redis: exact for any number of instances, by the server's clock.
 * A draw is one request, and every method rejects with StoreUnavailable when Redis does not answer.
 *
 * A reply that is lost may leave calls drawn and not made; it never leaves calls made and not drawn.
 */
export function createUpstashQuota({ redis, ...window }: UpstashQuotaOptions): Quota {
  const script = createWindowScript(redis, window);

  /** The library takes the limit from its limiter; the settings know few limits. */
  const byLimit = new Map<number, Ratelimit>();

  function ratelimitOf(limit: number): Ratelimit {
    const known = byLimit.get(limit);
    if (known !== undefined) return known;
    const ratelimit = new Ratelimit({
      redis,
      limiter: exactWindow(script, limit),
      prefix: PREFIX,
      timeout: 0,
      analytics: false,
    });
    byLimit.set(limit, ratelimit);
    return ratelimit;
  }

  return {
    async draw(apiUser, limit, cost = 1) {
      assertCost(cost, limit);
      const response = await ratelimitOf(limit).limit(tagged(apiUser), { rate: cost });
      // The library returns the limiter's own object; its type only knows the fields of the built-in ones.
      const { success, remaining, resetMs, retryAfterMs } = response as LimiterResponse;
      return { granted: success, limit, remaining, resetMs, retryAfterMs };
    },

    async peek(apiUser, limit) {
      const { remaining, resetMs } = await script('peek', keyOf(apiUser), limit, 0);
      return { limit, remaining, resetMs };
    },

    async close(apiUser, ms) {
      assertClosure(ms);
      await script('close', keyOf(apiUser), 0, ms);
    },

    ping: () => ping(redis),
  };
}

/** In braces: a cluster keeps all keys of one api_user in one slot. */
const tagged = (apiUser: string): string => `{${canonicalApiUser(apiUser)}}`;

/** The key that `@upstash/ratelimit` makes of the same identifier. */
const keyOf = (apiUser: string): string => `${PREFIX}:${tagged(apiUser)}`;
