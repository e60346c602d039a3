/** What is copied from a tutorial: Express, and a transport for each request. */

import type { AddressInfo } from 'node:net';
import express from 'express';
import { createTransport } from 'nodemailer';
import { forNodemailer } from './message.ts';
import { report, upstream } from './upstream.ts';

const app = express();
app.use(express.json({ limit: '16mb' }));
app.post('/v1/messages', async (request, response) => {
  const transport = createTransport({
    host: upstream.host,
    port: upstream.port,
    requireTLS: true,
    auth: { user: upstream.user, pass: upstream.pass },
  });
  const info = await transport.sendMail(forNodemailer(request.body));
  response.json({ messageId: info.messageId, response: info.response });
});
const server = app.listen(0, () => report((server.address() as AddressInfo).port));
