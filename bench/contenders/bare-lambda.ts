/** The least that a function can be which sends mail: Hono, nodemailer and nothing else. */

import { Hono } from 'hono';
import { handle } from 'hono/aws-lambda';
import { createTransport } from 'nodemailer';
import { forNodemailer, type ShapeMessage } from './message.ts';
import { upstream } from './upstream.ts';

const transport = createTransport({
  host: upstream.host,
  port: upstream.port,
  requireTLS: true,
  auth: { user: upstream.user, pass: upstream.pass },
});
const app = new Hono().post('/v1/messages', async (c) => {
  const info = await transport.sendMail(forNodemailer(await c.req.json<ShapeMessage>()));
  return c.json({ messageId: info.messageId, response: info.response });
});

export const handler = handle(app);
