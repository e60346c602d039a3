/** The use case that both doors call: sender policy → idempotency → deliver → record. */

import { policyFailure } from './account.ts';
import type { Caller } from './authenticate.ts';
import type { Deliverer, Timing } from './deliver.ts';
import {
  type Idempotency,
  type IdempotencyState,
  IdempotencyUnavailable,
  type MessageKey,
  storeKey,
} from './idempotency.ts';
import { failure, kindOf, type Outcome } from './outcome.ts';
import type { QuotaState } from './quota.ts';
import type { Content, Envelope } from './transaction.ts';

export interface Submission {
  readonly caller: Caller;
  readonly label: number | null;
  readonly envelope: Envelope;
  readonly content: Content;
  /** The caller's key and the fingerprint of what it sent with it; null without a key. */
  readonly idempotency: (MessageKey & { readonly fingerprint: string }) | null;
}

export interface Submitted {
  readonly outcome: Outcome;
  /** The outcome is that of an earlier request with the same key; nothing was drawn or sent now. */
  readonly replayed: boolean;
  readonly quota: QuotaState | null;
  readonly timing: Timing;
}

export type Submit = (submission: Submission, signal: AbortSignal) => Promise<Submitted>;

/** The lease of a key outlives the deadline by this, for the answer to be recorded. */
const RECORDING_MS = 10_000;

const NO_TIME: Timing = { lease: 0, draw: 0, send: 0 };

export function createSubmit(options: {
  deliverer: Deliverer;
  idempotency: Idempotency;
  deadlineMs: number;
}): Submit {
  const { deliverer, idempotency } = options;

  const begin = (key: string, fingerprint: string): Promise<IdempotencyState | null> =>
    idempotency.begin(key, fingerprint, options.deadlineMs + RECORDING_MS).catch((error: unknown) => {
      if (error instanceof IdempotencyUnavailable) return null;
      throw error;
    });

  const deliver = async ({ caller, label, envelope, content }: Submission, signal: AbortSignal) => {
    const { apiUser, apiKey, quota } = caller.account;
    const login = { apiUser, apiKey, label };
    const delivered = await deliverer.deliver({ login, limit: quota, envelope, content }, signal);
    const { outcome } = delivered;
    if (!caller.ownKey || outcome.delivery === 'accepted' || outcome.code !== 'upstream-credentials') {
      return delivered;
    }
    // The caller brought this key: what upstream says of it is the caller's to mend.
    return { ...delivered, outcome: { ...outcome, code: 'unauthorized' as const } };
  };

  return async (submission, signal) => {
    const withoutSending = (outcome: Outcome, replayed = false): Submitted => ({
      outcome,
      replayed,
      quota: null,
      timing: NO_TIME,
    });

    const forbidden = policyFailure(submission.caller.account, submission.envelope.from, submission.label);
    if (forbidden) return withoutSending(forbidden);
    if (!submission.idempotency) return { ...(await deliver(submission, signal)), replayed: false };

    const key = storeKey(submission.caller.account.apiUser, submission.idempotency);
    const found = await begin(key, submission.idempotency.fingerprint);
    if (!found) {
      const detail = 'The store of idempotency keys cannot take this one now; nothing was sent.';
      return withoutSending(failure('quota-unavailable', detail, { retryAfterMs: 1000 }));
    }
    switch (found.state) {
      case 'replay':
        return withoutSending(JSON.parse(found.record) as Outcome, true);
      case 'busy':
        return withoutSending(
          failure('request-in-progress', 'The first request with this Idempotency-Key has not ended yet.', {
            // The lease may last a deadline more; most requests end within a second.
            retryAfterMs: Math.min(found.retryAfterMs, 1000),
          }),
        );
      case 'mismatch':
        return withoutSending(
          failure('idempotency-key-reused', 'This Idempotency-Key came with another message; use a new key.'),
        );
      case 'lost':
        return withoutSending(
          failure(
            'outcome-unknown',
            'The instance that had this Idempotency-Key ended without an answer; it may have sent the message.',
          ),
          true,
        );
      case 'fresh': {
        const delivered = await deliver(submission, signal);
        // What upstream decided, or may have decided, about this message is kept; any other failure
        // proves that nothing was sent, and the key is free for a new try.
        if (isSettled(delivered.outcome)) {
          await idempotency.finish(key, found.token, JSON.stringify(delivered.outcome));
        } else {
          await idempotency.release(key, found.token);
        }
        return { ...delivered, replayed: false };
      }
    }
  };
}

const isSettled = (outcome: Outcome): boolean =>
  outcome.delivery === 'accepted' || kindOf(outcome.code).settled === true;
