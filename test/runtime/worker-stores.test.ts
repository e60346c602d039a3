/** Which stores a Worker gets, and what it reports of them. `test/stores/durable-object/` runs the objects. */

import { describe, expect, test, vi } from 'vitest';
import { createLog } from '../../src/log.ts';
import { readSettings } from '../../src/runtime/cloudflare/settings.ts';
import { createWorkerStores } from '../../src/runtime/cloudflare/stores.ts';
import { StoreUnavailable } from '../../src/store.ts';

vi.mock('cloudflare:workers', () => ({ DurableObject: class {} }));

/** Objects that do what `call` does, whatever they are asked. */
const objectsThat = (call: () => Promise<void>) => ({
  getByName: () => ({
    draw: call,
    peek: call,
    close: call,
    begin: call,
    finish: call,
    release: call,
    ping: call,
  }),
});

function storesOn(call: () => Promise<void>) {
  const lines: string[] = [];
  const objects = objectsThat(call);
  const stores = createWorkerStores(
    readSettings({ BASIC_AUTH: 'on' }),
    { QUOTA: objects, IDEMPOTENCY: objects } as never,
    createLog('info', (line) => lines.push(line)),
  );
  return { ...stores, lines };
}

const REQUEST = {
  apiUser: 'u',
  key: 'k',
  fingerprint: 'print',
  leaseMs: 1000,
  keptMs: 1000,
  recordChars: 100,
};

describe('Durable Objects that', () => {
  test('answer are ready', async () => {
    const { ready, lines } = storesOn(async () => {});
    expect(await ready()).toEqual({ store: null });
    expect(lines).toEqual([]);
  });

  test('cannot be reached are away, and the log says why', async () => {
    const { quota, idempotency, ready, lines } = storesOn(async () => {
      throw new Error('Network connection lost.');
    });
    await expect(quota.draw('u', 1)).rejects.toThrow(StoreUnavailable);
    await expect(idempotency.begin(REQUEST)).rejects.toThrow(StoreUnavailable);
    expect(await ready()).toEqual({ store: 'The Durable Objects do not answer.' });
    // A message that has its outcome is answered all the same.
    await idempotency.finish('k', 'token', 'record');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { event: 'store away', error: 'Error: Network connection lost.' },
      { event: 'key lost', error: 'Error: Network connection lost.' },
    ]);
  });

  test('fail by a bug say so', async () => {
    const bug = Object.assign(new TypeError('a bug'), { remote: true });
    const { quota, idempotency, ready } = storesOn(() => Promise.reject(bug));
    await expect(quota.draw('u', 1)).rejects.toBe(bug);
    await expect(idempotency.begin(REQUEST)).rejects.toBe(bug);
    await expect(ready()).rejects.toBe(bug);
  });
});
