/** The wiring that every runtime shares: settings and edges in, the gateway out. */

import type { Adapter } from '../adapter.ts';
import { type Authenticator, createAuthenticator } from '../authenticate.ts';
import { createResend } from '../compat/resend.ts';
import { createSendCloudApi } from '../compat/sendcloud-api.ts';
import { type Config, ConfigError, type ConfiguredAccount } from '../config.ts';
import type { Deliverer } from '../deliver.ts';
import { eachAlone } from '../each-of.ts';
import { createEnqueue } from '../enqueue.ts';
import { createApp, type Readiness } from '../http/app.ts';
import type { BodyReader } from '../http/body.ts';
import type { Context } from '../http/context.ts';
import type { Idempotency } from '../idempotency.ts';
import type { Log } from '../log.ts';
import type { Emit } from '../message-event.ts';
import type { OutboxDoor } from '../outbox.ts';
import type { Failure } from '../outcome.ts';
import type { Quota } from '../quota.ts';
import { createSend } from '../send.ts';
import { createSubmit, type Submit } from '../submit.ts';
import { createReadiness, type ReadinessProbe } from './readiness.ts';

/** What differs between the runtimes. */
export interface Edges {
  readonly deliverer: Deliverer;
  readonly quota: Quota;
  readonly idempotency: Idempotency;
  /** Reads upstream's greeting; null when it is well. */
  readonly greeting: (signal: AbortSignal) => Promise<Failure | null>;
  /** Null where queued messages are not kept; `wake` has a worker look for what is due. */
  readonly outbox: { readonly outbox: OutboxDoor; readonly wake: (apiUser: string) => void } | null;
  readonly ready: () => Promise<Readiness>;
  /** Sees every message's event beside the log. */
  readonly observe?: Emit;
  /** Reads a request's body; null where there is none. */
  readonly bodyReader: (c: Context) => BodyReader | null;
  readonly clientAddress: (c: Context) => string;
  /** The path below which clients reach the gateway: of a stage, or of a proxy. */
  readonly prefix: (c: Context) => string;
  /** Where the files of the reference's user interface are. */
  readonly referenceUi: string;
  /** How long a request may take, in milliseconds: DEADLINE_MS, or less where the runtime leaves less. */
  readonly deadlineMs: (c: Context) => number;
  readonly log: Log;
}

export interface Gateway {
  readonly app: ReturnType<typeof createApp>;
  readonly submit: Submit;
  readonly authenticator: Authenticator;
  /** For what a door refuses before it is submitted. */
  readonly emit: Emit;
  readonly readiness: ReadinessProbe;
  /** The configured accounts, as they are now. */
  accounts(): readonly ConfiguredAccount[];
  /** Replaces the accounts, from the next request on. */
  updateAccounts(accounts: readonly ConfiguredAccount[]): void;
}

/** @throws {ConfigError} with all that is wrong with the hooks */
export async function createGateway(config: Config, edges: Edges): Promise<Gateway> {
  const { basicAuth, maxMessageBytes, corsOrigins } = config;
  let { accounts } = config;
  const readiness = createReadiness({
    ...edges,
    stores: edges.ready,
    verify: edges.deliverer.verify,
    accounts: () => accounts,
    deadlineMs: config.deadlineMs,
  });
  const emit: Emit = (event) => {
    edges.log.info('message', { ...event });
    readiness.observe(event);
    edges.observe?.(event);
  };
  const authenticator = createAuthenticator({
    accounts,
    basicAuth,
    quotaLimit: config.quota.limit,
    quota: edges.quota,
    verify: edges.deliverer.verify,
  });
  const enqueue = edges.outbox && createEnqueue({ ...edges, ...edges.outbox });
  const submit = createSubmit({ ...edges, deadlineMs: config.deadlineMs, emit });
  const send = eachAlone(createSend({ submit, enqueue, maxMessageBytes, emit }), edges.log);
  const outbox = edges.outbox?.outbox ?? null;
  const adapters: Adapter[] = [
    createResend({ send, outbox, maxMessageBytes }),
    createSendCloudApi({ authenticator, send, log: edges.log }),
  ];
  if (config.hooks !== null) {
    // Loaded where they are set: templates and presets are a part of the bundle that most never need.
    const [{ parseHooks }, { createHooks }] = await Promise.all([
      import('../hooks/hook.ts'),
      import('../hooks/door.ts'),
    ]);
    const parsed = await parseHooks(config.hooks, accounts);
    if ('problems' in parsed) throw new ConfigError(parsed.problems);
    adapters.push(createHooks({ ...edges, ...parsed, authenticator, send, accounts: () => accounts }));
  }
  const app = createApp({
    ...edges,
    ready: readiness.ready,
    authenticator,
    outbox,
    send,
    windowMs: config.quota.windowMs,
    corsOrigins,
    maxMessageBytes,
    adapters,
  });
  return {
    app,
    submit,
    authenticator,
    emit,
    readiness,
    accounts: () => accounts,
    updateAccounts(updated) {
      accounts = updated;
      authenticator.update(updated);
    },
  };
}
