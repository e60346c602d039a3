/** The stores' Durable Objects with their settings; the Worker's entry exports them, and wrangler.toml binds them. */

import type { DurableObjectState } from 'cloudflare:workers';
import { KeyObject } from '../../stores/durable-object/idempotency.ts';
import { WindowObject } from '../../stores/durable-object/quota.ts';
import { type Environment, readSettings } from './settings.ts';

/** Bound as QUOTA. */
export class QuotaObject extends WindowObject {
  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env, readSettings(env).quota);
  }
}

/** Bound as IDEMPOTENCY. */
export class IdempotencyObject extends KeyObject {}
