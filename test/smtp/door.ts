/** Postern with its SMTP door open on a free port, a client of it, and what its log says of each message. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { createLog } from '../../src/log.ts';
import { createSmtpDoor, type SmtpDoorOptions } from '../../src/smtp/door.ts';
import { authority, type Running, startPostern, TOKEN } from '../support/postern.ts';
import { base64, SmtpClient } from '../support/smtp-client.ts';
import type { UpstreamOptions } from '../support/upstream.ts';

export interface RunningDoor extends Running {
  readonly smtpPort: number;
  /** The facts of the log's lines with this event. */
  logged(event: string): Record<string, unknown>[];
}

const directory = await mkdtemp(join(tmpdir(), 'postern-door-'));
afterAll(() => rm(directory, { recursive: true }));
export const certificateFiles = {
  SMTP_DOOR_CERT: join(directory, 'cert.pem'),
  SMTP_DOOR_KEY: join(directory, 'key.pem'),
};
const certificate = await authority.issue();
await writeFile(certificateFiles.SMTP_DOOR_CERT, certificate.cert);
await writeFile(certificateFiles.SMTP_DOOR_KEY, certificate.key);

/** Where a client that needs a file finds the authority to trust. */
export const caFile = join(directory, 'ca.pem');
await writeFile(caFile, authority.cert);

/** Starts an upstream and a gateway with both doors before it; for `await using`. */
export async function startDoor(
  settings: Readonly<Record<string, string>> = {},
  upstreamOptions: UpstreamOptions = {},
): Promise<RunningDoor> {
  const running = await startPostern(
    { SMTP_DOOR_PORT: '0', ...certificateFiles, ...settings },
    upstreamOptions,
  );
  if (running.smtpPort === null) throw new Error('The SMTP door is not open');
  return {
    ...running,
    smtpPort: running.smtpPort,
    logged: (event) =>
      running.logLines
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((facts) => facts.event === event),
  };
}

/** Resolves as soon as it is so. */
export async function until(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise((resolve) => setTimeout(resolve, 10));
}

export interface Delivery {
  readonly user?: string;
  readonly password?: string;
  /** What follows `MAIL FROM:`. */
  readonly mail?: string;
  readonly recipients?: readonly string[];
  /** As written, up to the line end before the dot. */
  readonly body?: string;
}

export const MESSAGE = 'Subject: A test\r\n\r\nSome text.\r\n';

/** Knows the way to the end of a message at the door. */
export class Client extends SmtpClient {
  /** Greeting, EHLO, STARTTLS and EHLO again: the two replies to EHLO. */
  async secure(maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'): Promise<[string, string]> {
    await this.reply();
    const before = await this.ask('EHLO client.example');
    await this.ask('STARTTLS');
    await this.startTls(authority.cert, { maxVersion });
    return [before, await this.ask('EHLO client.example')];
  }

  /** AUTH PLAIN, and its reply. */
  auth(user = 'ifaxin', password = TOKEN): Promise<string> {
    return this.ask(`AUTH PLAIN ${base64(`\0${user}\0${password}`)}`);
  }

  /** Everything up to the 354 of DATA, from the greeting on. */
  async toData(mail?: string): Promise<string> {
    await this.secure();
    await this.auth();
    return this.data(mail);
  }

  /** MAIL, one RCPT and DATA: its 354. */
  async data(mail = 'MAIL FROM:<support@ifaxin.com>'): Promise<string> {
    await this.ask(mail);
    await this.ask('RCPT TO:<ben@ifaxin.com>');
    return this.ask('DATA');
  }

  /** A whole transaction, from the greeting on: the first reply that is a refusal, or the last one. */
  async deliver({ user, password, ...message }: Delivery = {}): Promise<string> {
    await this.secure();
    const reply = await this.auth(user, password);
    return isRefusal(reply) ? reply : this.transact(message);
  }

  /** A whole transaction after the login: the first reply that is a refusal, or the last one. */
  async transact(given: Omit<Delivery, 'user' | 'password'> = {}): Promise<string> {
    const { mail = '<support@ifaxin.com>', recipients = ['ben@ifaxin.com'], body = MESSAGE } = given;
    for (const line of [`MAIL FROM:${mail}`, ...recipients.map((to) => `RCPT TO:<${to}>`), 'DATA']) {
      const reply = await this.ask(line);
      if (isRefusal(reply)) return reply;
    }
    await this.write(body);
    return this.ask('.');
  }
}

const isRefusal = (reply: string): boolean => reply >= '4';

/** A client that is logged in. */
export async function loggedIn(port: number): Promise<Client> {
  const client = new Client(port);
  await client.secure();
  expect(await client.auth()).toBe('235 Authentication successful');
  return client;
}

/** The door alone, before a use case of the test's own; for `await using`. */
export async function openDoor(options: Partial<SmtpDoorOptions> = {}) {
  const account = { apiUser: 'ifaxin', apiKey: 'the-key', from: null, labels: null, quota: 20_000 };
  const logLines: string[] = [];
  const log = createLog('info', (line) => logLines.push(line));
  const door = createSmtpDoor({
    accounts: () => [],
    submit: () => Promise.reject(new Error('No message was to come here')),
    authenticator: { login: async () => ({ account, ownKey: false }) },
    certificate,
    maxMessageBytes: 16_000_000,
    deadlineMs: 5000,
    smtp: { connections: 5 },
    sockets: 540,
    emit: (event) => log.info('message', { ...event }),
    log,
    ...options,
  });
  const port = await door.listen(0, '127.0.0.1');
  return { door, port, logLines, [Symbol.asyncDispose]: () => door.close() };
}
