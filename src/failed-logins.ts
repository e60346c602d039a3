/** Ten failed logins a minute for one api_user and address, both doors together. */

const MOST_FAILED = 10;
const WINDOW_MS = 60_000;
/** Api_users and addresses remembered; the oldest give way. */
const MOST_KEYS = 10_000;

interface Record {
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
  readonly #records = new Map<string, Record>();

  /** Begins a login, or says when the next one may be tried. */
  begin(apiUser: string, address: string): LoginAttempt | { retryAfterMs: number } {
    // One IPv4 peer has one count, whether a door's socket shows it mapped into IPv6 or not.
    const key = JSON.stringify([apiUser, address.replace(/^::ffff:/i, '')]);
    const record = this.#records.get(key) ?? { failed: [], pending: 0 };
    const now = performance.now();
    while (record.failed[0] !== undefined && record.failed[0] <= now - WINDOW_MS) record.failed.shift();
    if (record.failed.length + record.pending >= MOST_FAILED) {
      return { retryAfterMs: Math.ceil((record.failed[0] ?? now) + WINDOW_MS - now) };
    }

    record.pending++;
    this.#remember(key, record);
    return {
      end: (failed) => {
        record.pending--;
        if (failed) record.failed.push(performance.now());
        if (record.failed.length + record.pending === 0) this.#records.delete(key);
      },
    };
  }

  #remember(key: string, record: Record): void {
    this.#records.delete(key);
    this.#records.set(key, record);
    const [oldest] = this.#records.keys();
    if (this.#records.size > MOST_KEYS && oldest !== undefined) this.#records.delete(oldest);
  }
}
