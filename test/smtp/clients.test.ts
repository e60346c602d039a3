/** The programs that apps send with, in more ways than docs/smtp-clients.md shows: examples.test.ts has those. */

import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import PostalMime from 'postal-mime';
import { describe, expect, it } from 'vitest';
import { start } from '../../src/runtime/node.ts';
import { PICTURE, TOKEN } from '../support/postern.ts';
import { base64 } from '../support/smtp-client.ts';
import type { Transaction } from '../support/upstream.ts';
import { caFile, type RunningDoor, startDoor } from './door.ts';

const run = promisify(execFile);

/** Says plainly what is left out, and how to get it. */
function missing(program: string, how: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    console.warn(`${program} is not installed, its tests are left out. ${how}`);
    return true;
  }
}
const noPython = missing('python3', 'Install Python 3.');
const noSwaks = missing('swaks', "Install Debian's package swaks.");

const transport = (door: RunningDoor, user: string) =>
  createTransport({ host: 'localhost', port: door.smtpPort, requireTLS: true, auth: { user, pass: TOKEN } });

const QUEUED = '250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued';

function only(door: RunningDoor): Transaction {
  expect(door.upstream.taken).toHaveLength(1);
  return door.upstream.taken[0] as Transaction;
}

describe('nodemailer', () => {
  it('sends a text', async () => {
    await using door = await startDoor();
    const info = await transport(door, 'ifaxin').sendMail({
      from: 'support@ifaxin.com',
      to: ['ben@ifaxin.com', 'ann@ifaxin.com'],
      bcc: 'eve@ifaxin.com',
      subject: 'Hello',
      text: 'Hello\n.\n..dots\n',
    });
    expect(info.response).toBe(QUEUED);
    expect(only(door)).toMatchObject({
      from: 'support@ifaxin.com',
      recipients: ['ben@ifaxin.com', 'ann@ifaxin.com', 'eve@ifaxin.com'],
    });
    const mail = await PostalMime.parse(only(door).message ?? '');
    expect(mail).toMatchObject({ subject: 'Hello', text: 'Hello\n.\n..dots\n', messageId: info.messageId });
    expect(door.upstream.logins).toMatchObject([{ user: 'ifaxin' }]);
  });

  it('sends a label and an inline picture', async () => {
    await using door = await startDoor();
    await transport(door, 'ifaxin#31337').sendMail({
      from: 'Support <support@ifaxin.com>',
      to: 'ben@ifaxin.com',
      subject: 'A picture',
      html: '<p>See <img src="cid:image1"></p>',
      attachments: [{ cid: 'image1', filename: 'test.png', content: Buffer.from(PICTURE, 'base64') }],
    });
    const mail = await PostalMime.parse(only(door).message ?? '');
    expect(mail.attachments).toMatchObject([{ contentId: '<image1>', mimeType: 'image/png' }]);
    expect(Buffer.from(mail.attachments[0]?.content as ArrayBuffer).toString('base64')).toBe(PICTURE);
    expect(door.upstream.logins).toMatchObject([{ user: 'ifaxin#31337', label: 31337 }]);
  });

  it('sends a hundred over its pool', async () => {
    await using door = await startDoor();
    const pool = createTransport({
      pool: true,
      host: 'localhost',
      port: door.smtpPort,
      requireTLS: true,
      auth: { user: 'ifaxin', pass: TOKEN },
    });
    await Promise.all(
      Array.from({ length: 100 }, (_, at) =>
        pool.sendMail({
          from: 'support@ifaxin.com',
          to: `r${at}@ifaxin.com`,
          subject: `${at}`,
          text: `${at}`,
        }),
      ),
    );
    pool.close();
    expect(door.upstream.taken.flatMap(({ recipients }) => recipients).sort()).toEqual(
      Array.from({ length: 100 }, (_, at) => `r${at}@ifaxin.com`).sort(),
    );
    expect(await door.drawn()).toBe(100);
  });

  it('hears in our words that the quota is spent', async () => {
    await using door = await startDoor({ QUOTA_LIMIT: '1' });
    const mail = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Hello', text: 'Hello' };
    await transport(door, 'ifaxin').sendMail(mail);
    await expect(transport(door, 'ifaxin').sendMail(mail)).rejects.toMatchObject({
      responseCode: 536,
      response: '536 frequency limited',
    });
  });
});

describe.skipIf(noPython)("Python's smtplib", () => {
  for (const [user, label] of [
    ['ifaxin', null],
    ['ifaxin#31337', 31337],
  ] as const) {
    it(`sends the seed's message as ${user}, byte for byte`, async () => {
      await using door = await startDoor();
      const script = new URL('seed.py', import.meta.url).pathname;
      const { stdout } = await run('python3', [script, String(door.smtpPort), user], {
        env: {
          ...process.env,
          API_KEY: TOKEN,
          CA_FILE: caFile,
          PICTURE: Buffer.from(PICTURE, 'base64').toString('hex'),
        },
      });
      const { message, parameters, recipients } = only(door);
      // smtplib makes CRLF of the line ends, and adds the last one.
      const sent = Buffer.from(`${stdout.replace(/\n$/, '')}\n`.replace(/\n/g, '\r\n'));
      expect(message?.equals(sent)).toBe(true);
      expect(parameters).toMatch(/^SIZE=\d+$/i);
      expect(recipients).toEqual(['ben@ifaxin.com', 'ann@ifaxin.com']);
      expect(door.upstream.logins).toMatchObject([{ user, label }]);
      const mail = await PostalMime.parse(message ?? '');
      expect(mail.attachments).toMatchObject([{ contentId: 'image1' }]);
    });
  }
});

describe.skipIf(noPython)("SendCloud's Python sample as it is printed, without TLS", () => {
  it('sends to the sandbox', async () => {
    const postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0' }, () => {});
    try {
      const sample = `
from smtplib import SMTP
s = SMTP("localhost", ${postern.smtpPort})
s.login("sandbox#31337", "sandbox-token-for-development")
s.sendmail("support@ifaxin.com", ["ben@ifaxin.com"], "Subject: Hello\\n\\nHello")
s.quit()`;
      await run('python3', ['-c', sample]);
      expect(postern.sandbox?.inbox.messages).toMatchObject([
        { login: { label: 31337 }, envelope: { to: ['ben@ifaxin.com'] } },
      ]);
    } finally {
      await postern.close();
    }
  });
});

describe.skipIf(noSwaks)('swaks', () => {
  const swaks = (door: RunningDoor, mechanism: string, ...more: string[]) =>
    run('swaks', [
      ...['--server', '127.0.0.1', '--port', String(door.smtpPort), '--tls'],
      ...['--auth', mechanism, '--auth-user', 'ifaxin#31337', '--auth-password', TOKEN],
      ...['--from', 'support@ifaxin.com', '--to', 'ben@ifaxin.com,ann@ifaxin.com'],
      ...more,
    ]);

  for (const mechanism of ['LOGIN', 'PLAIN']) {
    it(`sends with AUTH ${mechanism}`, async () => {
      await using door = await startDoor();
      const message = 'From: support@ifaxin.com\\nSubject: Hello\\n\\nHello\\n.dot\\n';
      const { stdout } = await swaks(door, mechanism, '--data', message);
      expect(stdout).toContain(`<~  ${QUEUED}`);
      const { message: taken, recipients } = only(door);
      expect(taken?.toString()).toMatch(
        /^From: support@ifaxin\.com\r\nSubject: Hello\r\n\r\nHello\r\n\.dot\r\n/,
      );
      expect(recipients).toEqual(['ben@ifaxin.com', 'ann@ifaxin.com']);
      expect(door.upstream.logins).toMatchObject([{ user: 'ifaxin#31337' }]);
    });
  }

  it('hears that the password is wrong', async () => {
    await using door = await startDoor();
    const failed = await swaks(door, 'LOGIN', '--auth-password', 'wrong').catch((error) => error);
    expect(failed.stdout).toContain('535 5.7.8 Authentication failed');
    expect(failed.stdout).toContain(base64('wrong'));
    expect(door.upstream.taken).toHaveLength(0);
  });
});
