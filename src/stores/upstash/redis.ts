import { Redis } from '@upstash/redis';

export interface RedisOptions {
  /** The REST endpoint, `https://….upstash.io`. */
  readonly url: string;
  readonly token: string;
  /** The longest that one operation on the quota or an idempotency key may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** A client that asks once, gives up in time, and hands strings back as they were stored. */
export function createRedis({ url, token, timeoutMs }: RedisOptions): Redis {
  return new Redis({
    url,
    token,
    // Where the reply was lost, the command was not: a second one would draw twice.
    retry: { retries: 0 },
    // Given as a plain signal, an abort would come back as an answer. An operation is two requests at most:
    // a script's hash, then its text.
    signal: () => AbortSignal.timeout(Math.ceil(timeoutMs / 2)),
    automaticDeserialization: false,
    enableTelemetry: false,
  });
}
