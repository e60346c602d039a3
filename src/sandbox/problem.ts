import type { Context } from 'hono';
import { type FailureCode, kindOf } from '../outcome.ts';

/** A problem document (RFC 9457) with the members of the gateway's own, whose pages its `type` leads to. */
export function problem(c: Context, code: FailureCode, detail: string): Response {
  const { status, title, delivery, retryable } = kindOf(code);
  const type = `/docs/errors/${code}`;
  const instance = `${c.req.path}#${c.get('requestId')}`;
  const document = { type, title, status, detail, instance, code, delivery, retryable };
  return c.body(JSON.stringify(document), status as 400, { 'Content-Type': 'application/problem+json' });
}
