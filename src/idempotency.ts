/**
 * Idempotency keys: the contract of the store, the fingerprint, and the states of a key.
 *
 * A key is kept for 24 hours, or for the time its door promises. While its request is in flight it is leased to one owner; a finished
 * request is replayed. An owner that vanished (its lease ran out and nothing was recorded) may have
 * sent the message, so from then on the key answers `lost`: never `fresh` again.
 */

import { canonicalApiUser } from './sendcloud.ts';

/** What `begin` found. `token` proves the ownership of a fresh key to `finish` and `release`. */
export type IdempotencyState =
  | { readonly state: 'fresh'; readonly token: string }
  | { readonly state: 'replay'; readonly record: string }
  | { readonly state: 'busy'; readonly retryAfterMs: number }
  | { readonly state: 'lost' }
  | { readonly state: 'mismatch' };

/** What a store that decides for itself keeps under a key. Times are by the store's own clock. */
export interface KeyEntry {
  readonly fingerprint: string;
  readonly token: string;
  readonly leasedUntil: number;
  readonly keptMs: number;
  /** From then on the key is a new one. */
  readonly expiresAt: number;
  /** Null until the request is finished. */
  readonly record: string | null;
}

/** What `begin` says of a key that is known, at `time`. */
export function stateOf(entry: KeyEntry, fingerprint: string, time: number): IdempotencyState {
  if (entry.fingerprint !== fingerprint) return { state: 'mismatch' };
  if (entry.record !== null) return { state: 'replay', record: entry.record };
  if (entry.leasedUntil > time) return { state: 'busy', retryAfterMs: Math.ceil(entry.leasedUntil - time) };
  return { state: 'lost' };
}

/** What a request asks of the store before it sends anything. */
export interface KeyRequest {
  /** In its canonical spelling: what one api_user has kept pushes out nothing of another one that has less. */
  readonly apiUser: string;
  /** From {@link storeKey}. */
  readonly key: string;
  /** Another request under the same key has another one. */
  readonly fingerprint: string;
  /** How long the key is busy, in milliseconds. */
  readonly leaseMs: number;
  /** How long the key is kept from now, and from its end again, in milliseconds. */
  readonly keptMs: number;
  /** The longest record that may come at the end, in UTF-16 code units: there is room for it, or nothing is begun. */
  readonly recordChars: number;
}

/**
 * The store of keys; `test/contract/idempotency.ts` runs on every implementation.
 *
 * `begin` and `ping` reject with `StoreUnavailable` when the store is away or full: nothing may be sent under the key.
 */
export interface Idempotency {
  /** Leases a new key, or says what is known of it. A wrong `fingerprint` is a `mismatch` in any state. */
  begin(request: KeyRequest): Promise<IdempotencyState>;
  /** Keeps the record of a finished request for the key's time. Does nothing (compare-and-set) unless `token` still owns the key. */
  finish(key: string, token: string, record: string): Promise<void>;
  /** Gives the key back: nothing was sent, a repeated request is a new try. Only for the owner. */
  release(key: string, token: string): Promise<void>;
  /** Asks the store itself whether it answers. */
  ping(): Promise<void>;
}

/** What a caller knows a message by: the key that came with the request, and its index where that was a batch. */
export interface MessageKey {
  readonly key: string;
  readonly index: number | null;
  /** How long it means this message, in milliseconds; 24 hours where it is absent. */
  readonly keptMs?: number;
}

/**
 * A message's key in the store, the same for every spelling of its api_user. In a batch it has one part more, so
 * that no text of a caller makes it its own.
 */
export const storeKey = (apiUser: string, { key, index }: MessageKey): string => {
  const user = canonicalApiUser(apiUser);
  return JSON.stringify(index === null ? [user, key] : [user, key, index]);
};

/**
 * Reads the value of an Idempotency-Key field (draft-ietf-httpapi-idempotency-key-header-07): a structured-field
 * string, or a bare one without a comma. Null where it is not 1 to 255 characters of printable ASCII.
 */
export function parseIdempotencyKey(value: string): string | null {
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(value)?.[1];
  if (quoted === undefined && /^"|,/.test(value)) return null;
  const key = quoted === undefined ? value : quoted.replace(/\\(.)/g, '$1');
  return /^[\x20-\x7e]{1,255}$/.test(key) ? key : null;
}

/** How long a key and its record are kept, unless its door promises another time. */
export const KEPT_MS = 24 * 60 * 60 * 1000;
