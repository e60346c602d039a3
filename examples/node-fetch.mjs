// Sends one message with fetch, in Node, Deno, Bun or a Worker; no package is needed.
// A problem document says whether the same request may be repeated (`retryable`), and whether the mail may have gone
// out all the same (`delivery: "unknown"`). The client in node-client.mjs does the repeating.
//
//   node examples/node-fetch.mjs

const { POSTERN_URL = 'http://localhost:8080', POSTERN_TOKEN = 'sandbox-token-for-development' } =
  process.env;

const response = await fetch(`${POSTERN_URL}/v1/messages`, {
  method: 'POST',
  headers: {
    Authorization: `Bearer ${POSTERN_TOKEN}`,
    'Content-Type': 'application/json',
    'Idempotency-Key': 'order-18-shipped',
  },
  body: JSON.stringify({
    from: 'Shop <shop@example.com>',
    to: 'ben@example.com',
    subject: 'Your order is on its way',
    text: 'It should arrive on Thursday.',
  }),
});
const answer = await response.json();
if (!response.ok) throw new Error(`${answer.code}: ${answer.detail}`);
console.log(`Sent as ${answer.messageId}`);
