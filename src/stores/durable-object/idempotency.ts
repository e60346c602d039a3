/** Idempotency keys in Durable Objects, one for each: one for all instances, without Redis. */

import { DurableObject, type DurableObjectNamespace } from 'cloudflare:workers';
import { type Idempotency, type IdempotencyState, type KeyEntry, stateOf } from '../../idempotency.ts';
import { PING, reached } from './reached.ts';

const ENTRY = 'entry';

/** The states of one key on the other side of a call. */
export interface RemoteKey {
  begin(fingerprint: string, leaseMs: number, keptMs: number): Promise<IdempotencyState>;
  finish(token: string, record: string): Promise<void>;
  release(token: string): Promise<void>;
  ping(): Promise<void>;
}

/** The object of one key. Storage is read and written without a pause in between, so each method is atomic. */
export class KeyObject extends DurableObject<unknown> implements RemoteKey {
  async begin(fingerprint: string, leaseMs: number, keptMs: number): Promise<IdempotencyState> {
    const now = Date.now();
    const known = this.#entry();
    // The alarm may be late.
    if (known && known.expiresAt > now) return stateOf(known, fingerprint, now);
    const token = crypto.randomUUID();
    await this.#keep({ fingerprint, token, leasedUntil: now + leaseMs, keptMs, record: null });
    return { state: 'fresh', token };
  }

  async finish(token: string, record: string): Promise<void> {
    const entry = this.#openFor(token);
    if (entry) await this.#keep({ ...entry, record });
  }

  async release(token: string): Promise<void> {
    if (this.#openFor(token)) await this.alarm();
  }

  async ping(): Promise<void> {
    this.#entry();
  }

  /** Cloudflare calls this when the key's time is over. */
  async alarm(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  #openFor(token: string): KeyEntry | null {
    const entry = this.#entry();
    return entry?.token === token && entry.record === null ? entry : null;
  }

  #entry(): KeyEntry | undefined {
    return this.ctx.storage.kv.get<KeyEntry>(ENTRY);
  }

  async #keep(entry: Omit<KeyEntry, 'expiresAt'>): Promise<void> {
    const expiresAt = Date.now() + entry.keptMs;
    this.ctx.storage.kv.put(ENTRY, { ...entry, expiresAt });
    await this.ctx.storage.setAlarm(expiresAt);
  }
}

/**
 * The store of keys as one object for each key, so nothing of one pushes out another. The end of a request that
 * already has its outcome never rejects.
 *
 * @param onLost - runs for an answer that could not be kept: its key will say `lost`
 */
export function createDurableIdempotency(
  objects: DurableObjectNamespace<RemoteKey>,
  onLost: (error: unknown) => void,
): Idempotency {
  return {
    begin: ({ key, fingerprint, leaseMs, keptMs }) =>
      reached(() => objects.getByName(key).begin(fingerprint, leaseMs, keptMs)),
    finish: (key, token, record) => objects.getByName(key).finish(token, record).catch(onLost),
    release: (key, token) => objects.getByName(key).release(token).catch(onLost),
    ping: () => reached(() => objects.getByName(PING).ping()),
  };
}
