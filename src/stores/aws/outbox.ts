/**
 * The outbox in S3, woken by SQS, for any number of functions and machines.
 *
 * Three kinds of objects, each below its api_user:
 *
 *     body/<user>/<name>  the message; empty once it has ended. The names, newest first, are the list.
 *     state/<user>/<id>   everything else, as JSON. Its ETag is the lock: each change is a conditional write.
 *     key/<user>/<hash>   the id under an idempotency key
 *
 * A message exists from the moment its state does; that is written last. Its wake is sent before, so there is no
 * message without one. A wake names the turn it is for, and only the turn that stands in the state counts: so a
 * wake that comes twice, late, or for a write that failed does nothing.
 */

import { sha256 } from '../../digest.ts';
import { KEPT_MS } from '../../idempotency.ts';
import {
  type Attempt,
  type Claim,
  END_STATES,
  MOST_ATTEMPTS_KEPT,
  type NewEntry,
  type Outbox,
  type OutboxRecord,
  type OutboxState,
  type Put,
  type SentFacts,
} from '../../outbox.ts';
import { failure, type Outcome } from '../../outcome.ts';
import { StoreUnavailable } from '../../store.ts';
import type { Envelope } from '../../transaction.ts';
import { ABSENT, type Bucket } from './bucket.ts';
import type { Queue, Received } from './queue.ts';

export interface AwsOutboxOptions {
  readonly bucket: Bucket;
  readonly queue: Queue;
  /** How long the state of an ended message can be read, in milliseconds. */
  readonly keepMs: number;
  /** Unix time in milliseconds. */
  readonly now?: () => number;
}

export interface AwsOutbox extends Outbox {
  /**
   * Claims the message that a wake names, where its turn has come. With null the wake has done its service: there
   * is nothing left to do, or another one follows. Rejects where the wake has to come again.
   *
   * @param resting - the api_users whose messages come later, with the Unix time in milliseconds from which they may
   */
  claimWoken(wake: string, leaseMs: number, resting: ReadonlyMap<string, number>): Promise<Claim | null>;
}

/** What `state/…` holds. Times are Unix time in milliseconds. */
interface Kept {
  readonly id: string;
  readonly apiUser: string;
  /** The last part of the key of its body. */
  readonly name: string;
  readonly state: OutboxState;
  readonly createdAt: number;
  readonly sendAt: number | null;
  /** 0 where it never had to wait: a clock that is set back must not make it. */
  readonly dueAt: number;
  /** Which wake counts: the fence of the claim that postponed it, 0 from the start. */
  readonly turn: number;
  readonly fence: number;
  readonly lease: { readonly until: number; readonly marked: boolean } | null;
  readonly attempts: readonly Attempt[];
  readonly attempted: number;
  readonly firstAttemptAt: number | null;
  readonly facts: SentFacts;
  /** What sending takes; null once it has ended. */
  readonly sending: {
    readonly loginAs: string;
    readonly apiKey: string | null;
    readonly envelope: Envelope;
  } | null;
  readonly outcome: Outcome | null;
  readonly endedAt: number | null;
}

interface Found {
  readonly kept: Kept;
  readonly etag: string;
}

/** What `key/…` holds. */
interface Reservation {
  readonly id: string;
  readonly fingerprint: string;
  readonly at: number;
}

interface Wake {
  readonly apiUser: string;
  readonly id: string;
  readonly turn: number;
  readonly dueAt: number;
  /** When it was first sent. */
  readonly sentAt: number;
}

/** A wake may be faster than the state it was sent before: how often, and after what pause, it looks again. */
const EARLY_PAUSES_MS = [50, 150, 400];

/** From then on it looks every so often, until no write that was on its way can still come, in milliseconds. */
const EARLY_AGAIN_MS = 5_000;
const ORPHANED_MS = 5 * 60 * 1000;

/** A wake outlasts the lease of its claim by this, so that it finds the lease at its end. */
const AFTER_LEASE_MS = 1_000;

/** How often a worker that is not woken by its runtime asks SQS, in milliseconds. */
const POLL_MS = 1_000;

/** Messages that SQS hands over at a time. */
const BATCH = 10;

/** States read at once, and in all, by one call of `list`. */
const PARALLEL = 50;
const MOST_LOOKED_AT = 1000;

/** For the bucket's lifecycle rules. */
const ENDED_TAG = 'postern=ended';

export function createAwsOutbox(options: AwsOutboxOptions): AwsOutbox {
  const { bucket, queue, keepMs, now = Date.now } = options;
  const nameOf = createNames();
  /** What this process last wrote of its claims, and the wakes that are removed when they end. */
  const held = new WeakMap<Claim, Found & { readonly receipt: string | null }>();

  /** Wakes that were received too early for their api_user; sent back, they would be received over and over. */
  let waiting: (Received & { readonly hiddenUntil: number })[] = [];
  /** When SQS last had nothing better: for a while there is no use in asking again. */
  let fruitlessAt = Number.NEGATIVE_INFINITY;

  const stateKey = (apiUser: string, id: string) => `state/${segment(apiUser)}/${segment(id)}`;
  const bodyKey = ({ apiUser, name }: Pick<Kept, 'apiUser' | 'name'>) => `body/${segment(apiUser)}/${name}`;

  const load = async (apiUser: string, id: string): Promise<Found | null> => {
    const stored = await bucket.get(stateKey(apiUser, id));
    return stored && { kept: parse<Kept>(stored.body), etag: stored.etag };
  };

  /** Null where it changed meanwhile. */
  const replace = async ({ etag }: Found, kept: Kept): Promise<Found | null> => {
    const tag = kept.endedAt === null ? undefined : ENDED_TAG;
    const written = await bucket.put(stateKey(kept.apiUser, kept.id), JSON.stringify(kept), etag, tag);
    return written === null ? null : { kept, etag: written };
  };

  const send = (wake: Wake): Promise<void> =>
    queue.send(JSON.stringify(wake), wake.dueAt - now(), segment(wake.apiUser).slice(0, 128));

  const endedAgo = ({ endedAt }: Kept, ms: number): boolean => endedAt !== null && endedAt + ms <= now();
  const isForgotten = (kept: Kept): boolean => endedAgo(kept, keepMs);
  const hasKey = (kept: Kept): boolean => !endedAgo(kept, Math.min(keepMs, KEPT_MS));

  /** An ended message keeps its place in the list and nothing of its body. */
  const empty = async (kept: Kept): Promise<void> => {
    await bucket.put(bodyKey(kept), '', undefined, ENDED_TAG);
  };

  /** Under which id `entry` is to be put: its own, or that of a `put` that broke off; or what became of the key. */
  const reserve = async (entry: NewEntry, key: NonNullable<NewEntry['key']>): Promise<string | Put> => {
    const path = await keyPath(entry.apiUser, key.key);
    const mine: Reservation = { id: entry.id, fingerprint: key.fingerprint, at: now() };
    for (let condition = ABSENT; ; ) {
      if ((await bucket.put(path, JSON.stringify(mine), condition)) !== null) return mine.id;
      const stored = await bucket.get(path);
      condition = stored?.etag ?? ABSENT;
      if (!stored) continue;
      const theirs = parse<Reservation>(stored.body);
      const found = await load(entry.apiUser, theirs.id);
      // Without a message it may be that of a `put` that broke off.
      const isFree = found ? !hasKey(found.kept) : theirs.at + KEPT_MS <= now();
      if (isFree) continue;
      if (theirs.fingerprint !== key.fingerprint) return { state: 'mismatch' };
      return found ? { state: 'known', id: theirs.id } : theirs.id;
    }
  };

  const claimFound = async (found: Found, leaseMs: number): Promise<Claim | null> => {
    const { kept } = found;
    const lease = { until: now() + leaseMs, marked: false };
    const claimed: Kept = { ...kept, state: 'sending', fence: kept.fence + 1, lease };
    // Read at the same time: where the claim fails, nothing was spent but time.
    const [owned, body] = await Promise.all([
      replace(found, claimed),
      bucket.get(bodyKey(kept), kept.facts.size),
    ]);
    // Also where the answer to a first try was lost: then the message waits for the end of that lease.
    if (!owned) return null;
    if (!kept.sending || !body) {
      const gone = failure('internal', 'The body of this message is gone from the bucket; it was not sent.');
      await replace(owned, end(claimed, { ...gone, delivery: 'not-sent' }, now()));
      return null;
    }
    const claim: Claim = {
      id: kept.id,
      fence: claimed.fence,
      leasedUntil: lease.until,
      apiUser: kept.apiUser,
      ...kept.sending,
      content: body.body,
      label: kept.facts.label,
      attempts: kept.attempted,
      firstAttemptAt: kept.firstAttemptAt,
    };
    held.set(claim, { ...owned, receipt: null });
    return claim;
  };

  /**
   * Changes a message that `claim` owns.
   *
   * @param change - what is to stand there, the same where it does already; null where it is not the owner's any more
   * @returns what stands there now; null where it is not the owner's any more
   */
  const update = async (claim: Claim, change: (kept: Kept) => Kept | null): Promise<Found | null> => {
    const receipt = held.get(claim)?.receipt ?? null;
    let found: Found | null = held.get(claim) ?? (await load(claim.apiUser, claim.id));
    while (found?.kept.fence === claim.fence) {
      const changed = change(found.kept);
      if (!changed) return null;
      const written: Found | null = changed === found.kept ? found : await replace(found, changed);
      if (written) {
        held.set(claim, { ...written, receipt });
        return written;
      }
      found = await load(claim.apiUser, claim.id);
    }
    return null;
  };

  /** The claim has ended, and with it the wake that led to it. */
  const release = async (claim: Claim): Promise<void> => {
    const receipt = held.get(claim)?.receipt;
    if (receipt) await queue.remove(receipt);
    held.delete(claim);
  };

  const claimWoken = async (
    text: string,
    leaseMs: number,
    resting: ReadonlyMap<string, number>,
  ): Promise<Claim | null> => {
    const wake = parseWake(text);
    // So it becomes a dead letter.
    if (!wake) throw new Error('the queue holds a message that is none of the outbox');
    const rests = Math.max(wake.dueAt, resting.get(wake.apiUser) ?? 0);
    if (rests > now()) {
      await send({ ...wake, dueAt: rests });
      return null;
    }
    for (let looked = 0; ; looked++) {
      const found = await load(wake.apiUser, wake.id);
      if (!found || wake.turn > found.kept.turn) {
        const pause = EARLY_PAUSES_MS[looked];
        if (pause !== undefined) await new Promise((resolve) => setTimeout(resolve, pause));
        else if (wake.sentAt + ORPHANED_MS <= now()) return null;
        else return send({ ...wake, dueAt: now() + EARLY_AGAIN_MS }).then(() => null);
        continue;
      }
      const { kept } = found;
      if (kept.endedAt !== null) {
        // Another one came before it was removed: perhaps the message's end broke off.
        await empty(kept);
        return null;
      }
      if (wake.turn < kept.turn) return null;
      const dueAt = kept.lease?.until ?? kept.dueAt;
      if (dueAt > now()) {
        await send({ ...wake, dueAt });
        return null;
      }
      if (!kept.lease?.marked) {
        const claim = await claimFound(found, leaseMs);
        if (claim) return claim;
        continue;
      }
      const detail =
        'The instance that sent this message ended after the dot; upstream may have the message.';
      const ended = await replace(found, end(kept, failure('outcome-unknown', detail), now()));
      if (ended) {
        await empty(kept);
        return null;
      }
    }
  };

  return {
    claimWoken,

    async put(entry) {
      const { apiUser, loginAs, apiKey, envelope, facts, sendAt } = entry;
      const id = entry.key ? await reserve(entry, entry.key) : entry.id;
      if (typeof id !== 'string') return id;

      const createdAt = now();
      const kept: Kept = {
        id,
        apiUser,
        name: nameOf(id, createdAt),
        state: 'queued',
        createdAt,
        sendAt,
        dueAt: sendAt ?? 0,
        turn: 0,
        fence: 0,
        lease: null,
        attempts: [],
        attempted: 0,
        firstAttemptAt: null,
        facts,
        sending: { loginAs, apiKey, envelope },
        outcome: null,
        endedAt: null,
      };
      await bucket.put(bodyKey(kept), entry.content);
      await send({ apiUser, id, turn: 0, dueAt: kept.dueAt, sentAt: createdAt });
      for (let condition = ABSENT; ; ) {
        const written = await bucket.put(stateKey(apiUser, id), JSON.stringify(kept), condition);
        if (written !== null) return { state: 'put', id };
        const found = await load(apiUser, id);
        // Its own, where the answer to a first try was lost.
        if (found?.kept.name === kept.name) return { state: 'put', id };
        if (found && hasKey(found.kept)) return { state: 'known', id };
        condition = found?.etag ?? ABSENT;
      }
    },

    async claim({ count, leaseMs, except, held: sending }) {
      const start = now();
      const isExcepted = ({ body }: Received) => except.has(parseWake(body)?.apiUser ?? '');
      // A wake that came twice: the one that is held is removed with its claim, the other finds it ended.
      const isSending = ({ body }: Received) => sending?.has(parseWake(body)?.id ?? '');
      waiting = waiting.filter(({ hiddenUntil }) => hiddenUntil > start);
      const ready = waiting.filter((message) => !isExcepted(message)).slice(0, count);
      waiting = waiting.filter((message) => !ready.includes(message));

      const claims: Claim[] = [];
      try {
        await claimAll(ready, leaseMs, new Map(), claims);
        while (claims.length < count && Math.abs(start - fruitlessAt) >= POLL_MS) {
          const asked = Math.min(count - claims.length, BATCH);
          const received = await queue.receive(asked, leaseMs + AFTER_LEASE_MS);
          const early = received.filter(isExcepted);
          const kept = early.slice(0, BATCH - waiting.length);
          waiting.push(...kept.map((message) => ({ ...message, hiddenUntil: start + leaseMs })));
          if (early.length > 0) fruitlessAt = start;
          const resting = new Map([...except].map((apiUser) => [apiUser, start + POLL_MS]));
          const others = received.filter((message) => !kept.includes(message) && !isSending(message));
          await claimAll(others, leaseMs, resting, claims);
          if (received.length < asked) break;
        }
      } catch (error) {
        // What failed comes again by itself. What was claimed must not wait for its lease to end.
        if (claims.length === 0) throw error;
      }
      return inTurn(claims);
    },

    async mark(claim) {
      // Written also where it is marked: only the write proves that it is still the owner's.
      const found = await update(
        claim,
        ({ lease, ...kept }) => lease && { ...kept, lease: { ...lease, marked: true } },
      );
      return found !== null;
    },

    async settle(claim, outcome) {
      const found = await update(claim, (kept) => {
        if (kept.lease) return end(kept, outcome, now());
        return kept.endedAt === null ? null : kept;
      });
      if (!found) return;
      await empty(found.kept);
      await release(claim);
    },

    async postpone(claim, at, attempt) {
      const { apiUser, id, fence } = claim;
      await send({ apiUser, id, turn: fence, dueAt: at, sentAt: now() });
      const found = await update(claim, (kept) => {
        if (!kept.lease) return kept.turn === fence ? kept : null;
        const attempts = attempt ? [...kept.attempts, attempt].slice(-MOST_ATTEMPTS_KEPT) : kept.attempts;
        const attempted = kept.attempted + (attempt ? 1 : 0);
        const firstAttemptAt = kept.firstAttemptAt ?? attempt?.at ?? null;
        const tried = { attempts, attempted, firstAttemptAt };
        return { ...kept, ...tried, state: 'queued', dueAt: at, turn: fence, lease: null };
      });
      if (found) await release(claim);
    },

    async cancel(apiUser, id) {
      for (;;) {
        const found = await load(apiUser, id);
        if (!found || isForgotten(found.kept)) return null;
        if (found.kept.state !== 'queued') return 'not-cancellable';
        const cancelled = await replace(found, end(found.kept, null, now()));
        if (!cancelled) continue;
        await empty(found.kept);
        return 'cancelled';
      }
    },

    async read(apiUser, id) {
      const found = await load(apiUser, id);
      return found && !isForgotten(found.kept) ? recordOf(found.kept) : null;
    },

    async find(apiUser, key) {
      const stored = await bucket.get(await keyPath(apiUser, key));
      if (!stored) return null;
      const { id, fingerprint } = parse<Reservation>(stored.body);
      const found = await load(apiUser, id);
      return found && hasKey(found.kept) ? { id, fingerprint } : null;
    },

    async list(apiUser, { state, limit, cursor }) {
      if (cursor !== null && !NAME.test(cursor)) return null;
      const prefix = `body/${segment(apiUser)}/`;
      const records: OutboxRecord[] = [];
      let after = cursor === null ? '' : prefix + cursor;
      for (let looked = 0; looked < MOST_LOOKED_AT; looked += PARALLEL) {
        const { objects, more } = await bucket.list(prefix, after, PARALLEL);
        const found = await Promise.all(
          objects.map(({ key }) =>
            bucket.get(`state/${segment(apiUser)}/${idSegment(key.slice(prefix.length))}`),
          ),
        );
        for (const [index, { key }] of objects.entries()) {
          after = key;
          const stored = found[index];
          const kept = stored ? parse<Kept>(stored.body) : null;
          // The name of a `put` that broke off leads nowhere, or to the one that followed.
          if (!kept || prefix + kept.name !== key || isForgotten(kept)) continue;
          if (state !== null && kept.state !== state) continue;
          records.push(recordOf(kept));
          if (records.length < limit) continue;
          return { records, cursor: more || index < objects.length - 1 ? kept.name : null };
        }
        if (!more) return { records, cursor: null };
      }
      return { records, cursor: after.slice(prefix.length) };
    },

    // SQS does not tell.
    async nextDueAt() {
      return (await queue.depth()) === 0 ? null : now() + POLL_MS;
    },

    async depth() {
      return { waiting: await queue.depth(), oldestDueAt: null };
    },

    // The bucket's lifecycle rules remove what `isForgotten`.
    async sweep() {},

    async ping() {
      await Promise.all([bucket.ping(), queue.depth()]);
    },
  };

  /** Adds what can be claimed to `claims`; rejects with what kept another one from it. */
  async function claimAll(
    received: readonly Received[],
    leaseMs: number,
    resting: ReadonlyMap<string, number>,
    claims: Claim[],
  ): Promise<void> {
    const tried = await Promise.allSettled(
      received.map(async ({ body, receipt }) => {
        const claim = await claimWoken(body, leaseMs, resting);
        const found = claim && held.get(claim);
        if (found) held.set(claim, { ...found, receipt });
        else await queue.remove(receipt);
        return claim;
      }),
    );
    claims.push(...tried.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value] : [])));
    for (const one of tried) if (one.status === 'rejected') throw one.reason;
  }
}

const keyPath = async (apiUser: string, key: string): Promise<string> =>
  `key/${segment(apiUser)}/${await sha256(key)}`;

/** `outcome` is null for a cancelled one. */
function end(kept: Kept, outcome: Outcome | null, time: number): Kept {
  const state = outcome === null ? 'cancelled' : END_STATES[outcome.delivery];
  return { ...kept, state, outcome, lease: null, sending: null, endedAt: time };
}

const recordOf = ({
  id,
  apiUser,
  state,
  createdAt,
  sendAt,
  attempts,
  dueAt,
  facts,
  outcome,
}: Kept): OutboxRecord => ({
  id,
  apiUser,
  state,
  createdAt,
  sendAt,
  attempts,
  nextAttemptAt: state === 'queued' ? dueAt || createdAt : null,
  facts,
  outcome,
});

/** Null for what is no wake of ours. */
function parseWake(text: string): Wake | null {
  try {
    const wake = JSON.parse(text) as Partial<Wake> | null;
    return typeof wake?.apiUser === 'string' && typeof wake.id === 'string' ? (wake as Wake) : null;
  } catch {
    return null;
  }
}

function parse<T>(body: Uint8Array): T {
  try {
    return JSON.parse(new TextDecoder().decode(body)) as T;
  } catch (cause) {
    throw new StoreUnavailable('an object in the bucket is not what was written', { cause });
  }
}

/** As a part of a key: every character but letters, digits, `-` and `_` is written as `.` and its bytes in hex. */
const segment = (text: string): string =>
  text.replace(/[^\w-]/gu, (character) => Buffer.from(character).toString('hex').replace(/../g, '.$&'));

/** What {@link createNames} makes. */
const NAME = /^\d{17}-[\da-f]{8}-[\w.-]+$/;

/** Ends the counting of S3's ascending order: later times make smaller names. */
const LATEST = 9_999_999_999_999;
const MOST_IN_A_MS = 9_999;

/** Names of bodies: the time and, within a millisecond, the number, both descending; chance; the id. */
function createNames(): (id: string, time: number) => string {
  let last = 0;
  let count = 0;
  return (id, time) => {
    count = time === last ? Math.min(count + 1, MOST_IN_A_MS) : 0;
    last = time;
    const order = `${LATEST - time}`.padStart(13, '0') + `${MOST_IN_A_MS - count}`.padStart(4, '0');
    return `${order}-${crypto.randomUUID().slice(0, 8)}-${segment(id)}`;
  };
}

/** The id in the name of a body, as it stands in keys. */
const idSegment = (name: string): string => name.slice(27);

/** One of each api_user, then the next of each. */
function inTurn(claims: readonly Claim[]): Claim[] {
  const turns = new Map<string, number>();
  const numbered = claims.map((claim) => {
    const turn = turns.get(claim.apiUser) ?? 0;
    turns.set(claim.apiUser, turn + 1);
    return { claim, turn };
  });
  return numbered.sort((a, b) => a.turn - b.turn).map(({ claim }) => claim);
}
