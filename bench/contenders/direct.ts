/** The floor: nodemailer's pool in a loop, driven by a pipe of its own process and not by HTTP. */

import { createTransport } from 'nodemailer';
import { forNodemailer, MESSAGE } from './message.ts';
import { upstream } from './upstream.ts';

const transport = createTransport({
  pool: true,
  maxConnections: 5,
  maxMessages: Number.POSITIVE_INFINITY,
  host: upstream.host,
  port: upstream.port,
  requireTLS: true,
  auth: { user: upstream.user, pass: upstream.pass },
});

process.on('message', async (asked: { send?: number }) => {
  if (asked.send !== undefined) {
    let left = asked.send;
    const worker = async () => {
      while (left-- > 0) await transport.sendMail(forNodemailer(MESSAGE));
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    process.send?.({ sent: asked.send });
    return;
  }
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicroseconds: user + system, rssBytes: process.memoryUsage.rss() });
});
process.once('disconnect', () => process.exit());
process.send?.({ port: 0 });
