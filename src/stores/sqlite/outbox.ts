/** The outbox in a SQLite file of this process's own. */

import { closeSync, existsSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { ConfigError } from '../../config.ts';
import type { Log } from '../../log.ts';
import type { Claim, NewEntry, Outbox, Put } from '../../outbox.ts';
import { StoreUnavailable } from '../../store.ts';
import {
  type Claimed,
  createSqlOutbox,
  migrate,
  NewerSchema,
  PART_BYTES,
  partsOf,
  type SqlDatabase,
  type SqlOutbox,
  type SqlOutboxOptions,
  type SqlValue,
} from '../outbox-sql.ts';

export interface SqliteOutboxOptions extends SqlOutboxOptions {
  /** Where the file is, or is to be; its folder is made. `:memory:` is a file that ends with the process. */
  readonly path: string;
  readonly log: Log;
}

export interface SqliteOutbox extends Outbox {
  /** Makes a message that waits due now; false where it does not wait. */
  hasten(apiUser: string, id: string): Promise<boolean>;
  /** Commits what was asked for, and gives the file back. */
  close(): Promise<void>;
}

/** What a transaction takes at a time, so that others get their turn of the event loop. */
const MOST_JOBS = 250;
const MOST_SWEPT = 500;
const MOST_VACUUMED_PAGES = 500;

const MEMORY = ':memory:';

/** In KiB, where so much is in use. Ids and keys come in no order: of a million, their indices have to be in memory. */
const CACHE_KIB = 160 * 1024;

/** SQLite's result codes (sqlite.org/rescode.html), as far as more follows from them than that the file is away. */
const SQLITE = {
  error: 1,
  busy: 5,
  corrupt: 11,
  constraint: 19,
  mismatch: 20,
  misuse: 21,
  range: 25,
  notDb: 26,
};

const BUGS = [SQLITE.error, SQLITE.constraint, SQLITE.mismatch, SQLITE.misuse, SQLITE.range];

/** Of an extended result code the primary one; null for what is no error of SQLite. */
const resultCode = (error: unknown): number | null => {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === 'number' ? errcode & 0xff : null;
};

const isCorrupt = (error: unknown): boolean =>
  [SQLITE.corrupt, SQLITE.notDb].includes(resultCode(error) ?? 0);

/** node:sqlite's word for a file that is not open: no other could be begun. */
const isClosed = (error: unknown): boolean => (error as { code?: unknown }).code === 'ERR_INVALID_STATE';

interface OpenFile {
  readonly database: DatabaseSync;
  readonly sql: SqlDatabase;
  readonly outbox: SqlOutbox;
}

/** One piece of a transaction. It may run a second time, where others spoilt the first. */
interface Job {
  /** Its result counts only once it is on the disk. */
  readonly durable: boolean;
  run(): void;
  done(): void;
  failed(error: unknown): void;
}

/**
 * Opens the outbox in a file, which it locks: a second process is refused.
 *
 * What is asked for in one turn of the event loop shares a transaction and its fsync (synchronous=FULL). A file that
 * is damaged is put aside, and a log line says where.
 *
 * @throws {ConfigError} where the file cannot be used
 */
export function openSqliteOutbox(options: SqliteOutboxOptions): SqliteOutbox {
  const { path, log } = options;
  let file = open();
  let jobs: Job[] = [];
  /** A transaction was rolled back, and what the outbox knows of its tables may be wrong. */
  let stale = false;
  let closed = false;

  function open(): OpenFile {
    try {
      return openFile(options);
    } catch (error) {
      if (!isCorrupt(error)) throw configError(path, error);
      putAside(error);
      return open();
    }
  }

  function putAside(error: unknown): void {
    const aside = `${path}.corrupt-${new Date().toISOString().replace(/[:.]/g, '-')}`;
    renameSync(path, aside);
    for (const suffix of ['-wal', '-journal']) {
      try {
        renameSync(path + suffix, aside + suffix);
      } catch {
        // There is none.
      }
    }
    log.error('the outbox file is damaged', {
      setting: 'OUTBOX',
      path,
      putAside: aside,
      error: String(error),
      meanwhile: 'the messages in it are not sent; a new file was begun',
    });
  }

  /** Something in the file could not be read as what it should be: looks at all of it. */
  function examine(error: unknown): void {
    let found: unknown = null;
    try {
      const [check] = file.sql.query<{ quick_check: string }>('PRAGMA quick_check(1)');
      if (check?.quick_check !== 'ok') found = check?.quick_check;
    } catch (thrown) {
      found = thrown;
    }
    if (found === null) return;
    file.database.close();
    putAside(error);
    file = open();
    stale = false;
  }

  /** The outbox as its tables are. */
  function current(): SqlOutbox {
    if (stale) file.outbox.reload();
    stale = false;
    return file.outbox;
  }

  function transaction(batch: readonly Job[]): void {
    const { database, sql } = file;
    try {
      // NORMAL leaves the fsync to the next one that needs it; what a crash of this process alone meets is the same.
      sql.query(`PRAGMA synchronous = ${batch.some((job) => job.durable) ? 'FULL' : 'NORMAL'}`);
      sql.query('BEGIN IMMEDIATE');
      const outbox = current();
      for (const job of batch) job.run();
      outbox.save();
      sql.query('COMMIT');
    } catch (error) {
      stale = true;
      if (database.isOpen && database.isTransaction) sql.query('ROLLBACK');
      throw error;
    }
  }

  function attempt(batch: readonly Job[]): void {
    try {
      transaction(batch);
      for (const job of batch) job.done();
    } catch (error) {
      const [only] = batch;
      // Which one spoilt it shows when each is on its own.
      if (batch.length > 1) for (const job of batch) attempt([job]);
      else only?.failed(error);
    }
  }

  function commit(): void {
    const batch = jobs.slice(0, MOST_JOBS);
    jobs = jobs.slice(MOST_JOBS);
    if (jobs.length > 0) setImmediate(commit);
    attempt(batch);
  }

  /** Whatever the file cannot do is `StoreUnavailable`; a bug stays what it is. */
  function storeError(error: unknown): unknown {
    const code = resultCode(error);
    const isBug = code === null ? !isClosed(error) : BUGS.includes(code);
    if (isBug) return error;
    try {
      if (isCorrupt(error)) examine(error);
    } catch (cause) {
      log.error('no new outbox file could be begun', { setting: 'OUTBOX', path, error: String(cause) });
    }
    return new StoreUnavailable('The outbox file cannot be used', { cause: error });
  }

  const write = <T>(work: (outbox: SqlOutbox) => T, durable = true): Promise<T> =>
    new Promise((resolve, reject) => {
      if (closed) return reject(new StoreUnavailable('The outbox is closed'));
      let result: T;
      const job: Job = {
        durable,
        run: () => {
          result = work(file.outbox);
        },
        done: () => resolve(result),
        failed: (error) => reject(storeError(error)),
      };
      if (jobs.push(job) === 1) setImmediate(commit);
    });

  const read = async <T>(work: (outbox: SqlOutbox) => T): Promise<T> => {
    if (closed) throw new StoreUnavailable('The outbox is closed');
    try {
      return work(current());
    } catch (error) {
      throw storeError(error);
    }
  };

  const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

  /** A large body goes ahead in parts, and others have their turn in between; the message is there with its row. */
  async function put(entry: NewEntry): Promise<Put> {
    if (entry.content.length <= PART_BYTES) return write((outbox) => outbox.put(entry));
    const seq = await write((outbox) => outbox.announce(entry), false);
    if (typeof seq !== 'number') return seq;
    let done: Put | null = null;
    try {
      for (const [part, bytes] of partsOf(entry.content)) {
        await write((outbox) => outbox.putPart(seq, part, bytes), false);
      }
      done = await write((outbox) => outbox.put(entry, seq));
      return done;
    } finally {
      // Where even that cannot be written, the next start does it.
      if (done?.state !== 'put') await write((outbox) => outbox.withdraw(seq), false).catch(() => {});
    }
  }

  /** Others have their turn between the parts of a large body. */
  async function withBody(claimed: Claimed): Promise<Claim | null> {
    const { outbox } = file;
    const steps = outbox.readBody(claimed);
    for (;;) {
      const step = await read(() => steps.next());
      if (!step.done) {
        await nextTurn();
        continue;
      }
      if (step.value) return { ...claimed.claim, content: step.value };
      await write((outbox) => outbox.giveUp(claimed));
      return null;
    }
  }

  async function claim(asked: Parameters<Outbox['claim']>[0]): Promise<Claim[]> {
    // A claim that a power failure takes back has led to nothing yet: a mark would have kept it.
    const claimed = await write((outbox) => outbox.claim(asked), false);
    const claims: Claim[] = [];
    for (const one of claimed) {
      const whole = await withBody(one);
      if (whole) claims.push(whole);
    }
    return claims;
  }

  /** Gives pages that are free back to the file system, as long as they are more than a quarter. */
  async function vacuum(): Promise<void> {
    const pages = (of: 'freelist_count' | 'page_count') =>
      read(() => file.sql.query<Record<string, number>>(`PRAGMA ${of}`)[0]?.[of] ?? 0);
    while ((await pages('freelist_count')) * 4 > (await pages('page_count'))) {
      await write(() => file.sql.query(`PRAGMA incremental_vacuum(${MOST_VACUUMED_PAGES})`));
      await nextTurn();
    }
  }

  return {
    put,
    claim,
    mark: (claim) => write((outbox) => outbox.mark(claim)),
    settle: (claim, outcome) => write((outbox) => outbox.settle(claim, outcome)),
    postpone: (claim, at, failed) => write((outbox) => outbox.postpone(claim, at, failed)),
    cancel: (apiUser, id) => write((outbox) => outbox.cancel(apiUser, id)),
    read: (apiUser, id) => read((outbox) => outbox.read(apiUser, id)),
    find: (apiUser, key) => read((outbox) => outbox.find(apiUser, key)),
    list: (apiUser, asked) => read((outbox) => outbox.list(apiUser, asked)),
    nextDueAt: (except) => read((outbox) => outbox.nextDueAt(except)),
    depth: () => read((outbox) => outbox.depth()),
    async sweep() {
      while ((await write((outbox) => outbox.sweep(MOST_SWEPT))) === MOST_SWEPT) await nextTurn();
      await vacuum();
    },
    // Writes a page though nothing changes: an empty transaction would succeed on a full disk.
    ping: () => write(() => void file.sql.query('PRAGMA user_version = 0')),
    hasten: (apiUser, id) =>
      write((outbox) => {
        const update = `UPDATE message SET at = ? WHERE id = ? AND api_user = ? AND state = 'queued' RETURNING id`;
        const found = file.sql.query(update, Date.now(), id, apiUser);
        // It may come to the head of its api_user's queue.
        outbox.save();
        outbox.reload();
        return found.length > 0;
      }),
    async close() {
      if (closed) return;
      closed = true;
      while (jobs.length > 0) await nextTurn();
      file.database.close();
    },
  };
}

function openFile(options: SqliteOutboxOptions): OpenFile {
  const { path } = options;
  if (path !== MEMORY) makeFile(path);
  const database = new DatabaseSync(path);
  try {
    const sql = sqlOf(database);
    sql.query('PRAGMA locking_mode = EXCLUSIVE');
    sql.query('PRAGMA auto_vacuum = INCREMENTAL');
    sql.query('PRAGMA journal_mode = WAL');
    sql.query(`PRAGMA cache_size = -${CACHE_KIB}`);
    sql.query('PRAGMA temp_store = MEMORY');
    sql.query('PRAGMA secure_delete = FAST');
    sql.query('BEGIN IMMEDIATE');
    migrate(sql);
    const outbox = createSqlOutbox(sql, options);
    outbox.recover();
    outbox.save();
    sql.query('COMMIT');
    return { database, sql, outbox };
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * For the mode alone, which SQLite gives its other files as well. A file that is there stays untouched: to close it
 * would let go of the locks that this process may have on it (fcntl(2), "Advisory record locking").
 */
function makeFile(path: string): void {
  makeFolder(dirname(path));
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** As `mkdirSync` with `recursive`, which never returns where a folder cannot be made below one that is there: /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/** Each statement is prepared once. */
function sqlOf(database: DatabaseSync): SqlDatabase {
  const prepared = new Map<string, StatementSync>();
  return {
    query<Row>(statement: string, ...values: readonly SqlValue[]) {
      const known = prepared.get(statement) ?? database.prepare(statement);
      prepared.set(statement, known);
      return known.all(...values) as Row[];
    },
  };
}

function configError(path: string, error: unknown): unknown {
  if (error instanceof NewerSchema) {
    return new ConfigError([
      `OUTBOX: ${path} was written by a later release; start that one, or name another file`,
    ]);
  }
  if (resultCode(error) === SQLITE.busy) {
    return new ConfigError([
      `OUTBOX: ${path} is in use by another process; give each process a file of its own`,
    ]);
  }
  const { code, errstr } = error as { code?: string; errstr?: string };
  return new ConfigError([`OUTBOX: ${path} cannot be opened for writing (${errstr ?? code})`]);
}
