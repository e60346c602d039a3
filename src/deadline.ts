/** Deadlines as AbortSignals: what a request hands on so that each step knows when to stop. */

/** When each deadline ends, by `performance.now()`: a signal cannot travel to another machine, its rest can. */
const ends = new WeakMap<AbortSignal, number>();

/**
 * Does work with a signal that aborts in `ms` milliseconds, unless the work is done before: `AbortSignal.timeout` would
 * abort all the same, and costs six times as much.
 */
export async function withDeadline<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  ends.set(controller.signal, performance.now() + ms);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What a signal from {@link withDeadline} leaves, in milliseconds, not below 0.
 *
 * @throws for any other signal: that is a bug, not a time-out
 */
export function remainingMs(signal: AbortSignal): number {
  const end = ends.get(signal);
  if (end === undefined) throw new Error('This signal has no deadline');
  return Math.max(0, Math.floor(end - performance.now()));
}

/**
 * Aborts with the first of `signals`, as `AbortSignal.any` should: on Node 24 a composite without a listener
 * for a while is forgotten, and its deadline with it (nodejs/node#65995; seen on 24.21).
 */
export function firstOf(...signals: AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  for (const signal of signals) {
    const abort = () => controller.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true, signal: controller.signal });
  }
  return controller.signal;
}
