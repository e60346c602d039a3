/** Where quota and idempotency live on Workers: in Redis where it is set, else in Durable Objects. */

import type { Log } from '../../log.ts';
import { createStores, type Stores } from '../stores.ts';
import type { Bindings } from './bindings.ts';
import { createDurableIdempotency } from './idempotency.ts';
import { createDurableQuota } from './quota.ts';
import type { WorkerConfig } from './settings.ts';

/** Without Redis and without the bindings they live in the isolate, and a log line says so. */
export function createWorkerStores(config: WorkerConfig, bindings: Bindings, log: Log): Stores {
  const { QUOTA, IDEMPOTENCY } = bindings;
  if (config.redis || !QUOTA || !IDEMPOTENCY) return createStores(config, log);
  return {
    quota: createDurableQuota(QUOTA),
    idempotency: createDurableIdempotency(IDEMPOTENCY, (error) =>
      log.error('an answer could not be kept under its key', { error: String(error) }),
    ),
    ready: async () => ({}),
  };
}
