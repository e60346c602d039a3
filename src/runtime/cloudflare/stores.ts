/** Where quota and idempotency live on Workers: in Redis where it is set, else in Durable Objects. */

import type { Log } from '../../log.ts';
import { createDurableIdempotency } from '../../stores/durable-object/idempotency.ts';
import { createDurableQuota } from '../../stores/durable-object/quota.ts';
import { createStores, readinessOf, reasonOf, type Stores } from '../stores.ts';
import type { Bindings } from './bindings.ts';
import type { WorkerConfig } from './settings.ts';

/** Without Redis and without the bindings they live in the isolate, and a log line says so. */
export function createWorkerStores(config: WorkerConfig, bindings: Bindings, log: Log): Stores {
  const { QUOTA, IDEMPOTENCY } = bindings;
  if (config.redis || !QUOTA || !IDEMPOTENCY) return createStores(config, log);
  const quota = createDurableQuota(QUOTA);
  return {
    quota,
    idempotency: createDurableIdempotency(IDEMPOTENCY, (error) =>
      log.error('key lost', { error: reasonOf(error) }),
    ),
    ready: () =>
      readinessOf(quota, (error) => {
        log.error('store away', { error: reasonOf(error) });
        return 'The Durable Objects do not answer.';
      }),
  };
}
