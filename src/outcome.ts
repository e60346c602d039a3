/**
 * How a submission ends, and the one table of everything that can go wrong.
 *
 * Expected failures are values of this file's types; an exception is a bug and answers 500.
 */

import { FREQUENCY_LIMITED } from './sendcloud.ts';

/** Where in the SMTP session upstream spoke, or fell silent. */
export type Phase =
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  /** After the final dot: upstream may have the message. */
  | 'dot';

/** One SMTP reply of upstream (RFC 5321 section 4.2, enhanced status code RFC 3463). */
export interface SmtpReply {
  /** Three-digit reply code. */
  readonly code: number;
  /** `x.y.z`, where the reply carries one. */
  readonly enhanced: string | null;
  readonly phase: Phase;
  /** The whole reply, as upstream wrote it. */
  readonly response: string;
}

/** A recipient that upstream refused while it accepted others. */
export interface Rejection {
  readonly address: string;
  readonly code: number;
  readonly response: string;
}

/** One thing wrong with the input; `pointer` is a JSON Pointer (RFC 6901) into the message. */
export interface FieldError {
  readonly pointer: string;
  readonly message: string;
}

interface FailureKind {
  /** HTTP status of the problem document. */
  readonly status: number;
  /**
   * The reply of the SMTP door: code, enhanced code (RFC 3463) and text.
   * `upstream` passes upstream's own reply on and stands for this one where upstream did not speak;
   * null means that the failure cannot happen there.
   */
  readonly smtp: { readonly code: number; readonly text: string; readonly upstream?: true } | null;
  readonly title: string;
  /** Whether it is proven that the message was not sent. */
  readonly delivery: 'not-sent' | 'unknown';
  /** The same request may succeed later. */
  readonly retryable: boolean;
  /**
   * The failure is the message's own fate, so an idempotency key keeps it for a replay.
   * Everything else lets the key go: a repeated request is a new try.
   */
  readonly settled?: true;
}

/** The one table: what each failure code means at each door. */
export const FAILURES = {
  'invalid-request': {
    status: 400,
    smtp: null,
    title: 'The request could not be read',
    delivery: 'not-sent',
    retryable: false,
  },
  unauthorized: {
    status: 401,
    smtp: { code: 535, text: '5.7.8 Authentication failed' },
    title: 'Missing or wrong credentials',
    delivery: 'not-sent',
    retryable: false,
  },
  'bad-signature': {
    status: 401,
    smtp: null,
    title: 'Missing or wrong signature',
    delivery: 'not-sent',
    retryable: false,
  },
  'forbidden-origin': {
    status: 403,
    smtp: null,
    title: 'The form may not be sent from this page',
    delivery: 'not-sent',
    retryable: false,
  },
  'forbidden-sender': {
    status: 403,
    smtp: { code: 550, text: '5.7.1 Sender not allowed for this account' },
    title: 'Sender not allowed for this account',
    delivery: 'not-sent',
    retryable: false,
  },
  'forbidden-label': {
    status: 403,
    smtp: { code: 550, text: '5.7.1 Label not allowed for this account' },
    title: 'Label not allowed for this account',
    delivery: 'not-sent',
    retryable: false,
  },
  'not-found': { status: 404, smtp: null, title: 'No such resource', delivery: 'not-sent', retryable: false },
  'unknown-hook': { status: 404, smtp: null, title: 'No such hook', delivery: 'not-sent', retryable: false },
  'method-not-allowed': {
    status: 405,
    smtp: null,
    title: 'Method not allowed here',
    delivery: 'not-sent',
    retryable: false,
  },
  'request-in-progress': {
    status: 409,
    smtp: { code: 451, text: '4.3.0 A message with this Idempotency-Key is still in progress' },
    title: 'A request with this Idempotency-Key is in progress',
    delivery: 'not-sent',
    retryable: true,
  },
  'not-cancellable': {
    status: 409,
    smtp: null,
    title: 'The message is no longer waiting',
    delivery: 'unknown',
    retryable: false,
  },
  'message-too-large': {
    status: 413,
    smtp: { code: 552, text: '5.3.4 Message too large' },
    title: 'Message too large',
    delivery: 'not-sent',
    retryable: false,
    settled: true,
  },
  'unsupported-media-type': {
    status: 415,
    smtp: null,
    title: 'Unsupported media type',
    delivery: 'not-sent',
    retryable: false,
  },
  'invalid-message': {
    status: 422,
    smtp: { code: 554, text: '5.6.0 Invalid message' },
    title: 'The message is not valid',
    delivery: 'not-sent',
    retryable: false,
  },
  'unsupported-field': {
    status: 422,
    smtp: null,
    title: 'A field is not supported',
    delivery: 'not-sent',
    retryable: false,
  },
  'idempotency-key-reused': {
    status: 422,
    smtp: { code: 554, text: '5.6.0 The Idempotency-Key belongs to another message' },
    title: 'The Idempotency-Key belongs to another request',
    delivery: 'not-sent',
    retryable: false,
  },
  'message-refused': {
    status: 422,
    smtp: { code: 554, text: '5.0.0 Message refused', upstream: true },
    title: 'Upstream refused the message',
    delivery: 'not-sent',
    retryable: false,
    settled: true,
  },
  'recipients-refused': {
    status: 422,
    smtp: { code: 550, text: '5.1.1 All recipients refused', upstream: true },
    title: 'Upstream refused every recipient',
    delivery: 'not-sent',
    retryable: false,
    settled: true,
  },
  'quota-exceeded': {
    status: 429,
    smtp: FREQUENCY_LIMITED,
    title: 'The quota of this api_user is spent',
    delivery: 'not-sent',
    retryable: true,
  },
  'too-many-forms': {
    status: 429,
    smtp: null,
    title: 'Too many forms from this address',
    delivery: 'not-sent',
    retryable: true,
  },
  'too-many-failed-logins': {
    status: 429,
    smtp: { code: 421, text: '4.7.0 Too many failed logins, try again later' },
    title: 'Too many failed logins',
    delivery: 'not-sent',
    retryable: true,
  },
  misconfigured: {
    status: 500,
    smtp: null,
    title: 'The gateway is not set up',
    delivery: 'not-sent',
    retryable: false,
  },
  internal: {
    status: 500,
    smtp: { code: 451, text: '4.3.0 Internal error' },
    title: 'An error in the gateway',
    delivery: 'unknown',
    retryable: false,
  },
  'outbox-off': {
    status: 501,
    smtp: null,
    title: 'This gateway has no outbox',
    delivery: 'not-sent',
    retryable: false,
  },
  'upstream-credentials': {
    status: 502,
    smtp: { code: 451, text: '4.7.0 Upstream refused the configured credentials' },
    title: 'Upstream refused the configured credentials',
    delivery: 'not-sent',
    retryable: false,
  },
  'upstream-insecure': {
    status: 502,
    smtp: { code: 454, text: '4.7.0 Upstream offers no trustworthy TLS' },
    title: 'Upstream offers no trustworthy TLS',
    delivery: 'not-sent',
    retryable: false,
  },
  'upstream-unreachable': {
    status: 502,
    smtp: { code: 451, text: '4.4.1 Upstream cannot be reached' },
    title: 'Upstream cannot be reached',
    delivery: 'not-sent',
    retryable: true,
  },
  'upstream-busy': {
    status: 503,
    smtp: { code: 451, text: '4.3.2 Upstream is busy', upstream: true },
    title: 'Upstream deferred the message',
    delivery: 'not-sent',
    retryable: true,
  },
  overloaded: {
    status: 503,
    smtp: { code: 451, text: '4.3.2 The gateway is overloaded' },
    title: 'The gateway is overloaded',
    delivery: 'not-sent',
    retryable: true,
  },
  'quota-unavailable': {
    status: 503,
    smtp: { code: 451, text: '4.3.0 The quota cannot be read' },
    title: 'The quota cannot be read',
    delivery: 'not-sent',
    retryable: true,
  },
  'store-unavailable': {
    status: 503,
    smtp: { code: 451, text: '4.3.0 The store does not answer' },
    title: 'The store of keys or of queued messages does not answer',
    delivery: 'not-sent',
    retryable: true,
  },
  'upstream-timeout': {
    status: 504,
    smtp: { code: 451, text: '4.4.2 Upstream did not answer in time' },
    title: 'Upstream did not answer in time',
    delivery: 'not-sent',
    retryable: true,
  },
  'outcome-unknown': {
    status: 504,
    smtp: { code: 451, text: '4.4.2 Outcome unknown: upstream may have the message' },
    title: 'Outcome unknown: upstream may have the message',
    delivery: 'unknown',
    retryable: false,
    settled: true,
  },
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof FAILURES;

/** The row of the table, with every optional column visible. */
export const kindOf = (code: FailureCode): FailureKind => FAILURES[code];

/** Upstream's 250 after the dot was seen. */
export interface Accepted {
  readonly delivery: 'accepted';
  readonly reply: SmtpReply;
  /** SendCloud's id of the message; null where the reply carries none. */
  readonly queueId: string | null;
  /** SendCloud's e-mail id of each accepted recipient, by address. */
  readonly emailIds: Readonly<Record<string, string>>;
  /** In the order of RCPT, which is the order of SendCloud's e-mail ids. */
  readonly accepted: readonly string[];
  readonly rejected: readonly Rejection[];
}

/** `not-sent` is proven; `unknown` means that the dot was written and no reply came. */
export interface Failure {
  readonly delivery: 'not-sent' | 'unknown';
  readonly code: FailureCode;
  /** One sentence for this occurrence, with what to do where that is known. */
  readonly detail: string;
  readonly smtp?: SmtpReply;
  readonly rejected?: readonly Rejection[];
  /** Milliseconds after which a retry makes sense. */
  readonly retryAfterMs?: number;
  readonly errors?: readonly FieldError[];
  /** Nothing was sent and nothing refused: `deliver` may try again by itself, and takes this mark away. */
  readonly again?: true;
}

export type Outcome = Accepted | Failure;

/** A failure as a value; its `delivery` is the table's. */
export function failure(
  code: FailureCode,
  detail: string,
  more: Omit<Failure, 'delivery' | 'code' | 'detail'> = {},
): Failure {
  return { delivery: FAILURES[code].delivery, code, detail, ...more };
}

/** An exception, as its caller is answered. */
export const INTERNAL = failure('internal', 'An error in the gateway; its log has it under this request id.');

/** Tells a failure from whatever else a step results in. */
export const isFailure = (result: unknown): result is Failure =>
  typeof result === 'object' && result !== null && 'code' in result && 'delivery' in result;

/** The longest that answers, records and logs have of upstream's words, in UTF-16 code units. */
export const MOST_REPLY_CHARS = 1024;
export const MOST_REJECTION_CHARS = 256;

/** The same outcome, upstream's words cut to that length: they may be long, and many for 300 recipients. */
export function bounded(outcome: Outcome): Outcome {
  if (outcome.delivery === 'accepted') {
    const { reply, rejected } = outcome;
    return { ...outcome, reply: cut(reply, MOST_REPLY_CHARS), rejected: rejected.map(cutRejection) };
  }
  const { smtp, rejected } = outcome;
  return {
    ...outcome,
    ...(smtp && { smtp: cut(smtp, MOST_REPLY_CHARS) }),
    ...(rejected && { rejected: rejected.map(cutRejection) }),
  };
}

const cutRejection = (rejection: Rejection): Rejection => cut(rejection, MOST_REJECTION_CHARS);

function cut<T extends { readonly response: string }>(words: T, most: number): T {
  const { response } = words;
  if (response.length <= most) return words;
  return { ...words, response: `${response.slice(0, most - 1)}…`.toWellFormed() };
}
