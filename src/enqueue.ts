/** The use case beside `submit` for what need not go at once: sender policy → idempotency → outbox. */

import { policyFailure } from './account.ts';
import { type Idempotency, type IdempotencyState, KEPT_MS, storeKey } from './idempotency.ts';
import type { Log } from './log.ts';
import type { NewEntry, OutboxDoor, OutboxRecord, Put, SentFacts } from './outbox.ts';
import { type Failure, failure, isFailure } from './outcome.ts';
import { canonicalApiUser } from './sendcloud.ts';
import { StoreUnavailable } from './store.ts';
import { keyFailure, type Submission } from './submit.ts';

export interface Enqueued {
  readonly record: OutboxRecord;
  /** The key had put it there before. */
  readonly replayed: boolean;
}

/** @param id - what the caller will know the message by */
export type Enqueue = (
  submission: Submission & { readonly content: Uint8Array },
  entry: { readonly id: string; readonly facts: SentFacts; readonly sendAt: number | null },
) => Promise<Enqueued | Failure>;

/** How long a key is busy while its message is put: a put that takes longer has failed. */
const PUTTING_MS = 30_000;

/** @param wake - runs after each put, so that a worker looks for what is due */
export function createEnqueue(options: {
  outbox: Pick<OutboxDoor, 'put' | 'read'>;
  idempotency: Idempotency;
  wake: (apiUser: string) => void;
  log: Log;
}): Enqueue {
  const { outbox, idempotency, wake, log } = options;

  return async function enqueue(submission, { id, facts, sendAt }) {
    const { caller, label, envelope, content, idempotency: key } = submission;
    const forbidden = policyFailure(caller.account, envelope.from, label);
    if (forbidden) return forbidden;
    const apiUser = canonicalApiUser(caller.account.apiUser);
    const entry: NewEntry = {
      id,
      apiUser,
      loginAs: caller.account.apiUser,
      apiKey: caller.ownKey ? caller.account.apiKey : null,
      envelope,
      content,
      facts,
      sendAt,
      key: key && { key: storeKey(apiUser, key), fingerprint: key.fingerprint },
    };
    const { requestId } = submission.facts.origin;
    if (!entry.key) return put(entry, requestId);

    const found = await begin(apiUser, entry.key, id);
    if (!found) return unavailable();
    if (found.state === 'replay') return known(apiUser, found.record);
    // A key whose owner vanished while it put the message has sent nothing: the outbox knows whether it is there.
    if (found.state !== 'fresh' && found.state !== 'lost') return keyFailure(found);
    const enqueued = await put(entry, requestId);
    if (found.state === 'fresh') {
      // A key that the outbox still has is the outbox's to keep: recorded anew, it would outlive its time.
      if (isFailure(enqueued) || enqueued.replayed) await idempotency.release(entry.key.key, found.token);
      else await idempotency.finish(entry.key.key, found.token, enqueued.record.id);
    }
    return enqueued;
  };

  function begin(
    apiUser: string,
    key: NonNullable<NewEntry['key']>,
    id: string,
  ): Promise<IdempotencyState | null> {
    const request = { apiUser, ...key, leaseMs: PUTTING_MS, keptMs: KEPT_MS, recordChars: id.length };
    return idempotency.begin(request).catch((error: unknown) => {
      if (error instanceof StoreUnavailable) return null;
      throw error;
    });
  }

  async function put(entry: NewEntry, requestId: string): Promise<Enqueued | Failure> {
    let done: Put;
    try {
      done = await outbox.put(entry);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      log.error('the outbox is away', { requestId, error: String(error.cause ?? error) });
      return outboxAway();
    }
    switch (done.state) {
      case 'mismatch':
        return keyFailure(done);
      case 'full':
        return failure('store-unavailable', 'The outbox is full; the message was not kept.', {
          retryAfterMs: done.retryAfterMs,
        });
      case 'put':
        wake(entry.apiUser);
        return { record: (await readBack(entry)) ?? newRecord(entry), replayed: false };
      case 'known':
        return known(entry.apiUser, done.id);
    }
  }

  /** The message is safe: a store that goes away now must not say otherwise. */
  function readBack({ apiUser, id }: NewEntry): Promise<OutboxRecord | null> {
    return outbox.read(apiUser, id).catch((error: unknown) => {
      if (error instanceof StoreUnavailable) return null;
      throw error;
    });
  }

  async function known(apiUser: string, id: string): Promise<Enqueued | Failure> {
    let record: OutboxRecord | null;
    try {
      record = await outbox.read(apiUser, id);
    } catch (error) {
      if (error instanceof StoreUnavailable) return outboxAway();
      throw error;
    }
    if (record) return { record, replayed: true };
    return failure(
      'not-found',
      'The message of this Idempotency-Key ended, and its state is no longer kept.',
    );
  }
}

function newRecord({ id, apiUser, sendAt, facts }: NewEntry): OutboxRecord {
  const createdAt = Date.now();
  const nextAttemptAt = Math.max(createdAt, sendAt ?? 0);
  return {
    id,
    apiUser,
    state: 'queued',
    createdAt,
    sendAt,
    attempts: [],
    nextAttemptAt,
    facts,
    outcome: null,
  };
}

/** The outbox cannot be read or written. */
export const outboxAway = (): Failure =>
  failure('store-unavailable', 'The outbox does not answer; nothing was kept or changed.', {
    retryAfterMs: 5000,
  });

const unavailable = (): Failure =>
  failure('store-unavailable', 'The store of idempotency keys does not answer; nothing was kept.', {
    retryAfterMs: 1000,
  });
