/**
 * One message's way to upstream: lease an authenticated connection, draw one call, send, classify.
 *
 * The draw comes after the login and right before MAIL FROM, so wrong credentials draw nothing and
 * upstream sees calls about when they are counted. Every attempt that writes MAIL draws one.
 */

import type { Login } from './account.ts';
import { bounded, type Failure, failure, isFailure, type Outcome } from './outcome.ts';
import type { Draw, Quota, QuotaState } from './quota.ts';
import { FREQUENCY_LIMITED } from './sendcloud.ts';
import { StoreUnavailable } from './store.ts';
import type { Content, Envelope, Lease, Relay } from './transaction.ts';

export interface Delivery {
  readonly login: Login;
  /** Calls per window of this api_user. */
  readonly limit: number;
  readonly envelope: Envelope;
  readonly content: Content;
  /** See `Lease.send`. */
  readonly beforeDot?: () => Promise<boolean>;
}

/** Milliseconds spent in each step, over all attempts. */
export interface Timing {
  readonly lease: number;
  readonly draw: number;
  readonly send: number;
}

export const NO_TIME: Timing = { lease: 0, draw: 0, send: 0 };

export interface Delivered {
  readonly outcome: Outcome;
  /** The window after the last draw; null where nothing was drawn or asked. */
  readonly quota: QuotaState | null;
  readonly timing: Timing;
  /** Tries to hand the message over; more than one where the first ones were lost before MAIL was answered. */
  readonly attempts: number;
}

export interface Deliverer {
  /** Sends one message; the outcome is a value, whatever happens. */
  deliver(delivery: Delivery, signal: AbortSignal): Promise<Delivered>;
  /** Proves a login by upstream's own 235, or says what stood against it. Draws nothing. */
  verify(login: Login, signal: AbortSignal): Promise<Failure | null>;
}

const ATTEMPTS = 3;

/** How long upstream's own 536 closes the window for every instance. */
const CLOSED_MS = 10_000;

export function createDeliverer({ relay, quota }: { relay: Relay; quota: Quota }): Deliverer {
  return {
    async deliver({ login, limit, envelope, content, beforeDot }, signal) {
      const timing = { ...NO_TIME };
      let state: QuotaState | null = null;
      let tries = 0;
      const timed = async <T>(step: keyof Timing, work: Promise<T>): Promise<T> => {
        const start = performance.now();
        return work.finally(() => {
          timing[step] += performance.now() - start;
        });
      };

      const sent = await attempts(signal, async (attempt) => {
        tries++;
        const asked = { helo: domainOf(envelope.from), fresh: attempt > 0 };
        const lease = await timed('lease', relay.lease(login, asked, signal));
        if (isFailure(lease)) return lease;
        const obstacle = obstacleFor(envelope, lease, signal);
        if (obstacle) {
          lease.release();
          return obstacle;
        }
        let draw: Draw;
        try {
          draw = state = await timed('draw', quota.draw(login.apiUser, limit));
        } catch (error) {
          lease.release();
          if (error instanceof StoreUnavailable) return quotaUnavailable();
          throw error;
        }
        if (!draw.granted) {
          lease.release();
          return quotaExceeded(draw);
        }
        return timed('send', lease.send(envelope, content, signal, beforeDot));
      });

      const outcome = bounded(sent);
      if (!saidFrequencyLimited(outcome)) return { outcome, quota: state, timing, attempts: tries };
      // Upstream counts calls that we do not see. A store that is away cannot close: the outcome stands.
      await timed('draw', quota.close(login.apiUser, CLOSED_MS)).catch(() => {});
      return {
        outcome: outcome.delivery === 'accepted' ? outcome : { ...outcome, retryAfterMs: CLOSED_MS },
        quota: { limit, remaining: 0, resetMs: CLOSED_MS },
        timing,
        attempts: tries,
      };
    },

    verify: (login, signal) => attempts(signal, () => relay.prove(login, signal)),
  };
}

/** Tries again only where nothing happened at all, at most twice more and inside the deadline. */
async function attempts<T>(
  signal: AbortSignal,
  run: (attempt: number) => Promise<T | Failure>,
): Promise<T | Failure> {
  for (let attempt = 1; ; attempt++) {
    const result = await run(attempt - 1);
    if (!isFailure(result) || !result.again) return result;
    const { again, ...failed } = result;
    if (attempt === ATTEMPTS || signal.aborted) return failed;
  }
}

const domainOf = (address: string): string | null => address.slice(address.lastIndexOf('@') + 1) || null;

/** What is known to fail before a call is drawn for it. */
function obstacleFor({ size }: Envelope, { maxSize }: Lease, signal: AbortSignal): Failure | null {
  if (signal.aborted)
    return failure('upstream-timeout', 'The deadline passed before a connection was ready.');
  if (size === null || maxSize === null || size <= maxSize) return null;
  return failure(
    'message-too-large',
    `The message has ${size} bytes as transferred; upstream takes ${maxSize}.`,
  );
}

/** The store is away and QUOTA_ON_ERROR is `refuse`. */
export const quotaUnavailable = (): Failure =>
  failure('quota-unavailable', 'The quota store does not answer; nothing was sent.', { retryAfterMs: 1000 });

/** Our own window's refusal, in the words of every door. */
export function quotaExceeded(draw: Draw): Failure {
  const seconds = Math.ceil(draw.retryAfterMs / 1000);
  return failure(
    'quota-exceeded',
    `The window of ${draw.limit} calls has ${draw.remaining} left; this fits in ${seconds} s.`,
    { retryAfterMs: draw.retryAfterMs },
  );
}

/** Upstream's own limit, at whatever stage it came: also for one recipient among others. */
function saidFrequencyLimited(outcome: Outcome): boolean {
  if (outcome.delivery !== 'accepted' && outcome.smtp?.code === FREQUENCY_LIMITED.code) return true;
  return (outcome.rejected ?? []).some((rejection) => rejection.code === FREQUENCY_LIMITED.code);
}
