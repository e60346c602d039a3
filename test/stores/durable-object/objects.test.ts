import { describe, expect, test } from 'vitest';
import { KEPT_MS } from '../../../src/idempotency.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { idempotencyContract } from '../../contract/idempotency.ts';
import { quotaContract } from '../../contract/quota.ts';
import { useObjects } from '../../support/objects.ts';

const objects = useObjects();

describe('the quota in Durable Objects', () => {
  quotaContract(async () => {
    const { store, advance } = objects.quota();
    return { quota: store, advance };
  });

  test('an object that is moved loses neither draws nor a closure', async () => {
    const { store: quota, advance, move } = objects.quota();
    await quota.draw('u', 10, 4);
    await advance(30_000);
    await quota.draw('u', 10, 5);
    await advance(10);
    await quota.draw('u', 10, 1);
    const before = await quota.peek('u', 10);
    await move('u');
    expect(await quota.peek('u', 10)).toEqual(before);
    await advance(30_491);
    expect(await quota.draw('u', 10, 4)).toMatchObject({ granted: true, remaining: 0 });

    await quota.close('u', 80_000);
    await quota.close('u', 10);
    await move('u');
    await advance(79_999);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 1 });
  });

  test('a clock that is behind what was stored frees nothing', async () => {
    const { store: quota, advance, move } = objects.quota();
    await quota.draw('u', 10, 5);
    await advance(-30_000);
    await move('u');
    await quota.draw('u', 10, 5);
    await move('u');
    // As late as the second draw would be free by its own clock.
    await advance(60_501);
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 0 });
    await advance(30_000);
    expect(await quota.peek('u', 10)).toMatchObject({ remaining: 10 });
  });
});

describe('idempotency in Durable Objects', () => {
  idempotencyContract(async () => {
    const { store, advance } = objects.idempotency();
    return { idempotency: store, advance };
  });

  const request = {
    apiUser: 'u',
    key: 'k',
    fingerprint: 'print',
    leaseMs: 30_000,
    keptMs: KEPT_MS,
    recordChars: 100,
  };

  test('an object that is moved keeps its key', async () => {
    const { store, move } = objects.idempotency();
    const found = await store.begin(request);
    await move('k');
    expect(await store.begin(request)).toMatchObject({ state: 'busy' });
    await store.finish('k', found.state === 'fresh' ? found.token : '', 'record');
    await move('k');
    expect(await store.begin(request)).toEqual({ state: 'replay', record: 'record' });
  });

  test('the alarm clears an object whose time is over', async () => {
    // An alarm rings by the real clock, to which this key is nearly 24 hours old.
    const { store } = objects.idempotency(Date.now() - KEPT_MS + 500);
    await store.begin(request);
    await expect.poll(async () => (await store.begin(request)).state, { timeout: 10_000 }).toBe('fresh');
  });

  test('what an object throws by itself is a bug, not an outage', async () => {
    // No alarm can be set for then.
    const { store } = objects.idempotency(Number.MAX_VALUE);
    const begun = store.begin(request);
    await expect(begun).rejects.toThrow(/^TypeError: /);
    await expect(begun).rejects.not.toThrow(StoreUnavailable);
  });
});
