import type { Redis } from '@upstash/redis';
import { StoreUnavailable } from '../../store.ts';

/** Runs a script on one key. Rejects with StoreUnavailable for whatever Redis or the way to it does. */
export type RunScript = (key: string, args: readonly (string | number)[]) => Promise<unknown>;

/** A Lua script that is sent as its hash, and as text only to a server that does not know it yet. */
export function createScript(redis: Redis, lua: string): RunScript {
  const script = redis.createScript(lua);

  return async (key, args) => {
    try {
      return await script.exec([key], args.map(String));
    } catch (error) {
      throw unavailable(error);
    }
  };
}

/** Asks Redis whether it answers; rejects with StoreUnavailable where it does not. */
export async function ping(redis: Redis): Promise<void> {
  await redis.ping().catch((error: unknown) => {
    throw unavailable(error);
  });
}

const unavailable = (error: unknown): StoreUnavailable =>
  new StoreUnavailable('Redis did not answer', { cause: withoutCommand(error) });

/** The client quotes the whole command in its messages, and a command may hold a record that no log should. */
function withoutCommand(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(message.split(', command was: ')[0]);
}
