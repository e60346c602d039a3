/**
 * What a guesser may try, both doors together: ten failed logins a minute for one api_user and address, a hundred a
 * minute for one address, and few of them at upstream at the same time. For one api_user from all addresses together
 * sixty in the quota's window (a minute, or QUOTA_WINDOW_MS), counted in the shared store and so for all instances.
 */

import { peerOf } from './client-address.ts';
import { type Failure, failure } from './outcome.ts';
import type { Quota } from './quota.ts';
import { canonicalApiUser } from './sendcloud.ts';
import { StoreUnavailable } from './store.ts';

const WINDOW_MS = 60_000;
const MOST_FAILED = 10;
const MOST_FAILED_BY_ADDRESS = 100;
const MOST_FAILED_BY_API_USER = 60;

/** Logins that upstream is being asked about: each opens a connection. The last ones are for addresses that have none. */
const MOST_PENDING = 50;
const MOST_PENDING_BY_ADDRESS = 10;
const RESERVED_PENDING = 20;

/** When to come back where only logins under way are in the way: most end within a second. */
const SOON_MS = 1000;

/** Counts remembered; the oldest give way. To push one out takes a hundred addresses and a minute. */
const MOST_COUNTS = 10_000;

interface Count {
  readonly key: string;
  readonly most: number;
  /** Times of failed logins, oldest first. */
  readonly failed: number[];
  /** Logins under way: they count as failed until they end, so that many at once are no way around. */
  pending: number;
}

/** A login under way. */
export interface LoginAttempt {
  end(failed: boolean): Promise<void>;
}

export class FailedLogins {
  /** The one that was changed last is last. */
  readonly #known = new Map<string, Count>();
  readonly #quota: Quota;
  #pending = 0;

  /** @param quota - counts the failed logins of an api_user from all addresses, beside its calls */
  constructor(quota: Quota) {
    this.#quota = quota;
  }

  /** Why a login may not be tried now; null when it may. A bearer token names no api_user. */
  refusal(apiUser: string | null, address: string): Failure | null {
    const waits = this.#counts(apiUser, address)
      .filter(({ most, failed, pending }) => failed.length + pending >= most)
      .map(({ most, failed }) => (failed.length < most ? SOON_MS : untilNextMs(failed)));
    return waits.length === 0 ? null : tooMany('from this address', Math.max(...waits));
  }

  /** Counts a failed login. */
  add(apiUser: string | null, address: string): void {
    for (const count of this.#counts(apiUser, address)) {
      count.failed.push(performance.now());
      this.#keep(count);
    }
  }

  /**
   * Begins a login at upstream, or says why not.
   *
   * @param trusted - upstream accepted this very key lately: what others try does not concern it
   */
  async begin(apiUser: string, address: string, trusted: boolean): Promise<LoginAttempt | Failure> {
    const refused = this.refusal(apiUser, address) ?? (trusted ? null : await this.#guessed(apiUser));
    if (refused) return refused;
    const counts = this.#counts(apiUser, address);
    const own = Math.max(...counts.map(({ pending }) => pending));
    const most = own > 0 ? MOST_PENDING - RESERVED_PENDING : MOST_PENDING;
    if (own >= MOST_PENDING_BY_ADDRESS || (!trusted && this.#pending >= most)) {
      return failure('overloaded', 'Too many logins are being proven at the same time.', {
        retryAfterMs: SOON_MS,
      });
    }

    const pend = (change: 1 | -1) => {
      this.#pending += change;
      for (const count of counts) {
        count.pending += change;
        this.#keep(count);
      }
    };
    pend(1);
    return {
      end: async (failed) => {
        if (failed) this.add(apiUser, address);
        pend(-1);
        if (failed) await this.#quota.draw(guessesOf(apiUser), MOST_FAILED_BY_API_USER).catch(nullIfAway);
      },
    };
  }

  /** Why an api_user is guessed too often, from whatever addresses. A store that is away locks no api_user out. */
  async #guessed(apiUser: string): Promise<Failure | null> {
    const state = await this.#quota.peek(guessesOf(apiUser), MOST_FAILED_BY_API_USER).catch(nullIfAway);
    return !state || state.remaining > 0 ? null : tooMany('for this api_user', state.resetMs);
  }

  /** Of this api_user at this address, and of the address. */
  #counts(apiUser: string | null, address: string): Count[] {
    const peer = peerOf(address);
    const ofAddress = this.#count(JSON.stringify([peer]), MOST_FAILED_BY_ADDRESS);
    if (apiUser === null) return [ofAddress];
    return [this.#count(JSON.stringify([peer, canonicalApiUser(apiUser)]), MOST_FAILED), ofAddress];
  }

  #count(key: string, most: number): Count {
    const count = this.#known.get(key) ?? { key, most, failed: [], pending: 0 };
    const since = performance.now() - WINDOW_MS;
    while (count.failed[0] !== undefined && count.failed[0] <= since) count.failed.shift();
    return count;
  }

  #keep(count: Count): void {
    this.#known.delete(count.key);
    if (count.failed.length + count.pending === 0) return;
    this.#known.set(count.key, count);
    if (this.#known.size <= MOST_COUNTS) return;
    for (const { key, pending } of this.#known.values()) {
      if (pending > 0) continue;
      this.#known.delete(key);
      return;
    }
  }
}

/** A window of its own beside that of the api_user's calls: an api_user has no colon. */
const guessesOf = (apiUser: string): string => `failed-logins:${apiUser}`;

function nullIfAway(error: unknown): null {
  if (error instanceof StoreUnavailable) return null;
  throw error;
}

const tooMany = (whose: string, retryAfterMs: number): Failure =>
  failure('too-many-failed-logins', `Too many failed logins ${whose}.`, { retryAfterMs });

const untilNextMs = ([oldest = 0]: readonly number[]): number =>
  Math.ceil(oldest + WINDOW_MS - performance.now());
