/** What `/readyz` reports: what a message would find. */

import type { Account } from '../account.ts';
import { withDeadline } from '../deadline.ts';
import type { Deliverer } from '../deliver.ts';
import type { Readiness } from '../http/app.ts';
import type { Log } from '../log.ts';
import type { MessageEvent } from '../message-event.ts';
import { type Failure, kindOf } from '../outcome.ts';
import { canonicalApiUser } from '../sendcloud.ts';

/** A refused login is made again after this, at the earliest. */
const AGAIN_MS = 60_000;

/** Logins at once, where there are many accounts. */
const WORKERS = 5;

/** An answer serves all requests within this: there is no login, and each question goes upstream. */
const SHARED_MS = 1000;

type Credentials = Pick<Account, 'apiUser' | 'apiKey'>;

/** What is known of an account's credentials. */
interface Proof {
  /** Null where upstream accepted them. */
  readonly failure: Pick<Failure, 'code' | 'detail'> | null;
  /** Time of the last login that was made to find out, by the wall clock. */
  readonly at: number;
}

export interface ReadinessProbe {
  /** Null for each part that is well, or what is wrong with it. Never the name of an account: anyone may ask. */
  ready(): Promise<Readiness>;
  /** A message whose login upstream refused tells as well, also one that waits for another attempt. */
  observe(event: Pick<MessageEvent, 'apiUser' | 'code' | 'detail'>): void;
}

export function createReadiness(options: {
  /** Reads upstream's greeting. */
  greeting(signal: AbortSignal): Promise<Failure | null>;
  stores(): Promise<Readiness>;
  verify: Deliverer['verify'];
  /** The configured accounts, as they are now. */
  accounts(): readonly Credentials[];
  deadlineMs: number;
  log: Log;
}): ReadinessProbe {
  const { greeting, stores, verify, accounts, deadlineMs, log } = options;
  /** By api_user and api_key, so that a new key is a new question. */
  const proofs = new Map<string, Proof>();
  let last: { readonly at: number; readonly answer: Promise<Readiness> } | null = null;

  const probe = (): Promise<Readiness> => withDeadline(deadlineMs, readinessBy);

  async function readinessBy(signal: AbortSignal): Promise<Readiness> {
    const [failed, parts] = await Promise.all([greeting(signal), stores()]);
    const upstream = failed?.detail ?? null;
    if (accounts().length === 0) return { upstream, ...parts };
    // Where upstream does not even greet, a login proves nothing.
    return { upstream, credentials: failed ? null : await credentials(signal), ...parts };
  }

  async function credentials(signal: AbortSignal): Promise<string | null> {
    const logins = accounts();
    const queue = logins.filter(isDue).values();
    const worker = async () => {
      for (const login of queue) await prove(login, signal);
    };
    await Promise.all(Array.from({ length: WORKERS }, worker));
    const failures = logins.flatMap((login) => proofs.get(keyOf(login))?.failure ?? []);
    const [first] = failures;
    if (!first) return null;
    const { title } = kindOf(first.code);
    return `${title} (${failures.length} of ${logins.length} accounts; the log names them).`;
  }

  function isDue(login: Credentials): boolean {
    const proof = proofs.get(keyOf(login));
    if (!proof) return true;
    if (!proof.failure) return false;
    return proof.failure.code !== 'upstream-credentials' || Date.now() - proof.at >= AGAIN_MS;
  }

  async function prove(login: Credentials, signal: AbortSignal): Promise<void> {
    const failed = await verify({ ...login, label: null }, signal);
    learn(login, { failure: failed, at: Date.now() });
  }

  function learn(login: Credentials, proof: Proof): void {
    const { apiUser } = login;
    const before = proofs.get(keyOf(login))?.failure;
    proofs.set(keyOf(login), proof);
    const { failure } = proof;
    if (failure && failure.code !== before?.code) {
      log.error('upstream login failed', { apiUser, code: failure.code, detail: failure.detail });
    }
    if (before && !failure) log.info('upstream login accepted again', { apiUser });
  }

  return {
    ready() {
      // By the wall clock: a frozen container's other one stands still.
      const now = Date.now();
      if (!last || now - last.at > SHARED_MS) last = { at: now, answer: probe() };
      return last.answer;
    },
    observe({ apiUser, code, detail }) {
      if (code !== 'upstream-credentials' || detail === null) return;
      for (const login of accounts()) {
        if (canonicalApiUser(login.apiUser) !== canonicalApiUser(apiUser)) continue;
        learn(login, { failure: { code, detail }, at: proofs.get(keyOf(login))?.at ?? 0 });
      }
    },
  };
}

const keyOf = ({ apiUser, apiKey }: Credentials): string => JSON.stringify([apiUser, apiKey]);
