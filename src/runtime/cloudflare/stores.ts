/** Where quota and idempotency live on Workers: in Redis where it is set, else in Durable Objects. */

import type { Log } from '../../log.ts';
import { createDurableIdempotency } from '../../stores/durable-object/idempotency.ts';
import { createDurableQuota } from '../../stores/durable-object/quota.ts';
import { createStores, type Stores } from '../stores.ts';
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
      log.error('an answer could not be kept under its key', { error: String(error) }),
    ),
    async ready() {
      try {
        // Nobody's window: what counts is that the object answers.
        await quota.peek('readyz', 1);
        return { quota: null };
      } catch (error) {
        log.error('the quota object is away', { error: String((error as Error).cause ?? error) });
        return { quota: 'The quota object does not answer.' };
      }
    },
  };
}
