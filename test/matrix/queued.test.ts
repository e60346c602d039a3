/** The matrix by way of the outbox: the state that is kept in the end is what upstream's ledger has. */

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startPostern } from '../support/postern.ts';
import { faultsOf, type MatrixStep, RECIPIENTS, waysOf } from './ways.ts';

const isFull = process.env.MATRIX === 'full';

const STEPS: readonly MatrixStep[] = isFull
  ? [
      'connect',
      'greeting',
      'ehlo2',
      'auth-key',
      'mail',
      'rcpt one',
      'rcpt all',
      'data',
      'body',
      'dot',
      'idle',
    ]
  : ['mail', 'rcpt one', 'data', 'dot'];

/** A deferral is waited for: half a minute. */
const SLOW = ['451', '421'];
const WAYS = ['close', 'reset', 'silent', '550, close', 'garbage', 'usual, close', '550 + usual'];
const names = isFull ? [...WAYS, ...SLOW] : WAYS;

interface State {
  readonly id: string;
  readonly state: string;
}

describe.concurrent('a queued message', { timeout: 240_000 }, () => {
  for (const step of STEPS)
    for (const way of waysOf(step).filter(({ name }) => names.includes(name)))
      it(`${step} × ${way.name}`, async () => {
        await using postern = await startPostern({ DEADLINE_MS: '2500' });
        const { upstream } = postern;
        upstream.faults = faultsOf(step, way, 1);
        const message = { from: 'support@ifaxin.com', to: RECIPIENTS, subject: 'Queued', text: 'Hello' };
        const answer = await postern.send(message, { Prefer: 'respond-async' });
        expect(answer.status).toBe(202);
        const { id } = (await answer.json()) as State;
        const read = async () => (await (await postern.request(`/v1/messages/${id}`)).json()) as State;
        let found = await read();
        while (found.state === 'queued' || found.state === 'sending') {
          await pause(50);
          found = await read();
        }
        const taken = upstream.taken.length;
        const isTold = step !== 'dot' || way.accepts || way.refuses !== undefined;
        if (isTold) expect([found.state, taken]).toEqual(taken ? ['accepted', 1] : ['failed', 0]);
        else expect([found.state, taken]).toEqual(['unknown', 1]);
        // Nothing comes after the end.
        await pause(200);
        expect(upstream.transactions.filter((one) => one.taken)).toHaveLength(taken);
      });
});
