/** Warm connections by login: bounded in number, in waiting and in age. */

import type { Login } from '../account.ts';
import { firstOf } from '../deadline.ts';
import { type Failure, isFailure } from '../outcome.ts';
import { canonicalApiUser, formatLoginName } from '../sendcloud.ts';
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
  /** Most connections at once, where the process cannot have `MOST_UPSTREAM_SOCKETS`. */
  readonly sockets?: number;
}

export const MOST_UPSTREAM_SOCKETS = 250;

/**
 * The connections are shared out by api_user. Each may have as many as one of its logins may, whatever the others do.
 * Beyond that it takes of the common ones, as long as it has fewer of them than are left: one alone gets half of them,
 * and the next one still finds some. An idle connection counts, but makes way: of the same api_user where its
 * share is spent, of any where all are open. A login that upstream has not accepted yet is counted for no api_user, as
 * anyone may name one: those have connections of their own, under the same rule.
 */
function sharesOf(sockets: number): { unproven: number; open: number; common: number } {
  const unproven = Math.floor(sockets / 5);
  const open = sockets - unproven;
  return { unproven, open, common: Math.floor(open / 2) };
}

/** Logins remembered as accepted by upstream; the oldest give way. */
const MOST_ACCEPTED = 1000;

const mayHaveMore = (own: number, left: number): boolean => own < left;

export class Pool implements Relay {
  readonly #upstream: Upstream;
  readonly #ports: Ports;
  readonly #rules: SlotRules;
  readonly #most: ReturnType<typeof sharesOf>;
  /** By login and key, least recently used first. */
  readonly #slots = new Map<string, Slot>();
  /** api_users and keys that upstream accepted. */
  readonly #accepted = new Set<string>();
  /** Logins under way that upstream has not accepted before, by api_user. */
  readonly #unproven = new Map<string, number>();
  #logins = 0;
  #isClosing = false;
  #sweeper: ReturnType<typeof setTimeout> | null = null;

  constructor({ upstream, ports, connections, idleMs, sockets = MOST_UPSTREAM_SOCKETS }: PoolOptions) {
    this.#upstream = upstream;
    this.#most = sharesOf(sockets);
    this.#ports = new Ports(ports);
    this.#rules = {
      connections,
      idleMs,
      makeRoom: (apiUser) => this.#makeRoom(apiUser),
      onIdle: () => this.#sweepLater(),
      isClosing: () => this.#isClosing,
    };
  }

  async lease(login: Login, { helo, fresh }: Asked, signal: AbortSignal): Promise<Lease | Failure> {
    const slot = this.#slotOf(login);
    const turn = await slot.take(fresh, signal);
    const connection = turn === 'open' ? await this.#open(slot, login, helo, signal) : turn;
    return isFailure(connection) ? connection : this.#leaseOf(slot, connection);
  }

  async prove(login: Login, signal: AbortSignal): Promise<Failure | null> {
    if (this.#accepted.has(credentialsOf(login))) {
      const lease = await this.lease(login, { helo: null, fresh: true }, signal);
      if (isFailure(lease)) return lease;
      lease.release();
      return null;
    }
    const connection = await this.#logInUnproven(login, signal);
    if (isFailure(connection)) return connection;
    this.#slotOf(login).adopt(connection);
    return null;
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
    const sum = (of: (slot: Slot) => number) => sumOf(slots.map(of));
    return {
      open: sum(({ size }) => size) + sumOf(this.#unproven.values()),
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
    const slot = this.#slots.get(key) ?? this.#newSlot(login);
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    return slot;
  }

  #newSlot({ apiUser }: Login): Slot {
    for (const [key, slot] of this.#slots) if (slot.size === 0) this.#slots.delete(key);
    return new Slot(canonicalApiUser(apiUser), this.#rules);
  }

  async #logInUnproven(login: Login, signal: AbortSignal): Promise<Connection | Failure> {
    const apiUser = canonicalApiUser(login.apiUser);
    const own = this.#unproven.get(apiUser) ?? 0;
    const left = this.#most.unproven - sumOf(this.#unproven.values());
    if (!mayHaveMore(own, left)) return overloaded('Too many logins are being proven at the same time.');
    this.#unproven.set(apiUser, own + 1);
    try {
      return await this.#loggedIn(login, null, signal);
    } finally {
      const rest = (this.#unproven.get(apiUser) ?? 1) - 1;
      if (rest > 0) this.#unproven.set(apiUser, rest);
      else this.#unproven.delete(apiUser);
    }
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
    this.#learn(login, connection);
    if (isFailure(connection) && connection.again) this.#ports.failed(secured.port);
    return connection;
  }

  #learn(login: Login, result: Connection | Failure): void {
    const credentials = credentialsOf(login);
    if (!isFailure(result)) {
      this.#logins++;
      this.#accepted.delete(credentials);
      this.#accepted.add(credentials);
      const [oldest] = this.#accepted;
      if (this.#accepted.size > MOST_ACCEPTED && oldest !== undefined) this.#accepted.delete(oldest);
    } else if (result.code === 'upstream-credentials') {
      this.#accepted.delete(credentials);
    }
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

  #makeRoom(apiUser: string): Failure | null {
    const slots = [...this.#slots.values()];
    /** By api_user. */
    const open = new Map<string, number>();
    for (const slot of slots) open.set(slot.apiUser, (open.get(slot.apiUser) ?? 0) + slot.size);
    const beyond = (count: number) => Math.max(0, count - this.#rules.connections);
    const own = open.get(apiUser) ?? 0;
    const left = this.#most.common - sumOf([...open.values()].map(beyond));
    if (own >= this.#rules.connections && !mayHaveMore(beyond(own), left)) {
      const isIdle = slots.some((slot) => slot.apiUser === apiUser && slot.retireOldest());
      return isIdle ? null : overloaded('All connections of this api_user are in use.');
    }
    if (sumOf(open.values()) < this.#most.open || slots.some((slot) => slot.retireOldest())) return null;
    return overloaded(`All ${this.#most.open} connections are in use.`);
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

const credentialsOf = ({ apiUser, apiKey }: Login): string =>
  JSON.stringify([canonicalApiUser(apiUser), apiKey]);

const sumOf = (numbers: Iterable<number>): number => Array.from(numbers).reduce((sum, one) => sum + one, 0);
