import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Haraka, startHaraka } from './haraka.ts';
import { base64, SmtpClient } from './smtp-client.ts';

let haraka: Haraka;
beforeAll(async () => {
  haraka = await startHaraka({ accounts: { api_user: 'api_key' } });
});
afterAll(() => haraka.close());

it('speaks the transcript, and keeps the message as it was sent', async () => {
  const client = new SmtpClient(haraka.port);
  expect(await client.reply()).toBe('220 SendCloud Inbound Server ESMTP Haraka 2.2.4 ready');
  expect((await client.ask('ehlo ifaxin.com')).split('\r\n')).toEqual([
    '250-SendCloud Inbound Server Hello, Haraka is at your service.',
    '250-PIPELINING',
    '250-8BITMIME',
    '250-SIZE 16000000',
    '250-STARTTLS',
    '250 AUTH LOGIN',
  ]);
  expect(await client.ask(`AUTH LOGIN ${base64('api_user')}`)).toMatch(/^500 /);
  expect(await client.ask('STARTTLS')).toMatch(/^220 /);
  await client.startTls(haraka.ca);
  expect(await client.ask('ehlo ifaxin.com')).toMatch(/250-SIZE 16000000\r\n250 AUTH LOGIN$/);
  expect(await client.ask(`AUTH LOGIN ${base64('api_user#31337')}`)).toBe('334 UGFzc3dvcmQ6');
  expect(await client.ask(base64('api_key'))).toBe('235 Authentication successful');
  expect(await client.ask('mail FROM:<support@ifaxin.com>')).toBe('250 sender <support@ifaxin.com> OK');
  expect(await client.ask('rcpt TO:<ben@ifaxin.com>')).toBe('250 recipient <ben@ifaxin.com> OK');
  expect(await client.ask('data')).toBe('354 go ahead, make my day');
  const queued = await client.ask('Subject: x\r\n\r\n..dot\r\n.');
  expect(queued).toBe(`250 #${haraka.messages[0]?.queueId}#Queued`);
  expect(await client.ask('quit')).toBe(
    '221 SendCloud Inbound Server closing connection. Have a jolly good day',
  );
  client.destroy();
  expect(haraka.messages).toEqual([
    {
      queueId: expect.stringMatching(/^\d+_\d+_\d+_\d+\.sc-127_0_0_1-inbound$/),
      user: 'api_user#31337',
      from: 'support@ifaxin.com',
      to: ['ben@ifaxin.com'],
      raw: Buffer.from('Subject: x\r\n\r\n.dot\r\n'),
    },
  ]);
});

it('refuses wrong credentials and what is too big', async () => {
  const client = new SmtpClient(haraka.port);
  await client.open(haraka.ca);
  await client.ask(`AUTH LOGIN ${base64('api_user')}`);
  expect(await client.ask(base64('wrong'))).toBe('535 Authentication failed');
  await client.ask(`AUTH LOGIN ${base64('api_user')}`);
  expect(await client.ask(base64('api_key'))).toMatch(/^235 /);
  expect(await client.ask('mail FROM:<a@ifaxin.com> SIZE=16000001')).toBe('550 Message too big!');
  client.destroy();
});
