/** What a call of the client is rejected with. */

import type { FieldError } from '../outcome.ts';
import type { Problem } from '../responses.ts';

/**
 * The gateway's own codes, and two of the client's: `no-answer` (the network failed or time ran out) and
 * `unexpected-answer` (something answered that is no Postern, such as a proxy's page).
 */
export type ErrorCode = Problem['code'] | 'no-answer' | 'unexpected-answer';

/** A failed call. `delivery` decides what to do next: after `unknown` the recipient may have the message. */
export class PosternError extends Error {
  override readonly name = 'PosternError';
  readonly code: ErrorCode;
  /** `not-sent` is proven. */
  readonly delivery: Problem['delivery'];
  /** The same request may succeed later: with `idempotencyKey`, it is sent once at most. */
  readonly retryable: boolean;
  /** The HTTP status; null where there was no answer. */
  readonly status: number | null;
  /** How long the gateway asks to wait, in milliseconds. */
  readonly retryAfterMs: number | null;
  /** The key under which the message was sent, the caller's or a generated one; null for other calls. */
  readonly idempotencyKey: string | null;
  /** The whole problem document (RFC 9457), with upstream's reply in `smtp`; null for the client's own codes. */
  readonly problem: Problem | null;

  constructor(
    message: string,
    facts: Pick<
      PosternError,
      'code' | 'delivery' | 'retryable' | 'status' | 'retryAfterMs' | 'idempotencyKey' | 'problem'
    >,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = facts.code;
    this.delivery = facts.delivery;
    this.retryable = facts.retryable;
    this.status = facts.status;
    this.retryAfterMs = facts.retryAfterMs;
    this.idempotencyKey = facts.idempotencyKey;
    this.problem = facts.problem;
  }

  /** What is wrong with the message, each with a JSON Pointer (RFC 6901) into it. */
  get errors(): readonly FieldError[] {
    return this.problem?.errors ?? [];
  }
}
