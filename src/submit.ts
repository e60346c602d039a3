/** The use case of every door: sender policy → idempotency → deliver → record; it ends with one event. */

import { policyFailure } from './account.ts';
import type { Caller } from './authenticate.ts';
import { type Delivered, type Deliverer, NO_TIME } from './deliver.ts';
import {
  type Idempotency,
  type IdempotencyState,
  KEPT_MS,
  type KeyRequest,
  type MessageKey,
  storeKey,
} from './idempotency.ts';
import { type Emit, type MessageFacts, messageEvent } from './message-event.ts';
import { type Failure, failure, kindOf, type Outcome } from './outcome.ts';
import { mostRecordChars, readRecord, writeRecord } from './record.ts';
import { canonicalApiUser } from './sendcloud.ts';
import { StoreUnavailable } from './store.ts';
import type { Content, Envelope } from './transaction.ts';

export interface StreamRead {
  /** What was wrong with it: the cause where it was not sent. */
  readonly flaw: Failure | null;
  readonly size: number;
  readonly warnings: readonly string[];
}

export interface Submission {
  readonly caller: Caller;
  readonly label: number | null;
  readonly envelope: Envelope;
  readonly content: Content;
  /** The caller's key and the fingerprint of what it sent with it; null without a key. */
  readonly idempotency: (MessageKey & { readonly fingerprint: string }) | null;
  /** What the event tells besides. */
  readonly facts: Pick<MessageFacts, 'origin' | 'id' | 'composeMs' | 'warnings'>;
  /** What only the reading of a streamed content shows; asked when it is over. */
  readonly read?: () => StreamRead;
}

export interface Submitted extends Delivered {
  /** The outcome is that of an earlier request with the same key; nothing was drawn or sent now. */
  readonly replayed: boolean;
}

export type Submit = (submission: Submission, signal: AbortSignal) => Promise<Submitted>;

/** The lease of a key outlives the deadline by this, for the answer to be recorded. */
const RECORDING_MS = 10_000;

export function createSubmit(options: {
  deliverer: Deliverer;
  idempotency: Idempotency;
  deadlineMs: number;
  emit: Emit;
}): Submit {
  const { deliverer, idempotency, emit } = options;

  return async function submit(submission, signal) {
    const submitted = await decide(submission, signal);
    const { caller, label, envelope, facts, read } = submission;
    const { apiUser } = caller.account;
    const recipients = envelope.to.length;
    const { size, warnings } = read?.() ?? { size: envelope.size, warnings: facts.warnings };
    emit(messageEvent({ ...facts, apiUser, label, size, recipients, warnings }, submitted));
    return submitted;
  };

  async function decide(submission: Submission, signal: AbortSignal): Promise<Submitted> {
    const forbidden = policyFailure(submission.caller.account, submission.envelope.from, submission.label);
    if (forbidden) return withoutSending(forbidden);
    if (!submission.idempotency) return { ...(await deliver(submission, signal)), replayed: false };

    const { to } = submission.envelope;
    const apiUser = canonicalApiUser(submission.caller.account.apiUser);
    const key = storeKey(apiUser, submission.idempotency);
    const found = await begin({
      apiUser,
      key,
      fingerprint: submission.idempotency.fingerprint,
      leaseMs: options.deadlineMs + RECORDING_MS,
      keptMs: submission.idempotency.keptMs ?? KEPT_MS,
      recordChars: mostRecordChars(to.length),
    });
    if (!found) {
      const detail = 'The store of idempotency keys cannot take this one now; nothing was sent.';
      return withoutSending(failure('store-unavailable', detail, { retryAfterMs: 1000 }));
    }
    switch (found.state) {
      case 'replay':
        return { ...withoutSending(readRecord(found.record, to) ?? UNREADABLE), replayed: true };
      case 'busy':
      case 'mismatch':
        return withoutSending(keyFailure(found));
      case 'lost':
        return { ...withoutSending(keyFailure(found)), replayed: true };
      case 'fresh': {
        const delivered = await deliver(submission, signal);
        // What upstream decided, or may have decided, about this message is kept; any other failure
        // proves that nothing was sent, and the key is free for a new try.
        if (isSettled(delivered.outcome)) {
          await idempotency.finish(key, found.token, writeRecord(delivered.outcome, to));
        } else {
          await idempotency.release(key, found.token);
        }
        return { ...delivered, replayed: false };
      }
    }
  }

  function begin(request: KeyRequest): Promise<IdempotencyState | null> {
    return idempotency.begin(request).catch((error: unknown) => {
      if (error instanceof StoreUnavailable) return null;
      throw error;
    });
  }

  async function deliver(submission: Submission, signal: AbortSignal): Promise<Delivered> {
    const { caller, label, envelope, content, read } = submission;
    const { apiUser, apiKey, quota } = caller.account;
    const login = { apiUser, apiKey, label };
    const delivered = await deliverer.deliver({ login, limit: quota, envelope, content }, signal);
    const { outcome } = delivered;
    if (outcome.delivery !== 'not-sent') return delivered;
    const cause = read?.().flaw ?? outcome;
    // A key that the caller brought is the caller's to mend.
    const isCallersKey = caller.ownKey && cause.code === 'upstream-credentials';
    return { ...delivered, outcome: isCallersKey ? { ...cause, code: 'unauthorized' } : cause };
  }
}

/** Why nothing may be sent under a key now. */
export function keyFailure(found: Exclude<IdempotencyState, { state: 'fresh' | 'replay' }>): Failure {
  switch (found.state) {
    case 'busy':
      return failure(
        'request-in-progress',
        'The first request with this Idempotency-Key has not ended yet.',
        {
          // The lease may last a deadline more; most requests end within a second.
          retryAfterMs: Math.min(found.retryAfterMs, 1000),
        },
      );
    case 'mismatch':
      return failure(
        'idempotency-key-reused',
        'This Idempotency-Key came with another message; use a new key.',
      );
    case 'lost':
      return failure(
        'outcome-unknown',
        'The instance that had this Idempotency-Key ended without an answer; it may have sent the message.',
      );
  }
}

/** A record that is damaged, or of another version of the gateway. */
const UNREADABLE = failure(
  'outcome-unknown',
  'What is kept under this Idempotency-Key cannot be read; upstream may have the message.',
);

const withoutSending = (outcome: Outcome): Submitted => ({
  outcome,
  replayed: false,
  quota: null,
  timing: NO_TIME,
  attempts: 0,
});

const isSettled = (outcome: Outcome): boolean =>
  outcome.delivery === 'accepted' || kindOf(outcome.code).settled === true;
