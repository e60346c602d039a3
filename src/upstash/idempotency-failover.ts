import { type Idempotency, IdempotencyUnavailable } from '../idempotency.ts';

export interface IdempotencyFailoverOptions {
  /** The keys that all instances share. */
  readonly shared: Idempotency;
  /** This instance's own keys, to go on with while the shared ones are away; null refuses meanwhile. */
  readonly local: Idempotency | null;
  /** Whether Redis answered the quota's last call: nobody waits here for what is known to be away. */
  readonly available: () => boolean;
  /** Told of an answer that could not be kept: its key will say `lost`. */
  readonly onLost: (error: unknown) => void;
}

/** Marks a token of the local store: a key is finished where it was begun. */
const LOCAL = 'local:';

/**
 * The shared keys, and what happens while they are away: with a local store the promise holds for this instance
 * alone, as that of the quota does; without one `begin` rejects with {@link IdempotencyUnavailable}.
 */
export function createFailoverIdempotency(options: IdempotencyFailoverOptions): Idempotency {
  const { shared, local, available, onLost } = options;

  const end = async (token: string, step: (store: Idempotency, token: string) => Promise<void>) => {
    if (local && token.startsWith(LOCAL)) return step(local, token.slice(LOCAL.length));
    // The message has its outcome already: a store that cannot keep it must not take it from the caller.
    await step(shared, token).catch(onLost);
  };

  return {
    async begin(key, fingerprint, leaseMs) {
      try {
        if (available()) return await shared.begin(key, fingerprint, leaseMs);
      } catch (error) {
        if (!local) throw new IdempotencyUnavailable('Redis did not answer', { cause: error });
      }
      if (!local) throw new IdempotencyUnavailable('Redis did not answer and is left alone for a moment');
      const begun = await local.begin(key, fingerprint, leaseMs);
      return begun.state === 'fresh' ? { ...begun, token: LOCAL + begun.token } : begun;
    },
    finish: (key, token, record) => end(token, (store, own) => store.finish(key, own, record)),
    release: (key, token) => end(token, (store, own) => store.release(key, own)),
  };
}
