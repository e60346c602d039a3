/** The bodies of responses, as schemas: the code's types and the API description are made from the same. */

import * as v from 'valibot';
import { OUTBOX_STATES } from './outbox.ts';
import { FAILURES, type FailureCode } from './outcome.ts';

const whole = v.pipe(v.number(), v.integer());
const texts = v.pipe(v.array(v.string()), v.readonly());

const RejectionSchema = v.object({ address: v.string(), code: whole, response: v.string() });

const FieldErrorsSchema = v.pipe(
  v.array(
    v.object({
      pointer: v.pipe(v.string(), v.description('A JSON Pointer (RFC 6901) into the input.')),
      message: v.string(),
    }),
  ),
  v.readonly(),
);

const SmtpReplySchema = v.object({
  code: whole,
  enhanced: v.nullable(v.string()),
  phase: v.string(),
  response: v.string(),
});

export const ReceiptSchema = v.object({
  id: v.string(),
  messageId: v.pipe(
    v.nullable(v.string()),
    v.description('The Message-ID header; null where a whole message has none.'),
  ),
  queueId: v.pipe(v.nullable(v.string()), v.description("SendCloud's id of the message.")),
  label: v.nullable(whole),
  accepted: texts,
  rejected: v.pipe(v.array(RejectionSchema), v.readonly()),
  emailIds: v.pipe(
    v.record(v.string(), v.string()),
    v.description("SendCloud's e-mail id of each accepted recipient, as its webhooks have it."),
  ),
  size: v.pipe(whole, v.description('Bytes as transferred.')),
  embedded: v.pipe(whole, v.description('Pictures made from data URIs.')),
  response: v.pipe(v.string(), v.description("Upstream's final reply.")),
  warnings: v.pipe(FieldErrorsSchema, v.description('What was sent and will not show in every mail client.')),
});
export type ReceiptBody = v.InferOutput<typeof ReceiptSchema>;

export const QuotaSchema = v.object({
  apiUser: v.string(),
  limit: v.pipe(whole, v.description('Calls per window.')),
  remaining: whole,
  windowSeconds: whole,
  reset: v.pipe(whole, v.description('Seconds until the whole limit is back.')),
});
export type QuotaBody = v.InferOutput<typeof QuotaSchema>;

export const ReadinessSchema = v.object({
  status: v.picklist(['ready', 'not ready']),
  parts: v.pipe(
    v.record(v.string(), v.nullable(v.string())),
    v.description('null where a part is well, or what is wrong with it.'),
  ),
});

/** One by one, so that a problem's status tells it from a batch's other answers. */
const PROBLEM_STATUSES = [...new Set(Object.values(FAILURES).map(({ status }) => status))];

/** RFC 9457. */
export const ProblemSchema = v.object({
  type: v.pipe(v.string(), v.description('The path of a page about the code.')),
  title: v.string(),
  status: v.picklist(PROBLEM_STATUSES),
  detail: v.string(),
  instance: v.string(),
  code: v.picklist(Object.keys(FAILURES) as FailureCode[]),
  delivery: v.pipe(
    v.picklist(['not-sent', 'unknown']),
    v.description('`not-sent` is proven; `unknown`: upstream may have the message.'),
  ),
  retryable: v.pipe(v.boolean(), v.description('The same request may succeed later.')),
  smtp: v.optional(v.pipe(SmtpReplySchema, v.description('What upstream said.'))),
  rejected: v.optional(v.pipe(v.array(RejectionSchema), v.readonly())),
  errors: v.optional(FieldErrorsSchema),
});
export type Problem = v.InferOutput<typeof ProblemSchema>;

const time = v.pipe(v.string(), v.isoTimestamp(), v.description('RFC 3339, in UTC.'));

/** A message in the outbox. */
export const QueuedSchema = v.object({
  id: v.string(),
  state: v.picklist(OUTBOX_STATES),
  createdAt: time,
  sendAt: v.nullable(time),
  attempts: v.pipe(
    v.array(v.object({ at: time, code: v.string(), detail: v.string(), smtp: v.nullable(SmtpReplySchema) })),
    v.readonly(),
    v.description('The latest tries that failed; waiting for the quota is none.'),
  ),
  nextAttemptAt: v.nullable(time),
  receipt: v.optional(v.pipe(ReceiptSchema, v.description('In the state `accepted`.'))),
  problem: v.optional(v.pipe(ProblemSchema, v.description('In the states `failed` and `unknown`.'))),
});
export type QueuedBody = v.InferOutput<typeof QueuedSchema>;

export const QueuedListSchema = v.object({
  messages: v.array(QueuedSchema),
  cursor: v.pipe(v.nullable(v.string()), v.description('For the next page; null on the last one.')),
});
export type QueuedListBody = v.InferOutput<typeof QueuedListSchema>;

export const BatchSchema = v.array(
  v.union([
    v.object({ status: v.literal(200), receipt: ReceiptSchema }),
    v.object({ status: v.literal(202), message: QueuedSchema }),
    v.object({ status: v.picklist(PROBLEM_STATUSES), problem: ProblemSchema }),
  ]),
);
export type BatchItem = v.InferOutput<typeof BatchSchema>[number];
