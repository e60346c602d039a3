/**
 * The objects' own code under the contracts of the stores, on a stand-in for their storage: a clock can be moved
 * here. `worker.test.ts` runs the same objects in workerd.
 */

import type { DurableObjectNamespace, DurableObjectState } from 'cloudflare:workers';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLog } from '../../src/log.ts';
import { QuotaUnavailable } from '../../src/quota.ts';
import type { Bindings } from '../../src/runtime/cloudflare/bindings.ts';
import { IdempotencyObject, QuotaObject } from '../../src/runtime/cloudflare/objects.ts';
import { type Environment, readSettings } from '../../src/runtime/cloudflare/settings.ts';
import { createWorkerStores } from '../../src/runtime/cloudflare/stores.ts';
import { createDurableIdempotency } from '../../src/stores/durable-object/idempotency.ts';
import { createDurableQuota } from '../../src/stores/durable-object/quota.ts';
import { idempotencyContract } from '../contract/idempotency.ts';
import { quotaContract } from '../contract/quota.ts';

vi.mock('cloudflare:workers', () => ({
  DurableObject: class {
    readonly ctx: unknown;
    readonly env: unknown;
    constructor(ctx: unknown, env: unknown) {
      this.ctx = ctx;
      this.env = env;
    }
  },
}));

const ENVIRONMENT: Environment = { BASIC_AUTH: 'on' };

interface Stored {
  readonly database: DatabaseSync;
  readonly values: Map<string, unknown>;
  alarmAt: number | null;
}

type Remote<T> = T & { alarm?: () => Promise<void> };

/** Objects by name; `evictAll` ends them as a deployment does, and what they stored stays. */
function namespace<T extends object>(make: (state: DurableObjectState) => Remote<T>) {
  const stored = new Map<string, Stored>();
  const running = new Map<string, Remote<T>>();

  const stateOf = (name: string): Stored => {
    const state = stored.get(name) ?? {
      database: new DatabaseSync(':memory:'),
      values: new Map(),
      alarmAt: null,
    };
    stored.set(name, state);
    return state;
  };

  function wake(name: string): Remote<T> {
    const object = running.get(name) ?? make({ storage: storageOf(stateOf(name)) });
    running.set(name, object);
    return object;
  }

  const objects = {
    getByName: (name: string) =>
      new Proxy({} as T, {
        get:
          (_, method: string) =>
          async (...args: unknown[]) => {
            const object = wake(name);
            const state = stateOf(name);
            if (state.alarmAt !== null && state.alarmAt <= Date.now()) {
              state.alarmAt = null;
              await object.alarm?.();
            }
            return (object as Record<string, (...args: unknown[]) => unknown>)[method]?.(...args);
          },
      }),
  };
  return { objects, evictAll: () => running.clear() };
}

function storageOf(state: Stored): DurableObjectState['storage'] {
  return {
    sql: {
      exec: <Row>(query: string, ...values: number[]) =>
        state.database.prepare(query).all(...values) as Iterable<Row>,
    },
    kv: {
      get: <T>(key: string) => structuredClone(state.values.get(key)) as T | undefined,
      put: (key, value) => void state.values.set(key, structuredClone(value)),
    },
    async deleteAll() {
      state.values.clear();
    },
    async setAlarm(time) {
      state.alarmAt = time;
    },
    async deleteAlarm() {
      state.alarmAt = null;
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1_750_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

const advance = async (ms: number) => void vi.setSystemTime(Date.now() + ms);

const fail = (error: unknown) => {
  throw error;
};

const quotaObjects = () => namespace((state) => new QuotaObject(state, ENVIRONMENT));

describe('quota in Durable Objects', () => {
  quotaContract(async () => ({
    quota: createDurableQuota(quotaObjects().objects as unknown as DurableObjectNamespace<never>),
    advance,
  }));

  test('an object that is moved loses neither draws nor a closure', async () => {
    const { objects, evictAll } = quotaObjects();
    const quota = createDurableQuota(objects as unknown as DurableObjectNamespace<never>);
    await quota.draw('u', 10, 4);
    await advance(30_000);
    await quota.draw('u', 10, 5);
    await advance(10);
    await quota.draw('u', 10, 1);
    const before = await quota.peek('u', 10);
    evictAll();
    expect(await quota.peek('u', 10)).toEqual(before);
    await advance(30_491);
    expect(await quota.draw('u', 10, 4)).toMatchObject({ granted: true, remaining: 0 });

    await quota.close('u', 80_000);
    await quota.close('u', 10);
    evictAll();
    await advance(79_999);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 1 });
  });

  test('a clock that is behind what was stored frees nothing', async () => {
    const { objects, evictAll } = quotaObjects();
    const quota = createDurableQuota(objects as unknown as DurableObjectNamespace<never>);
    await quota.draw('u', 10, 5);
    await advance(-30_000);
    evictAll();
    await quota.draw('u', 10, 5);
    evictAll();
    // As late as the second draw would be free by its own clock.
    await advance(60_501);
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 0 });
    await advance(30_000);
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 10 });
  });
});

/** A namespace whose objects reject every call. */
const rejecting = (error: Error) => {
  const call = () => Promise.reject(error);
  return { getByName: () => ({ draw: call, peek: call, close: call }) };
};

describe('a quota object that fails', () => {
  const away = new Error('Network connection lost.');
  const bug = Object.assign(new TypeError('a bug'), { remote: true });

  test('is unavailable where it cannot be reached, and a bug where its own code threw', async () => {
    await expect(createDurableQuota(rejecting(away)).draw('u', 1)).rejects.toThrow(QuotaUnavailable);
    await expect(createDurableQuota(rejecting(bug)).draw('u', 1)).rejects.toBe(bug);
  });

  test('is not ready, and the log says why', async () => {
    const lines: string[] = [];
    const readinessWith = (objects: unknown) => {
      const bindings = { QUOTA: objects, IDEMPOTENCY: {} } as Bindings;
      const log = createLog('info', (line) => lines.push(line));
      return createWorkerStores(readSettings(ENVIRONMENT), bindings, log).ready();
    };
    expect(await readinessWith(quotaObjects().objects)).toEqual({ quota: null });
    expect(lines).toEqual([]);
    expect(await readinessWith(rejecting(away))).toEqual({ quota: 'The quota object does not answer.' });
    expect(lines).toEqual([expect.stringContaining('Network connection lost.')]);
  });
});

describe('idempotency in Durable Objects', () => {
  idempotencyContract(async () => {
    const { objects } = namespace((state) => new IdempotencyObject(state, ENVIRONMENT));
    return {
      idempotency: createDurableIdempotency(objects as unknown as DurableObjectNamespace<never>, fail),
      advance,
    };
  });
});
