import type { Context } from 'hono';
import { type FailureCode, kindOf } from '../outcome.ts';

/** A problem document (RFC 9457). */
export function problem(c: Context, code: FailureCode, detail: string): Response {
  const { status, title } = kindOf(code);
  const document = { type: `urn:postern:problem:${code}`, title, status, detail, instance: c.req.path, code };
  return c.body(JSON.stringify(document), status as 400, { 'Content-Type': 'application/problem+json' });
}
