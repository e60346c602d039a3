import { type Idempotency, IdempotencyUnavailable } from '../idempotency.ts';

export interface IdempotencyFailoverOptions {
  /** The keys that all instances share. */
  readonly shared: Idempotency;
  /** This instance's own keys. */
  readonly local: Idempotency;
  /** Whether the own keys will do while the shared ones are away; else `begin` rejects meanwhile. */
  readonly goOn: boolean;
  /** Whether Redis answered the quota's last call: nobody waits here for what is known to be away. */
  readonly available: () => boolean;
  /** Told of an end that could not be shared: to the other instances its key is `lost`. */
  readonly onLost: (error: unknown) => void;
}

/**
 * The shared keys, and what holds while they are away. A key is begun and ended in both stores, the own one first.
 * So this instance never sends a key twice as long as its own store remembers it, whatever becomes of Redis: it
 * goes, comes back empty, or its reply is lost. Several instances send a key once while Redis answers; what one
 * of them begins without it the others do not know, and might send again.
 *
 * A key that is known here costs Redis nothing, another one a request to begin and one to end. `begin` rejects
 * with {@link IdempotencyUnavailable} where nobody can say whether a key is fresh; an end never rejects for Redis,
 * since the message has its outcome already.
 */
export function createFailoverIdempotency(options: IdempotencyFailoverOptions): Idempotency {
  const { shared, local, goOn, available, onLost } = options;

  const beginShared: Idempotency['begin'] = async (...request) => {
    if (available()) return shared.begin(...request);
    throw new Error('Redis did not answer and is left alone for a moment');
  };

  const end = async (tokens: string, step: (store: Idempotency, token: string) => Promise<void>) => {
    const [own = '', theirs] = tokens.split(' ');
    await step(local, own);
    if (theirs !== undefined) await step(shared, theirs).catch(onLost);
  };

  return {
    async begin(key, fingerprint, leaseMs) {
      const own = await local.begin(key, fingerprint, leaseMs);
      if (own.state !== 'fresh') return own;
      try {
        const found = await beginShared(key, fingerprint, leaseMs);
        if (found.state === 'fresh') return { state: 'fresh', token: `${own.token} ${found.token}` };
        await local.release(key, own.token);
        return found;
      } catch (cause) {
        if (goOn) return own;
        await local.release(key, own.token);
        throw new IdempotencyUnavailable('Redis did not answer', { cause });
      }
    },
    finish: (key, tokens, record) => end(tokens, (store, token) => store.finish(key, token, record)),
    release: (key, tokens) => end(tokens, (store, token) => store.release(key, token)),
  };
}
