/** The keys of this process, and those of the messages that its outbox kept from before it started. */

import type { Idempotency } from '../idempotency.ts';
import type { Outbox } from '../outbox.ts';

/** For a store of keys that a restart empties: a key that the outbox still has is not fresh. */
export function withQueuedKeys(keys: Idempotency, outbox: Pick<Outbox, 'find'>): Idempotency {
  return {
    ...keys,
    async begin(request) {
      const { apiUser, key, fingerprint } = request;
      const found = await keys.begin(request);
      if (found.state !== 'fresh') return found;
      const giveBack = () => keys.release(key, found.token);
      const queued = await outbox.find(apiUser, key).catch(async (error: unknown) => {
        await giveBack();
        throw error;
      });
      if (!queued) return found;
      await giveBack();
      return queued.fingerprint === fingerprint
        ? { state: 'replay', record: queued.id }
        : { state: 'mismatch' };
    },
  };
}
