/**
 * The outbox's worker: claims what is due, sends it, and writes down how it ended.
 *
 * It has no clock of its own to wake it: each runtime calls `run` when a message was put and when the time has come
 * that the last `run` gave.
 */

import type { Account, Login } from './account.ts';
import { withDeadline } from './deadline.ts';
import { type Delivered, type Deliverer, NO_TIME } from './deliver.ts';
import type { Log } from './log.ts';
import { type Emit, type MessageEvent, messageEvent } from './message-event.ts';
import { type Claim, type Outbox, SWEEP_MS } from './outbox.ts';
import { type Failure, type FailureCode, failure, kindOf } from './outcome.ts';
import { canonicalApiUser } from './sendcloud.ts';
import { StoreUnavailable } from './store.ts';

export interface SenderOptions {
  readonly outbox: Pick<Outbox, 'mark' | 'settle' | 'postpone'>;
  readonly deliver: Deliverer['deliver'];
  /** The configured ones, as they are now. */
  readonly accounts: () => readonly Account[];
  /** Calls per window of an api_user that no account names. */
  readonly quotaLimit: number;
  /** The share of the window that is left to messages sent at once: OUTBOX_RESERVE. */
  readonly reserve: number;
  /** How long is tried from the first attempt on, in milliseconds. */
  readonly giveUpMs: number;
  readonly emit: Emit;
  /** Sees the failure after which a message with a configured account's key waits: it has no event. */
  readonly observe?: (failed: Pick<MessageEvent, 'apiUser' | 'code' | 'detail'>) => void;
  readonly log: Log;
}

/** A message that goes back into the outbox, and why. */
export interface Postponed {
  readonly code: FailureCode;
  /** Unix time in milliseconds. */
  readonly until: number;
}

/**
 * Sends a claimed message, and settles or postpones it; null where it has ended, or is another's by now. Rejects
 * where the store is away: until the lease ends it tries again, unless `closing` says that the process is to end.
 */
export type SendClaim = (
  claim: Claim,
  signal: AbortSignal,
  closing?: AbortSignal,
) => Promise<Postponed | null>;

/** Before the second attempt, in milliseconds; doubled with each, up to the longest; with full jitter. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 10 * 60 * 1000;

/** Before a write that the store did not take is tried again, in milliseconds; doubled with each. */
const FIRST_REWRITE_MS = 100;
const LONGEST_REWRITE_MS = 5_000;

/** @param failures - so far, from 0 */
const pauseMs = (failures: number): number =>
  Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);

export function createSendClaim(options: SenderOptions): SendClaim {
  const { outbox, deliver, accounts, quotaLimit, reserve, giveUpMs, emit, observe, log } = options;

  /** How upstream is to be asked, and the calls of its window that a queued message may draw. */
  const loginOf = ({ apiUser, loginAs, apiKey, label }: Claim): { login: Login; limit: number } | Failure => {
    const account = accounts().find((one) => canonicalApiUser(one.apiUser) === apiUser);
    const limit = Math.max(1, Math.floor((account?.quota ?? quotaLimit) * (1 - reserve)));
    if (apiKey !== null) return { login: { apiUser: loginAs, apiKey, label }, limit };
    if (account) return { login: { apiUser: account.apiUser, apiKey: account.apiKey, label }, limit };
    return failure('upstream-credentials', `The settings name no account ${apiUser} any more.`);
  };

  /** A write that the store does not take is tried again while the claim is this worker's, at the end once more. */
  const write = async (claim: Claim, work: () => Promise<void>, closing?: AbortSignal): Promise<void> => {
    for (let pause = FIRST_REWRITE_MS; ; pause = Math.min(LONGEST_REWRITE_MS, pause * 2)) {
      try {
        return await work();
      } catch (error) {
        const isOver = closing?.aborted || Date.now() + pause >= claim.leasedUntil;
        if (!(error instanceof StoreUnavailable) || isOver) throw error;
      }
      await passed(pause, closing);
    }
  };

  const postpone = async (claim: Claim, failed: Failure, closing?: AbortSignal): Promise<Postponed> => {
    const { code, detail, smtp = null, retryAfterMs = 0 } = failed;
    const now = Date.now();
    if (code === 'quota-exceeded') {
      const until = now + Math.max(1, retryAfterMs);
      await write(claim, () => outbox.postpone(claim, until, null), closing);
      return { code, until };
    }
    const until = Math.ceil(now + Math.max(retryAfterMs, pauseMs(claim.attempts)));
    const { id, apiUser, attempts } = claim;
    log.warn('a queued message waits for another attempt', {
      id,
      apiUser,
      code,
      detail,
      smtp,
      attempts: attempts + 1,
      nextAttemptAt: new Date(until).toISOString(),
    });
    if (claim.apiKey === null) observe?.({ apiUser, code, detail });
    await write(claim, () => outbox.postpone(claim, until, { at: now, code, detail, smtp }), closing);
    return { code, until };
  };

  return async function send(claim, signal, closing) {
    const startedAt = performance.now();
    /** What the outbox said to the mark; null before it was asked. */
    let marked: boolean | StoreUnavailable | null = null;
    const beforeDot = async (): Promise<boolean> => {
      try {
        marked = await outbox.mark(claim);
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        marked = error;
      }
      return marked === true;
    };

    const found = loginOf(claim);
    let delivered: Delivered;
    if ('code' in found) {
      delivered = { outcome: found, quota: null, timing: NO_TIME, attempts: 0 };
    } else {
      try {
        delivered = await deliver(
          { ...found, envelope: claim.envelope, content: claim.content, beforeDot },
          signal,
        );
      } catch (error) {
        log.error('internal', { id: claim.id, error: (error as Error).stack ?? String(error) });
        const detail = 'An error in the gateway; its log has it under the id of this message.';
        // Without a mark there was no dot.
        const code = marked ? 'outcome-unknown' : 'upstream-unreachable';
        delivered = { outcome: failure(code, detail), quota: null, timing: NO_TIME, attempts: 1 };
      }
    }

    const { outcome } = delivered;
    const said = marked as boolean | StoreUnavailable | null;
    if (said === false) return null;
    if (said instanceof StoreUnavailable) {
      const until = Date.now() + FIRST_PAUSE_MS;
      await write(claim, () => outbox.postpone(claim, until, null), closing);
      return { code: 'store-unavailable', until };
    }
    if (outcome.delivery === 'not-sent' && waits(outcome.code)) {
      const isGivenUp = claim.firstAttemptAt !== null && Date.now() - claim.firstAttemptAt >= giveUpMs;
      if (outcome.code === 'quota-exceeded' || !isGivenUp) return postpone(claim, outcome, closing);
    }
    const { id, apiUser, label, envelope } = claim;
    emit(
      messageEvent(
        {
          origin: { requestId: id, door: 'outbox', clientAddress: '', startedAt },
          id,
          apiUser,
          label,
          size: claim.content.length,
          recipients: envelope.to.length,
          composeMs: 0,
          warnings: [],
        },
        { ...delivered, attempts: claim.attempts + delivered.attempts, replayed: false },
      ),
    );
    // After the event: where this cannot be written, the log has the outcome all the same.
    await write(claim, () => outbox.settle(claim, outcome), closing);
    return null;
  };
}

/** Waits so many milliseconds, or until the signal aborts. */
const passed = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });

/** Whether a failure leaves hope. A wrong key is an operator's to mend: it loses no mail. */
const waits = (code: FailureCode): boolean => kindOf(code).retryable || code === 'upstream-credentials';

/** What says nothing of the message itself: the api_user's next one would fare no better now. */
const EVERY_MESSAGES: ReadonlySet<FailureCode> = new Set([
  'upstream-credentials',
  'upstream-unreachable',
  'overloaded',
  'quota-unavailable',
  'store-unavailable',
]);

export interface WorkerOptions {
  readonly outbox: Pick<Outbox, 'claim' | 'nextDueAt' | 'sweep'>;
  readonly send: SendClaim;
  /** Most messages of one api_user at a time. */
  readonly connections: number;
  /** For one attempt, in milliseconds. */
  readonly deadlineMs: number;
  readonly log: Log;
}

export interface OutboxWorker {
  /**
   * Sends what is due, until nothing is. While it runs, a call has it look again and is answered with it.
   *
   * @param until - Unix time in milliseconds from which it begins nothing more
   * @returns when to call again, in Unix milliseconds; null where nothing waits
   */
  run(until?: number): Promise<number | null>;
  /** Claims nothing more; resolves when what is being sent has ended. */
  close(): Promise<void>;
}

/** Of all api_users together: messages at a time. */
const MOST_SENDING = 100;
/** Bytes from which no more messages are claimed, of one api_user and of all. */
const MANY_BYTES = 16 * 2 ** 20;
const MOST_BYTES = 128 * 2 ** 20;

/** A lease outlives the attempt by this, for its outcome to be written down. */
const SETTLING_MS = 30_000;

/** The longest pause, in milliseconds: a clock that was set shows by then. */
const LONGEST_WAIT_MS = 60_000;
/** Where something is due and was not given, in milliseconds. */
const SHORT_WAIT_MS = 250;

const FIRST_AWAY_MS = 1_000;
const LONGEST_AWAY_MS = 30_000;

export function createOutboxWorker(options: WorkerOptions): OutboxWorker {
  const { outbox, send, connections, deadlineMs, log } = options;
  /** Messages being sent, by api_user. */
  const sending = new Map<string, { readonly count: number; readonly bytes: number }>();
  /** Ids of the messages being sent. */
  const held = new Set<string>();
  let bytes = 0;
  /** The api_users that nothing is claimed of until then, and their failures in a row. */
  const resting = new Map<string, { readonly until: number; readonly failures: number }>();
  let running: Promise<number | null> | null = null;
  const closing = new AbortController();
  /** Something has happened since the worker looked. */
  let bell = Promise.withResolvers<void>();
  let rung = false;
  let away = 0;
  let sweeping = false;
  let sweptAt = Number.NEGATIVE_INFINITY;

  const ring = () => {
    rung = true;
    bell.resolve();
  };

  const rest = (apiUser: string, postponed: Postponed | null) => {
    const { until = 0, failures = 0 } = resting.get(apiUser) ?? {};
    const now = Date.now();
    if (postponed?.code === 'quota-exceeded') {
      resting.set(apiUser, { until: Math.max(until, postponed.until), failures });
    } else if (postponed && EVERY_MESSAGES.has(postponed.code)) {
      // What was under way beside the first one that failed tells nothing new.
      if (until <= now) resting.set(apiUser, { until: now + pauseMs(failures), failures: failures + 1 });
    } else if (until <= now || failures > 0) {
      resting.delete(apiUser);
    }
  };

  const begin = async (claim: Claim): Promise<void> => {
    const { id, apiUser, content } = claim;
    const add = (one: 1 | -1) => {
      const before = sending.get(apiUser) ?? { count: 0, bytes: 0 };
      const after = { count: before.count + one, bytes: before.bytes + one * content.length };
      if (after.count > 0) sending.set(apiUser, after);
      else sending.delete(apiUser);
      bytes += one * content.length;
    };
    add(1);
    held.add(id);
    try {
      rest(apiUser, await withDeadline(deadlineMs, (signal) => send(claim, signal, closing.signal)));
    } catch (error) {
      // Its lease runs out; the mark decides.
      log.error('a queued message was let go', {
        id,
        apiUser,
        error: String((error as Error).cause ?? error),
      });
    } finally {
      add(-1);
      held.delete(id);
      ring();
    }
  };

  /** The api_users that nothing may be claimed of now. */
  const excepted = (now: number): Set<string> => {
    const except = new Set<string>();
    for (const [apiUser, { until, failures }] of resting) {
      if (until > now) except.add(apiUser);
      else if (failures === 0) resting.delete(apiUser);
    }
    for (const [apiUser, { count, bytes }] of sending) {
      if (count >= connections || bytes >= MANY_BYTES) except.add(apiUser);
    }
    return except;
  };

  /** How many may be claimed, so that no api_user comes to have too many, whichever it is. */
  const roomFor = (except: ReadonlySet<string>): number => {
    if (bytes >= MOST_BYTES) return 0;
    let most = 0;
    for (const [apiUser, { count }] of sending) if (!except.has(apiUser)) most = Math.max(most, count);
    return Math.min(connections - most, MOST_SENDING - held.size);
  };

  const sweepAtTimes = (now: number) => {
    if (sweeping || Math.abs(now - sweptAt) < SWEEP_MS) return;
    sweptAt = now;
    sweeping = true;
    void outbox
      .sweep()
      .catch((error: unknown) => log.error('the outbox was not swept', { error: String(error) }))
      .finally(() => {
        sweeping = false;
        ring();
      });
  };

  /** Claims and begins what may be; when to look again where nothing happens before: null where nothing waits. */
  const look = async (): Promise<number | null> => {
    for (;;) {
      const now = Date.now();
      const except = excepted(now);
      const count = roomFor(except);
      // The end of a message will ring.
      if (count <= 0) return null;
      const claims = await outbox.claim({ count, leaseMs: deadlineMs + SETTLING_MS, except, held });
      for (const claim of claims) void begin(claim);
      if (claims.length > 0) continue;
      sweepAtTimes(now);
      const due = await outbox.nextDueAt(except);
      const times = [...resting.values()].map(({ until }) => until).filter((until) => until > now);
      if (due !== null) times.push(due > now ? due : now + SHORT_WAIT_MS);
      return times.length > 0 ? Math.min(...times) : null;
    }
  };

  const safeLook = async (): Promise<number | null> => {
    try {
      const next = await look();
      if (away > 0) log.info('the outbox is back');
      away = 0;
      return next;
    } catch (error) {
      if (away === 0) log.error('the outbox is away', { error: String((error as Error).cause ?? error) });
      return Date.now() + Math.min(LONGEST_AWAY_MS, FIRST_AWAY_MS * 2 ** away++);
    }
  };

  const work = async (until: number): Promise<number | null> => {
    for (;;) {
      bell = Promise.withResolvers<void>();
      rung = false;
      const isOver = closing.signal.aborted || Date.now() >= until;
      const next = isOver ? Date.now() : await safeLook();
      if (rung && !isOver) continue;
      if (held.size === 0 && !sweeping) {
        running = null;
        return next;
      }
      const wait = next === null || isOver ? LONGEST_WAIT_MS : Math.max(0, next - Date.now());
      const timer = setTimeout(bell.resolve, Math.min(wait, LONGEST_WAIT_MS));
      await bell.promise;
      clearTimeout(timer);
    }
  };

  return {
    run(until = Number.POSITIVE_INFINITY) {
      ring();
      running ??= Promise.resolve().then(() => work(until));
      return running;
    },
    async close() {
      closing.abort();
      ring();
      await running;
    },
  };
}
