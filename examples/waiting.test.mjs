// A test suite that waits for a mail: the app sends to the sandbox, and the test reads what arrived. Each test sends to
// an address of its own, so that tests may run at the same time and need no clean-up.
//
//   npm start            in another terminal, or as a service of the CI
//   node --test examples/waiting.test.mjs

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { POST } from './route-handler.mjs';

const SANDBOX = process.env.POSTERN_URL ?? 'http://localhost:8080';

test('an order is confirmed by mail', async () => {
  const email = `${randomUUID()}@example.com`;
  const order = new Request('https://shop.example.com/api/order', {
    method: 'POST',
    body: JSON.stringify({ id: randomUUID(), email }),
  });
  assert.equal((await POST(order)).status, 202);

  const mail = await mailFor(email);
  assert.match(mail.subject, /^Your order /);
  assert.match(mail.text, /Thank you\./);
});

/** The newest mail for an address, parsed, once it has arrived; the sandbox itself waits for up to 10 s. */
async function mailFor(address) {
  const query = new URLSearchParams({ to: address, wait: '10' });
  const [found] = await (await fetch(`${SANDBOX}/sandbox/messages?${query}`)).json();
  assert.ok(found, `no mail for ${address} has arrived`);
  return (await fetch(`${SANDBOX}/sandbox/messages/${found.n}`)).json();
}
