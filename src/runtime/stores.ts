/** Where the quota and the idempotency keys live: in Upstash Redis, or in this process. */

import type { Config } from '../config.ts';
import type { Readiness } from '../http/app.ts';
import type { Idempotency } from '../idempotency.ts';
import type { Log } from '../log.ts';
import { createMemoryIdempotency } from '../memory/idempotency.ts';
import { createMemoryQuota } from '../memory/quota.ts';
import type { Quota } from '../quota.ts';

export interface Stores {
  readonly quota: Quota;
  readonly idempotency: Idempotency;
  /** What stands against a store; nothing where there is none to ask. */
  ready(): Readiness;
}

export function createStores(config: Config, log: Log): Stores {
  log.warn('in-process stores', {
    reason: 'UPSTASH_REDIS_REST_URL is not set: quota and idempotency hold for this process alone',
  });
  return {
    quota: createMemoryQuota(config.quota),
    idempotency: createMemoryIdempotency(),
    ready: () => ({}),
  };
}
