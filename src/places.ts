/**
 * Who gets the places of a door when they are few: shared out by holder, an address or an api_user, so that one that
 * takes many leaves room for the others.
 */

/** One that has a place. */
export interface Seat {
  /** Since when the door waits for this client, by the monotonic clock; null while the client waits for the door. */
  readonly waitingSince: number | null;
  /** The place is somebody else's now. */
  giveWay(): void;
}

/** What a holder can be sure of, where the other holders keep theirs busy. */
const EACH_HAS = 10;

export class Places {
  readonly #most: number;
  readonly #reserved: number;
  readonly #seats = new Map<string, Set<Seat>>();
  #taken = 0;

  /** @param reserved - of `most`, the last places, which only those with fewer than ten get */
  constructor(most: number, reserved: number) {
    this.#most = most;
    this.#reserved = reserved;
  }

  /** Takes a place, if need be that of the longest idle one of who has most; false where there is none. */
  take(holder: string, seat: Seat): boolean {
    const own = this.#seats.get(holder)?.size ?? 0;
    const most = own < EACH_HAS ? this.#most : this.#most - this.#reserved;
    if (this.#taken >= most && !this.#makeRoom(holder, own)) return false;
    const seats = this.#seats.get(holder) ?? new Set();
    this.#seats.set(holder, seats.add(seat));
    this.#taken++;
    return true;
  }

  /** Gives a place back; nothing happens where it is somebody else's already. */
  leave(holder: string, seat: Seat): void {
    const seats = this.#seats.get(holder);
    if (!seats?.delete(seat)) return;
    this.#taken--;
    if (seats.size === 0) this.#seats.delete(holder);
  }

  #makeRoom(newcomer: string, own: number): boolean {
    let holderOfMost = newcomer;
    let most = 0;
    let idle: Idle | null = null;
    for (const [holder, seats] of this.#seats) {
      const { size } = seats;
      if ((size <= own && holder !== newcomer) || size < most) continue;
      const longest = longestIdle(seats);
      if (longest === null || (size === most && idle !== null && idle.since <= longest.since)) continue;
      holderOfMost = holder;
      most = size;
      idle = longest;
    }
    if (idle === null) return false;
    this.leave(holderOfMost, idle.seat);
    idle.seat.giveWay();
    return true;
  }
}

interface Idle {
  readonly seat: Seat;
  readonly since: number;
}

function longestIdle(seats: ReadonlySet<Seat>): Idle | null {
  let longest: Idle | null = null;
  for (const seat of seats) {
    const since = seat.waitingSince;
    if (since === null || since >= (longest?.since ?? Number.POSITIVE_INFINITY)) continue;
    longest = { seat, since };
  }
  return longest;
}
