/** How the door opens, and how it closes without losing a message. */

import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config.ts';
import { start } from '../../src/runtime/node.ts';
import { authority, startPostern, TOKEN } from '../support/postern.ts';
import { Client, caFile, certificateFiles, MESSAGE, startDoor } from './door.ts';

const ACCOUNT = {
  SENDCLOUD_API_USER: 'ifaxin',
  SENDCLOUD_API_KEY: 'the-key',
  GATEWAY_TOKENS: TOKEN,
  PORT: '0',
  OUTBOX: ':memory:',
};

/** What `start` says is wrong with these settings; it must not come to opening anything. */
async function problemsOf(settings: Record<string, string>): Promise<readonly string[]> {
  try {
    await start({ ...ACCOUNT, ...settings }, () => {});
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('It started');
}

describe('opening', () => {
  it('is closed as long as nobody asks for it', async () => {
    await using postern = await startPostern();
    expect(postern.smtpPort).toBeNull();
  });

  it('wants a certificate outside the sandbox', async () => {
    expect(await problemsOf({ SMTP_DOOR_PORT: '0' })).toEqual([
      expect.stringContaining('SMTP_DOOR_CERT: missing'),
      expect.stringContaining('SMTP_DOOR_KEY: missing'),
    ]);
    expect(await problemsOf(certificateFiles)).toEqual([expect.stringContaining('SMTP_DOOR_PORT: missing')]);
  });

  it('is told of a certificate beside whatever else is wrong', async () => {
    expect(await problemsOf({ PORT: 'abc', SMTPS_DOOR_PORT: '0' })).toEqual([
      expect.stringContaining('PORT: expected'),
      expect.stringContaining('SMTP_DOOR_CERT: missing'),
      expect.stringContaining('SMTP_DOOR_KEY: missing'),
    ]);
    const away = join(caFile, '..', 'nowhere.pem');
    const settings = { ...certificateFiles, PORT: 'abc', SMTP_DOOR_PORT: '0', SMTP_DOOR_KEY: away };
    expect(await problemsOf(settings)).toEqual([
      expect.stringContaining('PORT: expected'),
      'SMTP_DOOR_KEY: the file cannot be read (ENOENT)',
    ]);
    expect(await problemsOf({ SMTP_DOOR_PORT: '0', SMTP_DOOR_CERT: caFile })).toEqual([
      expect.stringContaining('SMTP_DOOR_KEY: missing'),
    ]);
  });

  it('names the file that cannot be read', async () => {
    const away = join(caFile, '..', 'nowhere.pem');
    expect(await problemsOf({ SMTP_DOOR_PORT: '0', ...certificateFiles, SMTP_DOOR_KEY: away })).toEqual([
      'SMTP_DOOR_KEY: the file cannot be read (ENOENT)',
    ]);
  });

  it('wants the key to be that of the certificate', async () => {
    const mixed = { SMTP_DOOR_CERT: caFile, SMTP_DOOR_KEY: certificateFiles.SMTP_DOOR_KEY };
    expect(await problemsOf({ SMTP_DOOR_PORT: '0', ...mixed })).toEqual([
      expect.stringContaining('SMTP_DOOR_CERT, SMTP_DOOR_KEY'),
    ]);
  });

  it('says that the port is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, () => resolve()));
    const { port } = other.address() as { port: number };
    expect(await problemsOf({ SMTP_DOOR_PORT: String(port), ...certificateFiles })).toEqual([
      `SMTP_DOOR_PORT: port ${port} is taken; set another one, or 0 for a free one`,
    ]);
    other.close();
  });

  it("opens in the sandbox, with the sandbox's certificate", async () => {
    const postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0' }, () => {});
    try {
      const client = new Client(postern.smtpPort ?? 0);
      await client.reply();
      await client.ask('EHLO client.example');
      await client.ask('STARTTLS');
      await client.startTls(postern.sandbox?.ca);
      await client.ask('EHLO client.example');
      expect(await client.auth('sandbox#31337', 'sandbox-token-for-development')).toMatch(/^235 /);
      await client.ask('MAIL FROM:<support@ifaxin.com>');
      await client.ask('RCPT TO:<ben@ifaxin.com>');
      await client.ask('DATA');
      expect(await client.ask(`${MESSAGE}.`)).toMatch(/^250 #\S+#Queued$/);
      client.destroy();
    } finally {
      await postern.close();
    }
  });
});

describe('closing', () => {
  it('lets a message on its way end, tells everybody else to come back, and takes nothing new', async () => {
    await using door = await startDoor();
    const sending = new Client(door.smtpPort);
    await sending.toData();
    await sending.write(MESSAGE);
    const idle = new Client(door.smtpPort);
    await idle.secure();
    await idle.auth();
    const between = new Client(door.smtpPort);
    await between.secure();
    await between.auth();
    await between.ask('MAIL FROM:<support@ifaxin.com>');

    const closed = door.close();
    for (const client of [idle, between]) {
      expect(await client.reply()).toBe('421 4.3.2 Shutting down, try again');
      expect(await client.end()).toBe('closed');
    }
    expect(await new Client(door.smtpPort).end()).toBe('closed');
    expect(await sending.ask('.')).toMatch(/^250 #\S+#Queued$/);
    expect(await sending.reply()).toBe('421 4.3.2 Shutting down, try again');
    await closed;
    expect(door.upstream.taken).toHaveLength(1);
  });

  it('waits no longer than the deadline for a client that stalls', async () => {
    await using door = await startDoor({ DEADLINE_MS: '500' });
    const client = new Client(door.smtpPort);
    await client.toData();
    await client.write(MESSAGE);
    await door.close();
    expect(await client.reply()).toMatch(/^421 /);
    expect(await client.end()).toBe('closed');
    expect(door.upstream.taken).toHaveLength(0);
  });
});

it('keeps every secret out of its log', async () => {
  await using door = await startDoor(
    { BASIC_AUTH: 'on', LOG_LEVEL: 'debug' },
    { accounts: { own: 'own-key' } },
  );
  for (const password of ['own-key', 'a-wrong-key', TOKEN]) {
    const client = new Client(door.smtpPort);
    await client.deliver({ user: 'own', password, body: 'Subject: private-subject\r\n\r\nprivate-body\r\n' });
    client.reset();
  }
  const log = door.logLines.join('\n');
  expect(log).toContain('"door":"smtp"');
  expect(log).not.toMatch(
    new RegExp(`own-key|a-wrong-key|${TOKEN}|private-|${authority.cert.slice(30, 60)}`),
  );
});

describe('after a reload', () => {
  const YESTERDAY = 'the-token-of-yesterday';

  it('an open session with a token of yesterday sends no more, one with a token of today goes on', async () => {
    await using postern = await startDoor({ GATEWAY_TOKENS: `${TOKEN},${YESTERDAY}` });
    const [revoked, kept] = [new Client(postern.smtpPort), new Client(postern.smtpPort)];
    expect(await revoked.deliver({ password: YESTERDAY })).toMatch(/^250 /);
    expect(await kept.deliver()).toMatch(/^250 /);
    const settings = {
      ...ACCOUNT,
      ...certificateFiles,
      SMTP_HOST: 'localhost',
      SMTP_PORTS: String(postern.upstream.port),
      SMTP_DOOR_PORT: '0',
    };
    await postern.reload(() => settings);
    for (let n = 0; n < 2; n++) {
      expect(await revoked.transact()).toMatch(/^535 /);
      expect(await kept.transact()).toMatch(/^250 /);
    }
    expect(postern.upstream.taken).toHaveLength(4);
    expect(postern.logged('login refused')).toMatchObject([{ code: 'unauthorized' }, {}]);
  });
});
