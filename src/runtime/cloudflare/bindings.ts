/** The Durable Objects of wrangler.toml, as seen from the other side of a call. */

import type { DurableObjectNamespace } from 'cloudflare:workers';
import type { Login } from '../../account.ts';
import type { Delivered, Delivery } from '../../deliver.ts';
import type { Failure } from '../../outcome.ts';
import type { RemoteKey } from '../../stores/durable-object/idempotency.ts';
import type { RemoteOutbox } from '../../stores/durable-object/outbox.ts';
import type { RemoteWindow } from '../../stores/durable-object/quota.ts';

export interface Bindings {
  /** Without it each message opens its own connection. */
  readonly DELIVERY?: DurableObjectNamespace<RemoteDelivery>;
  /** Without these two and without Redis, quota and idempotency hold for one isolate alone. */
  readonly QUOTA?: DurableObjectNamespace<RemoteWindow>;
  readonly IDEMPOTENCY?: DurableObjectNamespace<RemoteKey>;
  /** Without it there is no outbox. */
  readonly OUTBOX_OBJECTS?: DurableObjectNamespace<RemoteOutbox>;
}

/** A `Deliverer` on the other side of a call: an AbortSignal cannot travel, the time that it leaves can. */
export interface RemoteDelivery {
  deliver(delivery: Delivery, remainingMs: number): Promise<Delivered>;
  verify(login: Login, remainingMs: number): Promise<Failure | null>;
}
