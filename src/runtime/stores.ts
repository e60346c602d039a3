/** Where the quota and the idempotency keys live: in Upstash Redis, or in this process. */

import type { Config } from '../config.ts';
import type { Readiness } from '../http/app.ts';
import type { Idempotency } from '../idempotency.ts';
import type { Log } from '../log.ts';
import type { Quota } from '../quota.ts';
import { createFailoverIdempotency } from '../stores/failover/idempotency.ts';
import { createFailoverQuota } from '../stores/failover/quota.ts';
import { createMemoryIdempotency } from '../stores/memory/idempotency.ts';
import { createMemoryQuota } from '../stores/memory/quota.ts';
import { createUpstashIdempotency } from '../stores/upstash/idempotency.ts';
import { createUpstashQuota } from '../stores/upstash/quota.ts';
import { createRedis } from '../stores/upstash/redis.ts';

export interface Stores {
  readonly quota: Quota;
  readonly idempotency: Idempotency;
  /** Asks the store, and tells what stands against it; nothing where there is none to ask. */
  ready(): Promise<Readiness>;
}

/** The longest that one question to Redis may take: a small part of the deadline, in milliseconds. */
const REDIS_TIMEOUT_MS = 1500;

export function createStores(config: Config, log: Log): Stores {
  const ownQuota = createMemoryQuota(config.quota);
  const ownKeys = createMemoryIdempotency();
  if (!config.redis) {
    const reason = 'UPSTASH_REDIS_REST_URL is not set: quota and idempotency hold for this process alone';
    log.warn('in-process stores', { reason });
    return { quota: ownQuota, idempotency: ownKeys, ready: async () => ({}) };
  }

  const redis = createRedis({ ...config.redis, timeoutMs: REDIS_TIMEOUT_MS });
  const goOn = config.quota.onError === 'local';
  const meanwhile = goOn ? 'quota and idempotency hold for this process alone' : 'messages are refused';
  const quota = createFailoverQuota({
    ...config.quota,
    shared: createUpstashQuota({ ...config.quota, redis }),
    local: goOn ? ownQuota : null,
    onChange: (available, error) =>
      available
        ? log.info('redis is back')
        : log.error('redis is away', { meanwhile, error: String(error?.cause ?? error) }),
  });
  const idempotency = createFailoverIdempotency({
    shared: createUpstashIdempotency(redis),
    local: ownKeys,
    goOn,
    available: quota.available,
    onLost: (error) => log.error('an answer could not be kept under its key', { error: String(error) }),
  });
  return {
    quota,
    idempotency,
    async ready() {
      // Nobody's window: what counts is that somebody asked.
      await quota.peek('readyz', 1).catch(() => {});
      return { redis: quota.available() ? null : `Redis does not answer: ${meanwhile}.` };
    },
  };
}
