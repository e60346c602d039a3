/**
 * The outbox in SQLite: the statements that Node's file and Workers' Durable Objects share.
 *
 * One row a message. `at` is when a queued one is due, when the lease of one that is being sent runs out, and when
 * an ended one ended. `envelope` is what sending takes, with the login; it goes with the body at the end.
 *
 * A body lies in parts, since a Durable Object's row has at most 2 MB. A large one may go ahead of its message, each
 * part in a transaction of its own, so that it holds up no others; `ahead` has such messages until their row is there.
 * `total` has one row: the schema's version, and what waits, so that neither a start nor a put has to count.
 */

import { KEPT_MS } from '../idempotency.ts';
import {
  type Attempt,
  type Claim,
  END_STATES,
  type KeyHolder,
  MOST_ATTEMPTS_KEPT,
  type NewEntry,
  OUTBOX_STATES,
  type Outbox,
  type OutboxRecord,
  type OutboxState,
  type Put,
  type SentFacts,
} from '../outbox.ts';
import { failure, type Outcome } from '../outcome.ts';
import type { Envelope } from '../transaction.ts';

export type SqlValue = string | number | null | Uint8Array;

/** A SQLite database that answers at once. A blob is read as what a Uint8Array can be made of. */
export interface SqlDatabase {
  /** Runs one statement and reads all of its rows. */
  query<Row>(statement: string, ...values: readonly SqlValue[]): readonly Row[];
}

export interface SqlOutboxOptions {
  /** What may wait, in bytes: messages with all that is kept of them until their end. */
  readonly maxBytes: number;
  /** How long the state of an ended message can be read, in milliseconds. */
  readonly keepMs: number;
}

/** Statements that lead from each version of the schema to the next. A released one is never changed. */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE message (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL,
      api_user TEXT NOT NULL,
      state TEXT NOT NULL,
      at INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      send_at INTEGER,
      fence INTEGER NOT NULL,
      marked INTEGER NOT NULL,
      attempted INTEGER NOT NULL,
      first_attempt_at INTEGER,
      attempts TEXT NOT NULL,
      facts TEXT NOT NULL,
      size INTEGER NOT NULL,
      bytes INTEGER NOT NULL,
      envelope TEXT,
      outcome TEXT,
      key TEXT,
      fingerprint TEXT
    )`,
    'CREATE UNIQUE INDEX message_id ON message (id)',
    'CREATE INDEX message_state ON message (api_user, state)',
    'CREATE UNIQUE INDEX message_key ON message (api_user, key) WHERE key IS NOT NULL',
    `CREATE INDEX message_due ON message (api_user, at) WHERE state = 'queued'`,
    `CREATE INDEX message_lease ON message (at) WHERE state = 'sending'`,
    'CREATE INDEX message_end ON message (at) WHERE envelope IS NULL',
    'CREATE TABLE body (part INTEGER PRIMARY KEY, bytes BLOB NOT NULL)',
    'CREATE TABLE total (version INTEGER NOT NULL, waiting INTEGER NOT NULL, bytes INTEGER NOT NULL)',
    'INSERT INTO total VALUES (0, 0, 0)',
  ],
  ['CREATE TABLE ahead (seq INTEGER PRIMARY KEY)'],
];

export const PART_BYTES = 2 ** 20;
/** The parts of message `seq` are numbered from `seq * MOST_PARTS`. */
const MOST_PARTS = 1024;

/** Bodies that one claim reads into memory; a larger one comes alone. */
const MOST_CLAIMED_BYTES = 16 * 2 ** 20;

const FULL_RETRY_MS = 30_000;

/** Opens the tables of `database`, made or brought up to date within a transaction of the caller's. */
export function migrate(database: SqlDatabase): void {
  const [table] = database.query(`SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'total'`);
  const [total] = table ? database.query<{ version: number }>('SELECT version FROM total') : [];
  const version = total?.version ?? 0;
  if (version > MIGRATIONS.length) throw new NewerSchema();
  if (version === MIGRATIONS.length) return;
  for (const statement of MIGRATIONS.slice(version).flat()) database.query(statement);
  database.query('UPDATE total SET version = ?', MIGRATIONS.length);
}

/** The tables were written by a later release. */
export class NewerSchema extends Error {
  override name = 'NewerSchema';
}

interface MessageRow {
  readonly seq: number;
  readonly id: string;
  readonly api_user: string;
  readonly state: OutboxState;
  readonly at: number;
  readonly created_at: number;
  readonly send_at: number | null;
  readonly fence: number;
  readonly attempted: number;
  readonly first_attempt_at: number | null;
  readonly attempts: string;
  readonly facts: string;
  readonly size: number;
  readonly envelope: string;
  readonly outcome: string | null;
}

/** What the column `envelope` holds. */
interface Sending {
  readonly loginAs: string;
  readonly apiKey: string | null;
  readonly envelope: Envelope;
}

/** The methods of `Outbox`, answering at once. */
type Immediate<T> = {
  readonly [Name in keyof T]: T[Name] extends (...values: infer Values) => Promise<infer Result>
    ? (...values: Values) => Result
    : never;
};

/** A message that was claimed, and whose body is still to be read. */
export interface Claimed {
  readonly claim: Omit<Claim, 'content'>;
  readonly seq: number;
  readonly size: number;
}

export interface SqlOutbox extends Immediate<Omit<Outbox, 'put' | 'claim' | 'ping' | 'sweep'>> {
  /** @param seq - of {@link announce}, where the whole body went ahead */
  put(entry: NewEntry, seq?: number): Put;
  /** The number under which a body may go ahead of its message, or why the message cannot be put. */
  announce(entry: NewEntry): number | Put;
  /** @param part - its place in the body, from 0 */
  putPart(seq: number, part: number, bytes: Uint8Array): void;
  /** Drops what went ahead of a message that does not follow. */
  withdraw(seq: number): void;
  claim(...asked: Parameters<Outbox['claim']>): readonly Claimed[];
  /** Reads a claimed body, a part at each step; null where it is damaged. */
  readBody(claimed: Claimed): Generator<void, Uint8Array | null>;
  /** Ends a message whose body is damaged. */
  giveUp(claimed: Claimed): void;
  /** For the only instance, at its start: whatever was being put or sent is not being put or sent any more. */
  recover(): void;
  /** Forgets the oldest states of those that are to go, up to `count`; how many there were. */
  sweep(count: number): number;
  /** When the next state is to be forgotten, in Unix milliseconds; null where none is kept. */
  nextSweepAt(): number | null;
  /** To be called at the end of every transaction that may have changed something. */
  save(): void;
  /** To be called after a transaction that was rolled back. */
  reload(): void;
}

/** @param database - its tables up to date; what changes something is called within a transaction of the caller's */
export function createSqlOutbox(database: SqlDatabase, { maxBytes, keepMs }: SqlOutboxOptions): SqlOutbox {
  const { query } = database;
  const row = <Row>(statement: string, ...values: readonly SqlValue[]): Row | null =>
    query<Row>(statement, ...values)[0] ?? null;

  /** What waits, as it stands in `total`. */
  let saved = { waiting: 0, bytes: 0 };
  let waiting = 0;
  let bytes = 0;
  /** The highest number that is taken. */
  let lastSeq = 0;
  /**
   * When each api_user with queued messages has one that is due, the api_user that was longest not served first. A
   * time may be too early, never too late.
   */
  const heads = new Map<string, number>();

  const reload = () => {
    saved = row<typeof saved>('SELECT waiting, bytes FROM total') ?? saved;
    ({ waiting, bytes } = saved);
    const last =
      'SELECT max(seq) AS seq FROM (SELECT max(seq) AS seq FROM message UNION ALL SELECT max(seq) FROM ahead)';
    lastSeq = row<{ seq: number | null }>(last)?.seq ?? 0;
    heads.clear();
    const next = `SELECT api_user, at FROM message WHERE state = 'queued' AND api_user > ? ORDER BY api_user, at LIMIT 1`;
    for (let last = ''; ; ) {
      const head = row<{ api_user: string; at: number }>(next, last);
      if (!head) return;
      last = head.api_user;
      heads.set(last, head.at);
    }
  };

  const queued = (apiUser: string, at: number) => {
    const head = heads.get(apiUser);
    if (head === undefined || at < head) heads.set(apiUser, at);
  };

  /** Reads the head of `apiUser` again, and puts the api_user behind the others. */
  const renewHead = (apiUser: string) => {
    heads.delete(apiUser);
    const head = `SELECT at FROM message WHERE state = 'queued' AND api_user = ? ORDER BY at LIMIT 1`;
    const found = row<{ at: number }>(head, apiUser);
    if (found) heads.set(apiUser, found.at);
  };

  function* readBody({ seq, size }: Claimed): Generator<void, Uint8Array | null> {
    const body = new Uint8Array(size);
    for (let part = 0, at = 0; at < size; part++) {
      const found = row<{ bytes: Uint8Array | ArrayBuffer }>(SELECT_PART, seq * MOST_PARTS + part);
      const bytes = new Uint8Array(found?.bytes ?? []);
      if (bytes.length !== Math.min(PART_BYTES, size - at)) return null;
      body.set(bytes, at);
      at += bytes.length;
      if (at < size) yield;
    }
    return body;
  }

  const putPart = (seq: number, part: number, bytes: Uint8Array) => {
    query('INSERT INTO body VALUES (?, ?)', seq * MOST_PARTS + part, bytes);
  };

  const dropBody = (seq: number) => {
    query('DELETE FROM body WHERE part BETWEEN ? AND ?', seq * MOST_PARTS, (seq + 1) * MOST_PARTS - 1);
  };

  const withdraw = (seq: number) => {
    dropBody(seq);
    query('DELETE FROM ahead WHERE seq = ?', seq);
  };

  /** What every end has in common; `ended` is the row that was just given its last state. */
  const drop = (ended: { readonly seq: number; readonly bytes: number }) => {
    dropBody(ended.seq);
    waiting--;
    bytes -= ended.bytes;
  };

  const end = (id: string, fence: number, outcome: Outcome): void => {
    const update = `UPDATE message SET state = ?, outcome = ?, at = ?, envelope = NULL
      WHERE id = ? AND state = 'sending' AND fence = ? RETURNING seq, bytes`;
    const state = END_STATES[outcome.delivery];
    const ended = row<{ seq: number; bytes: number }>(
      update,
      state,
      JSON.stringify(outcome),
      Date.now(),
      id,
      fence,
    );
    if (ended) drop(ended);
  };

  /** Ends the leases that ran out by `until`, but those of the messages in `held`. */
  const endLeases = (until: number, held: ReadonlySet<string> = NONE) => {
    const over = `SELECT id, api_user, fence, marked, at FROM message WHERE state = 'sending' AND at <= ?`;
    const due = `UPDATE message SET state = 'queued', at = ? WHERE id = ?`;
    type Over = { id: string; api_user: string; fence: number; marked: number; at: number };
    for (const { id, api_user, fence, marked, at } of query<Over>(over, until)) {
      if (held.has(id)) continue;
      if (marked) {
        end(id, fence, failure('outcome-unknown', CRASHED));
        continue;
      }
      const dueAt = Math.min(at, Date.now());
      query(due, dueAt, id);
      queued(api_user, dueAt);
    }
  };

  /** The message of `apiUser` that has been due for the longest time. */
  const take = (apiUser: string, now: number, leasedUntil: number): Claimed | null => {
    const update = `UPDATE message SET state = 'sending', at = ?, fence = fence + 1, marked = 0
      WHERE seq = (
        SELECT seq FROM message WHERE state = 'queued' AND api_user = ? AND at <= ? ORDER BY at, seq LIMIT 1
      )
      RETURNING seq, id, fence, envelope, facts, size, attempted, first_attempt_at`;
    const taken = row<MessageRow>(update, leasedUntil, apiUser, now);
    if (!taken) return null;
    const { seq, id, fence, size } = taken;
    const { loginAs, apiKey, envelope } = JSON.parse(taken.envelope) as Sending;
    const claim = {
      id,
      fence,
      leasedUntil,
      apiUser,
      loginAs,
      apiKey,
      envelope,
      label: (JSON.parse(taken.facts) as SentFacts).label,
      attempts: taken.attempted,
      firstAttemptAt: taken.first_attempt_at,
    };
    return { claim, seq, size };
  };

  /** What is kept of a message until its end, as text. */
  const textsOf = ({ loginAs, apiKey, envelope, facts }: NewEntry) => ({
    sending: JSON.stringify({ loginAs, apiKey, envelope } satisfies Sending),
    sent: JSON.stringify(facts),
  });

  const holderOf = (apiUser: string, key: string) =>
    row<KeyHolder>(
      `SELECT id, fingerprint FROM message
        WHERE api_user = ? AND key = ? AND (envelope IS NOT NULL OR at > ?)`,
      apiUser,
      key,
      Date.now() - KEPT_MS,
    );

  /** Why a message is not put; null where it can be. */
  const refusal = ({ apiUser, key }: NewEntry, takes: number): Put | null => {
    if (key) {
      const known = holderOf(apiUser, key.key);
      if (known && known.fingerprint !== key.fingerprint) return { state: 'mismatch' };
      if (known) return { state: 'known', id: known.id };
    }
    return bytes + takes > maxBytes ? { state: 'full', retryAfterMs: FULL_RETRY_MS } : null;
  };

  reload();

  return {
    announce(entry) {
      const { sending, sent } = textsOf(entry);
      const refused = refusal(entry, entry.content.length + sending.length + sent.length);
      if (refused) return refused;
      query('INSERT INTO ahead VALUES (?)', ++lastSeq);
      return lastSeq;
    },

    putPart,
    withdraw,

    put(entry, ahead): Put {
      const { id, apiUser, content, sendAt, key } = entry;
      const now = Date.now();
      const at = sendAt ?? now;
      const size = content.length;
      const { sending, sent } = textsOf(entry);
      const takes = size + sending.length + sent.length;
      const refused = refusal(entry, takes);
      if (refused) return refused;
      // The state of a message whose key has had its time gives way: it may have the same id.
      if (key) query('DELETE FROM message WHERE api_user = ? AND key = ?', apiUser, key.key);
      const seq = ahead ?? ++lastSeq;
      const insert = `INSERT INTO message
        (seq, id, api_user, state, at, created_at, send_at, fence, marked, attempted, attempts, facts, size, bytes, envelope, key, fingerprint)
        VALUES (?, ?, ?, 'queued', ?, ?, ?, 0, 0, 0, '[]', ?, ?, ?, ?, ?, ?)`;
      query(
        insert,
        seq,
        id,
        apiUser,
        at,
        now,
        sendAt,
        sent,
        size,
        takes,
        sending,
        key?.key ?? null,
        key?.fingerprint ?? null,
      );
      if (ahead === undefined) for (const [part, slice] of partsOf(content)) putPart(seq, part, slice);
      else query('DELETE FROM ahead WHERE seq = ?', ahead);
      waiting++;
      bytes += takes;
      queued(apiUser, at);
      return { state: 'put', id };
    },

    claim({ count, leaseMs, except, held }) {
      const now = Date.now();
      endLeases(now, held);
      const claims: Claimed[] = [];
      let claimed = 0;
      // An api_user that is served goes to the end of the map, and this loop comes by it again.
      for (const [apiUser, dueAt] of heads) {
        if (claims.length === count || claimed >= MOST_CLAIMED_BYTES) break;
        if (dueAt > now || except.has(apiUser)) continue;
        const claim = take(apiUser, now, now + leaseMs);
        renewHead(apiUser);
        if (!claim) continue;
        claims.push(claim);
        claimed += claim.size;
      }
      return claims;
    },

    readBody,

    giveUp({ claim: { id, fence } }) {
      end(id, fence, failure('invalid-message', 'The stored message is damaged; it was not sent.'));
    },

    mark({ id, fence }) {
      const update = `UPDATE message SET marked = 1 WHERE id = ? AND state = 'sending' AND fence = ? RETURNING seq`;
      return row(update, id, fence) !== null;
    },

    settle({ id, fence }, outcome) {
      end(id, fence, outcome);
    },

    postpone({ id, fence, apiUser }, at, attempt) {
      const select = `SELECT seq, attempts FROM message WHERE id = ? AND state = 'sending' AND fence = ?`;
      const found = row<Pick<MessageRow, 'seq' | 'attempts'>>(select, id, fence);
      if (!found) return;
      query(`UPDATE message SET state = 'queued', at = ? WHERE seq = ?`, at, found.seq);
      if (attempt) {
        const attempts = [...(JSON.parse(found.attempts) as Attempt[]), attempt].slice(-MOST_ATTEMPTS_KEPT);
        const update = `UPDATE message SET attempts = ?, attempted = attempted + 1,
          first_attempt_at = coalesce(first_attempt_at, ?) WHERE seq = ?`;
        query(update, JSON.stringify(attempts), attempt.at, found.seq);
      }
      queued(apiUser, at);
    },

    cancel(apiUser, id) {
      const update = `UPDATE message SET state = 'cancelled', at = ?, envelope = NULL
        WHERE id = ? AND api_user = ? AND state = 'queued' RETURNING seq, bytes`;
      const ended = row<{ seq: number; bytes: number }>(update, Date.now(), id, apiUser);
      if (!ended) {
        const known = row('SELECT 1 FROM message WHERE id = ? AND api_user = ?', id, apiUser);
        return known ? 'not-cancellable' : null;
      }
      drop(ended);
      renewHead(apiUser);
      return 'cancelled';
    },

    read(apiUser, id) {
      const found = row<MessageRow>('SELECT * FROM message WHERE id = ? AND api_user = ?', id, apiUser);
      return found && recordOf(found);
    },

    find(apiUser, key) {
      return holderOf(apiUser, key);
    },

    list(apiUser, { state, limit, cursor }) {
      const before = cursor === null ? Number.MAX_SAFE_INTEGER : seqOf(cursor);
      if (before === null) return null;
      const select =
        'SELECT * FROM message WHERE api_user = ? AND state = ? AND seq < ? ORDER BY seq DESC LIMIT ?';
      // State by state, so that one index serves any list.
      const states = state === null ? OUTBOX_STATES : [state];
      const found = states.flatMap((each) => query<MessageRow>(select, apiUser, each, before, limit + 1));
      const page = found.sort((a, b) => b.seq - a.seq).slice(0, limit);
      const last = page.at(-1);
      return {
        records: page.map(recordOf),
        cursor: last && found.length > limit ? String(last.seq) : null,
      };
    },

    nextDueAt(except = NONE) {
      const lease = row<{ at: number }>(`SELECT at FROM message WHERE state = 'sending' ORDER BY at LIMIT 1`);
      let next = lease?.at ?? Number.POSITIVE_INFINITY;
      for (const [apiUser, at] of heads) if (at < next && !except.has(apiUser)) next = at;
      return Number.isFinite(next) ? next : null;
    },

    depth() {
      let oldest = Number.POSITIVE_INFINITY;
      for (const at of heads.values()) if (at < oldest) oldest = at;
      return { waiting, oldestDueAt: oldest <= Date.now() ? oldest : null };
    },

    recover() {
      for (const { seq } of query<{ seq: number }>('SELECT seq FROM ahead')) withdraw(seq);
      endLeases(Number.MAX_SAFE_INTEGER);
    },

    sweep(count) {
      const forget = `DELETE FROM message WHERE seq IN (
          SELECT seq FROM message WHERE envelope IS NULL AND at <= ? ORDER BY at LIMIT ?
        ) RETURNING seq`;
      return query(forget, Date.now() - keepMs, count).length;
    },

    nextSweepAt() {
      const oldest = row<{ at: number }>('SELECT at FROM message WHERE envelope IS NULL ORDER BY at LIMIT 1');
      return oldest && oldest.at + keepMs;
    },

    save() {
      if (waiting === saved.waiting && bytes === saved.bytes) return;
      query('UPDATE total SET waiting = ?, bytes = ?', waiting, bytes);
      saved = { waiting, bytes };
    },

    reload,
  };
}

/** A body in the parts that it lies in, with their places. */
export function* partsOf(content: Uint8Array): Generator<[part: number, bytes: Uint8Array]> {
  for (let part = 0; part * PART_BYTES < content.length; part++) {
    yield [part, content.subarray(part * PART_BYTES, (part + 1) * PART_BYTES)];
  }
}

const SELECT_PART = 'SELECT bytes FROM body WHERE part = ?';

const NONE: ReadonlySet<string> = new Set();

const CRASHED =
  'The instance that sent this message ended after the final dot was on its way; upstream may have the message.';

/** A cursor is the place of the last message that was shown; null where it is none. */
const seqOf = (cursor: string): number | null => (/^\d{1,15}$/.test(cursor) ? Number(cursor) : null);

const recordOf = (message: MessageRow): OutboxRecord => ({
  id: message.id,
  apiUser: message.api_user,
  state: message.state,
  createdAt: message.created_at,
  sendAt: message.send_at,
  attempts: JSON.parse(message.attempts) as Attempt[],
  nextAttemptAt: message.state === 'queued' ? message.at : null,
  facts: JSON.parse(message.facts) as SentFacts,
  outcome: message.outcome === null ? null : (JSON.parse(message.outcome) as Outcome),
});
