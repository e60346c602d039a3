/** `Authorization: Bearer <token>`, or Basic with an api_user and a token or, where that is on, its api_key. */

import type { MiddlewareHandler } from 'hono';
import { auth as parseBasic } from 'hono/utils/basic-auth';
import type { Authenticator, Caller } from '../authenticate.ts';
import { withDeadline } from '../deadline.ts';
import type { Log } from '../log.ts';
import { type Failure, failure, isFailure } from '../outcome.ts';
import type { Context, Env } from './context.ts';
import { respondProblem } from './problem.ts';

/** Sets `caller`, or answers 401 or 429 before the body is read. */
export function authenticate({
  authenticator,
  clientAddress,
  deadlineMs,
  log,
}: {
  readonly authenticator: Authenticator;
  readonly clientAddress: (c: Context) => string;
  readonly deadlineMs: (c: Context) => number;
  readonly log: Log;
}): MiddlewareHandler<Env> {
  return async function authenticate(c, next) {
    // A preflight carries no credentials (Fetch, "CORS-preflight fetch"); here no origin is allowed.
    if (c.req.method === 'OPTIONS') return c.body(null, 204);
    const caller = await callerOf(c);
    if (isFailure(caller)) {
      const { code, detail } = caller;
      const requestId = c.get('requestId');
      log.info('login refused', { requestId, door: 'http', clientAddress: clientAddress(c), code, detail });
      return respondProblem(c, caller);
    }
    c.set('caller', caller);
    await next();
  };

  async function callerOf(c: Context): Promise<Caller | Failure> {
    const header = c.req.header('Authorization');
    if (!header) return failure('unauthorized', 'The Authorization header is missing.');
    // RFC 6750 section 2.1; RFC 9110 section 11.1: the scheme's case does not matter.
    const token = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header)?.[1];
    if (token) return authenticator.token(token, clientAddress(c));
    const basic = parseBasic(c.req.raw);
    if (!basic) {
      return failure('unauthorized', 'The Authorization header is neither Bearer with a token nor Basic.');
    }
    return withDeadline(deadlineMs(c), (signal) =>
      authenticator.login(basic.username, basic.password, clientAddress(c), signal),
    );
  }
}
