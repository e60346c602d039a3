/**
 * Aborts with the first of `signals`, as `AbortSignal.any` should: on Node 24 a composite that nobody listens to
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
