/** What most people have: Express, nodemailer's own pool, and a loop for a batch. */

import type { AddressInfo } from 'node:net';
import express from 'express';
import { createTransport } from 'nodemailer';
import { forNodemailer, type ShapeMessage } from './message.ts';
import { report, upstream } from './upstream.ts';

const transport = createTransport({
  pool: true,
  maxConnections: 5,
  maxMessages: Number.POSITIVE_INFINITY,
  host: upstream.host,
  port: upstream.port,
  requireTLS: true,
  auth: { user: upstream.user, pass: upstream.pass },
});

async function send(message: ShapeMessage) {
  const info = await transport.sendMail(forNodemailer(message));
  return { messageId: info.messageId, response: info.response };
}

const app = express();
app.use(express.json({ limit: '16mb' }));
app.post('/v1/messages', async (request, response) => {
  response.json(await send(request.body));
});
app.post('/v1/messages/batch', async (request, response) => {
  response.json(await Promise.all((request.body as ShapeMessage[]).map(send)));
});
const server = app.listen(0, () => report((server.address() as AddressInfo).port));
