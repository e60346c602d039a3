/** `POST /v1/messages` and its batch: sent now, or put into the outbox. */

import { withDeadline } from '../deadline.ts';
import { BATCH_WORKERS, eachOf, MOST_IN_BATCH } from '../each-of.ts';
import type { Origin } from '../message-event.ts';
import type { OutboxRecord } from '../outbox.ts';
import { failure, isFailure } from '../outcome.ts';
import type { QuotaState } from '../quota.ts';
import type { BatchItem, ReceiptBody } from '../responses.ts';
import type { Send, Sent } from '../send.ts';
import { parseTraceparent } from '../trace-context.ts';
import type { Context } from './context.ts';
import { stateOf } from './outbox.ts';
import { occurrenceIn, problemOf, respondProblem } from './problem.ts';
import { idempotencyKey, readJson, readMessage } from './request.ts';
import { createRoutes, type Routes } from './routes.ts';

export interface MessagesOptions {
  readonly send: Send;
  /** How long this request may take, in milliseconds. */
  readonly deadlineMs: (c: Context) => number;
  /** The peer's address, for the log and the count of failed logins. */
  readonly clientAddress: (c: Context) => string;
}

export function messageRoutes(options: MessagesOptions): Routes {
  const { deadlineMs } = options;
  return createRoutes()
    .post('/', (c) => withDeadline(deadlineMs(c), (signal) => sendOne(c, options, signal)))
    .post('/batch', (c) => withDeadline(deadlineMs(c), (signal) => sendBatch(c, options, signal)));
}

async function sendOne(c: Context, options: MessagesOptions, signal: AbortSignal): Promise<Response> {
  const origin = originOf(c, options);
  const key = idempotencyKey(c);
  if (isFailure(key)) return respondProblem(c, key);
  const message = await readMessage(c);
  if (isFailure(message)) return respondProblem(c, message);
  const { deferred, honoured } = preferenceOf(c);
  const sent = await options.send(
    { caller: c.get('caller'), message, key: key === null ? null : { key, index: null }, deferred, origin },
    signal,
  );
  c.set('reported', true);
  c.set('quotaState', sent.quota);
  c.set('timing', sent.timing);
  if (sent.replayed) c.header('Idempotent-Replayed', 'true');
  const { result } = sent;
  if (isFailure(result)) return respondProblem(c, result);
  if (!isQueued(result)) return c.json(result satisfies ReceiptBody);
  honoured();
  c.header('Location', `${c.get('prefix')}${c.req.path}/${result.id}`);
  return c.json(stateOf(c, result), 202);
}

async function sendBatch(c: Context, options: MessagesOptions, signal: AbortSignal): Promise<Response> {
  const origin = originOf(c, options);
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
  const { deferred, honoured } = preferenceOf(c);
  const all = await eachOf(messages, BATCH_WORKERS, (json, index) =>
    // Each message has a key of its own, so that a repeated batch sends only what was not sent.
    options.send(
      {
        caller: c.get('caller'),
        message: { json },
        key: key === null ? null : { key, index },
        deferred,
        origin,
      },
      signal,
    ),
  );
  if (all.some(({ result }) => isQueued(result))) honoured();
  c.set('quotaState', leastRemaining(all));
  if (all.every((sent) => sent.replayed)) c.header('Idempotent-Replayed', 'true');
  return c.json(all.map((sent) => batchItem(c, sent)));
}

/** Where this request came in. */
export const originOf = (c: Context, options: Pick<MessagesOptions, 'clientAddress'>): Origin => ({
  requestId: c.get('requestId'),
  door: 'http',
  clientAddress: options.clientAddress(c),
  startedAt: performance.now(),
  trace: parseTraceparent(c.req.header('traceparent')),
});

/** Among other preferences; its parameters are not known, and an empty value is none (RFC 7240 section 2). */
const RESPOND_ASYNC = /(?:^|,)\s*respond-async\s*(?:=\s*(?:"")?\s*)?(?:[;,]|$)/i;

/** `Prefer: respond-async` (RFC 7240 section 4.1), and how the answer says that it was followed. */
function preferenceOf(c: Context): { readonly deferred: boolean; readonly honoured: () => void } {
  const deferred = RESPOND_ASYNC.test(c.req.header('Prefer') ?? '');
  return {
    deferred,
    honoured: () => {
      if (deferred) c.header('Preference-Applied', 'respond-async');
    },
  };
}

const isQueued = (result: Sent['result']): result is OutboxRecord => 'state' in result;

function batchItem(c: Context, { result }: Sent): BatchItem {
  if (isQueued(result)) return { status: 202, message: stateOf(c, result) };
  if (!isFailure(result)) return { status: 200, receipt: result };
  const problem = problemOf(result, occurrenceIn(c));
  return { status: problem.status, problem };
}

/** The state after the last draw of a batch: what was drawn last left the least. */
function leastRemaining(answers: readonly Sent[]): QuotaState | null {
  const states = answers.flatMap((answer) => (answer.quota ? [answer.quota] : []));
  return states.reduce<QuotaState | null>(
    (least, state) => (least && least.remaining <= state.remaining ? least : state),
    null,
  );
}
