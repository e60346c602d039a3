import { StoreUnavailable } from '../../store.ts';

/** The name of the object that is asked whether objects answer; it keeps nothing. */
export const PING = 'ping';

/** A call to an object. Rejects with StoreUnavailable where it did not answer, with its own error where that is a bug. */
export async function reached<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    // Cloudflare's mark on what the object's own code threw.
    if ((error as { remote?: boolean }).remote) throw error;
    throw new StoreUnavailable('The Durable Object did not answer', { cause: error });
  }
}
