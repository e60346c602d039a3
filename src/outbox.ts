/**
 * The outbox: messages that were answered 202, kept until their outcome is final.
 *
 * A message is claimed under a lease and a fencing number. `mark` is written right before the final dot, so a
 * lease that ran out without a mark proves that nothing was sent (the message is due again), and one with a mark
 * leaves the outcome `unknown` (it is never sent again).
 */

import type { Failure, FieldError, Outcome, SmtpReply } from './outcome.ts';
import type { Envelope } from './transaction.ts';

export const OUTBOX_STATES = ['queued', 'sending', 'accepted', 'failed', 'unknown', 'cancelled'] as const;
export type OutboxState = (typeof OUTBOX_STATES)[number];

/** How a message ends by its outcome. */
export const END_STATES = {
  accepted: 'accepted',
  'not-sent': 'failed',
  unknown: 'unknown',
} as const satisfies Record<Outcome['delivery'], OutboxState>;

/** How often states are forgotten, in milliseconds. */
export const SWEEP_MS = 60 * 60 * 1000;

/** What a receipt says of the message itself. */
export interface SentFacts {
  /** Null where a whole message has none. */
  readonly messageId: string | null;
  readonly label: number | null;
  readonly size: number;
  /** Pictures made from data URIs. */
  readonly embedded: number;
  readonly warnings: readonly FieldError[];
  /** What its headers say; absent for a whole message. */
  readonly headers?: SentHeaders;
}

/** Of each list the first {@link MOST_LISTED}, so that a record stays small. */
export interface SentHeaders {
  /** The mailbox; the others are addresses alone. */
  readonly from: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  /** At most {@link MOST_SUBJECT_CHARS}. */
  readonly subject: string;
}

export const MOST_LISTED = 50;
export const MOST_SUBJECT_CHARS = 1000;

/** A message on its way into the outbox. */
export interface NewEntry {
  /** Not guessable; what the caller knows the message by. */
  readonly id: string;
  /** In its canonical spelling: whose the message is. */
  readonly apiUser: string;
  /** The api_user as its caller spells it: upstream may tell the case of a login. */
  readonly loginAs: string;
  /** The caller's own api_key; null where the configured account's is used at the time of sending. */
  readonly apiKey: string | null;
  readonly envelope: Envelope;
  readonly content: Uint8Array;
  readonly facts: SentFacts;
  /** Unix time in milliseconds before which it is not sent; null: as soon as it can be. */
  readonly sendAt: number | null;
  /** The caller's idempotency key as a store key, and the fingerprint of its request. */
  readonly key: { readonly key: string; readonly fingerprint: string } | null;
}

/** One try that failed. Waiting for the quota is none. */
export interface Attempt {
  /** Unix time in milliseconds. */
  readonly at: number;
  readonly code: Failure['code'];
  readonly detail: string;
  readonly smtp: SmtpReply | null;
}

/** What is known of a message, for its caller. Times are Unix time in milliseconds. */
export interface OutboxRecord {
  readonly id: string;
  readonly apiUser: string;
  readonly state: OutboxState;
  readonly createdAt: number;
  readonly sendAt: number | null;
  /** The latest, at most {@link MOST_ATTEMPTS_KEPT}. */
  readonly attempts: readonly Attempt[];
  /** Null once the message has ended, and while it is being sent. */
  readonly nextAttemptAt: number | null;
  readonly facts: SentFacts;
  /** Null until the message has ended, and for a cancelled one. */
  readonly outcome: Outcome | null;
}

export const MOST_ATTEMPTS_KEPT = 20;

/** A message that this worker may send, until `leasedUntil`. */
export interface Claim {
  readonly id: string;
  /** Grows with every claim of the message: an older owner's `mark`, `settle` and `postpone` do nothing. */
  readonly fence: number;
  readonly leasedUntil: number;
  readonly apiUser: string;
  readonly loginAs: string;
  readonly apiKey: string | null;
  readonly envelope: Envelope;
  readonly content: Uint8Array;
  readonly label: number | null;
  /** All of them, also those that are not kept. */
  readonly attempts: number;
  /** Unix time in milliseconds of the first attempt that failed; null before it. */
  readonly firstAttemptAt: number | null;
}

export type Put =
  | { readonly state: 'put' | 'known'; readonly id: string }
  /** The key belongs to another request. */
  | { readonly state: 'mismatch' }
  /** OUTBOX_MAX_BYTES are waiting. */
  | { readonly state: 'full'; readonly retryAfterMs: number };

/** Whose an idempotency key is. */
export interface KeyHolder {
  readonly id: string;
  readonly fingerprint: string;
}

/** What waits, for probes and metrics. */
export interface Depth {
  /** Messages in `queued` and `sending`. */
  readonly waiting: number;
  /** Unix time in milliseconds since which the longest-waiting one has been due; null where none is. */
  readonly oldestDueAt: number | null;
}

/** What a caller's request comes to; the rest of the outbox is its worker's. */
export type OutboxDoor = Pick<Outbox, 'put' | 'cancel' | 'read' | 'find' | 'list'>;

/**
 * The contract of the outbox; `test/contract/outbox.ts` runs on every implementation.
 *
 * Every method rejects with `StoreUnavailable` when the store cannot be read or written. Times are by the store's
 * own clock, which a test may set.
 */
export interface Outbox {
  /**
   * Keeps the message and its key, all or nothing: when this resolves, it is safe. A known key gives its first id, until
   * `KEPT_MS` after the end of its message; then it is a new one, and that message's state may go.
   */
  put(entry: NewEntry): Promise<Put>;
  /**
   * Up to `count` messages that are due, the oldest first within an api_user and the api_users in turn, none of the
   * api_users in `except`. Ends leases that ran out, as the page above says, but those of the messages in `held`: the
   * worker that asks is sending them, and a clock that was set forward must not end what it will settle.
   */
  claim(options: {
    readonly count: number;
    readonly leaseMs: number;
    readonly except: ReadonlySet<string>;
    readonly held?: ReadonlySet<string>;
  }): Promise<readonly Claim[]>;
  /** The final dot is about to be written; false where the claim is no longer the owner's: then it must not be. */
  mark(claim: Claim): Promise<boolean>;
  /** The message has ended: its body goes at once. */
  settle(claim: Claim, outcome: Outcome): Promise<void>;
  /** Due again at `at`; `attempt` is null where it only waited. */
  postpone(claim: Claim, at: number, attempt: Attempt | null): Promise<void>;
  /** Only while it waits: `sending` and what has ended is `not-cancellable`. Null where the caller has no such message. */
  cancel(apiUser: string, id: string): Promise<'cancelled' | 'not-cancellable' | null>;
  read(apiUser: string, id: string): Promise<OutboxRecord | null>;
  /** The message under an idempotency key (as a store key), and the fingerprint of its request; or null. */
  find(apiUser: string, key: string): Promise<KeyHolder | null>;
  /**
   * Newest first. A cursor is opaque; null where there is no further page, or from the start. The page is null where
   * the cursor is none that a list gave.
   */
  list(
    apiUser: string,
    options: { readonly state: OutboxState | null; readonly limit: number; readonly cursor: string | null },
  ): Promise<{ readonly records: readonly OutboxRecord[]; readonly cursor: string | null } | null>;
  /**
   * When the next message is due, those of the api_users in `except` aside, or the next lease runs out; null where
   * nothing waits.
   */
  nextDueAt(except?: ReadonlySet<string>): Promise<number | null>;
  depth(): Promise<Depth>;
  /** Forgets states that ended more than OUTBOX_KEEP_DAYS ago. */
  sweep(): Promise<void>;
  ping(): Promise<void>;
}
