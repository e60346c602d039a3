/** The HTTP door, top to bottom: what every request passes, then the routes, then unmatched requests. */

import { cors } from 'hono/cors';
import { requestId } from 'hono/request-id';
import type { Adapter } from '../adapter.ts';
import type { Authenticator } from '../authenticate.ts';
import { outboxAway } from '../enqueue.ts';
import type { Log } from '../log.ts';
import type { OutboxDoor } from '../outbox.ts';
import { failure, INTERNAL } from '../outcome.ts';
import type { Quota } from '../quota.ts';
import { StoreUnavailable } from '../store.ts';
import { adapterRoutes } from './adapters.ts';
import { authenticate } from './auth.ts';
import { type BodyReader, discardUnread, readBody } from './body.ts';
import { BodyMemory } from './body-memory.ts';
import type { Context } from './context.ts';
import { docsRoutes } from './docs.ts';
import { errorPages } from './error-pages.ts';
import { type MessagesOptions, messageRoutes } from './messages.ts';
import { openapi } from './openapi.ts';
import { outboxRoutes } from './outbox.ts';
import { respondProblem } from './problem.ts';
import { quotaRoutes } from './quota.ts';
import { rateLimit } from './rate-limit.ts';
import { createRoutes, type Routes } from './routes.ts';

/** What `/readyz` reports of each part: null when it is well, or what is wrong. */
export type Readiness = Readonly<Record<string, string | null>>;

export interface AppOptions extends MessagesOptions {
  readonly authenticator: Authenticator;
  readonly quota: Quota;
  /** Null where there is none. */
  readonly outbox: OutboxDoor | null;
  readonly windowMs: number;
  readonly maxMessageBytes: number;
  readonly corsOrigins: readonly string[];
  /** Doors of other shapes. */
  readonly adapters: readonly Adapter[];
  readonly ready: () => Promise<Readiness>;
  /** Reads a request's body; null where there is none. */
  readonly bodyReader: (c: Context) => BodyReader | null;
  /** The path below which clients reach the gateway, as the runtime knows it; `''` where that is its root. */
  readonly prefix: (c: Context) => string;
  /** Where the files of the reference's user interface are: a URL below which `/docs` finds them. */
  readonly referenceUi: string;
  readonly log: Log;
}

export function createApp(options: AppOptions): Routes {
  const { log, maxMessageBytes } = options;
  const bodies = { ...options, memory: new BodyMemory(maxMessageBytes) };
  const windowSeconds = Math.ceil(options.windowMs / 1000);
  const app = createRoutes();

  app.use(requestId({ headerName: 'Request-Id' }));
  app.use(async function findPrefix(c, next) {
    c.set('prefix', options.prefix(c));
    await next();
  });
  app.use(async function serverTiming(c, next) {
    const start = performance.now();
    await next();
    const steps = { ...c.get('timing'), total: performance.now() - start };
    const metrics = Object.entries(steps).map(([step, ms]) => `${step};dur=${ms.toFixed(1)}`);
    c.res.headers.set('Server-Timing', metrics.join(', '));
  });
  app.use(async function secureHeaders(c, next) {
    await next();
    const { headers } = c.res;
    for (const [name, value] of SECURITY_HEADERS) headers.set(name, value);
  });
  if (options.corsOrigins.length > 0) {
    const origin = options.corsOrigins.includes('*') ? '*' : [...options.corsOrigins];
    const ours = cors({ origin, exposeHeaders: EXPOSED_HEADERS });
    // A hook has origins of its own.
    app.use((c, next) => (c.req.path.startsWith('/v1/hooks/') ? next() : ours(c, next)));
  }
  app.use(async function logRequest(c, next) {
    await next();
    const { status } = c.res;
    const failed = c.get('failed');
    // A message and a refused login have lines of their own; of the rest, what went wrong is worth one by default.
    const loginRefused =
      failed && ['unauthorized', 'bad-signature', 'too-many-failed-logins'].includes(failed.code);
    const write = status < 400 || loginRefused || c.get('reported') ? log.debug : log.info;
    write('request', () => ({
      requestId: c.get('requestId'),
      method: c.req.method,
      path: withoutSecret(c.req.path),
      status,
      clientAddress: options.clientAddress(c),
      ...(failed && { code: failed.code, detail: failed.detail }),
    }));
  });

  app.use(discardUnread(options));

  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', async (c) => {
    const parts = await options.ready();
    const ready = Object.values(parts).every((problem) => problem === null);
    return c.json({ status: ready ? 'ready' : 'not ready', parts }, ready ? 200 : 503);
  });
  // Made once for a prefix: it takes some milliseconds, and anyone may ask.
  let described = { prefix: '', json: '' };
  app.get('/openapi.json', (c) => {
    const prefix = c.get('prefix');
    if (described.json === '' || described.prefix !== prefix) {
      described = { prefix, json: JSON.stringify(openapi({ ...options, prefix })) };
    }
    return c.body(described.json, 200, { 'Content-Type': 'application/json' });
  });
  app.route('/docs', errorPages());
  app.route('/', docsRoutes(options));

  // Before our own doors: a hook stands below /v1 and has no caller of ours.
  for (const adapter of options.adapters) app.route(adapter.prefix, adapterRoutes(adapter, bodies));

  app.use('/v1/*', authenticate(options));
  app.use('/v1/*', rateLimit(options.quota, windowSeconds));
  app.use('/v1/*', readBody(bodies));
  app.route('/v1/messages', messageRoutes(options));
  app.route('/v1/messages', outboxRoutes(options.outbox));
  app.route('/v1/quota', quotaRoutes(options.quota, windowSeconds));

  app.notFound((c) => {
    const allowed = allowedMethods(app, c.req.path);
    if (allowed.length === 0) {
      const advice = c.req.path.endsWith('/') ? ' Leave out the last slash.' : '';
      return respondProblem(c, failure('not-found', `There is nothing at ${c.req.path}.${advice}`));
    }
    // RFC 9110 section 15.5.6.
    c.header('Allow', allowed.join(', '));
    return respondProblem(c, failure('method-not-allowed', `${c.req.path} takes ${allowed.join(', ')}.`));
  });
  app.onError((error, c) => {
    if (error instanceof StoreUnavailable) {
      log.error('the outbox is away', {
        requestId: c.get('requestId'),
        error: String(error.cause ?? error),
      });
      return respondProblem(c, outboxAway());
    }
    log.error('internal', { requestId: c.get('requestId'), error: error.stack ?? String(error) });
    return respondProblem(c, INTERNAL);
  });
  return app;
}

/** Those of the OWASP Secure Headers Project that browsers of today obey on any answer. */
const SECURITY_HEADERS = Object.entries({
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'Strict-Transport-Security': 'max-age=15552000; includeSubDomains',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'SAMEORIGIN',
});

/** What a page of another origin may read beside the body. */
const EXPOSED_HEADERS = [
  'Idempotent-Replayed',
  'Location',
  'Preference-Applied',
  'RateLimit',
  'RateLimit-Policy',
  'Request-Id',
  'Retry-After',
  'Server-Timing',
];

/** A hook's address may have its secret in it. */
const withoutSecret = (path: string): string => path.replace(/^(\/v1\/hooks\/[^/]*\/).+/, '$1…');

/** The methods of the routes at a path, of which one segment may be a parameter. */
function allowedMethods(app: Routes, path: string): string[] {
  const segments = path.split('/');
  const methods = app.routes
    .filter((route) => route.method !== 'ALL')
    .filter((route) => {
      const pattern = route.path.split('/');
      if (pattern.length !== segments.length) return false;
      return pattern.every(
        (part, index) => part === segments[index] || (part.startsWith(':') && segments[index]),
      );
    })
    .map(({ method }) => method);
  // Hono answers HEAD where there is a GET.
  return [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))];
}
