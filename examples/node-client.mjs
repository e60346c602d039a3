// Sends a message with a picture and a file by the typed client (npm install postern). It repeats what is safe to
// repeat, under one Idempotency-Key, and throws a PosternError otherwise.
//
//   node examples/node-client.mjs

import { createClient, PosternError } from 'postern/client';

const postern = createClient({
  url: process.env.POSTERN_URL ?? 'http://localhost:8080',
  token: process.env.POSTERN_TOKEN ?? 'sandbox-token-for-development',
});

const logo = Buffer.from('R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==', 'base64');
try {
  const receipt = await postern.send(
    {
      from: 'Shop <shop@example.com>',
      to: 'ben@example.com',
      subject: 'Your order is on its way',
      html: '<p><img src="cid:logo" alt="Shop"> It should arrive on Thursday.</p>',
      text: 'It should arrive on Thursday.',
      inlineImages: [{ cid: 'logo', contentType: 'image/gif', content: logo }],
      attachments: [
        { filename: 'order.csv', contentType: 'text/csv', content: new TextEncoder().encode('item;1\n') },
      ],
    },
    { idempotencyKey: 'order-19-shipped' },
  );
  console.log(`Sent as ${receipt.messageId}`);
} catch (error) {
  if (!(error instanceof PosternError)) throw error;
  // "unknown": the mail may have gone out. A person or a webhook of SendCloud's has to tell.
  console.error(`${error.delivery}: ${error.message}`);
  process.exitCode = 1;
}
