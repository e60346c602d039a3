/** Warm connections by login: bounded in number, in waiting and in age. */

import type { Login } from '../account.ts';
import { firstOf } from '../deadline.ts';
import { type Accepted, type Failure, failure, isFailure } from '../outcome.ts';
import { formatLoginName } from '../sendcloud.ts';
import type { Envelope, Lease, Relay } from '../transaction.ts';
import { type Connection, openConnection, readGreeting, type Upstream } from './connection.ts';

export interface PoolOptions {
  readonly upstream: Upstream;
  /** In the order they are tried. */
  readonly ports: readonly number[];
  /** Most connections per login. */
  readonly connections: number;
  /** An idle connection older than this is closed, in milliseconds; a frozen container's are dead unseen. */
  readonly idleMs: number;
}

export interface Pool extends Relay {
  /** Connects to the port in use and reads upstream's greeting; null when it is 220. */
  greeting(signal: AbortSignal): Promise<Failure | null>;
  /** Says QUIT on every idle connection; those in use follow when they are given back. */
  close(): Promise<void>;
}

/** Waiting messages hold their bytes in memory: more than this per login are `overloaded`. */
const MOST_WAITING = 500;

/** All connections together, whatever the number of logins; the least recently used idle one makes room. */
const MOST_OPEN = 200;

/** A connection as old as this is not used again: a revoked api_key must not live on in a busy one. */
const MOST_AGE_MS = 5 * 60 * 1000;

/** The most that one port may take to a login: the next one gets its chance inside the deadline. */
const OPENING_MS = 10_000;

/** The connections of one login. */
interface Slot {
  readonly key: string;
  /** Most recently used last. */
  readonly idle: { readonly connection: Connection; readonly since: number }[];
  /** Open, opening and in use. */
  open: number;
  readonly waiting: ((turn: Connection | 'open') => void)[];
}

export function createPool(options: PoolOptions): Pool {
  /** By login, least recently used first. */
  const slots = new Map<string, Slot>();
  const { upstream, ports } = options;
  /** The port that answered last is tried first: a blocked one costs its time-out only once. */
  let preferred = 0;
  /** The sum of all slots' `open`. */
  let allOpen = 0;
  let closing = false;
  let sweeper: ReturnType<typeof setTimeout> | null = null;

  const slotOf = (login: Login): Slot => {
    const key = JSON.stringify([formatLoginName(login), login.apiKey]);
    const known = slots.get(key);
    if (!known) return { key, idle: [], open: 0, waiting: [] };
    slots.delete(key);
    slots.set(key, known);
    return known;
  };

  const forget = (slot: Slot, connection: Connection) => {
    const index = slot.idle.findIndex((entry) => entry.connection === connection);
    if (index === -1) return;
    slot.idle.splice(index, 1);
    left(slot);
  };

  /** A connection is gone: its place is the next waiter's, to open one of its own. */
  const left = (slot: Slot) => {
    const next = slot.waiting.shift();
    if (next) return next('open');
    slot.open--;
    allOpen--;
    if (slot.open === 0) slots.delete(slot.key);
  };

  /** Says QUIT; the place is free when upstream has answered it. */
  const retire = async (slot: Slot, connection: Connection): Promise<void> => {
    connection.onEnd = () => {};
    await connection.quit();
    connection.close();
    left(slot);
  };

  /** For one that is most likely dead: its place is free at once, and nobody waits for its answer to QUIT. */
  const drop = (slot: Slot, connection: Connection) => {
    connection.onEnd = () => {};
    void connection.quit().then(() => connection.close());
    left(slot);
  };

  /** @param usedAt - the end of its last transaction, by the wall clock */
  const giveBack = (slot: Slot, connection: Connection, usedAt = Date.now()) => {
    if (!connection.alive) return left(slot);
    const now = Date.now();
    if (now - usedAt >= options.idleMs) return drop(slot, connection);
    if (closing || now - connection.openedAt > MOST_AGE_MS) return void retire(slot, connection);
    const next = slot.waiting.shift();
    if (next) return next(connection);
    connection.onEnd = () => forget(slot, connection);
    slot.idle.push({ connection, since: usedAt });
    sweepLater();
  };

  const retireOldest = (slot: Slot): boolean => {
    const oldest = slot.idle.shift();
    if (oldest) void retire(slot, oldest.connection);
    return oldest !== undefined;
  };

  /** Closes what has been idle for too long, so that upstream hears QUIT and not silence. */
  const sweepLater = () => {
    if (sweeper !== null) return;
    sweeper = setTimeout(() => {
      sweeper = null;
      const oldest = Date.now() - options.idleMs;
      for (const slot of [...slots.values()]) {
        for (const entry of slot.idle.filter(({ since }) => since <= oldest)) {
          slot.idle.splice(slot.idle.indexOf(entry), 1);
          drop(slot, entry.connection);
        }
        if (slot.idle.length > 0) sweepLater();
      }
    }, options.idleMs);
    // On Node an idle pool must not keep the process alive.
    if (typeof sweeper === 'object') sweeper.unref?.();
  };

  const warm = (slot: Slot): Connection | null => {
    for (;;) {
      const entry = slot.idle.pop();
      if (!entry) return null;
      // By the wall clock: in a frozen container the monotonic one may have stood still.
      if (Date.now() - entry.since < options.idleMs) return entry.connection;
      drop(slot, entry.connection);
    }
  };

  /** Room for one more among all logins. */
  const hasRoom = (): boolean => allOpen < MOST_OPEN || [...slots.values()].some(retireOldest);

  const turn = (slot: Slot, fresh: boolean, signal: AbortSignal): Promise<Connection | 'open' | Failure> => {
    const idle = fresh ? null : warm(slot);
    if (idle) return Promise.resolve(idle);
    if (slot.open < options.connections) {
      if (!hasRoom()) return Promise.resolve(overloaded(`All ${MOST_OPEN} connections are in use.`));
      slot.open++;
      allOpen++;
      slots.set(slot.key, slot);
      return Promise.resolve('open');
    }
    if (slot.waiting.length >= MOST_WAITING) {
      const detail = `${MOST_WAITING} messages wait for one of the ${options.connections} connections of this login.`;
      return Promise.resolve(overloaded(detail));
    }
    // An idle one makes way, and wakes this waiter when it has gone.
    if (fresh) retireOldest(slot);
    return new Promise((resolve) => {
      const take = (given: Connection | 'open') => {
        signal.removeEventListener('abort', onAbort);
        if (!fresh || given === 'open') return resolve(given);
        // Its place is taken over, by a connection that logs in now.
        void given.quit().then(() => {
          given.close();
          resolve('open');
        });
      };
      const onAbort = () => {
        slot.waiting.splice(slot.waiting.indexOf(take), 1);
        const detail = `The deadline passed while all ${options.connections} connections of this login were busy.`;
        resolve(failure('upstream-timeout', detail));
      };
      slot.waiting.push(take);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  };

  const portAt = (attempt: number) => {
    const index = (preferred + attempt) % ports.length;
    return { index, port: ports[index] as number };
  };

  const open = async (login: Login, helo: string | null, attempt: number, signal: AbortSignal) => {
    const { index, port } = portAt(attempt);
    const limited = firstOf(signal, AbortSignal.timeout(OPENING_MS));
    const opened = await openConnection(upstream, port, login, helo, limited);
    if (!isFailure(opened)) preferred = index;
    return opened;
  };

  const leaseOf = (slot: Slot, connection: Connection): Lease => ({
    maxSize: connection.maxSize,
    release: () => giveBack(slot, connection),
    async send(envelope: Envelope, content, signal) {
      let sent: Accepted | Failure | null = null;
      try {
        sent = await connection.send(envelope, content, signal);
        return sent;
      } finally {
        // A refused transaction is still open upstream: end it before the connection is used again.
        if (sent === null) connection.close();
        if (sent && isFailure(sent) && connection.alive) void clean(slot, connection);
        else giveBack(slot, connection);
      }
    },
  });

  const clean = async (slot: Slot, connection: Connection): Promise<void> => {
    // A container may be frozen before RSET is answered: what counts is when the connection was last used.
    const usedAt = Date.now();
    const isClean = await connection.reset(AbortSignal.timeout(OPENING_MS));
    if (!isClean) connection.close();
    giveBack(slot, connection, usedAt);
  };

  return {
    async lease(login, { helo, attempt, fresh }, signal) {
      const slot = slotOf(login);
      const given = await turn(slot, fresh, signal);
      if (given !== 'open') return isConnection(given) ? leaseOf(slot, given) : given;
      let opened: Connection | Failure | null = null;
      try {
        opened = await open(login, helo, attempt, signal);
      } finally {
        if (opened === null || isFailure(opened)) left(slot);
      }
      return isFailure(opened) ? opened : leaseOf(slot, opened);
    },
    async greeting(signal) {
      const limited = firstOf(signal, AbortSignal.timeout(OPENING_MS));
      return readGreeting(upstream, portAt(0).port, limited);
    },
    async close() {
      closing = true;
      const retired = [...slots.values()].flatMap((slot) =>
        slot.idle.splice(0).map(({ connection }) => retire(slot, connection)),
      );
      await Promise.all(retired);
    },
  };
}

const overloaded = (detail: string): Failure => failure('overloaded', detail, { retryAfterMs: 1000 });

const isConnection = (given: Connection | Failure): given is Connection => !isFailure(given);
