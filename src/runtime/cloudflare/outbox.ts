/** The outbox's Durable Object with its settings: it keeps the messages of one api_user, and sends them itself. */

import type { DurableObjectState } from 'cloudflare:workers';
import { ConfigError } from '../../config.ts';
import { createDeliverer } from '../../deliver.ts';
import { createLog } from '../../log.ts';
import { createOutboxWorker, createSendClaim } from '../../outbox-worker.ts';
import { Pool } from '../../relay/pool.ts';
import { OutboxObject as ObjectWithoutSettings } from '../../stores/durable-object/outbox.ts';
import { type Environment, IDLE_MS, readSettings } from './settings.ts';
import { createWorkerStores } from './stores.ts';

/** Exported by the Worker's entry; wrangler.toml binds it as OUTBOX_OBJECTS. */
export class OutboxObject extends ObjectWithoutSettings {
  constructor(ctx: DurableObjectState, env: Environment) {
    const config = readSettings(env);
    const { outbox: settings, smtp, quota, accounts, deadlineMs } = config;
    if (!settings) throw new ConfigError(['OUTBOX: off']);
    const log = createLog(config.logLevel, console.log);
    const relay = new Pool({ ...smtp, upstream: smtp, idleMs: IDLE_MS });
    const { deliver } = createDeliverer({ relay, quota: createWorkerStores(config, env, log).quota });
    super(ctx, env, {
      ...settings,
      createWorker: (outbox) =>
        createOutboxWorker({
          outbox,
          send: createSendClaim({
            ...settings,
            outbox,
            deliver,
            accounts: () => accounts,
            quotaLimit: quota.limit,
            emit: (event) => log.info('message', { ...event }),
            log,
          }),
          connections: smtp.connections,
          deadlineMs,
          log,
        }),
    });
  }
}
