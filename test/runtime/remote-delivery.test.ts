/** What a Worker makes of the objects that deliver for it; `worker.test.ts` has the objects themselves. */

import type { DurableObjectNamespace } from 'cloudflare:workers';
import { expect, test, vi } from 'vitest';
import { withDeadline } from '../../src/deadline.ts';
import type { Delivered, Delivery } from '../../src/deliver.ts';
import { createLog } from '../../src/log.ts';
import type { RemoteDelivery } from '../../src/runtime/cloudflare/bindings.ts';
import { createRemoteDeliverer } from '../../src/runtime/cloudflare/delivery.ts';

vi.mock('cloudflare:workers', () => ({ DurableObject: class {} }));

const DELIVERY: Delivery = {
  login: { apiUser: 'u', apiKey: 'k', label: null },
  limit: 1,
  envelope: { from: 'a@b.example', to: ['c@d.example'], size: 1, eightBit: false },
  content: new Uint8Array(1),
};
const DELIVERED = { outcome: { delivery: 'not-sent' } } as Delivered;
const signal = await withDeadline(60_000, async (signal) => signal);

/** A deliverer whose objects do `work`, and the names of those it asked. */
function remote(work: () => Promise<Delivered>) {
  const lines: string[] = [];
  const log = createLog('info', (line) => lines.push(line));
  const asked: string[] = [];
  const objects: DurableObjectNamespace<RemoteDelivery> = {
    getByName: (name) => {
      asked.push(name);
      return { deliver: work, verify: async () => work().then(() => null) };
    },
  };
  const deliverer = createRemoteDeliverer({ objects, shards: 3, connections: 2, log });
  return { deliverer, asked, lines };
}

const failing = (marks: object) => remote(() => Promise.reject(Object.assign(new Error('broken'), marks)));

test('an object that never began has sent nothing', async () => {
  const { deliverer } = failing({ overloaded: true });
  expect((await deliverer.deliver(DELIVERY, signal)).outcome).toMatchObject({
    code: 'overloaded',
    delivery: 'not-sent',
  });
  expect(await deliverer.verify(DELIVERY.login, signal)).toMatchObject({ code: 'overloaded' });
});

test('an object that ended amid its work may have sent the message, and the log says how it ended', async () => {
  const { deliverer, lines } = failing({});
  expect((await deliverer.deliver(DELIVERY, signal)).outcome).toMatchObject({
    code: 'outcome-unknown',
    delivery: 'unknown',
  });
  expect(await deliverer.verify(DELIVERY.login, signal)).toMatchObject({ code: 'upstream-unreachable' });
  const told = { level: 'error', event: 'a delivery object was lost', error: 'Error: broken' };
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([told, told]);
});

test('a bug in the object is a bug', async () => {
  await expect(failing({ remote: true }).deliverer.deliver(DELIVERY, signal)).rejects.toThrow('broken');
});

test('one after the other goes to one object; many at once go to all, each as far as it has connections', async () => {
  const { promise: held, resolve } = Promise.withResolvers<Delivered>();
  const calm = remote(async () => DELIVERED);
  for (let sent = 0; sent < 5; sent++) await calm.deliverer.deliver(DELIVERY, signal);
  expect(new Set(calm.asked).size).toBe(1);

  const busy = remote(() => held);
  const sent = Array.from({ length: 9 }, () => busy.deliverer.deliver(DELIVERY, signal));
  await expect.poll(() => busy.asked.length).toBe(9);
  resolve(DELIVERED);
  await Promise.all(sent);
  const counts = Map.groupBy(busy.asked, (name) => name);
  expect([...counts.values()].map((names) => names.length)).toEqual([3, 3, 3]);
});

test('every login has objects of its own, and so has every api_key', async () => {
  const { deliverer, asked } = remote(async () => DELIVERED);
  const logins = [
    { apiUser: 'u', apiKey: 'k', label: null },
    { apiUser: 'u', apiKey: 'k', label: 1 },
    { apiUser: 'u', apiKey: 'another', label: null },
    { apiUser: 'v', apiKey: 'k', label: null },
  ];
  for (const login of logins) await deliverer.deliver({ ...DELIVERY, login }, signal);
  expect(new Set(asked).size).toBe(4);
  expect(asked.join(' ')).not.toContain('another');
});
