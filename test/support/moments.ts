/** An upstream whose faults change all the time. */

import type { Fault, Upstream } from './upstream.ts';

const MOMENTS: readonly (readonly Fault[])[] = [
  [],
  [],
  [],
  [{ at: 'dot', delayMs: 20 }],
  [{ at: 'dot', delayMs: 150 }],
  [{ at: 'mail', delayMs: 50 }],
  [{ at: 'body', delayMs: 30 }],
  [{ at: 'data', do: 'close', times: 1 }],
  [{ at: 'greeting', do: 'reset', times: 2 }],
  [{ at: 'mail', do: 'close', times: 1 }],
  [{ at: 'dot', do: 'close', times: 1 }],
  [{ at: 'dot', do: 'close', taken: true, times: 1 }],
  [{ at: 'dot', do: 'reset', taken: true, times: 1 }],
  [{ at: 'dot', do: { reply: '554 no' }, times: 1 }],
  [{ at: 'rcpt', do: { reply: '550 no such user' }, times: 1 }],
  [{ at: 'auth-key', do: { reply: '535 Authentication failed' }, times: 1 }],
];

/** These two cost half a minute and ten seconds, so they are rare. */
const RARE_MOMENTS: readonly (readonly Fault[])[] = [
  [{ at: 'mail', do: { reply: '451 later' }, times: 1 }],
  [{ at: 'dot', do: { reply: '536 frequency limited' }, times: 1 }],
];
const RARE = 0.01;
const MOMENT_MS = 30;

const oneOf = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;

/** Gives the upstream other faults every moment; returns what ends that. */
export function makeMoments(upstream: Upstream, rare = RARE): () => void {
  const moments = setInterval(() => {
    upstream.faults = oneOf(Math.random() < rare ? RARE_MOMENTS : MOMENTS);
  }, MOMENT_MS);
  return () => {
    clearInterval(moments);
    upstream.faults = [];
  };
}
