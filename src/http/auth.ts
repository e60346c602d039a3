/** `Authorization: Bearer <token>`, or Basic with the caller's own api_user and api_key where that is on. */

import type { Context, MiddlewareHandler } from 'hono';
import { auth as parseBasic } from 'hono/utils/basic-auth';
import type { Authenticator, Caller } from '../authenticate.ts';
import { type Failure, failure, isFailure } from '../outcome.ts';
import { respondProblem } from './problem.ts';

/**
 * Sets `caller`, or answers 401 or 429 before the body is read.
 *
 * @param clientAddress - where the request comes from, for the count of failed logins
 */
export function authenticate(
  authenticator: Authenticator,
  clientAddress: (c: Context) => string,
): MiddlewareHandler<{ Variables: { caller: Caller } }> {
  return async function authenticate(c, next) {
    const caller = await callerOf(c);
    if (isFailure(caller)) return respondProblem(c, caller);
    c.set('caller', caller);
    await next();
  };

  async function callerOf(c: Context): Promise<Caller | Failure> {
    const header = c.req.header('Authorization');
    if (!header) return failure('unauthorized', 'The Authorization header is missing.');
    // RFC 6750 section 2.1; RFC 9110 section 11.1: the scheme's case does not matter.
    const token = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header)?.[1];
    if (token) return authenticator.token(token);
    const basic = parseBasic(c.req.raw);
    if (basic) return authenticator.apiKey(basic.username, basic.password, clientAddress(c));
    return failure('unauthorized', 'The Authorization header is neither Bearer with a token nor Basic.');
  }
}
