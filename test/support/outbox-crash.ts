/**
 * Kills a gateway at random moments while queued messages go out through an upstream that is slow and faulty, and
 * draws up the account of every one that was answered 202.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { makeMoments } from './moments.ts';
import { authority, TOKEN } from './postern.ts';
import { startUpstream, type Upstream } from './upstream.ts';

export interface CrashOptions {
  readonly messages: number;
  readonly kills: number;
  /** Starts a gateway on what the one before it has left. */
  start(upstream: Upstream): Promise<CrashingGateway>;
}

export interface CrashingGateway {
  readonly url: string;
  /** Ends it at once, as a power failure does. */
  kill(): Promise<void>;
}

/** How the messages ended. The first four are all of them; the others must be none. */
export interface Ledger {
  readonly put: number;
  readonly accepted: number;
  readonly failed: number;
  readonly unknown: number;
  /** Of the unknown ones, those that upstream has. */
  readonly unknownAndSent: number;
  readonly kills: number;
  /** MAIL commands that upstream saw. */
  readonly transactions: number;
  /** Answered 202 and gone, or accepted and not at upstream. */
  readonly lost: number;
  /** More than once at upstream, or failed and there. */
  readonly doubled: number;
  /** Keys that were answered with more than one id. */
  readonly renamed: number;
}

/** Requests at a time. */
const CLIENTS = 4;

/** A gateway that sends nothing for so long is killed all the same, in milliseconds. */
const LONGEST_LIFE_MS = 5_000;

export async function crash({ messages, kills, start }: CrashOptions): Promise<Ledger> {
  const upstream = await startUpstream({ certificate: await authority.issue() });
  const endMoments = makeMoments(upstream);
  /** Null while there is none. */
  let gateway: CrashingGateway | null = null;
  let killed = 0;

  const killing = (async () => {
    while (killed < kills) {
      gateway = await start(upstream);
      await moment();
      const killing = gateway.kill();
      gateway = null;
      await killing;
      killed++;
    }
    endMoments();
    gateway = await start(upstream);
  })();

  /** Some messages later: a loaded machine takes longer for them. */
  async function moment(): Promise<void> {
    const until = upstream.transactions.length + Math.random() * ((2 * messages) / kills);
    const late = AbortSignal.timeout(LONGEST_LIFE_MS);
    while (upstream.transactions.length < until && !late.aborted) await delay(2);
    await delay(Math.random() * 40);
  }

  /** Asks until there is an answer from a gateway that lived long enough. */
  async function ask(path: string, init: RequestInit = {}): Promise<Response> {
    for (;;) {
      try {
        const headers = { Authorization: `Bearer ${TOKEN}`, ...init.headers };
        if (gateway) return await fetch(gateway.url + path, { ...init, headers });
      } catch {
        // Killed: the same request again, with the same key.
      }
      await delay(10);
    }
  }

  /** By number: the ids that its key was answered with. */
  const ids = Array.from({ length: messages }, () => new Set<string>());
  const numbers = ids.keys();
  async function client(): Promise<void> {
    for (const number of numbers) {
      // Spread over all lives, and some keys are used again after their answer.
      while (number > ((killed + 1) / (kills + 1)) * messages) await delay(5);
      const body = JSON.stringify({
        from: 'support@ifaxin.com',
        to: ['ben@ifaxin.com'],
        subject: `number ${number}.`,
        // A large one is put and claimed in parts.
        text: 'x'.repeat(Math.random() < 0.05 ? 3_000_000 : 300),
      });
      for (let times = Math.random() < 0.1 ? 2 : 1; times > 0; ) {
        const response = await ask('/v1/messages', {
          method: 'POST',
          headers: {
            'Content-Type': 'application/json',
            Prefer: 'respond-async',
            'Idempotency-Key': `message-${number}`,
          },
          body,
        });
        const answer = await response.json().catch(() => null);
        if (response.status === 202) {
          // Without a body it was cut off by a kill, and is asked for again.
          if (answer === null) continue;
          ids[number]?.add((answer as { id: string }).id);
          times--;
        } else if (answer !== null && response.status !== 409 && response.status !== 503) {
          throw new Error(`${response.status} ${JSON.stringify(answer)}`);
        }
      }
    }
  }
  await Promise.all([killing, ...Array.from({ length: CLIENTS }, client)]);

  const states: (string | null)[] = [];
  for (const [id = ''] of ids) states.push(await endOf(id));
  async function endOf(id: string): Promise<string | null> {
    for (;;) {
      const response = await ask(`/v1/messages/${id}`);
      if (response.status === 404) return null;
      const { state } = (await response.json()) as { state: string };
      if (state !== 'queued' && state !== 'sending') return state;
      await delay(100);
    }
  }

  const arrived = ids.map(() => 0);
  for (const { message } of upstream.taken) {
    const number = Number(/^Subject: number (\d+)\./m.exec(String(message))?.[1]);
    arrived[number] = (arrived[number] ?? 0) + 1;
  }
  const { length: transactions } = upstream.transactions;
  await (gateway as CrashingGateway | null)?.kill();
  await upstream.close();

  const count = (is: (state: string | null, arrived: number) => boolean) =>
    states.filter((state, number) => is(state, arrived[number] ?? 0)).length;
  return {
    put: ids.length,
    accepted: count((state) => state === 'accepted'),
    failed: count((state) => state === 'failed'),
    unknown: count((state) => state === 'unknown'),
    unknownAndSent: count((state, times) => state === 'unknown' && times === 1),
    kills: killed,
    transactions,
    lost: count((state, times) => state === null || (state === 'accepted' && times === 0)),
    doubled: count((state, times) => times > 1 || (state === 'failed' && times > 0)),
    renamed: ids.filter((all) => all.size !== 1).length,
  };
}
