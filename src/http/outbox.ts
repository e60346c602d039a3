/** `/v1/messages/{id}` and the list: what became of queued messages, and cancelling those that wait. */

import * as v from 'valibot';
import { OUTBOX_STATES, type OutboxDoor, type OutboxRecord } from '../outbox.ts';
import { failure } from '../outcome.ts';
import type { QueuedBody, QueuedListBody } from '../responses.ts';
import { receiptOf } from '../send.ts';
import { canonicalApiUser } from '../sendcloud.ts';
import type { Context } from './context.ts';
import { occurrenceIn, problemOf, respondProblem } from './problem.ts';
import { createRoutes, type Routes } from './routes.ts';

export const MOST_LISTED = 100;
export const DEFAULT_LISTED = 20;

/** The query of the list. */
const ListQuery = v.object({
  state: v.optional(v.picklist(OUTBOX_STATES, `"state" must be one of ${OUTBOX_STATES.join(', ')}.`)),
  limit: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,3}$/, `"limit" must be a whole number from 1 to ${MOST_LISTED}.`),
      v.transform(Number),
      v.minValue(1, `"limit" must be at least 1.`),
      v.maxValue(MOST_LISTED, `"limit" must be at most ${MOST_LISTED}.`),
    ),
  ),
  cursor: v.optional(v.string()),
});

/** @param outbox - null where there is none */
export function outboxRoutes(outbox: OutboxDoor | null): Routes {
  const apiUserOf = (c: Context) => canonicalApiUser(c.get('caller').account.apiUser);

  return createRoutes()
    .get('/', async (c) => {
      if (!outbox) return respondProblem(c, OFF);
      const refuse = (why: string) => respondProblem(c, failure('invalid-request', why));
      for (const [name, values] of Object.entries(c.req.queries())) {
        if (!Object.hasOwn(ListQuery.entries, name)) return refuse(`There is no parameter "${name}".`);
        if (values.length > 1) return refuse(`Give "${name}" once.`);
      }
      const query = v.safeParse(ListQuery, c.req.query());
      if (!query.success) return refuse(query.issues[0].message);
      const { state = null, limit = DEFAULT_LISTED, cursor } = query.output;
      const page = await outbox.list(apiUserOf(c), { state, limit, cursor: cursor || null });
      if (!page) return refuse('"cursor" must be one that a list returned.');
      const messages = page.records.map((record) => stateOf(c, record));
      return c.json({ messages, cursor: page.cursor } satisfies QueuedListBody);
    })
    .get('/:id', async (c) => {
      if (!outbox) return respondProblem(c, OFF);
      const record = await outbox.read(apiUserOf(c), c.req.param('id'));
      return record ? c.json(stateOf(c, record)) : respondProblem(c, NOT_HERE);
    })
    .delete('/:id', async (c) => {
      if (!outbox) return respondProblem(c, OFF);
      const id = c.req.param('id');
      const cancelled = await outbox.cancel(apiUserOf(c), id);
      const record = await outbox.read(apiUserOf(c), id);
      if (cancelled === null || record === null) return respondProblem(c, NOT_HERE);
      if (cancelled === 'cancelled') return c.json(stateOf(c, record));
      return respondProblem(
        c,
        failure('not-cancellable', `The message is ${record.state}: only a queued one can be cancelled.`),
      );
    });
}

const OFF = failure('outbox-off', 'This gateway has no outbox (OUTBOX is off).');
const NOT_HERE = failure(
  'not-found',
  'No such message was queued by this api_user, or it is no longer kept.',
);

/** What a caller sees of a queued message. */
export function stateOf(c: Context, record: OutboxRecord): QueuedBody {
  const { outcome } = record;
  return {
    id: record.id,
    state: record.state,
    createdAt: timestamp(record.createdAt),
    sendAt: record.sendAt === null ? null : timestamp(record.sendAt),
    attempts: record.attempts.map((attempt) => ({ ...attempt, at: timestamp(attempt.at) })),
    nextAttemptAt: record.nextAttemptAt === null ? null : timestamp(record.nextAttemptAt),
    ...(outcome?.delivery === 'accepted' && { receipt: receiptOf(outcome, record) }),
    ...(outcome && outcome.delivery !== 'accepted' && { problem: problemOf(outcome, occurrenceIn(c)) }),
  };
}

const timestamp = (time: number): string => new Date(time).toISOString();
