import { type Idempotency, IdempotencyUnavailable } from '../../idempotency.ts';

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

/** Releases remembered for a Redis that is away; what is forgotten of them ends as `lost`. */
const MOST_OWED = 10_000;

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

  /** Keys that Redis could not be told to let go, and the tokens that own them there; oldest first. */
  const owed = new Map<string, string>();

  const beginShared: Idempotency['begin'] = async (key, ...request) => {
    if (!available()) throw new Error('Redis did not answer and is left alone for a moment');
    const token = owed.get(key);
    if (token !== undefined) {
      await shared.release(key, token);
      owed.delete(key);
    }
    return shared.begin(key, ...request);
  };

  const releaseShared = async (key: string, token: string) => {
    try {
      await shared.release(key, token);
    } catch (error) {
      owed.set(key, token);
      const [oldest] = owed.keys();
      if (owed.size > MOST_OWED && oldest !== undefined) owed.delete(oldest);
      onLost(error);
    }
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
    async finish(key, tokens, record) {
      const [own = '', theirs] = tokens.split(' ');
      await local.finish(key, own, record);
      if (theirs !== undefined) await shared.finish(key, theirs, record).catch(onLost);
    },
    async release(key, tokens) {
      const [own = '', theirs] = tokens.split(' ');
      await local.release(key, own);
      if (theirs !== undefined) await releaseShared(key, theirs);
    },
  };
}
