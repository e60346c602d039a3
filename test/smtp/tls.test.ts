/** TLS at the door: from the first byte, renewed while it is open, and left out on loopback. */

import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { createAuthority } from '../../src/sandbox/certificate.ts';
import { base64 } from '../support/smtp-client.ts';
import { Client, openDoor } from './door.ts';

const features = (reply: string): string[] =>
  reply
    .split('\r\n')
    .slice(1)
    .map((line) => line.slice(4));

describe('implicit TLS', () => {
  it('greets inside TLS, and has no STARTTLS', async () => {
    await using open = await openDoor();
    const client = new Client(await open.door.listenTls(0, '127.0.0.1'));
    await client.startTls();
    expect(await client.reply()).toBe('220 postern ESMTP');
    expect(features(await client.ask('EHLO client.example'))).toEqual([
      'PIPELINING',
      '8BITMIME',
      'AUTH LOGIN PLAIN',
      'SIZE 16000000',
    ]);
    expect(await client.ask('STARTTLS')).toMatch(/^503 /);
    expect(await client.auth()).toMatch(/^235 /);
    expect(await client.ask('MAIL FROM:<support@ifaxin.com>')).toMatch(/^250 /);
    client.destroy();
  });

  it('speaks no TLS before 1.2', async () => {
    await using open = await openDoor();
    const client = new Client(await open.door.listenTls(0, '127.0.0.1'));
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    await expect(client.startTls(undefined, old)).rejects.toThrow();
  });

  it.each([
    ['says nothing', ''],
    ['speaks in the clear', 'EHLO client.example\r\n'],
  ])('closes on a client that %s', async (_what, said) => {
    await using open = await openDoor({ deadlineMs: 100 });
    const client = new Client(await open.door.listenTls(0, '127.0.0.1'));
    client.send(said);
    expect(await client.end()).not.toBeNull();
  });

  it('ends with the door', async () => {
    const open = await openDoor();
    const client = new Client(await open.door.listenTls(0, '127.0.0.1'));
    await client.startTls();
    await client.reply();
    const closed = open.door.close();
    expect(await client.reply()).toMatch(/^421 /);
    await closed;
  });
});

describe('a certificate that is renewed', () => {
  it('is shown to new connections, and those that stand go on', async () => {
    const other = await createAuthority();
    await using open = await openDoor();
    const tlsPort = await open.door.listenTls(0, '127.0.0.1');
    const standing = new Client(open.port);
    await standing.secure();
    open.door.renew(await other.issue());

    expect(await standing.auth()).toMatch(/^235 /);
    const byStartTls = new Client(open.port);
    await byStartTls.reply();
    await byStartTls.ask('EHLO client.example');
    await byStartTls.ask('STARTTLS');
    await byStartTls.startTls(other.cert);
    const implicit = new Client(tlsPort);
    await implicit.startTls(other.cert);
    expect(await implicit.reply()).toMatch(/^220 /);
    const distrustful = new Client(tlsPort);
    await expect(distrustful.startTls()).rejects.toThrow(/certificate/);
    for (const client of [standing, byStartTls, implicit]) client.destroy();
  });
});

describe('AUTH in the clear', () => {
  it('is taken from loopback, where the door was opened so', async () => {
    await using open = await openDoor({ clearAuth: true });
    const client = new Client(open.port);
    await client.reply();
    expect(features(await client.ask('EHLO client.example'))).toContain('AUTH LOGIN PLAIN');
    expect(await client.auth()).toMatch(/^235 /);
    // TLS is there for those who ask for it.
    const secured = new Client(open.port);
    await secured.secure();
    expect(await secured.auth()).toMatch(/^235 /);
    for (const one of [client, secured]) one.destroy();
  });

  const [address] = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal);

  it.skipIf(address === undefined)('is not taken from another address', async () => {
    await using open = await openDoor({ clearAuth: true });
    const port = await open.door.listen(0, address?.address);
    const client = new Client(port, { host: address?.address ?? '' });
    await client.reply();
    expect(features(await client.ask('EHLO client.example'))).not.toContain('AUTH LOGIN PLAIN');
    expect(await client.auth()).toMatch(/^538 /);
    await client.ask(`AUTH LOGIN ${base64('ifaxin')}`);
    expect(await client.ask(base64('the-token'))).toMatch(/^538 /);
    expect(await client.ask('MAIL FROM:<support@ifaxin.com>')).toMatch(/^530 /);
    client.destroy();
  });
});
