/**
 * The outbox in SQLite: the statements that Node's file and Workers' Durable Objects share.
 *
 * One row a message. `at` is when a queued one is due, when the lease of one that is being sent runs out, and when
 * an ended one ended. `envelope` is what sending takes, with the login; it goes with the body at the end.
 *
 * A body lies in parts, since a Durable Object's row has at most 2 MB. `total` has one row: the schema's version,
 * and what waits, so that neither a start nor a put has to count.
 */

import {
  type Attempt,
  type Claim,
  MOST_ATTEMPTS_KEPT,
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
];

const PART_BYTES = 2 ** 20;
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

export interface SqlOutbox extends Immediate<Omit<Outbox, 'ping' | 'sweep'>> {
  /** For the only instance, at its start: whatever was being sent is not being sent any more. */
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
  /**
   * When each api_user with queued messages has one that is due, the api_user that was longest not served first. A
   * time may be too early, never too late.
   */
  const heads = new Map<string, number>();

  const reload = () => {
    saved = row<typeof saved>('SELECT waiting, bytes FROM total') ?? saved;
    ({ waiting, bytes } = saved);
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

  const partsOf = (seq: number) => [seq * MOST_PARTS, (seq + 1) * MOST_PARTS - 1] as const;

  const readBody = ({ seq, size }: MessageRow): Uint8Array | null => {
    const select = 'SELECT bytes FROM body WHERE part BETWEEN ? AND ? ORDER BY part';
    const parts = query<{ bytes: Uint8Array | ArrayBuffer }>(select, ...partsOf(seq)).map(
      (part) => new Uint8Array(part.bytes),
    );
    if (parts.reduce((sum, part) => sum + part.length, 0) !== size) return null;
    if (parts.length === 1) return parts[0] as Uint8Array;
    const body = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      body.set(part, at);
      at += part.length;
    }
    return body;
  };

  /** What every end has in common; `ended` is the row that was just given its last state. */
  const drop = (ended: { readonly seq: number; readonly bytes: number }) => {
    query('DELETE FROM body WHERE part BETWEEN ? AND ?', ...partsOf(ended.seq));
    waiting--;
    bytes -= ended.bytes;
  };

  const end = (id: string, fence: number, outcome: Outcome): void => {
    const update = `UPDATE message SET state = ?, outcome = ?, at = ?, envelope = NULL
      WHERE id = ? AND state = 'sending' AND fence = ? RETURNING seq, bytes`;
    const state = STATES[outcome.delivery];
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

  /** Ends the leases that ran out by `until`. */
  const endLeases = (until: number) => {
    const over = `SELECT id, api_user, fence, marked, at FROM message WHERE state = 'sending' AND at <= ?`;
    const due = `UPDATE message SET state = 'queued', at = ? WHERE id = ?`;
    type Over = { id: string; api_user: string; fence: number; marked: number; at: number };
    for (const { id, api_user, fence, marked, at } of query<Over>(over, until)) {
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
  const take = (apiUser: string, now: number, leasedUntil: number): Claim | null => {
    const update = `UPDATE message SET state = 'sending', at = ?, fence = fence + 1, marked = 0
      WHERE seq = (
        SELECT seq FROM message WHERE state = 'queued' AND api_user = ? AND at <= ? ORDER BY at, seq LIMIT 1
      )
      RETURNING seq, id, fence, envelope, facts, size, created_at, attempted, first_attempt_at`;
    const taken = row<MessageRow>(update, leasedUntil, apiUser, now);
    if (!taken) return null;
    const { id, fence } = taken;
    const content = readBody(taken);
    if (!content) {
      end(id, fence, failure('invalid-message', 'The stored message is damaged; it was not sent.'));
      return null;
    }
    const { loginAs, apiKey, envelope } = JSON.parse(taken.envelope) as Sending;
    return {
      id,
      fence,
      leasedUntil,
      apiUser,
      loginAs,
      apiKey,
      envelope,
      content,
      label: (JSON.parse(taken.facts) as SentFacts).label,
      createdAt: taken.created_at,
      attempts: taken.attempted,
      firstAttemptAt: taken.first_attempt_at,
    };
  };

  reload();

  return {
    put({ id, apiUser, loginAs, apiKey, envelope, content, facts, sendAt, key }): Put {
      if (key) {
        const known = row<{ id: string; fingerprint: string }>(
          'SELECT id, fingerprint FROM message WHERE api_user = ? AND key = ?',
          apiUser,
          key.key,
        );
        if (known && known.fingerprint !== key.fingerprint) return { state: 'mismatch' };
        if (known) return { state: 'known', id: known.id };
      }
      const now = Date.now();
      const at = sendAt ?? now;
      const size = content.length;
      const sending = JSON.stringify({ loginAs, apiKey, envelope } satisfies Sending);
      const sent = JSON.stringify(facts);
      const takes = size + sending.length + sent.length;
      if (bytes + takes > maxBytes) return { state: 'full', retryAfterMs: FULL_RETRY_MS };
      const insert = `INSERT INTO message
        (id, api_user, state, at, created_at, send_at, fence, marked, attempted, attempts, facts, size, bytes, envelope, key, fingerprint)
        VALUES (?, ?, 'queued', ?, ?, ?, 0, 0, 0, '[]', ?, ?, ?, ?, ?, ?) RETURNING seq`;
      const { seq } = row<{ seq: number }>(
        insert,
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
      ) as { seq: number };
      for (let part = 0; part * PART_BYTES < size; part++) {
        const slice = content.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
        query('INSERT INTO body VALUES (?, ?)', seq * MOST_PARTS + part, slice);
      }
      waiting++;
      bytes += takes;
      queued(apiUser, at);
      return { state: 'put', id };
    },

    claim({ count, leaseMs, except }) {
      const now = Date.now();
      endLeases(now);
      const claims: Claim[] = [];
      let claimed = 0;
      // An api_user that is served goes to the end of the map, and this loop comes by it again.
      for (const [apiUser, dueAt] of heads) {
        if (claims.length === count || claimed >= MOST_CLAIMED_BYTES) break;
        if (dueAt > now || except.has(apiUser)) continue;
        const claim = take(apiUser, now, now + leaseMs);
        renewHead(apiUser);
        if (!claim) continue;
        claims.push(claim);
        claimed += claim.content.length;
      }
      return claims;
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
      const found = row<{ id: string }>(
        'SELECT id FROM message WHERE api_user = ? AND key = ?',
        apiUser,
        key,
      );
      return found?.id ?? null;
    },

    list(apiUser, { state, limit, cursor }) {
      const before = cursor === null ? Number.MAX_SAFE_INTEGER : seqOf(cursor);
      if (before === null) return { records: [], cursor: null };
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

const NONE: ReadonlySet<string> = new Set();

const CRASHED =
  'The instance that sent this message ended after the final dot was on its way; upstream may have the message.';

const STATES = { accepted: 'accepted', 'not-sent': 'failed', unknown: 'unknown' } as const;

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
