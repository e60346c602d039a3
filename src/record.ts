/**
 * A message's outcome as it is kept under its idempotency key: what a replay cannot tell from the repeated request,
 * which has the same recipients, if in another order. So a record is small, and it is read as what a stranger wrote.
 */

import * as v from 'valibot';
import {
  FAILURES,
  type FailureCode,
  failure,
  kindOf,
  MOST_REJECTION_CHARS,
  MOST_REPLY_CHARS,
  type Outcome,
  type Phase,
} from './outcome.ts';
import { emailIds } from './sendcloud.ts';

/** Another shape of record has another number; one that is not known is no record. */
const VERSION = 1;

const PHASES: Record<Phase, true> = {
  connect: true,
  greeting: true,
  ehlo: true,
  starttls: true,
  auth: true,
  mail: true,
  rcpt: true,
  data: true,
  dot: true,
};

const SETTLED = (Object.keys(FAILURES) as FailureCode[]).filter((code) => kindOf(code).settled);

const replyCode = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(599));
const ReplySchema = v.strictObject({
  code: replyCode,
  enhanced: v.nullable(v.string()),
  phase: v.picklist(Object.keys(PHASES) as Phase[]),
  response: v.string(),
});

const place = v.pipe(v.number(), v.integer(), v.minValue(0));
const common = {
  v: v.literal(VERSION),
  /** The recipients in the order of RCPT, each by its place in the sorted list. */
  to: v.array(place),
  /** Those that were refused: that place, the reply's code, its text. */
  rejected: v.array(v.strictTuple([place, replyCode, v.string()])),
};

const RecordSchema = v.union([
  v.strictObject({ ...common, reply: ReplySchema, queueId: v.nullable(v.string()) }),
  v.strictObject({
    ...common,
    code: v.picklist(SETTLED),
    detail: v.string(),
    smtp: v.optional(ReplySchema),
  }),
]);

/** The longest record of an outcome for so many recipients, in UTF-16 code units; JSON may double a text. */
export const mostRecordChars = (recipients: number): number =>
  2048 + 2 * MOST_REPLY_CHARS + recipients * (32 + 2 * MOST_REJECTION_CHARS);

/**
 * @param outcome - a settled one, `bounded`
 * @param to - the envelope's recipients
 */
export function writeRecord(outcome: Outcome, to: readonly string[]): string {
  const places = new Map(to.toSorted().map((address, index) => [address, index]));
  const rejected = (outcome.rejected ?? []).map(({ address, code, response }) => [
    places.get(address),
    code,
    response,
  ]);
  const end =
    outcome.delivery === 'accepted'
      ? { reply: outcome.reply, queueId: outcome.queueId }
      : { code: outcome.code, detail: outcome.detail, smtp: outcome.smtp };
  return JSON.stringify({ v: VERSION, to: to.map((address) => places.get(address)), ...end, rejected });
}

/** The outcome that was written for a message to the same recipients; null for what is no record of one. */
export function readRecord(record: string, to: readonly string[]): Outcome | null {
  const parsed = v.safeParse(RecordSchema, parseJson(record));
  if (!parsed.success) return null;
  const kept = parsed.output;
  const sorted = to.toSorted();
  const refusedPlaces = kept.rejected.map(([index]) => index);
  if (kept.to.length !== to.length || Math.max(...kept.to, ...refusedPlaces) >= to.length) return null;
  const addressAt = (index: number) => sorted[index] as string;
  const rejected = kept.rejected.map(([index, code, response]) => ({
    address: addressAt(index),
    code,
    response,
  }));
  if ('reply' in kept) {
    const { reply, queueId } = kept;
    const accepted = kept.to.filter((index) => !refusedPlaces.includes(index)).map(addressAt);
    const ids = queueId === null ? {} : emailIds(queueId, accepted);
    return { delivery: 'accepted', reply, queueId, emailIds: ids, accepted, rejected };
  }
  const { code, detail, smtp } = kept;
  return failure(code, detail, { ...(smtp && { smtp }), ...(rejected.length > 0 && { rejected }) });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
