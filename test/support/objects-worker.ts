/**
 * The stores' Durable Objects in a Worker of their own, for tests: it calls them as the gateway does, on a clock that
 * a test moves, and answers what they answered.
 */

import type { DurableObjectNamespace, DurableObjectState } from 'cloudflare:workers';
import type { Idempotency } from '../../src/idempotency.ts';
import type { Outbox } from '../../src/outbox.ts';
import type { Quota, WindowOptions } from '../../src/quota.ts';
import {
  createDurableIdempotency,
  KeyObject,
  type RemoteKey,
} from '../../src/stores/durable-object/idempotency.ts';
import { OutboxObject as ObjectWithoutSettings } from '../../src/stores/durable-object/outbox.ts';
import {
  createDurableQuota,
  type RemoteWindow,
  WindowObject,
} from '../../src/stores/durable-object/quota.ts';
import { pack, unpack } from './pack.ts';

interface Environment {
  readonly WINDOW: WindowOptions;
  readonly QUOTA: DurableObjectNamespace<RemoteWindow & Movable>;
  readonly IDEMPOTENCY: DurableObjectNamespace<RemoteKey & Movable>;
  readonly OUTBOX: DurableObjectNamespace<RemoteStore & Movable>;
}

/** One call of a test's, and what came of it. */
export interface ObjectCall {
  /** Objects of one run are nothing to those of another. */
  readonly run: string;
  readonly store: 'quota' | 'idempotency' | 'outbox';
  readonly method: string;
  readonly args: readonly unknown[];
  /** What the clock shows, in milliseconds. */
  readonly now: number;
}
export type ObjectAnswer =
  | { readonly answer?: unknown }
  | { readonly error: { readonly name: string; readonly message: string } };

interface Movable {
  move(): void;
}

/** Any method of a store, by its name. */
interface RemoteStore {
  call(method: string, args: readonly unknown[]): Promise<unknown>;
}

let now = 0;
Date.now = () => now;

/** Ends the object where it is; the next call finds it elsewhere, with what it stored. */
const end = (ctx: DurableObjectState) => (ctx as unknown as { abort(reason: string): void }).abort('moved');

export class QuotaObject extends WindowObject implements Movable {
  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env, env.WINDOW);
  }
  move(): void {
    end(this.ctx);
  }
}

export class IdempotencyObject extends KeyObject implements Movable {
  move(): void {
    end(this.ctx);
  }
}

/** Sends nothing; its name ends with its options. */
export class OutboxObject extends ObjectWithoutSettings implements RemoteStore, Movable {
  constructor(ctx: DurableObjectState & { readonly id: { readonly name: string } }, env: Environment) {
    const [, maxBytes, keepMs] = /(\d+) (\d+)$/.exec(ctx.id.name) ?? [];
    const createWorker = () => ({ run: async () => null, close: async () => {} });
    super(ctx, env, { maxBytes: Number(maxBytes), keepMs: Number(keepMs), createWorker });
  }
  call(method: string, args: readonly unknown[]): Promise<unknown> {
    const work = this.outbox[method as keyof Outbox] as (...args: readonly unknown[]) => Promise<unknown>;
    return work(...args);
  }
  move(): void {
    end(this.ctx);
  }
}

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const call = unpack(await request.text()) as ObjectCall;
    now = call.now;
    return new Response(pack(await answerTo(call, env)));
  },
};

async function answerTo({ run, store, method, args }: ObjectCall, env: Environment): Promise<ObjectAnswer> {
  const named = <T>(objects: DurableObjectNamespace<T>): DurableObjectNamespace<T> => ({
    getByName: (name) => objects.getByName(`${run} ${name}`),
  });
  const quota = named(env.QUOTA);
  const idempotency = named(env.IDEMPOTENCY);
  const outbox = named(env.OUTBOX);
  const methods: Quota | Idempotency =
    store === 'quota' ? createDurableQuota(quota) : createDurableIdempotency(idempotency, fail);
  try {
    if (method === 'move') {
      const objects: DurableObjectNamespace<Movable> = { quota, idempotency, outbox }[store];
      await Promise.resolve(objects.getByName(String(args[0])).move()).catch(() => {});
      return {};
    }
    if (store === 'outbox') {
      const [object, ...rest] = args;
      return { answer: await outbox.getByName(String(object)).call(method, rest) };
    }
    const call = methods[method as keyof typeof methods] as (...args: readonly unknown[]) => Promise<unknown>;
    return { answer: await call(...args) };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: { name, message } };
  }
}

const fail = (error: unknown): never => {
  throw error;
};
