/** The exact window of one api_user in a Durable Object: one for all instances, without Redis. */

import { DurableObject, type DurableObjectNamespace, type DurableObjectState } from 'cloudflare:workers';
import {
  assertClosure,
  assertCost,
  type Draw,
  type Quota,
  type QuotaState,
  type WindowOptions,
} from '../../quota.ts';
import { canonicalApiUser } from '../../sendcloud.ts';
import { ExactWindow, GRAIN_MS, spanOf } from '../window.ts';
import { PING, reached } from './reached.ts';

/** A `Quota` of one api_user on the other side of a call. */
export interface RemoteWindow {
  draw(limit: number, cost: number): Promise<Draw>;
  peek(limit: number): Promise<QuotaState>;
  close(ms: number): Promise<void>;
  ping(): Promise<void>;
}

/**
 * The object of one api_user. The runtime's subclass hands the window's shape in.
 *
 * The window is in memory and every draw in a table besides, one row a grain, because an object may be moved at
 * any time: a new one reads the window back. Cloudflare holds a reply until what was written before it is safe.
 */
export class WindowObject extends DurableObject<unknown> {
  readonly #window: ExactWindow;
  readonly #span: number;
  #grain = Number.NEGATIVE_INFINITY;
  /** The latest time seen: a clock that steps back frees nothing. */
  #time = 0;

  constructor(ctx: DurableObjectState, env: unknown, options: WindowOptions) {
    super(ctx, env);
    this.#window = new ExactWindow(options);
    this.#span = spanOf(options);
    this.#sql('CREATE TABLE IF NOT EXISTS draws (grain INTEGER PRIMARY KEY, last INTEGER, calls INTEGER)');
    this.#sql('CREATE TABLE IF NOT EXISTS closure (id INTEGER PRIMARY KEY, at INTEGER, ms INTEGER)');
    for (const { last, calls } of this.#sql<DrawRow>('SELECT last, calls FROM draws ORDER BY grain')) {
      this.#time = Math.max(this.#time, last);
      this.#window.draw(last, Number.MAX_SAFE_INTEGER, calls);
    }
    for (const { at, ms } of this.#sql<ClosureRow>('SELECT at, ms FROM closure')) this.#window.close(at, ms);
  }

  draw(limit: number, cost: number): Draw {
    const now = this.#now();
    const draw = this.#window.draw(now, limit, cost);
    if (draw.granted) this.#record(now, cost);
    return draw;
  }

  peek(limit: number): QuotaState {
    return this.#window.peek(this.#now(), limit);
  }

  close(ms: number): void {
    const now = this.#now();
    this.#window.close(now, ms);
    const longer =
      'ON CONFLICT DO UPDATE SET at = excluded.at, ms = excluded.ms WHERE excluded.at + excluded.ms > at + ms';
    this.#sql(`INSERT INTO closure VALUES (1, ?, ?) ${longer}`, now, ms);
  }

  /** The constructor has read the storage. */
  ping(): void {}

  #record(now: number, calls: number): void {
    const grain = Math.floor(now / GRAIN_MS);
    if (grain !== this.#grain) this.#sql('DELETE FROM draws WHERE last <= ?', now - this.#span);
    this.#grain = grain;
    const more = 'ON CONFLICT DO UPDATE SET last = excluded.last, calls = calls + excluded.calls';
    this.#sql(`INSERT INTO draws VALUES (?, ?, ?) ${more}`, grain, now, calls);
  }

  #now(): number {
    this.#time = Math.max(this.#time, Date.now());
    return this.#time;
  }

  #sql<Row = never>(query: string, ...values: number[]): Iterable<Row> {
    return this.ctx.storage.sql.exec<Row>(query, ...values);
  }
}

interface DrawRow {
  readonly last: number;
  readonly calls: number;
}
interface ClosureRow {
  readonly at: number;
  readonly ms: number;
}

/** The quota as one object per api_user. */
export function createDurableQuota(objects: DurableObjectNamespace<RemoteWindow>): Quota {
  const objectOf = (apiUser: string): RemoteWindow => objects.getByName(canonicalApiUser(apiUser));
  return {
    async draw(apiUser, limit, cost = 1) {
      assertCost(cost, limit);
      return reached(() => objectOf(apiUser).draw(limit, cost));
    },
    peek: (apiUser, limit) => reached(() => objectOf(apiUser).peek(limit)),
    async close(apiUser, ms) {
      assertClosure(ms);
      return reached(() => objectOf(apiUser).close(ms));
    },
    ping: () => reached(() => objects.getByName(PING).ping()),
  };
}
