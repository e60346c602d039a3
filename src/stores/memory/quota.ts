import type { Quota, WindowOptions } from '../../quota.ts';
import { canonicalApiUser } from '../../sendcloud.ts';
import { ExactWindow, spanOf } from '../window.ts';

export interface MemoryQuotaOptions extends WindowOptions {
  /** Milliseconds of a clock that does not step back; the process's monotonic clock by default. */
  readonly now?: () => number;
}

/**
 * The quota in this process: exact for this instance alone. It is never away.
 *
 * An api_user without a draw or a closure in its window takes no memory.
 */
export function createMemoryQuota(options: MemoryQuotaOptions): Quota {
  const span = spanOf(options);
  const clock = options.now ?? (() => performance.now());
  const now = () => Math.floor(clock());
  const windows = new Map<string, ExactWindow>();
  let sweptAt = Number.NEGATIVE_INFINITY;

  /** Once in a window, so that every look at a user is paid for by one of its draws. */
  function forgetIdle(time: number): void {
    if (time - sweptAt < span) return;
    sweptAt = time;
    for (const [apiUser, window] of windows) if (window.isIdle(time)) windows.delete(apiUser);
  }

  function windowOf(apiUser: string, time: number): ExactWindow {
    forgetIdle(time);
    const key = canonicalApiUser(apiUser);
    const known = windows.get(key);
    if (known !== undefined) return known;
    const window = new ExactWindow(options);
    windows.set(key, window);
    return window;
  }

  return {
    async draw(apiUser, limit, cost = 1) {
      const time = now();
      return windowOf(apiUser, time).draw(time, limit, cost);
    },

    async peek(apiUser, limit) {
      return (
        windows.get(canonicalApiUser(apiUser))?.peek(now(), limit) ?? { limit, remaining: limit, resetMs: 0 }
      );
    },

    async close(apiUser, ms) {
      const time = now();
      windowOf(apiUser, time).close(time, ms);
    },

    async ping() {},
  };
}
