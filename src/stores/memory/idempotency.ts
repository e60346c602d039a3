import { type Idempotency, KEPT_MS, type KeyEntry, stateOf } from '../../idempotency.ts';
import { StoreUnavailable } from '../../store.ts';

export interface MemoryIdempotencyOptions {
  /** Milliseconds of a clock that does not step back; the process's monotonic clock by default. */
  readonly now?: () => number;
}

/** All keys and records together; 128 MB is what a Worker has. */
const MAX_BYTES = 64 * 1024 * 1024;

/** What a key takes without its record: the entry, its strings and the map's slot. */
const ENTRY_BYTES = 512;

/**
 * Idempotency keys in this process, for 24 hours or until 64 MiB are full. A key with the receipt of one recipient
 * takes some 1.3 KB, so that is 50,000 keys: 24 hours at 35 messages a minute, and two and a half minutes at 20,000.
 * Then the oldest keys are forgotten before their time, but never one in flight: with nothing else left to
 * forget, `begin` rejects with {@link StoreUnavailable}.
 */
export function createMemoryIdempotency(options: MemoryIdempotencyOptions = {}): Idempotency {
  const now = options.now ?? (() => performance.now());
  /** In the order of `expiresAt`: each entry is put at the end and every one is kept equally long. */
  const entries = new Map<string, KeyEntry>();
  let bytes = 0;

  function put(key: string, entry: KeyEntry): void {
    drop(key);
    entries.set(key, entry);
    bytes += sizeOf(key, entry);
  }

  function drop(key: string): void {
    const entry = entries.get(key);
    if (entry === undefined) return;
    entries.delete(key);
    bytes -= sizeOf(key, entry);
  }

  function dropExpired(time: number): void {
    for (const [key, entry] of entries) {
      if (entry.expiresAt > time) return;
      drop(key);
    }
  }

  function makeRoom(time: number): void {
    if (bytes <= MAX_BYTES) return;
    for (const [key, entry] of entries) {
      if (entry.record === null && entry.leasedUntil > time) continue;
      drop(key);
      if (bytes <= MAX_BYTES) return;
    }
  }

  const ownedBy = (key: string, token: string): KeyEntry | null => {
    const entry = entries.get(key);
    return entry?.token === token ? entry : null;
  };

  return {
    async begin({ key, fingerprint, leaseMs }) {
      const time = now();
      dropExpired(time);
      const known = entries.get(key);
      if (known !== undefined) return stateOf(known, fingerprint, time);

      makeRoom(time);
      if (bytes > MAX_BYTES) {
        throw new StoreUnavailable('Too many idempotency keys are in flight in this process');
      }
      const token = crypto.randomUUID();
      put(key, {
        fingerprint,
        token,
        leasedUntil: time + leaseMs,
        expiresAt: time + KEPT_MS,
        record: null,
      });
      return { state: 'fresh', token };
    },

    async finish(key, token, record) {
      const entry = ownedBy(key, token);
      if (entry === null || entry.record !== null) return;
      const time = now();
      put(key, { ...entry, record, expiresAt: time + KEPT_MS });
      makeRoom(time);
    },

    async release(key, token) {
      const entry = ownedBy(key, token);
      if (entry !== null && entry.record === null) drop(key);
    },

    async ping() {},
  };
}

/** JavaScript strings take up to two bytes a character. */
const sizeOf = (key: string, entry: KeyEntry): number =>
  ENTRY_BYTES + 2 * (key.length + (entry.record?.length ?? 0));
