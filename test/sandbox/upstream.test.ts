import { createTransport } from 'nodemailer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthority } from '../../src/sandbox/certificate.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts';
import { base64, SmtpClient } from '../support/smtp-client.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ slowMs: 1 });
});
afterAll(() => sandbox.close());
beforeEach(() => sandbox.inbox.clear());

function transport(user = 'sandbox', pass = 'sandbox', ca = sandbox.ca) {
  return createTransport({
    host: sandbox.host,
    port: sandbox.port,
    requireTLS: true,
    tls: { ca, servername: sandbox.servername },
    auth: { user, pass },
  });
}

const send = (to: string, options = transport()) =>
  options.sendMail({ from: 'support@ifaxin.com', to, subject: 'x', text: 'x' });

describe('the transcript', () => {
  it('is spoken as on the page', async () => {
    const client = new SmtpClient(sandbox.port);
    const hello = ['250-SendCloud Inbound Server Hello, Haraka is at your service.', '250-PIPELINING'];
    expect(await client.reply()).toBe('220 SendCloud Inbound Server ESMTP Haraka 2.2.4 ready');
    expect((await client.ask('ehlo ifaxin.com')).split('\r\n')).toEqual([
      ...hello,
      '250-8BITMIME',
      '250-SIZE 16000000',
      '250-STARTTLS',
      '250 AUTH LOGIN',
    ]);
    expect(await client.ask(`AUTH LOGIN ${base64('sandbox')}`)).toMatch(/^538 /);
    expect(await client.ask('STARTTLS')).toMatch(/^220 /);
    await client.startTls(sandbox.ca);
    expect((await client.ask('ehlo ifaxin.com')).split('\r\n')).toEqual([
      ...hello,
      '250-8BITMIME',
      '250-SIZE 16000000',
      '250 AUTH LOGIN',
    ]);
    expect(await client.ask(`AUTH LOGIN ${base64('sandbox#31337')}`)).toBe('334 UGFzc3dvcmQ6');
    expect(await client.ask(base64('sandbox'))).toBe('235 Authentication successful');
    expect(await client.ask('mail FROM:<support@ifaxin.com>')).toBe('250 sender <support@ifaxin.com> OK');
    expect(await client.ask('rcpt TO:<ben@ifaxin.com>')).toBe('250 recipient <ben@ifaxin.com> OK');
    expect(await client.ask('data')).toBe('354 go ahead, make my day');
    expect(await client.ask('Subject: x\r\n\r\n..dot\r\n.')).toBe(
      `250 #${sandbox.inbox.messages[0]?.queueId}#Queued`,
    );
    expect(sandbox.inbox.messages[0]?.queueId).toMatch(/^\d+_\d+_\d+_\d+\.sc-127_0_0_1-inbound$/);
    expect(await client.ask('quit')).toBe(
      '221 SendCloud Inbound Server closing connection. Have a jolly good day',
    );
    client.destroy();
    expect(sandbox.inbox.messages[0]).toMatchObject({
      login: { user: 'sandbox#31337', apiUser: 'sandbox', label: 31337, tls: 'TLSv1.2' },
      envelope: { from: 'support@ifaxin.com', to: ['ben@ifaxin.com'] },
      raw: Buffer.from('Subject: x\r\n\r\n.dot\r\n'),
    });
  });

  it('has AUTH LOGIN without an initial response, and SIZE', async () => {
    const client = new SmtpClient(sandbox.port);
    await client.open(sandbox.ca);
    expect(await client.ask('AUTH LOGIN')).toBe('334 VXNlcm5hbWU6');
    expect(await client.ask(base64('sandbox'))).toBe('334 UGFzc3dvcmQ6');
    expect(await client.ask(base64('wrong'))).toBe('535 Authentication failed');
    expect(await client.ask('mail FROM:<a@ifaxin.com>')).toMatch(/^530 /);
    await client.ask(`AUTH LOGIN ${base64('sandbox')}`);
    expect(await client.ask(base64('sandbox'))).toMatch(/^235 /);
    expect(await client.ask('mail FROM:<a@ifaxin.com> SIZE=16000001')).toBe('550 Message too big!');
    client.destroy();
  });

  it('takes several messages on one connection', async () => {
    const connection = new SMTPConnection({
      host: sandbox.host,
      port: sandbox.port,
      requireTLS: true,
      tls: { ca: sandbox.ca, servername: sandbox.servername },
    });
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject);
      connection.connect(() => resolve());
    });
    await new Promise<void>((resolve, reject) =>
      connection.login({ user: 'sandbox', pass: 'sandbox' }, (error) => (error ? reject(error) : resolve())),
    );
    const responses: string[] = [];
    for (const to of ['ben@ifaxin.com', 'joe@ifaxin.com']) {
      const info = await new Promise<{ response: string }>((resolve, reject) =>
        connection.send({ from: 'support@ifaxin.com', to: [to] }, 'Subject: x\r\n\r\nx\r\n', (error, sent) =>
          error || !sent ? reject(error) : resolve(sent as { response: string }),
        ),
      );
      responses.push(info.response);
    }
    connection.quit();
    expect(new Set(responses).size).toBe(2);
    expect(sandbox.inbox.messages.map((message) => message.envelope.to)).toEqual([
      ['ben@ifaxin.com'],
      ['joe@ifaxin.com'],
    ]);
  });
});

it('takes every mailbox that SMTP has, as it was written', async () => {
  const recipients = ['"ken..sato."@docomo.ne.jp', '"a b@c"@ifaxin.com', 'ben@xn--bcher-kva.example'];
  const client = new SmtpClient(sandbox.port);
  await client.open(sandbox.ca, 'sandbox', 'sandbox');
  expect(await client.ask('MAIL FROM:<"."@ifaxin.com> SIZE=100 BODY=8BITMIME')).toMatch(/^250 /);
  for (const address of recipients) expect(await client.ask(`RCPT TO:<${address}>`)).toMatch(/^250 /);
  expect(await client.ask('RCPT TO:<a b@ifaxin.com>')).toMatch(/^501 /);
  await client.ask('DATA');
  expect(await client.ask('Subject: x\r\n\r\nx\r\n.')).toMatch(/^250 /);
  expect(sandbox.inbox.messages[0]?.envelope).toEqual({ from: '"."@ifaxin.com', to: recipients });
  client.destroy();
});

describe('logins and certificates', () => {
  it.each(['somebody', 'somebody#1', 'sandbox#', 'sandbox#x'])('refuses %s', async (user) => {
    await expect(send('ben@ifaxin.com', transport(user))).rejects.toMatchObject({ responseCode: 535 });
  });

  it('is trusted through its own authority only', async () => {
    const stranger = await createAuthority();
    await expect(
      send('ben@ifaxin.com', transport('sandbox', 'sandbox', stranger.cert)),
    ).rejects.toMatchObject({
      code: 'ESOCKET',
    });
    expect(sandbox.inbox.messages).toHaveLength(0);
  });
});

describe('answers by the local part', () => {
  it.each([
    ['refused', 550],
    ['busy', 450],
    ['frequency-limited', 536],
  ])('%s is answered %i', async (name, responseCode) => {
    await expect(send(`${name}@ifaxin.com`)).rejects.toMatchObject({ responseCode, command: 'RCPT TO' });
    expect(sandbox.inbox.messages).toHaveLength(0);
  });

  it('refuses only that recipient', async () => {
    const info = await send('ben@ifaxin.com, refused@ifaxin.com');
    expect(info).toMatchObject({ accepted: ['ben@ifaxin.com'], rejected: ['refused@ifaxin.com'] });
    expect(sandbox.inbox.messages[0]?.envelope.to).toEqual(['ben@ifaxin.com']);
  });

  it('slow is taken, and answered in the end', async () => {
    expect((await send('slow@ifaxin.com')).response).toMatch(/#Queued$/);
  });

  it('dropped is taken, and the connection lost', async () => {
    await expect(send('dropped@ifaxin.com')).rejects.not.toHaveProperty('responseCode');
    expect(sandbox.inbox.messages).toHaveLength(1);
  });

  it('shows an international domain as it was sent', async () => {
    await send('ben@bücher.example');
    expect(sandbox.inbox.messages[0]?.envelope.to).toEqual(['ben@xn--bcher-kva.example']);
  });
});
