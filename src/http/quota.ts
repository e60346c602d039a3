/** `GET /v1/quota` and `POST /v1/quota/calls`: the window shown, and drawn for calls made elsewhere. */

import * as v from 'valibot';
import type { Caller } from '../authenticate.ts';
import { quotaExceeded, quotaUnavailable } from '../deliver.ts';
import { addIssue, FieldErrors } from '../message/field-errors.ts';
import { type Failure, failure, isFailure } from '../outcome.ts';
import type { Quota, QuotaState } from '../quota.ts';
import type { QuotaBody } from '../responses.ts';
import { StoreUnavailable } from '../store.ts';
import { respondProblem } from './problem.ts';
import { resetSeconds } from './rate-limit.ts';
import { readJson } from './request.ts';
import { createRoutes, type Routes } from './routes.ts';

/** Calls that the caller is about to make to SendCloud without the gateway. */
export const CallsSchema = v.strictObject(
  {
    count: v.pipe(
      v.number('Give the count as a number.'),
      v.integer('Give a whole number.'),
      v.minValue(1, 'Give at least 1.'),
      v.examples([100]),
    ),
  },
  'Give an object with a count.',
);

export function quotaRoutes(quota: Quota, windowSeconds: number): Routes {
  const describe = (caller: Caller, state: QuotaState): QuotaBody => ({
    apiUser: caller.account.apiUser,
    limit: state.limit,
    remaining: state.remaining,
    windowSeconds,
    reset: resetSeconds(state, windowSeconds),
  });

  return createRoutes()
    .get('/', async (c) => {
      const caller = c.get('caller');
      const state = await available(quota.peek(caller.account.apiUser, caller.account.quota));
      if (isFailure(state)) return respondProblem(c, state);
      c.set('quotaState', state);
      return c.json(describe(caller, state));
    })
    .post('/calls', async (c) => {
      const body = await readJson(c);
      if (isFailure(body)) return respondProblem(c, body);
      const caller = c.get('caller');
      const { apiUser, quota: limit } = caller.account;
      const count = readCount(body.json, limit);
      if (typeof count !== 'number') return respondProblem(c, count);
      const draw = await available(quota.draw(apiUser, limit, count));
      if (isFailure(draw)) return respondProblem(c, draw);
      c.set('quotaState', draw);
      return draw.granted ? c.json(describe(caller, draw)) : respondProblem(c, quotaExceeded(draw));
    });
}

function readCount(json: unknown, limit: number): number | Failure {
  const errors = new FieldErrors();
  const parsed = v.safeParse(CallsSchema, json);
  for (const issue of parsed.issues ?? [])
    addIssue(errors, issue, '', () => Object.keys(CallsSchema.entries));
  if (parsed.success && parsed.output.count <= limit) return parsed.output.count;
  if (parsed.success) errors.add('/count', `Give at most ${limit}: the window never holds more.`);
  return failure('invalid-message', 'The calls are not valid; none was drawn.', { errors: errors.list });
}

async function available<T>(asked: Promise<T>): Promise<T | Failure> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof StoreUnavailable) return quotaUnavailable();
    throw error;
  }
}
