/** Postern on Cloudflare Workers: settings at the first request, delivery in Durable Objects. */

import { type ExecutionContext, waitUntil } from 'cloudflare:workers';
import { ConfigError } from '../config.ts';
import { createDeliverer, type Deliverer } from '../deliver.ts';
import { requestBody } from '../http/body.ts';
import { UI_ON_CDN } from '../http/docs.ts';
import { createLog } from '../log.ts';
import type { Quota } from '../quota.ts';
import { Pool } from '../relay/pool.ts';
import { createDurableOutbox } from '../stores/durable-object/outbox.ts';
import { createRemoteDeliverer } from './cloudflare/delivery.ts';
import { type Environment, readSettings, type WorkerConfig } from './cloudflare/settings.ts';
import { createWorkerStores } from './cloudflare/stores.ts';
import { createGateway } from './gateway.ts';
import { unconfigured } from './unconfigured.ts';

export { DeliveryObject } from './cloudflare/delivery.ts';
export { IdempotencyObject, QuotaObject } from './cloudflare/objects.ts';
export { OutboxObject } from './cloudflare/outbox.ts';

type Fetch = (request: Request, env: Environment, ctx: ExecutionContext) => Response | Promise<Response>;

export default createWorker();

function createWorker(): { fetch: Fetch } {
  let answer: Promise<Fetch> | null = null;
  return {
    async fetch(request, env, ctx) {
      answer ??= open(env);
      const answered = answer.then((fetch) => fetch(request, env, ctx));
      // A client that hangs up must not cut a delivery off before its outcome is recorded.
      ctx.waitUntil(answered);
      return answered;
    },
  };
}

async function open(env: Environment): Promise<Fetch> {
  try {
    return await openGateway(env);
  } catch (error) {
    if (error instanceof ConfigError) return unconfigured(error, console.log).fetch;
    throw error;
  }
}

async function openGateway(env: Environment): Promise<Fetch> {
  const config = readSettings(env);
  const log = createLog(config.logLevel, console.log);
  const stores = createWorkerStores(config, env, log);
  const { connections } = config.smtp;
  const deliverer = env.DELIVERY
    ? createRemoteDeliverer({
        ...config,
        connections,
        objects: env.DELIVERY,
        log,
      })
    : createSingleDeliverer(config, stores.quota);
  // An object sends by itself what was put into it.
  const outbox =
    config.outbox && env.OUTBOX_OBJECTS
      ? { outbox: createDurableOutbox(env.OUTBOX_OBJECTS), wake: () => {} }
      : null;
  const { app } = await createGateway(config, {
    ...stores,
    deliverer,
    log,
    greeting: (signal) => createRelay(config).greeting(signal),
    // A route of Cloudflare's passes the whole path on.
    prefix: () => '',
    bodyReader: requestBody,
    clientAddress: (c) => c.req.header('CF-Connecting-IP') ?? '',
    outbox,
    referenceUi: UI_ON_CDN,
    deadlineMs: () => config.deadlineMs,
  });
  return (request, bindings, ctx) => app.fetch(request, bindings, ctx);
}

/** Without the Durable Object: a connection for each message, since a Worker's sockets end with its request. */
function createSingleDeliverer(config: WorkerConfig, quota: Quota): Deliverer {
  const once = async <T>(work: (deliverer: Deliverer) => Promise<T>): Promise<T> => {
    const relay = createRelay(config);
    try {
      return await work(createDeliverer({ relay, quota }));
    } finally {
      // The caller need not wait for upstream's goodbye.
      waitUntil(relay.close());
    }
  };
  return {
    deliver: (delivery, signal) => once((deliverer) => deliverer.deliver(delivery, signal)),
    verify: (login, signal) => once((deliverer) => deliverer.verify(login, signal)),
  };
}

/** Lives as long as one request: what is idle when it ends is closed, not kept. */
const createRelay = ({ smtp, deadlineMs }: WorkerConfig) =>
  new Pool({ ...smtp, upstream: smtp, idleMs: deadlineMs });
