/** The wiring that every runtime shares: settings and edges in, the gateway out. */

import type { Context } from 'hono';
import { type Authenticator, createAuthenticator } from '../authenticate.ts';
import type { Config } from '../config.ts';
import type { Deliverer } from '../deliver.ts';
import { createApp, type Readiness } from '../http/app.ts';
import type { Idempotency } from '../idempotency.ts';
import type { Log } from '../log.ts';
import { compose } from '../message/compose.ts';
import type { Quota } from '../quota.ts';
import { createSubmit, type Submit } from '../submit.ts';

/** What differs between the runtimes. */
export interface Edges {
  readonly deliverer: Deliverer;
  readonly quota: Quota;
  readonly idempotency: Idempotency;
  readonly ready: () => Promise<Readiness>;
  readonly clientAddress: (c: Context) => string;
  readonly log: Log;
}

export interface Gateway {
  readonly app: ReturnType<typeof createApp>;
  readonly submit: Submit;
  readonly authenticator: Authenticator;
}

export function createGateway(config: Config, edges: Edges): Gateway {
  const { accounts, basicAuth, deadlineMs, maxMessageBytes, corsOrigins } = config;
  const authenticator = createAuthenticator({
    accounts,
    basicAuth,
    quotaLimit: config.quota.limit,
    deadlineMs,
    verify: edges.deliverer.verify,
  });
  const submit = createSubmit({ ...edges, deadlineMs });
  const app = createApp({
    ...edges,
    ready: shared(edges.ready),
    authenticator,
    submit,
    compose,
    windowMs: config.quota.windowMs,
    basicAuth,
    corsOrigins,
    deadlineMs,
    maxMessageBytes,
  });
  return { app, submit, authenticator };
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
