/** The stores' Durable Objects in workerd, for tests on this side of it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Idempotency } from '../../src/idempotency.ts';
import type { Outbox } from '../../src/outbox.ts';
import type { Quota } from '../../src/quota.ts';
import { StoreUnavailable } from '../../src/store.ts';
import type { SqlOutboxOptions } from '../../src/stores/outbox-sql.ts';
import { CONTRACT_WINDOW } from '../contract/quota.ts';
import { ROOT } from './child.ts';
import type { ObjectAnswer, ObjectCall } from './objects-worker.ts';
import { pack, unpack } from './pack.ts';
import { bundleWorker, type RunningWorker, startWorker } from './worker.ts';

/** A store of a run of its own, on a clock that stands still until it is moved. */
interface UnderTest<Store> {
  readonly store: Store;
  readonly advance: (ms: number) => Promise<void>;
  /** Ends one of its objects, as a deployment does. */
  readonly move: (object: string) => Promise<void>;
}

/** Starts workerd around the suite that calls this. Its members are for tests. */
export function useObjects() {
  let folder: string;
  let worker: RunningWorker;
  let runs = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-objects-'));
    const config = join(folder, 'wrangler.toml');
    await writeFile(config, CONFIG);
    worker = await startWorker(await bundleWorker(folder, config, 'objects-worker'), {}, '', config);
  });
  afterAll(async () => {
    await worker.close();
    await rm(folder, { recursive: true });
  });

  async function call(call: ObjectCall): Promise<unknown> {
    const response = await fetch(worker.url, { method: 'POST', body: pack(call) });
    const answered = unpack(await response.text()) as ObjectAnswer;
    if (!('error' in answered)) return answered.answer;
    const { name, message } = answered.error;
    if (name === 'StoreUnavailable') throw new StoreUnavailable(message);
    throw name === 'RangeError' ? new RangeError(message) : new Error(`${name}: ${message}`);
  }

  function under<Store extends object>(store: ObjectCall['store'], startAt: number): UnderTest<Store> {
    const run = String(++runs);
    let now = startAt;
    const ask = (method: string, args: readonly unknown[]) => call({ run, store, method, args, now });
    return {
      store: new Proxy({} as Store, {
        get:
          (_, method) =>
          (...args: unknown[]) =>
            ask(String(method), args),
      }),
      advance: async (ms) => {
        now += ms;
      },
      move: async (object) => void (await ask('move', [object])),
    };
  }

  return {
    /** @param startAt - what its clock shows at first; alarms go by the real one */
    quota: (startAt = Date.now()) => under<Quota>('quota', startAt),
    idempotency: (startAt = Date.now()) => under<Idempotency>('idempotency', startAt),
    /** One object for all api_users; its clock is this process's. */
    outbox(options: SqlOutboxOptions) {
      const run = String(++runs);
      const object = `outbox ${options.maxBytes} ${options.keepMs}`;
      const ask = (method: string, ...args: readonly unknown[]) =>
        call({ run, store: 'outbox', method, args: [object, ...args], now: Date.now() });
      const methods = (_: Outbox, method: string | symbol) =>
        // A promise that is resolved with it must not take it for another one.
        method === 'then' ? undefined : (...args: unknown[]) => ask(String(method), ...args);
      return { store: new Proxy({} as Outbox, { get: methods }), move: () => ask('move') };
    },
  };
}

const CONFIG = `
name = "objects"
main = "${join(ROOT, 'test/support/objects-worker.ts')}"
compatibility_date = "2026-11-01"
compatibility_flags = ["nodejs_compat"]

[vars]
WINDOW = { windowMs = ${CONTRACT_WINDOW.windowMs}, guardMs = ${CONTRACT_WINDOW.guardMs} }

[[durable_objects.bindings]]
name = "QUOTA"
class_name = "QuotaObject"

[[durable_objects.bindings]]
name = "IDEMPOTENCY"
class_name = "IdempotencyObject"

[[durable_objects.bindings]]
name = "OUTBOX"
class_name = "OutboxObject"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["QuotaObject", "IdempotencyObject", "OutboxObject"]
`;
