/** The time that a request has, for runtimes where its AbortSignal does not say enough. */

import { AsyncLocalStorage } from 'node:async_hooks';

export interface Deadline {
  /** Runs a request that must have ended after `ms` milliseconds. */
  run<T>(ms: number, request: () => T): T;
  /** What the running request has left, in milliseconds. Throws outside `run`: that is a bug, not a time-out. */
  remainingMs(): number;
}

export function createDeadline(): Deadline {
  const endsAt = new AsyncLocalStorage<number>();
  return {
    run: (ms, request) => endsAt.run(Date.now() + ms, request),
    remainingMs() {
      const end = endsAt.getStore();
      if (end === undefined) throw new Error('The deadline was asked outside a request');
      return Math.max(0, end - Date.now());
    },
  };
}
