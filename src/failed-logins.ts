/**
 * What a guesser may try, both doors together: ten failed logins a minute for one api_user and address, a hundred
 * for one address, and few of them at upstream at the same time.
 */

import { type Failure, failure } from './outcome.ts';
import { canonicalApiUser } from './sendcloud.ts';

const WINDOW_MS = 60_000;
const MOST_FAILED = 10;
const MOST_FAILED_BY_ADDRESS = 100;

/** Logins that upstream is being asked about: each opens a connection. */
const MOST_PENDING = 50;
const MOST_PENDING_BY_ADDRESS = 10;

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
  end(failed: boolean): void;
}

export class FailedLogins {
  /** The one that was changed last is last. */
  readonly #known = new Map<string, Count>();
  #pending = 0;

  /** Why a login may not be tried now; null when it may. */
  refusal(apiUser: string, address: string): Failure | null {
    const waits = this.#counts(apiUser, address)
      .filter(({ most, failed, pending }) => failed.length + pending >= most)
      .map(({ most, failed }) => (failed.length < most ? SOON_MS : untilNextMs(failed)));
    if (waits.length === 0) return null;
    return failure('too-many-failed-logins', 'Too many failed logins from this address.', {
      retryAfterMs: Math.max(...waits),
    });
  }

  /** Counts a failed login. */
  add(apiUser: string, address: string): void {
    for (const count of this.#counts(apiUser, address)) {
      count.failed.push(performance.now());
      this.#keep(count);
    }
  }

  /** Begins a login at upstream, or says why not. */
  begin(apiUser: string, address: string): LoginAttempt | Failure {
    const refused = this.refusal(apiUser, address);
    if (refused) return refused;
    const counts = this.#counts(apiUser, address);
    if (this.#pending >= MOST_PENDING || counts.some(({ pending }) => pending >= MOST_PENDING_BY_ADDRESS)) {
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
      end: (failed) => {
        if (failed) this.add(apiUser, address);
        pend(-1);
      },
    };
  }

  /** Of this api_user at this address, and of the address. */
  #counts(apiUser: string, address: string): Count[] {
    const peer = peerOf(address);
    return [
      this.#count(JSON.stringify([peer, canonicalApiUser(apiUser)]), MOST_FAILED),
      this.#count(JSON.stringify([peer]), MOST_FAILED_BY_ADDRESS),
    ];
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

const untilNextMs = ([oldest = 0]: readonly number[]): number =>
  Math.ceil(oldest + WINDOW_MS - performance.now());

/**
 * Who an address stands for: an IPv4 host, whether a socket shows it mapped into IPv6 or not; of IPv6 the network,
 * since a host there has 2^64 addresses to choose from (RFC 4291 section 2.5.4).
 */
export function peerOf(address: string): string {
  const ipv4 = /^(?:::ffff:)?([\d.]+)$/i.exec(address)?.[1];
  if (ipv4 !== undefined) return ipv4;
  const [head = [], tail = []] = address
    .toLowerCase()
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}
