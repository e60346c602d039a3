/** Doors of other shapes, mounted: the same credentials, bodies and deadlines as for our own. */

import type { Adapter, AdapterRequest, AdapterResponse } from '../adapter.ts';
import { withDeadline } from '../deadline.ts';
import { type Failure, isFailure } from '../outcome.ts';
import { authenticate } from './auth.ts';
import { type BodyOptions, readBody, readStrangersBody } from './body.ts';
import type { Context } from './context.ts';
import { type MessagesOptions, originOf } from './messages.ts';
import { respondProblem } from './problem.ts';
import { createRoutes, type Routes } from './routes.ts';

type AdapterOptions = Parameters<typeof authenticate>[0] &
  BodyOptions &
  Pick<MessagesOptions, 'clientAddress'>;

export function adapterRoutes(adapter: Adapter, options: AdapterOptions): Routes {
  const routes = createRoutes();
  const { refuse, headers } = adapter;
  const headOf = (c: Context) => ({
    path: c.req.path.slice(c.req.path.indexOf(adapter.prefix) + adapter.prefix.length),
    header: (name: string) => c.req.header(name) ?? null,
  });
  routes.use(async function shapeAnswers(c, next) {
    const head = headOf(c);
    c.set('refuse', (failed) => {
      const answer = refuse?.(failed, head);
      return answer && respond(c, answer);
    });
    for (const [name, value] of Object.entries(headers?.(head) ?? {})) c.header(name, value);
    await next();
  });

  const requestOf = (c: Context, signal: AbortSignal): AdapterRequest => {
    const url = new URL(c.req.url);
    return {
      ...headOf(c),
      method: c.req.method,
      query: url.searchParams,
      body: c.get('body') ?? new Uint8Array(0),
      origin: originOf(c, options),
      signal,
    };
  };

  if (adapter.credentials === 'header') {
    return routes
      .use(authenticate(options))
      .use(readBody(options))
      .all('*', (c) =>
        withDeadline(options.deadlineMs(c), async (signal) =>
          respond(c, await adapter.handle(requestOf(c, signal), c.get('caller'))),
        ),
      );
  }
  return routes
    .use(readStrangersBody(options))
    .all('*', (c) =>
      withDeadline(options.deadlineMs(c), async (signal) =>
        respond(c, await adapter.handle(requestOf(c, signal))),
      ),
    );
}

function respond(c: Context, answer: AdapterResponse | Failure): Response {
  if (isFailure(answer)) return respondProblem(c, answer);
  const { status, headers, body } = answer;
  for (const [name, value] of Object.entries(headers ?? {})) {
    const isOwn = name === 'Location' && value.startsWith('/');
    c.header(name, isOwn ? c.get('prefix') + value : value);
  }
  if (body === null) return c.body(null, status as 204);
  return typeof body === 'string' ? c.body(body, status as 200) : c.json(body, status as 200);
}
