// An app that has nodemailer keeps it, and changes its transport alone (npm install nodemailer postern).
// The field `postern` gives a message its label and its key.
//
//   node examples/node-nodemailer.mjs

import { createTransport } from 'nodemailer';
import { postern } from 'postern/nodemailer';

const mailer = createTransport(
  postern({
    url: process.env.POSTERN_URL ?? 'http://localhost:8080',
    token: process.env.POSTERN_TOKEN ?? 'sandbox-token-for-development',
  }),
);

const { messageId } = await mailer.sendMail({
  from: 'Shop <shop@example.com>',
  to: 'ben@example.com',
  subject: 'Your order is on its way',
  text: 'It should arrive on Thursday.',
  postern: { label: 31337 },
});
console.log(`Sent as ${messageId}`);
