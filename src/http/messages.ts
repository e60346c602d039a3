/** `POST /v1/messages` and its batch: from JSON to a submission, and from its outcome to a receipt. */

import { type Context, Hono } from 'hono';
import { setMetric } from 'hono/timing';
import type { Caller } from '../authenticate.ts';
import type { Timing } from '../deliver.ts';
import { sha256 } from '../digest.ts';
import { type MessageKey, storeKey } from '../idempotency.ts';
import type { Log } from '../log.ts';
import { type Message, messageIdFor } from '../message/message.ts';
import { parseMessage } from '../message/parse.ts';
import { type Accepted, type Failure, type FieldError, factsOf, failure, isFailure } from '../outcome.ts';
import type { QuotaState } from '../quota.ts';
import type { Submit } from '../submit.ts';
import { instanceOf, problemOf, respondProblem } from './problem.ts';
import { idempotencyKey, readJson } from './request.ts';
import type { Receipt } from './responses.ts';

/** The message as it goes out: who gets it, and its bytes. */
export interface Composed {
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  readonly bytes: Uint8Array;
}

export type Compose = (message: Message, ids: { messageId: string; date: Date }) => Composed;

export interface MessagesOptions {
  readonly submit: Submit;
  readonly compose: Compose;
  readonly deadlineMs: number;
  readonly maxMessageBytes: number;
  readonly log: Log;
}

/** One message's end: its receipt, or why there is none. */
interface Answer {
  readonly result: Receipt | Failure;
  readonly replayed: boolean;
  readonly quota: QuotaState | null;
  readonly timing: Timing & { readonly compose: number };
}

interface Variables {
  requestId: string;
  caller: Caller;
  quotaState: QuotaState | null;
}

export const MOST_IN_BATCH = 100;

/** Messages of one batch under way at once: enough to keep a login's connections busy. */
const BATCH_WORKERS = 8;

export function messageRoutes(options: MessagesOptions): Hono<{ Variables: Variables }> {
  const send = sender(options);
  return new Hono<{ Variables: Variables }>()
    .post('/', async (c) => {
      const signal = AbortSignal.timeout(options.deadlineMs);
      const key = idempotencyKey(c);
      if (isFailure(key)) return respondProblem(c, key);
      const body = await readJson(c);
      if (isFailure(body)) return respondProblem(c, body);
      const answer = await send(c, body.json, key === null ? null : { key, index: null }, signal);
      c.set('quotaState', answer.quota);
      for (const [step, milliseconds] of Object.entries(answer.timing)) setMetric(c, step, milliseconds);
      if (answer.replayed) c.header('Idempotent-Replayed', 'true');
      return isFailure(answer.result) ? respondProblem(c, answer.result) : c.json(answer.result);
    })
    .post('/batch', async (c) => {
      const signal = AbortSignal.timeout(options.deadlineMs);
      const key = idempotencyKey(c);
      if (isFailure(key)) return respondProblem(c, key);
      const body = await readJson(c);
      if (isFailure(body)) return respondProblem(c, body);
      const messages = body.json;
      if (!Array.isArray(messages) || messages.length < 1 || messages.length > MOST_IN_BATCH) {
        const message = `expected an array of 1 to ${MOST_IN_BATCH} messages`;
        const errors = [{ pointer: '', message }];
        return respondProblem(c, failure('invalid-message', 'The batch is not valid.', { errors }));
      }
      const answers = await eachOf(messages, BATCH_WORKERS, (message, index) =>
        // Each message has a key of its own, so that a repeated batch sends only what was not sent.
        send(c, message, key === null ? null : { key, index }, signal),
      );
      c.set('quotaState', leastRemaining(answers));
      if (answers.every((answer) => answer.replayed)) c.header('Idempotent-Replayed', 'true');
      return c.json(answers.map((answer) => batchItem(c, answer)));
    });
}

/** Validate, compose, submit: the way of one message through this door. */
function sender({ submit, compose, maxMessageBytes, log }: MessagesOptions) {
  return async function send(
    c: Context<{ Variables: Variables }>,
    input: unknown,
    key: MessageKey | null,
    signal: AbortSignal,
  ): Promise<Answer> {
    const start = performance.now();
    const caller = c.get('caller');
    const stop = (failed: Failure): Answer => ({
      result: failed,
      replayed: false,
      quota: null,
      timing: { compose: performance.now() - start, lease: 0, draw: 0, send: 0 },
    });

    if (signal.aborted)
      return stop(failure('upstream-timeout', 'The deadline of the batch had passed already.'));
    const parsed = parseMessage(input);
    if ('errors' in parsed) return stop(invalidMessage(parsed.errors));
    const { message } = parsed;
    const id = await messageIdentity(caller.account.apiUser, key);
    const messageId = messageIdFor(id, message.from);
    const { envelope, bytes } = compose(message, { messageId, date: new Date() });
    const size = bytes.byteLength;
    if (size > maxMessageBytes) {
      return stop(
        failure(
          'message-too-large',
          `The message has ${size} bytes as transferred; ${maxMessageBytes} is the most.`,
        ),
      );
    }
    const idempotency = key === null ? null : { ...key, fingerprint: await sha256(JSON.stringify(input)) };
    const composeMs = performance.now() - start;

    const submitted = await submit(
      {
        caller,
        label: message.label,
        envelope: { ...envelope, size, eightBit: false },
        content: bytes,
        idempotency,
      },
      signal,
    );
    const { outcome, replayed, quota, timing } = submitted;
    log.info('message', {
      requestId: c.get('requestId'),
      id,
      apiUser: caller.account.apiUser,
      label: message.label,
      size,
      replayed,
      milliseconds: Math.round(performance.now() - start),
      ...factsOf(outcome),
    });
    return {
      result:
        outcome.delivery === 'accepted' ? receiptOf(outcome, { id, messageId, size, message }) : outcome,
      replayed,
      quota,
      timing: { compose: composeMs, ...timing },
    };
  };
}

/** What the caller is told of an accepted message. */
function receiptOf(
  outcome: Accepted,
  sent: { id: string; messageId: string; size: number; message: Message },
): Receipt {
  return {
    id: sent.id,
    messageId: sent.messageId,
    queueId: outcome.queueId,
    label: sent.message.label,
    accepted: outcome.accepted,
    rejected: outcome.rejected,
    emailIds: outcome.emailIds,
    size: sent.size,
    embedded: sent.message.embedded,
    response: outcome.reply.response,
  };
}

function batchItem(c: Context, { result }: Answer) {
  if (!isFailure(result)) return { status: 200, receipt: result };
  const problem = problemOf(result, instanceOf(c));
  return { status: problem.status, problem };
}

function invalidMessage(errors: readonly FieldError[]): Failure {
  const many = errors.length === 1 ? 'an error' : `${errors.length} errors`;
  return failure('invalid-message', `The message has ${many}; nothing was sent.`, { errors });
}

/**
 * The id of a message, which makes its Message-ID. An idempotency key always makes the same one, so a
 * message that is sent again after a failure stays one message for whoever reads both.
 */
async function messageIdentity(apiUser: string, key: MessageKey | null): Promise<string> {
  if (key === null) return crypto.randomUUID();
  return (await sha256(storeKey(apiUser, key))).slice(0, 32);
}

/**
 * Runs `work` for every item, `workers` at a time; the results are in the items' order.
 *
 * Every item starts in a turn of the event loop of its own: the validation of a large message takes long
 * enough to be felt by all others, and one that fails waits for nothing. A turn costs some 5 µs.
 */
async function eachOf<T, R>(
  items: readonly T[],
  workers: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  let turn = Promise.resolve();
  const nextTurn = () => {
    turn = turn.then(() => new Promise((resolve) => setImmediate(resolve)));
    return turn;
  };
  const worker = async () => {
    for (const [index, item] of queue) {
      await nextTurn();
      results[index] = await work(item, index);
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return results;
}

/** The state after the last draw of a batch: what was drawn last left the least. */
function leastRemaining(answers: readonly Answer[]): QuotaState | null {
  const states = answers.flatMap((answer) => (answer.quota ? [answer.quota] : []));
  return states.reduce<QuotaState | null>(
    (least, state) => (least && least.remaining <= state.remaining ? least : state),
    null,
  );
}
