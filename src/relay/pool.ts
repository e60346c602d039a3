/** Warm connections by login: bounded in number, in waiting and in age. */

import type { Login } from '../account.ts';
import { firstOf } from '../deadline.ts';
import { type Failure, isFailure } from '../outcome.ts';
import { formatLoginName } from '../sendcloud.ts';
import type { Asked, Lease, Relay } from '../transaction.ts';
import { type Connection, greet, logIn, openSecured, type Upstream } from './connection.ts';
import { OPENING_MS, Ports } from './ports.ts';
import { overloaded, Slot, type SlotRules } from './slot.ts';

export interface PoolOptions {
  readonly upstream: Upstream;
  /** In the order they are tried. */
  readonly ports: readonly number[];
  /** Most connections per login. */
  readonly connections: number;
  /** An idle connection older than this is closed, in milliseconds; a frozen container's are dead unseen. */
  readonly idleMs: number;
}

/** All connections together, whatever the number of logins; the least recently used idle one makes room. */
const MOST_OPEN = 200;

export class Pool implements Relay {
  readonly #upstream: Upstream;
  readonly #ports: Ports;
  readonly #rules: SlotRules;
  /** By login, least recently used first. */
  readonly #slots = new Map<string, Slot>();
  #logins = 0;
  #isClosing = false;
  #sweeper: ReturnType<typeof setTimeout> | null = null;

  constructor({ upstream, ports, connections, idleMs }: PoolOptions) {
    this.#upstream = upstream;
    this.#ports = new Ports(ports);
    this.#rules = {
      connections,
      idleMs,
      makeRoom: () => this.#makeRoom(),
      onIdle: () => this.#sweepLater(),
      isClosing: () => this.#isClosing,
    };
  }

  async lease(login: Login, { helo, fresh }: Asked, signal: AbortSignal): Promise<Lease | Failure> {
    const slot = this.#slotOf(login);
    const turn = await slot.take(fresh, signal);
    if (isFailure(turn)) return turn;
    const connection = turn === 'open' ? await this.#open(slot, login, helo, signal) : turn;
    return isFailure(connection) ? connection : this.#leaseOf(slot, connection);
  }

  /** Connects and reads upstream's greeting; null when it is 220. */
  async greeting(signal: AbortSignal): Promise<Failure | null> {
    const greeted = await this.#ports.open((port, limited) => greet(this.#upstream, port, limited), signal);
    if (isFailure(greeted)) return greeted;
    void greeted.quit();
    return null;
  }

  /** What there is now, and the logins that upstream accepted so far. */
  stats(): { open: number; idle: number; waiting: number; logins: number } {
    const slots = [...this.#slots.values()];
    const sum = (of: (slot: Slot) => number) => slots.reduce((total, slot) => total + of(slot), 0);
    return {
      open: sum(({ size }) => size),
      idle: sum(({ idle }) => idle),
      waiting: sum(({ waiting }) => waiting),
      logins: this.#logins,
    };
  }

  /** Says QUIT on every idle connection; those in use follow when they are given back. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all([...this.#slots.values()].map((slot) => slot.retireAll()));
  }

  #slotOf(login: Login): Slot {
    const key = JSON.stringify([formatLoginName(login), login.apiKey]);
    const slot = this.#slots.get(key) ?? this.#newSlot();
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    return slot;
  }

  #newSlot(): Slot {
    for (const [key, slot] of this.#slots) if (slot.size === 0) this.#slots.delete(key);
    return new Slot(this.#rules);
  }

  async #open(
    slot: Slot,
    login: Login,
    helo: string | null,
    signal: AbortSignal,
  ): Promise<Connection | Failure> {
    let opened: Connection | Failure | null = null;
    try {
      opened = await this.#loggedIn(login, helo, signal);
      return opened;
    } finally {
      if (opened === null || isFailure(opened)) slot.left();
    }
  }

  async #loggedIn(login: Login, helo: string | null, signal: AbortSignal): Promise<Connection | Failure> {
    const secured = await this.#ports.open(
      (port, limited) => openSecured(this.#upstream, port, helo, limited),
      signal,
    );
    if (isFailure(secured)) return secured;
    const connection = await logIn(secured, login, firstOf(signal, AbortSignal.timeout(OPENING_MS)));
    if (!isFailure(connection)) this.#logins++;
    else if (connection.again) this.#ports.failed(secured.port);
    return connection;
  }

  #leaseOf(slot: Slot, connection: Connection): Lease {
    return {
      maxSize: connection.maxSize,
      release: () => slot.giveBack(connection),
      send: async (envelope, content, signal, beforeDot) => {
        const isFirst = !connection.isUsed;
        try {
          const sent = await connection.send(envelope, { content, beforeDot }, signal);
          if (isFirst && isFailure(sent) && sent.again) this.#ports.failed(connection.port);
          return sent;
        } catch (error) {
          connection.close();
          throw error;
        } finally {
          slot.giveBack(connection);
        }
      },
    };
  }

  #makeRoom(): Failure | null {
    const slots = [...this.#slots.values()];
    const open = slots.reduce((sum, slot) => sum + slot.size, 0);
    if (open < MOST_OPEN || slots.some((slot) => slot.retireOldest())) return null;
    return overloaded(`All ${MOST_OPEN} connections are in use.`);
  }

  #sweepLater(): void {
    if (this.#sweeper !== null) return;
    this.#sweeper = setTimeout(() => {
      this.#sweeper = null;
      for (const slot of this.#slots.values()) slot.sweep();
      if ([...this.#slots.values()].some(({ idle }) => idle > 0)) this.#sweepLater();
    }, this.#rules.idleMs);
    // On Node an idle pool must not keep the process alive.
    if (typeof this.#sweeper === 'object') this.#sweeper?.unref?.();
  }
}
