/** The memory that request bodies share: bounded for all, shared out by api_user, waited for in turn. */

/**
 * Bodies in memory at once, in bodies of the largest size: of all callers together, and of one of them. A body
 * takes some five times its size while it is read, checked and composed, and its message waits with all of that.
 */
const MOST_TOGETHER = 4;
const MOST_OF_ONE = 3;

/** What every api_user may have in memory whatever the others do, as a share of the largest body. */
const RESERVED = 1 / 16;

interface Share {
  bytes: number;
  /** Reservations among them: a first one is granted always, so no api_user waits for another one for ever. */
  reservations: number;
}

interface Waiter {
  readonly apiUser: string;
  readonly bytes: number;
  readonly admit: () => void;
}

export class BodyMemory {
  readonly #largest: number;
  readonly #shares = new Map<string, Share>();
  readonly #waiting = new Set<Waiter>();
  #together = 0;

  /** @param largest - the size of the largest body, in bytes */
  constructor(largest: number) {
    this.#largest = largest;
  }

  /** Takes room for `bytes` at once, or says that there is none. */
  take(apiUser: string, bytes: number): boolean {
    const { bytes: held } = this.#shareOf(apiUser);
    if (held + bytes > RESERVED * this.#largest && !this.#fits(held, bytes)) return false;
    this.#hold(apiUser, bytes, 0);
    return true;
  }

  /** Reserves room for a whole body, waiting for it up to `ms`; false where there was none in time. */
  reserve(apiUser: string, bytes: number, ms: number): Promise<boolean> {
    if (this.#isAdmitted(apiUser, bytes)) {
      this.#hold(apiUser, bytes, 1);
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const waiter: Waiter = {
        apiUser,
        bytes,
        admit: () => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          this.#hold(apiUser, bytes, 1);
          resolve(true);
        },
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        resolve(false);
      }, ms);
      this.#waiting.add(waiter);
    });
  }

  /** Gives back what was taken and reserved. */
  give(apiUser: string, bytes: number, reservations: number): void {
    this.#hold(apiUser, -bytes, -reservations);
    for (const waiter of this.#waiting) if (this.#isAdmitted(waiter.apiUser, waiter.bytes)) waiter.admit();
  }

  #isAdmitted(apiUser: string, bytes: number): boolean {
    const share = this.#shareOf(apiUser);
    return share.reservations === 0 || this.#fits(share.bytes, bytes);
  }

  #fits(held: number, bytes: number): boolean {
    return (
      held + bytes <= MOST_OF_ONE * this.#largest && this.#together + bytes <= MOST_TOGETHER * this.#largest
    );
  }

  #shareOf(apiUser: string): Share {
    return this.#shares.get(apiUser) ?? { bytes: 0, reservations: 0 };
  }

  #hold(apiUser: string, bytes: number, reservations: number): void {
    const share = this.#shareOf(apiUser);
    share.bytes += bytes;
    share.reservations += reservations;
    this.#together += bytes;
    if (share.bytes > 0) this.#shares.set(apiUser, share);
    else this.#shares.delete(apiUser);
  }
}
