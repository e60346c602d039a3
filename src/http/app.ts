/** The HTTP door, top to bottom: what every request passes, then the routes, then what nobody takes. */

import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { timing } from 'hono/timing';
import type { Authenticator, Caller } from '../authenticate.ts';
import type { Log } from '../log.ts';
import { failure } from '../outcome.ts';
import type { Quota, QuotaState } from '../quota.ts';
import { authenticate } from './auth.ts';
import { type MessagesOptions, messageRoutes } from './messages.ts';
import { openapi } from './openapi.ts';
import { respondProblem } from './problem.ts';
import { quotaRoutes } from './quota.ts';
import { rateLimit } from './rate-limit.ts';
import { limitBody } from './request.ts';

/** What `/readyz` tells of each part: null when it is well, or what is wrong. */
export type Readiness = Readonly<Record<string, string | null>>;

export interface AppOptions extends MessagesOptions {
  readonly authenticator: Authenticator;
  readonly quota: Quota;
  readonly windowMs: number;
  /** HTTP Basic is taken, so a 401 offers it. */
  readonly basicAuth: boolean;
  readonly corsOrigins: readonly string[];
  readonly ready: () => Promise<Readiness>;
  /** The peer's address, for the count of failed logins. */
  readonly clientAddress: (c: Context) => string;
  readonly log: Log;
}

interface Variables {
  requestId: string;
  caller: Caller;
  quotaState: QuotaState | null;
  basicAuth: boolean;
}

export function createApp(options: AppOptions): Hono<{ Variables: Variables }> {
  const { log, maxMessageBytes } = options;
  const windowSeconds = Math.ceil(options.windowMs / 1000);
  const app = new Hono<{ Variables: Variables }>();

  app.use(requestId({ headerName: 'Request-Id' }));
  app.use(timing());
  app.use(secureHeaders());
  if (options.corsOrigins.length > 0) {
    app.use(cors({ origin: [...options.corsOrigins], exposeHeaders: EXPOSED_HEADERS }));
  }
  app.use(async function logRequest(c, next) {
    c.set('basicAuth', options.basicAuth);
    await next();
    const { status } = c.res;
    // A message has a line of its own; of the rest, what went wrong is worth one by default.
    const write = status < 400 ? log.debug : log.info;
    write('request', { requestId: c.get('requestId'), method: c.req.method, path: c.req.path, status });
  });

  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', async (c) => {
    const parts = await options.ready();
    const ready = Object.values(parts).every((problem) => problem === null);
    return c.json({ status: ready ? 'ready' : 'not ready', parts }, ready ? 200 : 503);
  });
  app.get('/openapi.json', (c) => c.json(openapi(options)));

  app.use('/v1/*', authenticate(options.authenticator, options.clientAddress));
  app.use('/v1/*', rateLimit(options.quota, windowSeconds));
  app.use('/v1/*', limitBody(maxMessageBytes));
  app.route('/v1/messages', messageRoutes(options));
  app.route('/v1/quota', quotaRoutes(options.quota, windowSeconds));

  app.notFound((c) => {
    const allowed = METHODS[c.req.path];
    if (!allowed) return respondProblem(c, failure('not-found', `There is nothing at ${c.req.path}.`));
    c.header('Allow', allowed);
    return respondProblem(c, failure('method-not-allowed', `${c.req.path} takes ${allowed}.`));
  });
  app.onError((error, c) => {
    log.error('internal', { requestId: c.get('requestId'), error: error.stack ?? String(error) });
    return respondProblem(
      c,
      failure('internal', 'An error in the gateway; its log has it under this request id.'),
    );
  });
  return app;
}

/** What a page of another origin may read beside the body. */
const EXPOSED_HEADERS = [
  'Idempotent-Replayed',
  'RateLimit',
  'RateLimit-Policy',
  'Request-Id',
  'Retry-After',
  'Server-Timing',
];

/** RFC 9110 section 15.5.6: a 405 names what is allowed. */
const METHODS: Readonly<Record<string, string>> = {
  '/healthz': 'GET, HEAD',
  '/readyz': 'GET, HEAD',
  '/openapi.json': 'GET, HEAD',
  '/v1/messages': 'POST',
  '/v1/messages/batch': 'POST',
  '/v1/quota': 'GET, HEAD',
  '/v1/quota/calls': 'POST',
};
