import type { Redis } from '@upstash/redis';

/** Runs a script on one key. Rejects when the script fails, or Redis does not answer in time. */
export type RunScript = (key: string, args: readonly (string | number)[]) => Promise<unknown>;

/** A Lua script that is sent as its hash, and as text only to a server that does not know it yet. */
export function createScript(redis: Redis, lua: string): RunScript {
  const script = redis.createScript(lua);

  return async (key, args) => {
    try {
      return await script.exec([key], args.map(String));
    } catch (error) {
      throw withoutCommand(error);
    }
  };
}

/** The client quotes the whole command in its messages, and a command may hold a record that no log should. */
function withoutCommand(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(message.split(', command was: ')[0]);
}
