import type { Idempotency, KeyRequest } from '../../idempotency.ts';
import { StoreUnavailable } from '../../store.ts';
import type { Availability } from './availability.ts';

export interface IdempotencyFailoverOptions {
  /** The keys that all instances share. */
  readonly shared: Idempotency;
  /** This instance's own keys. */
  readonly local: Idempotency;
  /** Whether the own keys will do while the shared ones are away; else `begin` rejects meanwhile. */
  readonly goOn: boolean;
  readonly availability: Availability;
  /** Runs for an end that could not be shared: to the other instances its key is `lost`. */
  readonly onLost: (error: unknown) => void;
}

/** Releases remembered for a store that is away; what is forgotten of them ends as `lost`. */
const MOST_OWED = 10_000;

/**
 * The shared keys, and what holds while they are away. A key is begun and ended in both stores, the own one first.
 * So this instance never sends a key twice as long as its own store remembers it, whatever becomes of the shared one:
 * it goes, comes back empty, or its reply is lost. Several instances send a key once while the shared store answers;
 * what one of them begins without it the others do not know, and might send again.
 *
 * A key that is known here costs the shared store nothing, another one a request to begin and one to end. `begin`
 * rejects where neither store can say whether a key is fresh; an end never rejects for the shared one, since the
 * message has its outcome already.
 */
export function createFailoverIdempotency(options: IdempotencyFailoverOptions): Idempotency {
  const { shared, local, goOn, availability, onLost } = options;

  /** Keys that the shared store could not be told to let go, and the tokens that own them there; oldest first. */
  const owed = new Map<string, string>();

  const beginShared = async (request: KeyRequest) => {
    const token = owed.get(request.key);
    if (token !== undefined) {
      await shared.release(request.key, token);
      owed.delete(request.key);
    }
    return shared.begin(request);
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
    async begin(request) {
      const own = await local.begin(request);
      if (own.state !== 'fresh') return own;
      try {
        const found = await availability.ask(() => beginShared(request));
        if (found.state === 'fresh') return { state: 'fresh', token: `${own.token} ${found.token}` };
        await local.release(request.key, own.token);
        return found;
      } catch (error) {
        if (goOn && error instanceof StoreUnavailable) return own;
        await local.release(request.key, own.token);
        throw error;
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
    ping: () => availability.ask(() => shared.ping()),
  };
}
