/** The Durable Objects of wrangler.toml, as seen from the other side of a call. */

import type { DurableObjectNamespace } from 'cloudflare:workers';
import type { Login } from '../../account.ts';
import type { Delivered, Delivery } from '../../deliver.ts';
import type { IdempotencyState } from '../../idempotency.ts';
import type { Failure } from '../../outcome.ts';
import type { Draw, QuotaState } from '../../quota.ts';

export interface Bindings {
  /** Without it each message opens its own connection. */
  readonly DELIVERY?: DurableObjectNamespace<RemoteDelivery>;
  /** Without these two and without Redis, quota and idempotency hold for one isolate alone. */
  readonly QUOTA?: DurableObjectNamespace<RemoteWindow>;
  readonly IDEMPOTENCY?: DurableObjectNamespace<RemoteKey>;
}

/** A `Deliverer` on the other side of a call: an AbortSignal cannot travel, the time that is left can. */
export interface RemoteDelivery {
  deliver(delivery: Delivery, remainingMs: number): Promise<Delivered>;
  verify(login: Login, remainingMs: number): Promise<Failure | null>;
}

/** A `Quota` of one api_user on the other side of a call. */
export interface RemoteWindow {
  draw(limit: number, cost: number): Promise<Draw>;
  peek(limit: number): Promise<QuotaState>;
  close(ms: number): Promise<void>;
}

/** The states of one key on the other side of a call. */
export interface RemoteKey {
  begin(fingerprint: string, leaseMs: number): Promise<IdempotencyState>;
  finish(token: string, record: string): Promise<void>;
  release(token: string): Promise<void>;
}
