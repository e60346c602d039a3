/** The connections of one login, and the messages that wait for one. */

import { type Failure, failure } from '../outcome.ts';
import type { Connection } from './connection.ts';

/** What holds for every slot of a pool. */
export interface SlotRules {
  /** Most connections of one login. */
  readonly connections: number;
  /** An idle connection older than this is closed, in milliseconds; a frozen container's are dead unseen. */
  readonly idleMs: number;
  /** Makes room for one more connection of this api_user; null, or why there is none. */
  readonly makeRoom: (apiUser: string) => Failure | null;
  /** A connection has become idle. */
  readonly onIdle: () => void;
  /** Nothing that is given back is kept any more. */
  readonly isClosing: () => boolean;
}

/** A connection, or the right to open one. */
export type Turn = Connection | 'open';

/** Waiting messages hold their bytes in memory: more than this per login are `overloaded`. */
const MOST_WAITING = 500;

/** A connection as old as this is not used again: a revoked api_key must not live on in a busy one. */
const MOST_AGE_MS = 5 * 60 * 1000;

/** The most that the clean-up behind a refused transaction may take. */
const RESET_MS = 2000;

export class Slot {
  readonly apiUser: string;
  readonly #rules: SlotRules;
  /** Most recently used last. By the wall clock: in a frozen container the monotonic one may have stood still. */
  #idle: { readonly connection: Connection; readonly since: number }[] = [];
  /** Opening, in use, idle, and saying QUIT. */
  #open = 0;
  /** Behind a refused transaction; not counted among the open ones. */
  #cleaning = 0;
  readonly #waiting: ((turn: Turn) => void)[] = [];

  constructor(apiUser: string, rules: SlotRules) {
    this.apiUser = apiUser;
    this.#rules = rules;
  }

  /** All of its connections. */
  get size(): number {
    return this.#open + this.#cleaning;
  }

  get idle(): number {
    return this.#idle.length;
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** @param fresh - only a connection that logs in now will do */
  async take(fresh: boolean, signal: AbortSignal): Promise<Turn | Failure> {
    const warm = fresh ? null : this.#warm();
    if (warm) return warm;
    const { connections } = this.#rules;
    if (this.#open < connections) {
      const full = this.#makeRoom();
      if (!full) this.#open++;
      // One of its own will be free again.
      if (!full || this.#open === 0) return full ?? 'open';
    }
    if (this.#waiting.length >= MOST_WAITING) {
      return overloaded(
        `${MOST_WAITING} messages wait for one of the ${this.#open} connections of this login.`,
      );
    }
    // What is idle here is not fresh: it makes way, and wakes this waiter when it has gone.
    this.retireOldest();
    const turn = await this.#wait(signal);
    if (turn === null) {
      const detail = `The deadline passed while all ${this.#open} connections of this login were busy.`;
      return failure('upstream-timeout', detail);
    }
    // Its place is taken over, by a connection that logs in now.
    if (fresh && turn !== 'open') await turn.quit();
    return fresh ? 'open' : turn;
  }

  /** Takes over a connection that was opened elsewhere, or closes it where there is no room. */
  adopt(connection: Connection): void {
    if (this.#open >= this.#rules.connections || this.#makeRoom()) return void connection.quit();
    this.#open++;
    this.giveBack(connection);
  }

  /** A connection is free again, with or without a transaction behind it. */
  giveBack(connection: Connection): void {
    if (!connection.needsReset || !connection.alive) this.#keep(connection, Date.now());
    // The next message opens one beside it.
    else if (this.#waiting.length > 0 && this.#makeRoom()) this.#drop(connection);
    else void this.#cleanUp(connection);
  }

  /** A place is free: the next waiter opens a connection of its own. */
  left(): void {
    const next = this.#waiting.shift();
    if (next) next('open');
    else this.#open--;
  }

  /** Closes what has been idle for too long, so that upstream hears QUIT and not silence. */
  sweep(): void {
    const now = Date.now();
    const stale = this.#idle.filter(({ since }) => now - since >= this.#rules.idleMs);
    this.#idle = this.#idle.filter((entry) => !stale.includes(entry));
    for (const { connection } of stale) this.#drop(connection);
  }

  /** False where none is idle. */
  retireOldest(): boolean {
    const oldest = this.#idle.shift();
    if (oldest) void this.#retire(oldest.connection);
    return oldest !== undefined;
  }

  /** Says QUIT on every idle connection. */
  async retireAll(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map(({ connection }) => this.#retire(connection)));
  }

  #makeRoom(): Failure | null {
    return this.#rules.makeRoom(this.apiUser);
  }

  #warm(): Connection | null {
    for (;;) {
      const entry = this.#idle.pop();
      if (!entry) return null;
      if (Date.now() - entry.since < this.#rules.idleMs) return entry.connection;
      this.#drop(entry.connection);
    }
  }

  #wait(signal: AbortSignal): Promise<Turn | null> {
    return new Promise((resolve) => {
      const take = (turn: Turn) => {
        signal.removeEventListener('abort', onAbort);
        resolve(turn);
      };
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        resolve(null);
      };
      this.#waiting.push(take);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** @param usedAt - the end of its last transaction, by the wall clock */
  #keep(connection: Connection, usedAt: number): void {
    const now = Date.now();
    const isOld = now - connection.openedAt > MOST_AGE_MS;
    if (!connection.alive) this.left();
    else if (now - usedAt >= this.#rules.idleMs) this.#drop(connection);
    else if (isOld || this.#rules.isClosing()) void this.#retire(connection);
    else this.#handOn(connection, usedAt);
  }

  #handOn(connection: Connection, since: number): void {
    const next = this.#waiting.shift();
    if (next) {
      next(connection);
    } else {
      connection.onEnd = () => this.#forget(connection);
      this.#idle.push({ connection, since });
      this.#rules.onIdle();
    }
  }

  /** Its place is free meanwhile: the next message does not wait for the clean-up, but opens a connection. */
  async #cleanUp(connection: Connection): Promise<void> {
    // A container may be frozen before RSET is answered: what counts is when the connection was last used.
    const usedAt = Date.now();
    this.left();
    this.#cleaning++;
    await connection.reset(AbortSignal.timeout(RESET_MS));
    this.#cleaning--;
    if (this.#open < this.#rules.connections) {
      this.#open++;
      this.#keep(connection, usedAt);
    } else {
      await connection.quit();
    }
  }

  #forget(connection: Connection): void {
    const index = this.#idle.findIndex((entry) => entry.connection === connection);
    if (index === -1) return;
    this.#idle.splice(index, 1);
    this.left();
  }

  /** Says QUIT; the place is free when upstream has answered it. */
  async #retire(connection: Connection): Promise<void> {
    await connection.quit();
    this.left();
  }

  /** For one that is most likely dead: its place is free at once, without waiting for its answer to QUIT. */
  #drop(connection: Connection): void {
    void connection.quit();
    this.left();
  }
}

export const overloaded = (detail: string): Failure => failure('overloaded', detail, { retryAfterMs: 1000 });
