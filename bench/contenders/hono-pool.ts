/** What a careful engineer writes in an hour: Hono and nodemailer's own pool, and nothing else. */

import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
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
const app = new Hono().post('/v1/messages', async (c) => {
  const message = await c.req.json<ShapeMessage>();
  const info = await transport.sendMail(forNodemailer(message));
  return c.json({ messageId: info.messageId, response: info.response });
});
serve({ fetch: app.fetch, port: 0 }, (info: AddressInfo) => report(info.port));
