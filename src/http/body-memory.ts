/** The memory that request bodies share: bounded for all, shared out by owner, waited for in turn. An owner is an api_user or an address. */

/**
 * Bodies in memory at once, in bodies of the largest size: of all callers together, and of one of them. A body
 * takes some five times its size while it is read, checked and composed, and its message waits with all of that.
 */
const MOST_TOGETHER = 4;
const MOST_OF_ONE = 3;

/** What every owner may have in memory whatever the others do, as a share of the largest body. */
const RESERVED = 1 / 16;

interface Share {
  bytes: number;
  /** Reservations among them: a first one is granted always, so no owner waits for another one for ever. */
  reservations: number;
}

interface Waiter {
  readonly owner: string;
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
  take(owner: string, bytes: number): boolean {
    const { bytes: held } = this.#shareOf(owner);
    if (held + bytes > RESERVED * this.#largest && !this.#fits(held, bytes)) return false;
    this.#hold(owner, bytes, 0);
    return true;
  }

  /** Reserves room for a whole body, waiting for it up to `ms`; false where there was none in time. */
  reserve(owner: string, bytes: number, ms: number): Promise<boolean> {
    if (this.#isAdmitted(owner, bytes)) {
      this.#hold(owner, bytes, 1);
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const waiter: Waiter = {
        owner,
        bytes,
        admit: () => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          this.#hold(owner, bytes, 1);
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
  give(owner: string, bytes: number, reservations: number): void {
    this.#hold(owner, -bytes, -reservations);
    for (const waiter of this.#waiting) if (this.#isAdmitted(waiter.owner, waiter.bytes)) waiter.admit();
  }

  #isAdmitted(owner: string, bytes: number): boolean {
    const share = this.#shareOf(owner);
    return share.reservations === 0 || this.#fits(share.bytes, bytes);
  }

  #fits(held: number, bytes: number): boolean {
    return (
      held + bytes <= MOST_OF_ONE * this.#largest && this.#together + bytes <= MOST_TOGETHER * this.#largest
    );
  }

  #shareOf(owner: string): Share {
    return this.#shares.get(owner) ?? { bytes: 0, reservations: 0 };
  }

  #hold(owner: string, bytes: number, reservations: number): void {
    const share = this.#shareOf(owner);
    share.bytes += bytes;
    share.reservations += reservations;
    this.#together += bytes;
    if (share.bytes > 0) this.#shares.set(owner, share);
    else this.#shares.delete(owner);
  }
}
