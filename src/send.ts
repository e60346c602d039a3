/** The way of a message, whatever door it came through: parse → compose → identity → submit or enqueue. */

import { policyFailure } from './account.ts';
import type { Caller } from './authenticate.ts';
import { NO_TIME, type Timing } from './deliver.ts';
import { digestOfLarge, sha256 } from './digest.ts';
import type { Enqueue } from './enqueue.ts';
import { type MessageKey, storeKey } from './idempotency.ts';
import { compose } from './message/compose.ts';
import { readFiles } from './message/files.ts';
import type { Mailbox } from './message/mailbox.ts';
import { type Message, messageIdFor } from './message/message.ts';
import { parseMessage } from './message/parse.ts';
import { parseWhole, type WholeInput } from './message/whole.ts';
import { type Emit, messageEvent, type Origin } from './message-event.ts';
import {
  MOST_LISTED,
  MOST_SUBJECT_CHARS,
  type OutboxRecord,
  type SentFacts,
  type SentHeaders,
} from './outbox.ts';
import {
  type Accepted,
  type Failure,
  type FieldError,
  failure,
  isFailure,
  type Rejection,
} from './outcome.ts';
import { Pace } from './pace.ts';
import type { QuotaState } from './quota.ts';
import type { Submission, Submit, Submitted } from './submit.ts';

/** Any JSON value, or a whole message. */
export type MessageSource = { readonly json: unknown } | { readonly whole: WholeInput };

export interface SendRequest {
  readonly caller: Caller;
  /** What is wrong with it is answered. */
  readonly message: MessageSource;
  readonly key: MessageKey | null;
  /** The caller need not wait for the outcome: into the outbox, where there is one. */
  readonly deferred: boolean;
  readonly origin: Origin;
}

/** What the caller of an accepted message is answered. */
export interface Receipt {
  readonly id: string;
  /** The Message-ID header; null where a whole message has none. */
  readonly messageId: string | null;
  /** SendCloud's id of the message; null where its reply carries none. */
  readonly queueId: string | null;
  readonly label: number | null;
  readonly accepted: readonly string[];
  readonly rejected: readonly Rejection[];
  /** SendCloud's e-mail id of each accepted recipient, by address. */
  readonly emailIds: Readonly<Record<string, string>>;
  /** Bytes as transferred. */
  readonly size: number;
  /** Pictures made from data URIs. */
  readonly embedded: number;
  /** Upstream's final reply. */
  readonly response: string;
  /** What was sent and will not show everywhere. */
  readonly warnings: readonly FieldError[];
}

export interface Sent {
  /** The state of a message that went into the outbox. */
  readonly result: Receipt | OutboxRecord | Failure;
  readonly replayed: boolean;
  readonly quota: QuotaState | null;
  readonly timing: Timing & { readonly compose: number };
}

export type Send = (request: SendRequest, signal: AbortSignal) => Promise<Sent>;

/** A message ready to be submitted, and what its receipt tells of it. */
interface Prepared {
  readonly submission: Submission & { readonly content: Uint8Array };
  readonly id: string;
  readonly facts: SentFacts;
  readonly sendAt: number | null;
  /** It goes into the outbox. */
  readonly queued: boolean;
}

export function createSend(options: {
  submit: Submit;
  /** Null where there is no outbox. */
  enqueue: Enqueue | null;
  maxMessageBytes: number;
  emit: Emit;
}): Send {
  const { submit, enqueue, maxMessageBytes, emit } = options;

  return async function send(request, signal) {
    const start = performance.now();
    const prepared = await prepare(request, signal, start);
    if (isFailure(prepared)) return refused(request, prepared, performance.now() - start);
    if (prepared.queued) return queue(request, prepared);
    const submitted = await submit(prepared.submission, signal);
    const { outcome, replayed, quota, timing } = submitted;
    return {
      result: outcome.delivery === 'accepted' ? receiptOf(outcome, prepared) : outcome,
      replayed,
      quota,
      timing: { compose: prepared.submission.facts.composeMs, ...timing },
    };
  };

  async function prepare(
    { caller, message: source, key, deferred, origin }: SendRequest,
    signal: AbortSignal,
    start: number,
  ): Promise<Prepared | Failure> {
    if (signal.aborted)
      return failure('upstream-timeout', 'The deadline had passed before this message began.');
    const pace = new Pace();
    const id = key === null ? crypto.randomUUID() : await messageIdentity(caller.account.apiUser, key);
    const draft =
      'whole' in source
        ? await draftOfWhole(source.whole, caller)
        : await draftOf(source.json, caller, id, maxMessageBytes);
    if (isFailure(draft)) return draft;
    await pace.giveWay();
    const fitting = within(draft, maxMessageBytes);
    if (isFailure(fitting)) return fitting;
    const { envelope, bytes, size, eightBit, label, sendAt, ...sent } = fitting;
    // A preference may be passed over (RFC 7240 section 2); a time may not.
    const queued = sendAt !== null || (deferred && enqueue !== null);
    const submission = {
      caller,
      label,
      envelope: { ...envelope, size, eightBit },
      content: bytes,
      idempotency: key && { ...key, fingerprint: await fingerprintOf(source, queued) },
      facts: {
        origin,
        id,
        composeMs: performance.now() - start,
        warnings: sent.warnings.map(({ message }) => message),
      },
    };
    return { submission, id, facts: { ...sent, label, size }, sendAt, queued };
  }

  async function queue(request: SendRequest, { submission, ...entry }: Prepared): Promise<Sent> {
    const { composeMs } = submission.facts;
    if (!enqueue) {
      const detail = 'This gateway has no outbox (OUTBOX is off), so it cannot send at a later time.';
      return refused(request, failure('outbox-off', detail), composeMs);
    }
    const enqueued = await enqueue(submission, entry);
    if (isFailure(enqueued)) return refused(request, enqueued, composeMs);
    const { record, replayed } = enqueued;
    const { envelope, caller } = submission;
    const { label, size } = entry.facts;
    const facts = { ...submission.facts, label, size, recipients: envelope.to.length };
    const end = { outcome: 'queued', replayed, timing: NO_TIME, attempts: 0 } as const;
    emit(messageEvent({ ...facts, apiUser: caller.account.apiUser }, end));
    return { result: record, replayed, quota: null, timing: { compose: composeMs, ...NO_TIME } };
  }

  /** What never reaches `submit` ends with the same event. */
  function refused({ caller, origin }: SendRequest, failed: Failure, composeMs: number): Sent {
    const facts = { origin, id: null, label: null, size: null, recipients: null, composeMs, warnings: [] };
    const submitted: Submitted = {
      outcome: failed,
      replayed: false,
      quota: null,
      timing: NO_TIME,
      attempts: 0,
    };
    emit(messageEvent({ ...facts, apiUser: caller.account.apiUser }, submitted));
    return { result: failed, replayed: false, quota: null, timing: { compose: composeMs, ...NO_TIME } };
  }
}

/** The receipt of a message that upstream accepted. */
export const receiptOf = (
  outcome: Accepted,
  { id, facts }: { readonly id: string; readonly facts: SentFacts },
): Receipt => ({
  id,
  messageId: facts.messageId,
  queueId: outcome.queueId,
  label: facts.label,
  accepted: outcome.accepted,
  rejected: outcome.rejected,
  emailIds: outcome.emailIds,
  size: facts.size,
  embedded: facts.embedded,
  response: outcome.reply.response,
  warnings: facts.warnings,
});

/** A text of so many characters is digested apart from the rest: JSON of it all would hold up everything. */
const LONG_TEXT = 64 * 1024;

/** A request for now and one for later are two: neither gets the other's answer, nor is sent besides it. */
async function fingerprintOf(source: MessageSource, queued: boolean): Promise<string> {
  const long: (string | Uint8Array)[] = [];
  let rest: string;
  if ('whole' in source) {
    const { bytes, ...envelope } = source.whole;
    rest = JSON.stringify(envelope);
    long.push(bytes);
  } else {
    rest = JSON.stringify(source.json, (_, value) => {
      if (typeof value !== 'string' || value.length < LONG_TEXT) return value;
      long.push(value);
      // No message has a number where it may have a long text.
      return value.length;
    });
  }
  const digests = await Promise.all(long.map(digestOfLarge));
  return sha256([queued ? 'queued ' : '', rest, ...digests].join(''));
}

/** What a source makes: an envelope, its bytes, and what a receipt tells of them. */
interface Draft extends SentFacts {
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  /** Null where there are more than was allowed. */
  readonly bytes: Uint8Array | null;
  readonly eightBit: boolean;
  readonly sendAt: number | null;
}

async function draftOf(
  json: unknown,
  { account }: Caller,
  id: string,
  maxBytes: number,
): Promise<Draft | Failure> {
  const pace = new Pace();
  const parsed = parseMessage(json, await readFiles(json, pace));
  if ('errors' in parsed) return invalidMessage(parsed.errors);
  await pace.giveWay();
  const { message } = parsed;
  const { label, embedded, warnings, sendAt } = message;
  // `submit` looks at the envelope's sender, which a return path is.
  const forbidden = message.returnPath === null ? null : policyFailure(account, message.from.address, null);
  if (forbidden) return forbidden;
  const messageId = message.messageId ?? messageIdFor(id, message.from);
  const composed = await compose(message, { messageId, date: new Date() }, maxBytes);
  return {
    ...composed,
    eightBit: false,
    label,
    messageId,
    embedded,
    warnings,
    sendAt,
    headers: headersOf(message),
  };
}

const headersOf = ({ from, to, cc, bcc, replyTo, subject }: Message): SentHeaders => ({
  from: from.name ? `${from.name} <${from.address}>` : from.address,
  to: addressesOf(to),
  cc: addressesOf(cc),
  bcc: addressesOf(bcc),
  replyTo: addressesOf(replyTo),
  subject: subject.slice(0, MOST_SUBJECT_CHARS).toWellFormed(),
});

const addressesOf = (mailboxes: readonly Mailbox[]): string[] =>
  mailboxes.slice(0, MOST_LISTED).map(({ address }) => address);

/** Why a message would be refused before upstream is asked, or null: nothing is sent. */
export async function checkMessage(
  json: unknown,
  caller: Caller,
  maxMessageBytes: number,
): Promise<Failure | null> {
  const draft = await draftOf(json, caller, crypto.randomUUID(), maxMessageBytes);
  if (isFailure(draft)) return draft;
  const forbidden = policyFailure(caller.account, draft.envelope.from, draft.label);
  if (forbidden) return forbidden;
  const whole = within(draft, maxMessageBytes);
  return isFailure(whole) ? whole : null;
}

/** The draft itself where it has at most so many bytes. */
function within(draft: Draft, maxBytes: number): (Draft & { readonly bytes: Uint8Array }) | Failure {
  const { bytes, size } = draft;
  if (bytes !== null && size <= maxBytes) return { ...draft, bytes };
  const detail = `The message has ${size} bytes as transferred; at most ${maxBytes} are allowed.`;
  return failure('message-too-large', detail);
}

async function draftOfWhole(input: WholeInput, { account }: Caller): Promise<Draft | Failure> {
  const whole = await parseWhole(input, account);
  if (isFailure(whole)) return whole;
  return { ...whole, size: whole.bytes.byteLength, embedded: 0, sendAt: null };
}

function invalidMessage(errors: readonly FieldError[]): Failure {
  const many = errors.length === 1 ? 'an error' : `${errors.length} errors`;
  return failure('invalid-message', `The message has ${many}; nothing was sent.`, { errors });
}

/**
 * The id of a message, which makes its Message-ID. An idempotency key always makes the same one, so a message
 * that is sent again after a failure is one message to every reader.
 */
const messageIdentity = async (apiUser: string, key: MessageKey): Promise<string> =>
  (await sha256(storeKey(apiUser, key))).slice(0, 32);
