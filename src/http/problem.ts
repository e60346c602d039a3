/** A failure as `application/problem+json` (RFC 9457). */

import { FAILURES, type Failure } from '../outcome.ts';
import type { Problem } from '../responses.ts';
import type { Context } from './context.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** Where a problem occurred: `prefix` is the path that is the gateway's root for its clients, `''` as a rule. */
export interface Occurrence {
  readonly prefix: string;
  readonly path: string;
  readonly requestId: string;
}

export const occurrenceIn = (c: Context): Occurrence => ({
  prefix: c.get('prefix'),
  path: c.req.path,
  requestId: c.get('requestId'),
});

/**
 * The problem document's members. `type` and `instance` are absolute paths: what a client reaches the gateway by, its
 * own URL of the request, makes them whole (RFC 9457 section 3.1.1), and no host is made up.
 */
export function problemOf(failed: Failure, { prefix, path, requestId }: Occurrence): Problem {
  const { status, title, retryable } = FAILURES[failed.code];
  return {
    type: `${prefix}/docs/errors/${failed.code}`,
    title,
    status,
    detail: failed.detail,
    instance: `${prefix}${path}#${requestId}`,
    code: failed.code,
    delivery: failed.delivery,
    retryable,
    ...(failed.smtp && { smtp: failed.smtp }),
    ...(failed.rejected && { rejected: failed.rejected }),
    ...(failed.errors && { errors: failed.errors }),
  };
}

/**
 * RFC 9110 section 11.6.1: every 401 says which schemes are taken. Basic first, in one line: Java reads the first scheme
 * of each line, and Lambda and Workers make one line of two.
 */
const CHALLENGE = 'Basic realm="postern", charset="UTF-8", Bearer realm="postern"';

/** Answers with the problem document, or in the shape of the door that was asked, and `Retry-After` where a time is known (RFC 9110 section 10.2.3). */
export function respondProblem(c: Context, failed: Failure): Response {
  c.set('failed', failed);
  if (failed.retryAfterMs !== undefined) {
    c.header('Retry-After', String(Math.max(1, Math.ceil(failed.retryAfterMs / 1000))));
  }
  if (failed.code === 'unauthorized') c.header('WWW-Authenticate', CHALLENGE);
  if (failed.code === 'bad-signature') c.header('WWW-Authenticate', 'Signature realm="postern"');
  const refused = c.get('refuse')?.(failed);
  if (refused) return refused;
  const problem = problemOf(failed, occurrenceIn(c));
  return c.body(JSON.stringify(problem), problem.status, { 'Content-Type': PROBLEM_TYPE });
}
