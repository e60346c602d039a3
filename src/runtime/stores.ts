/** Where the quota and the idempotency keys live: in Upstash Redis, or in this process. */

import type { Config } from '../config.ts';
import type { Readiness } from '../http/app.ts';
import type { Idempotency } from '../idempotency.ts';
import type { Log } from '../log.ts';
import type { Quota } from '../quota.ts';
import { StoreUnavailable } from '../store.ts';
import { Availability } from '../stores/failover/availability.ts';
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
  /** Asks the store once, and tells what stands against it. */
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
  const availability = new Availability({
    onChange: (available, error) =>
      available ? log.info('store back') : log.error('store away', { meanwhile, error: reasonOf(error) }),
  });
  const quota = createFailoverQuota({
    ...config.quota,
    shared: createUpstashQuota({ ...config.quota, redis }),
    local: goOn ? ownQuota : null,
    availability,
  });
  const idempotency = createFailoverIdempotency({
    shared: createUpstashIdempotency(redis),
    local: ownKeys,
    goOn,
    availability,
    onLost: (error) => log.error('key lost', { error: reasonOf(error) }),
  });
  return {
    quota,
    idempotency,
    ready: () => readinessOf(quota, () => `The store does not answer: ${meanwhile}.`),
  };
}

/** @param problem - what to say of a store that is away */
export async function readinessOf(
  store: Quota,
  problem: (error: StoreUnavailable) => string,
): Promise<Readiness> {
  try {
    await store.ping();
    return { store: null };
  } catch (error) {
    if (error instanceof StoreUnavailable) return { store: problem(error) };
    throw error;
  }
}

/** What a log line says of a store that failed. */
export const reasonOf = (error: unknown): string =>
  String((error instanceof StoreUnavailable && error.cause) || error);
