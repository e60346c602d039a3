/** The outbox of one api_user in a Durable Object, which sends its messages as well. */

import { DurableObject, type DurableObjectNamespace, type DurableObjectState } from 'cloudflare:workers';
import {
  type Claim,
  type KeyHolder,
  type NewEntry,
  type Outbox,
  type OutboxDoor,
  type OutboxRecord,
  type Put,
  SWEEP_MS,
} from '../../outbox.ts';
import type { OutboxWorker } from '../../outbox-worker.ts';
import {
  type Claimed,
  createSqlOutbox,
  migrate,
  type SqlDatabase,
  type SqlOutbox,
  type SqlOutboxOptions,
} from '../outbox-sql.ts';
import { PING, reached } from './reached.ts';

/** The doors' part of the outbox on the other side of a call. */
export interface RemoteOutbox {
  put(entry: NewEntry): Promise<Put>;
  cancel(apiUser: string, id: string): ReturnType<Outbox['cancel']>;
  read(apiUser: string, id: string): Promise<OutboxRecord | null>;
  find(apiUser: string, key: string): Promise<KeyHolder | null>;
  list(...asked: Parameters<Outbox['list']>): ReturnType<Outbox['list']>;
  ping(): Promise<void>;
}

/** What a sweep takes at a time. */
const MOST_SWEPT = 500;

/** An object that ends amid its work is woken after this, in milliseconds. */
const SAFETY_MS = 30_000;

/** Cloudflare gives an alarm 15 minutes; then it begins nothing more, and another alarm goes on. */
const LONGEST_RUN_MS = 10 * 60 * 1000;

/**
 * The object of one api_user. The runtime's subclass hands in what sends.
 *
 * While something waits an alarm is set: for the next message that is due, or for the case that the object ends
 * amid its work. A new object takes nothing for being sent: who sent it has ended.
 */
export abstract class OutboxObject extends DurableObject<unknown> implements RemoteOutbox {
  protected readonly outbox: Outbox;
  readonly #tables: SqlOutbox;
  readonly #worker: OutboxWorker;
  /** When the alarm rings, in Unix milliseconds; null where this object has not set it. */
  #alarmAt: number | null = null;

  constructor(
    ctx: DurableObjectState,
    env: unknown,
    options: SqlOutboxOptions & { readonly createWorker: (outbox: Outbox) => OutboxWorker },
  ) {
    super(ctx, env);
    this.#tables = openTables(ctx.storage, options);
    this.outbox = outboxOf(ctx.storage, this.#tables);
    this.#worker = options.createWorker(this.outbox);
  }

  async put(entry: NewEntry): Promise<Put> {
    const putting = this.outbox.put(entry);
    // Without a pause in between, so that there is no message without an alarm.
    this.#setAlarm(Date.now() + SAFETY_MS);
    const put = await putting;
    if (put.state === 'put') void this.#work();
    return put;
  }

  cancel(apiUser: string, id: string): ReturnType<Outbox['cancel']> {
    return this.outbox.cancel(apiUser, id);
  }

  read(apiUser: string, id: string): Promise<OutboxRecord | null> {
    return this.outbox.read(apiUser, id);
  }

  find(apiUser: string, key: string): Promise<KeyHolder | null> {
    return this.outbox.find(apiUser, key);
  }

  list(...asked: Parameters<Outbox['list']>): ReturnType<Outbox['list']> {
    return this.outbox.list(...asked);
  }

  ping(): Promise<void> {
    return this.outbox.ping();
  }

  /** Cloudflare calls this when the time has come, and again where it did not end. */
  async alarm(): Promise<void> {
    this.#alarmAt = null;
    await this.#work();
  }

  async #work(): Promise<void> {
    const next = await this.#worker.run(Date.now() + LONGEST_RUN_MS);
    const sweepAt = this.#tables.nextSweepAt();
    const times = [next, sweepAt && Math.max(sweepAt, Date.now() + SWEEP_MS)].filter((time) => time !== null);
    this.#alarmAt = null;
    if (times.length > 0) this.#setAlarm(Math.min(...times));
  }

  /** Unless it rings before that. */
  #setAlarm(time: number): void {
    if (this.#alarmAt !== null && this.#alarmAt <= time) return;
    this.#alarmAt = time;
    // What is written in one turn is safe together; Cloudflare resets an object whose storage fails.
    void this.ctx.storage.setAlarm(time);
  }
}

type Storage = DurableObjectState['storage'];

function openTables(storage: Storage, options: SqlOutboxOptions): SqlOutbox {
  const database: SqlDatabase = {
    query<Row>(statement: string, ...values: Parameters<SqlDatabase['query']>[1][]) {
      return [...storage.sql.exec<Row>(statement, ...values)];
    },
  };
  return storage.transactionSync(() => {
    migrate(database);
    const tables = createSqlOutbox(database, options);
    tables.recover();
    tables.save();
    return tables;
  });
}

function wholeBody(tables: SqlOutbox, claimed: Claimed): Uint8Array | null {
  const steps = tables.readBody(claimed);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Nothing but `mark` waits for the disk by itself: Cloudflare holds a reply until what was written before is safe. */
function outboxOf(storage: Storage, tables: SqlOutbox): Outbox {
  const write = async <T>(work: () => T): Promise<T> => {
    try {
      return storage.transactionSync(() => {
        const result = work();
        tables.save();
        return result;
      });
    } catch (error) {
      tables.reload();
      throw error;
    }
  };
  return {
    put: (entry) => write(() => tables.put(entry)),
    claim: (asked) =>
      write(() =>
        tables.claim(asked).flatMap((claimed): Claim[] => {
          const content = wholeBody(tables, claimed);
          if (content) return [{ ...claimed.claim, content }];
          tables.giveUp(claimed);
          return [];
        }),
      ),
    async mark(claim) {
      const marked = await write(() => tables.mark(claim));
      // The dot goes out past whatever holds replies.
      await storage.sync();
      return marked;
    },
    settle: (claim, outcome) => write(() => tables.settle(claim, outcome)),
    postpone: (claim, at, attempt) => write(() => tables.postpone(claim, at, attempt)),
    cancel: (apiUser, id) => write(() => tables.cancel(apiUser, id)),
    read: async (apiUser, id) => tables.read(apiUser, id),
    find: async (apiUser, key) => tables.find(apiUser, key),
    list: async (apiUser, asked) => tables.list(apiUser, asked),
    nextDueAt: async (except) => tables.nextDueAt(except),
    depth: async () => tables.depth(),
    async sweep() {
      while ((await write(() => tables.sweep(MOST_SWEPT))) === MOST_SWEPT);
    },
    ping: async () => void tables.depth(),
  };
}

/** The doors' part of the outbox, in one object per api_user. */
export function createDurableOutbox(
  objects: DurableObjectNamespace<RemoteOutbox>,
): OutboxDoor & Pick<Outbox, 'ping'> {
  const objectOf = (apiUser: string) => objects.getByName(apiUser);
  return {
    put: (entry) => reached(() => objectOf(entry.apiUser).put(entry)),
    cancel: (apiUser, id) => reached(() => objectOf(apiUser).cancel(apiUser, id)),
    read: (apiUser, id) => reached(() => objectOf(apiUser).read(apiUser, id)),
    find: (apiUser, key) => reached(() => objectOf(apiUser).find(apiUser, key)),
    list: (apiUser, asked) => reached(() => objectOf(apiUser).list(apiUser, asked)),
    ping: () => reached(() => objects.getByName(PING).ping()),
  };
}
