/** A process that may have few files open leaves some to all that needs them. */

import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ATTACKER, bearer, post, sendAsVictim, startGateway } from '../tenants/gateway.ts';

const SLOW = 'slow@ifaxin.com';

test('upstream gets a fifth of the descriptors, and each api_user its share of these', async () => {
  await using gateway = await startGateway({
    descriptors: 200,
    faults: [{ at: 'rcpt', address: SLOW, delayMs: 3000 }],
  });
  const ask = (index: number) =>
    post(gateway.port, '/v1/messages', {
      headers: bearer(ATTACKER.token),
      body: JSON.stringify({
        from: 'a@allowed.example',
        to: [SLOW],
        subject: 'x',
        text: 'x',
        label: index + 1,
      }),
      localAddress: `127.0.0.${10 + (index % 6)}`,
    });
  const asked = Promise.all(Array.from({ length: 48 }, (_, index) => ask(index)));
  await delay(1500);
  const open = gateway.upstream.sessions.filter((session) => session.open).length;
  expect(open).toBeGreaterThan(10);
  expect(open).toBeLessThanOrEqual(40);
  const served = await sendAsVictim(
    gateway,
    { localAddress: '127.0.0.2', ownKey: false },
    250,
    AbortSignal.timeout(1000),
  );
  expect([served.http.failed, served.smtp.failed]).toEqual([[], []]);
  for (const { status } of await asked) expect([200, 503]).toContain(status);
});
