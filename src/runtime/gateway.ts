/** The wiring that every runtime shares: settings and edges in, the gateway out. */

import { type Authenticator, createAuthenticator } from '../authenticate.ts';
import type { Config } from '../config.ts';
import type { Deliverer } from '../deliver.ts';
import { createEnqueue } from '../enqueue.ts';
import { createApp, type Readiness } from '../http/app.ts';
import type { Context } from '../http/context.ts';
import type { Idempotency } from '../idempotency.ts';
import type { Log } from '../log.ts';
import type { Emit } from '../message-event.ts';
import type { Outbox } from '../outbox.ts';
import type { Quota } from '../quota.ts';
import { createSend } from '../send.ts';
import { createSubmit, type Submit } from '../submit.ts';

/** What differs between the runtimes. */
export interface Edges {
  readonly deliverer: Deliverer;
  readonly quota: Quota;
  readonly idempotency: Idempotency;
  /** Null where queued messages are not kept; `wake` has a worker look for what is due. */
  readonly outbox: { readonly outbox: Outbox; readonly wake: (apiUser: string) => void } | null;
  readonly ready: () => Promise<Readiness>;
  readonly clientAddress: (c: Context) => string;
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
}

export function createGateway(config: Config, edges: Edges): Gateway {
  const { accounts, basicAuth, maxMessageBytes, corsOrigins } = config;
  const emit: Emit = (event) => edges.log.info('message', { ...event });
  const authenticator = createAuthenticator({
    accounts,
    basicAuth,
    quotaLimit: config.quota.limit,
    quota: edges.quota,
    verify: edges.deliverer.verify,
  });
  const enqueue = edges.outbox && createEnqueue({ ...edges, ...edges.outbox });
  const submit = createSubmit({ ...edges, deadlineMs: config.deadlineMs, emit });
  const app = createApp({
    ...edges,
    ready: shared(edges.ready),
    authenticator,
    outbox: edges.outbox?.outbox ?? null,
    send: createSend({ submit, enqueue, maxMessageBytes, emit }),
    windowMs: config.quota.windowMs,
    corsOrigins,
    maxMessageBytes,
    adapters: [],
  });
  return { app, submit, authenticator, emit };
}

/** Probes that come at once, or within a second, share one answer: anybody may ask, and each asks upstream. */
function shared<T>(probe: () => Promise<T>): () => Promise<T> {
  let last: { at: number; answer: Promise<T> } | null = null;
  return () => {
    // By the wall clock: a frozen container's other one stands still.
    const now = Date.now();
    if (!last || now - last.at > 1000) last = { at: now, answer: probe() };
    return last.answer;
  };
}
