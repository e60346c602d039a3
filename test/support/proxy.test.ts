import { afterEach, beforeEach, expect, it } from 'vitest';
import { type SlowProxy, startProxy } from './proxy.ts';
import { base64, SmtpClient } from './smtp-client.ts';
import { startUpstream, type Upstream } from './upstream.ts';

let upstream: Upstream;
let proxy: SlowProxy;
beforeEach(async () => {
  upstream = await startUpstream();
  proxy = await startProxy({ host: upstream.host, port: upstream.port, delayMs: 2 });
});
afterEach(async () => {
  await proxy.close();
  await upstream.close();
});

it('counts what a client waited for', async () => {
  const client = new SmtpClient(proxy.port);
  await client.reply();
  // Connect and greeting.
  expect(proxy.roundTrips).toBe(2);
  await client.ask('ehlo ifaxin.com');
  await client.ask('STARTTLS');
  expect(proxy.roundTrips).toBe(4);
  await client.startTls(upstream.ca);
  // TLS 1.2 takes two.
  expect(proxy.roundTrips).toBe(6);
  await client.ask('ehlo ifaxin.com');
  await client.ask(`AUTH LOGIN ${base64('api_user')}`);
  await client.ask(base64('api_key'));
  expect(proxy.roundTrips).toBe(9);
  client.send('mail FROM:<a@ifaxin.com>\r\nrcpt TO:<b@ifaxin.com>\r\nrcpt TO:<c@ifaxin.com>\r\ndata\r\n');
  for (const code of ['250', '250', '250', '354'])
    expect(await client.reply()).toMatch(new RegExp(`^${code} `));
  expect(proxy.roundTrips).toBe(10);
  client.send('Subject: x\r\n');
  client.send('\r\nx\r\n.\r\n');
  await client.reply();
  expect(proxy.roundTrips).toBe(11);
  expect(upstream.taken[0]?.message?.toString()).toBe('Subject: x\r\n\r\nx\r\n');
  client.destroy();
  expect(proxy.connections).toBe(1);
});

it('keeps the order of a long message', async () => {
  const client = new SmtpClient(proxy.port);
  await client.open(upstream.ca, 'api_user');
  for (const line of ['mail FROM:<a@ifaxin.com>', 'rcpt TO:<b@ifaxin.com>', 'data']) await client.ask(line);
  const message = Array.from({ length: 50_000 }, (_, line) => `line ${line}\r\n`).join('');
  client.send(message);
  await client.ask('.');
  expect(upstream.taken[0]?.message?.toString()).toBe(message);
  client.destroy();
});

it.each(['close', 'reset'] as const)('passes a %s on', async (action) => {
  upstream.faults = [{ at: 'ehlo', do: action }];
  const client = new SmtpClient(proxy.port);
  await client.reply();
  client.send('ehlo ifaxin.com\r\n');
  expect(await client.end()).toBe(action === 'close' ? 'closed' : 'reset');
});
