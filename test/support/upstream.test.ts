import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { createAuthority } from '../../src/sandbox/certificate.ts';
import { base64, SmtpClient } from './smtp-client.ts';
import { type Fault, type Step, startUpstream, type Upstream, type UpstreamOptions } from './upstream.ts';

let upstream: Upstream;
const clients: SmtpClient[] = [];

async function start(options?: UpstreamOptions): Promise<SmtpClient> {
  upstream = await startUpstream(options);
  return again();
}

function again(): SmtpClient {
  const client = new SmtpClient(upstream.port);
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await upstream.close();
});

const ENVELOPE = 'mail FROM:<support@ifaxin.com>\r\nrcpt TO:<ben@ifaxin.com>\r\ndata\r\n';

describe('without faults', () => {
  it('speaks the transcript', async () => {
    const client = await start();
    expect(await client.reply()).toBe('220 SendCloud Inbound Server ESMTP Haraka 2.2.4 ready');
    expect((await client.ask('ehlo ifaxin.com')).split('\r\n')).toEqual([
      '250-SendCloud Inbound Server Hello, Haraka is at your service.',
      '250-PIPELINING',
      '250-8BITMIME',
      '250-SIZE 16000000',
      '250-STARTTLS',
      '250 AUTH LOGIN',
    ]);
    expect(await client.ask('STARTTLS')).toMatch(/^220 /);
    await client.startTls(upstream.ca);
    expect((await client.ask('ehlo ifaxin.com')).split('\r\n')).toEqual([
      '250-SendCloud Inbound Server Hello, Haraka is at your service.',
      '250-PIPELINING',
      '250-8BITMIME',
      '250-SIZE 16000000',
      '250 AUTH LOGIN',
    ]);
    expect(await client.ask(`AUTH LOGIN ${base64('api_user#31337')}`)).toBe('334 UGFzc3dvcmQ6');
    expect(await client.ask(base64('api_key'))).toBe('235 Authentication successful');
    expect(await client.ask('mail FROM:<support@ifaxin.com>')).toBe('250 sender <support@ifaxin.com> OK');
    expect(await client.ask('rcpt TO:<ben@ifaxin.com>')).toBe('250 recipient <ben@ifaxin.com> OK');
    expect(await client.ask('data')).toBe('354 go ahead, make my day');
    expect(await client.ask('Subject: x\r\n\r\n..dot\r\n.')).toBe(
      '250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued',
    );
    expect(await client.ask('quit')).toBe(
      '221 SendCloud Inbound Server closing connection. Have a jolly good day',
    );
    expect(await client.end()).toBe('closed');

    expect(upstream.logins).toEqual([
      {
        session: 0,
        user: 'api_user#31337',
        apiUser: 'api_user',
        label: 31337,
        key: 'api_key',
        secured: true,
        accepted: true,
      },
    ]);
    expect(upstream.transactions).toEqual([
      {
        session: 0,
        from: 'support@ifaxin.com',
        parameters: '',
        recipients: ['ben@ifaxin.com'],
        received: 24,
        message: Buffer.from('Subject: x\r\n\r\n.dot\r\n'),
        taken: true,
      },
    ]);
    const [session] = upstream.sessions;
    expect(session?.tls).toBe('TLSv1.2');
    expect(session?.dialogue.find((line) => line.text === 'C: STARTTLS')?.secured).toBe(false);
    expect(session?.dialogue.find((line) => line.text.startsWith('C: AUTH'))?.secured).toBe(true);
  });

  it('answers a pipelined envelope and takes several messages, each with its own id', async () => {
    const client = await start();
    await client.open(upstream.ca, 'api_user', 'api_key');
    const ids: string[] = [];
    for (const text of ['one', 'two']) {
      client.send(ENVELOPE);
      for (const code of ['250', '250', '354']) expect(await client.reply()).toMatch(new RegExp(`^${code} `));
      ids.push(await client.ask(`${text}\r\n.`));
    }
    expect(new Set(ids).size).toBe(2);
    expect(upstream.taken.map((transaction) => transaction.message?.toString())).toEqual([
      'one\r\n',
      'two\r\n',
    ]);
  });

  it('keeps every byte, wherever the stream is cut', async () => {
    const client = await start();
    await client.open(upstream.ca, 'api_user');
    const lines = [
      randomBytes(20_000).toString('base64'),
      '.',
      '..',
      '',
      '.a',
      randomBytes(20_000).toString('hex'),
    ];
    const message = `.first\r\n${lines.join('\r\n')}\r\n`;
    client.send(ENVELOPE);
    for (let replies = 0; replies < 3; replies += 1) await client.reply();
    const stuffed = `${message.replace(/^\./gm, '..')}.\r\n`;
    // One byte at a time where the dots are.
    client.send(stuffed.slice(0, -41_000));
    for (const byte of stuffed.slice(-41_000, -40_000)) client.send(byte);
    client.send(stuffed.slice(-40_000, -4));
    for (const byte of stuffed.slice(-4)) client.send(byte);
    expect(await client.reply()).toMatch(/^250 #/);
    expect(upstream.taken[0]?.message?.toString()).toBe(message);
  });

  it('asks for the user name where AUTH LOGIN brings none, and knows RSET and NOOP', async () => {
    const client = await start();
    await client.open(upstream.ca);
    expect(await client.ask('AUTH LOGIN')).toBe('334 VXNlcm5hbWU6');
    expect(await client.ask(base64('api_user'))).toBe('334 UGFzc3dvcmQ6');
    expect(await client.ask(base64('api_key'))).toMatch(/^235 /);
    expect(await client.ask('NOOP')).toBe('250 OK');
    await client.ask('mail FROM:<a@ifaxin.com>');
    expect(await client.ask('RSET')).toBe('250 OK');
    expect(await client.ask('rcpt TO:<b@ifaxin.com>')).toMatch(/^503 /);
  });

  it('refuses wrong credentials, envelopes without a login, and what is too big', async () => {
    const client = await start({ accounts: { api_user: 'api_key' } });
    await client.open(upstream.ca);
    expect(await client.ask('mail FROM:<a@ifaxin.com>')).toMatch(/^550 /);
    await client.ask(`AUTH LOGIN ${base64('api_user#7')}`);
    expect(await client.ask(base64('wrong'))).toBe('535 Authentication failed');
    await client.ask(`AUTH LOGIN ${base64('api_user#7')}`);
    expect(await client.ask(base64('api_key'))).toMatch(/^235 /);
    expect(await client.ask('mail FROM:<a@ifaxin.com> SIZE=16000001')).toBe('550 Message too big!');
    expect(upstream.logins.map((login) => login.accepted)).toEqual([false, true]);
  });
});

describe('variants', () => {
  it('offers no STARTTLS, or refuses it', async () => {
    const client = await start({ starttls: 'missing' });
    await client.reply();
    expect(await client.ask('ehlo ifaxin.com')).not.toContain('STARTTLS');
    expect(await client.ask('STARTTLS')).toMatch(/^500 /);
    await upstream.close();

    const other = await start({ starttls: 'refused' });
    await other.reply();
    expect(await other.ask('ehlo ifaxin.com')).toContain('STARTTLS');
    expect(await other.ask('STARTTLS')).toMatch(/^454 /);
  });

  it('is deaf to the initial response', async () => {
    const client = await start({ auth: 'asks-user' });
    await client.open(upstream.ca);
    expect(await client.ask(`AUTH LOGIN ${base64('api_user')}`)).toBe('334 VXNlcm5hbWU6');
    expect(await client.ask(base64('api_user'))).toBe('334 UGFzc3dvcmQ6');
    expect(await client.ask(base64('api_key'))).toMatch(/^235 /);
  });

  it('shows the certificate it is given', async () => {
    const stranger = await createAuthority();
    const client = await start({ certificate: await stranger.issue() });
    await client.open(stranger.cert);
    const distrustful = again();
    await expect(distrustful.open(upstream.ca)).rejects.toThrow(/certificate/);
  });
});

/** Goes as far as the step before, and makes the step happen. */
async function reach(step: Step, client: SmtpClient): Promise<void> {
  const { ca } = upstream;
  if (step === 'connect' || step === 'greeting') return;
  if (step === 'ehlo' || step === 'starttls' || step === 'tls') {
    await client.reply();
    if (step !== 'ehlo') await client.ask('ehlo ifaxin.com');
    if (step === 'tls') {
      await client.ask('STARTTLS');
      // Rejects once the server has done what it should; `end` tells what that was.
      client.startTls(ca).catch(() => {});
      return;
    }
    return client.send(step === 'ehlo' ? 'ehlo ifaxin.com\r\n' : 'STARTTLS\r\n');
  }
  if (step === 'ehlo2') {
    await client.reply();
    await client.ask('ehlo ifaxin.com');
    await client.ask('STARTTLS');
    await client.startTls(ca);
    return client.send('ehlo ifaxin.com\r\n');
  }
  if (step === 'auth' || step === 'auth-key') {
    await client.open(ca);
    if (step === 'auth') return client.send(`AUTH LOGIN ${base64('api_user')}\r\n`);
    await client.ask(`AUTH LOGIN ${base64('api_user')}`);
    return client.send(`${base64('api_key')}\r\n`);
  }
  await client.open(ca, 'api_user', 'api_key');
  if (step === 'rset' || step === 'quit') return client.send(`${step}\r\n`);
  const lines = ENVELOPE.split('\r\n').slice(0, 3);
  const before = { mail: 0, rcpt: 1, data: 2, body: 3, dot: 3, idle: 3 }[step];
  for (const line of lines.slice(0, before)) await client.ask(line);
  if (before < 3) return client.send(`${lines[before]}\r\n`);
  if (step === 'body') return client.send('Subject: x\r\n');
  client.send('Subject: x\r\n\r\nx\r\n.\r\n');
  if (step === 'idle') await client.reply();
}

const STEPS: Step[] = [
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'tls',
  'ehlo2',
  'auth',
  'auth-key',
  'mail',
  'rcpt',
  'data',
  'body',
  'dot',
  'idle',
  'rset',
  'quit',
];

describe.each(STEPS)('a fault at %s', (at) => {
  it('closes', async () => {
    const client = await start({ faults: [{ at, do: 'close' }] });
    await reach(at, client);
    expect(await client.end()).toBe('closed');
    expect(upstream.taken).toHaveLength(at === 'idle' ? 1 : 0);
  });

  // A reset destroys what was not read yet, so at `idle` only a pause lets the reply arrive before.
  it.skipIf(at === 'idle')('resets', async () => {
    const client = await start({ faults: [{ at, do: 'reset' }] });
    await reach(at, client);
    expect(await client.end()).toBe('reset');
    expect(upstream.taken).toHaveLength(0);
  });

  it.skipIf(at === 'tls')('replies 421 and closes', async () => {
    const client = await start({ faults: [{ at, do: { reply: '421 timeout' } }] });
    await reach(at, client);
    expect(await client.reply()).toBe('421 timeout');
    expect(await client.end()).toBe('closed');
  });

  it('falls silent, and can still be stopped', async () => {
    const client = await start({ faults: [{ at, do: 'silent' }] });
    await reach(at, client);
    client.send('NOOP\r\n');
    // Long enough for a reply that must not come.
    await delay(50);
    await upstream.close();
    await client.end();
    await expect(client.reply()).rejects.toThrow('unread: ""');
  });
});

describe('faults', () => {
  it('refuse one recipient of several', async () => {
    const fault: Fault = { at: 'rcpt', address: 'bad@ifaxin.com', do: { reply: '550 5.1.1 no' } };
    const client = await start({ faults: [fault] });
    await client.open(upstream.ca, 'api_user');
    await client.ask('mail FROM:<a@ifaxin.com>');
    expect(await client.ask('rcpt TO:<bad@ifaxin.com>')).toBe('550 5.1.1 no');
    expect(await client.ask('rcpt TO:<good@ifaxin.com>')).toMatch(/^250 /);
    await client.ask('data');
    await client.ask('x\r\n.');
    expect(upstream.taken[0]?.recipients).toEqual(['good@ifaxin.com']);
  });

  it('happen as often as they say, and can be changed meanwhile', async () => {
    const client = await start({ faults: [{ at: 'mail', do: { reply: '451 later' }, times: 1 }] });
    await client.open(upstream.ca, 'api_user');
    client.send(ENVELOPE);
    expect(await client.reply()).toBe('451 later');
    expect(await client.reply()).toBe('503 Use MAIL before RCPT');
    expect(await client.reply()).toBe('503 MAIL required first');
    expect(await client.ask('mail FROM:<a@ifaxin.com>')).toMatch(/^250 /);
    await client.ask('RSET');
    upstream.faults = [{ at: 'mail', do: { reply: '536 frequency limited' } }];
    expect(await client.ask('mail FROM:<a@ifaxin.com>')).toBe('536 frequency limited');
    expect(upstream.transactions).toHaveLength(3);
  });

  it('refuse a message after its dot, or take it without a word', async () => {
    const client = await start({ faults: [{ at: 'dot', do: { reply: '554 no' } }] });
    await reach('dot', client);
    expect(await client.reply()).toBe('554 no');
    expect(upstream.taken).toHaveLength(0);

    upstream.faults = [{ at: 'dot', do: 'close', taken: true }];
    const other = again();
    await reach('dot', other);
    expect(await other.end()).toBe('closed');
    expect(upstream.taken).toHaveLength(1);
  });

  it.each(['close', 'half-close', 'reset'] as const)('speak, and then %s', async (after) => {
    const client = await start({ faults: [{ at: 'mail', do: { reply: '550 no', after } }] });
    await client.open(upstream.ca, 'api_user');
    expect(await client.ask('mail FROM:<a@ifaxin.com>')).toBe('550 no');
    expect(await client.end()).toBe(after === 'reset' ? 'reset' : 'closed');
  });

  it('speak a byte at a time, without an end, or without end', async () => {
    const client = await start({ faults: [{ at: 'mail', do: { reply: '550-no\r\n550 no', drip: true } }] });
    await client.open(upstream.ca, 'api_user');
    expect(await client.ask('mail FROM:<a@ifaxin.com>')).toBe('550-no\r\n550 no');
    upstream.faults = [{ at: 'mail', do: { reply: '250', cut: true, after: 'close' } }];
    client.send('mail FROM:<a@ifaxin.com>\r\n');
    expect(await client.end()).toBe('closed');
    await expect(client.reply()).rejects.toThrow('unread: "250"');

    upstream.faults = [{ at: 'greeting', do: { reply: '220 hello', endless: true } }];
    const other = again();
    for (let greetings = 0; greetings < 1000; greetings++) expect(await other.reply()).toBe('220 hello');
    other.destroy();
  });

  it('delay the usual reply', async () => {
    const client = await start({ faults: [{ at: 'dot', delayMs: 1 }] });
    await reach('dot', client);
    expect(await client.reply()).toMatch(/^250 #/);
  });

  it('strike an idle connection unless it is used', async () => {
    const client = await start({ faults: [{ at: 'idle', do: 'reset', delayMs: 60_000 }] });
    await reach('idle', client);
    expect(await client.ask('NOOP')).toBe('250 OK');
    upstream.faults = [{ at: 'idle', do: 'reset', delayMs: 1 }];
    const other = again();
    await reach('idle', other);
    expect(await other.end()).toBe('reset');
  });
});
