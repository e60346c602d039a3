import { type Idempotency, type KeyEntry, stateOf } from '../../idempotency.ts';
import { StoreUnavailable } from '../../store.ts';

export interface MemoryIdempotencyOptions {
  /** Milliseconds of a clock that does not step back; the process's monotonic clock by default. */
  readonly now?: () => number;
}

/** What one api_user has here. */
interface Holding {
  readonly apiUser: string;
  /** The oldest is first. */
  readonly keys: Set<string>;
  bytes: number;
  /** Of these bytes, those of keys in flight. */
  inFlight: number;
}

interface Entry extends KeyEntry {
  readonly holding: Holding;
  readonly bytes: number;
}

/** All keys and records together; 128 MB is what a Worker has. */
const MAX_BYTES = 64 * 1024 * 1024;

/** What a key takes without its text and its record: the entry, its other strings and its places in the maps. */
const ENTRY_BYTES = 768;

/**
 * Idempotency keys in this process, for their time or until 64 MiB are full. From then on each new key takes the place
 * of the oldest ones of the api_user that has most here, never of an api_user that has less than the new key's own.
 *
 * A key in flight stays, with the room for its record. `begin` rejects where room cannot be made, or where an
 * api_user would have more in flight than is left to all others: a crowd of one's keys leaves room for another's.
 */
export function createMemoryIdempotency(options: MemoryIdempotencyOptions = {}): Idempotency {
  const now = options.now ?? (() => performance.now());
  /** The oldest first. One that is kept for less than those before it goes when they do, or is met. */
  const entries = new Map<string, Entry>();
  /** Those whose lease runs, in the order in which they began. */
  const inFlight = new Map<string, Entry>();
  const holdings = new Map<string, Holding>();
  let bytes = 0;
  let inFlightBytes = 0;

  function put(key: string, entry: Entry): void {
    const { holding } = entry;
    holdings.set(holding.apiUser, holding);
    holding.keys.add(key);
    holding.bytes += entry.bytes;
    bytes += entry.bytes;
    entries.set(key, entry);
  }

  function drop(key: string): void {
    const entry = entries.get(key);
    if (!entry) return;
    land(key);
    const { holding } = entry;
    holding.keys.delete(key);
    holding.bytes -= entry.bytes;
    bytes -= entry.bytes;
    if (holding.keys.size === 0) holdings.delete(holding.apiUser);
    entries.delete(key);
  }

  function takeOff(key: string, entry: Entry): void {
    inFlight.set(key, entry);
    entry.holding.inFlight += entry.bytes;
    inFlightBytes += entry.bytes;
  }

  function land(key: string): void {
    const entry = inFlight.get(key);
    if (!entry) return;
    inFlight.delete(key);
    entry.holding.inFlight -= entry.bytes;
    inFlightBytes -= entry.bytes;
  }

  function passTime(time: number): void {
    for (const [key, { leasedUntil }] of inFlight) {
      if (leasedUntil > time) break;
      land(key);
    }
    for (const [key, { expiresAt }] of entries) {
      if (expiresAt > time) break;
      drop(key);
    }
  }

  function makeRoom(holding: Holding, needed: number): void {
    if (holding.inFlight + needed > MAX_BYTES - inFlightBytes) {
      throw new StoreUnavailable('Too many idempotency keys of this api_user are in flight');
    }
    while (bytes + needed > MAX_BYTES) {
      const oldest = oldestFor(holding);
      if (oldest === undefined) throw new StoreUnavailable('The memory for idempotency keys is full');
      drop(oldest);
    }
  }

  /** The key to forget for a new one of `holding`. */
  function oldestFor(holding: Holding): string | undefined {
    let most: Holding | undefined;
    for (const one of holdings.values()) {
      const gives = one.bytes > one.inFlight && (one === holding || one.bytes > holding.bytes);
      if (gives && one.bytes > (most?.bytes ?? 0)) most = one;
    }
    for (const key of most?.keys ?? []) if (!inFlight.has(key)) return key;
    return undefined;
  }

  const ownedBy = (key: string, token: string): Entry | null => {
    const entry = entries.get(key);
    return entry?.token === token && entry.record === null ? entry : null;
  };

  return {
    async begin({ apiUser, key, fingerprint, leaseMs, keptMs, recordChars }) {
      const time = now();
      passTime(time);
      const known = entries.get(key);
      if (known !== undefined && known.expiresAt > time) return stateOf(known, fingerprint, time);
      drop(key);

      const holding = holdings.get(apiUser) ?? { apiUser, keys: new Set(), bytes: 0, inFlight: 0 };
      const needed = sizeOf(key, recordChars);
      makeRoom(holding, needed);
      const token = crypto.randomUUID();
      const entry: Entry = {
        fingerprint,
        token,
        leasedUntil: time + leaseMs,
        keptMs,
        expiresAt: time + keptMs,
        record: null,
        holding,
        bytes: needed,
      };
      put(key, entry);
      takeOff(key, entry);
      return { state: 'fresh', token };
    },

    async finish(key, token, record) {
      const entry = ownedBy(key, token);
      if (entry === null) return;
      drop(key);
      put(key, { ...entry, record, expiresAt: now() + entry.keptMs, bytes: sizeOf(key, record.length) });
    },

    async release(key, token) {
      if (ownedBy(key, token)) drop(key);
    },

    async ping() {},
  };
}

/** JavaScript strings take up to two bytes a character. */
const sizeOf = (key: string, recordChars: number): number => ENTRY_BYTES + 2 * (key.length + recordChars);
