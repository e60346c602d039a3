/** Who gets in when many want to, and what those who are in keep for themselves. */

import { describe, expect, it } from 'vitest';
import { Client, loggedIn, MESSAGE, openDoor, startDoor, until } from './door.ts';

describe('the door', { timeout: 60_000 }, () => {
  it('lets others in though one address holds it with silence', async () => {
    await using door = await openDoor({ clearAuth: true });
    const silent = Array.from({ length: 250 }, () => new Client(door.port));
    const other = new Client(door.port, { localAddress: '127.0.0.2' });
    expect(await other.reply()).toMatch(/^220 /);
    await other.ask('EHLO client.example');
    expect(await other.auth()).toMatch(/^235 /);
    // Also from the same address: its oldest ones went.
    const same = new Client(door.port);
    expect(await same.reply()).toMatch(/^220 /);
    expect(await silent[0]?.end()).toBe('closed');
    for (const client of [...silent, other, same]) client.destroy();
  });

  it('lets an api_user in though another one holds it with idle sessions', async () => {
    const account = { apiKey: 'the-key', from: null, labels: null, quota: 20_000 };
    const login = async (apiUser: string) => ({ account: { ...account, apiUser }, ownKey: false });
    await using door = await openDoor({ clearAuth: true, authenticator: { login } });
    const enter = async (user: string) => {
      const client = new Client(door.port);
      await client.reply();
      await client.ask('EHLO client.example');
      expect(await client.auth(user)).toMatch(/^235 /);
      return client;
    };
    const idle: Client[] = [];
    for (let i = 0; i < 10; i++) {
      idle.push(...(await Promise.all(Array.from({ length: 30 }, () => enter('many')))));
    }
    // Of three hundred two hundred are left: the last ones.
    expect(await idle[0]?.reply()).toBe('421 4.3.2 Too many connections, try again later');
    expect(await idle.at(-1)?.ask('NOOP')).toMatch(/^250 /);
    const others = await Promise.all(Array.from({ length: 60 }, (_, at) => enter(`few${at % 5}`)));
    for (const client of others) expect(await client.ask('NOOP')).toMatch(/^250 /);
    for (const client of [...idle, ...others]) client.destroy();
  });

  it('gives one place to a client that logs in again behind STARTTLS', async () => {
    await using door = await openDoor({ clearAuth: true });
    for (let i = 0; i < 150; i++) {
      const client = new Client(door.port);
      await client.reply();
      await client.ask('EHLO client.example');
      await client.auth();
      await client.ask('STARTTLS');
      await client.startTls();
      await client.ask('EHLO client.example');
      await client.auth();
      await client.ask('QUIT');
      await client.end();
    }
    // Had each left one of its two behind, the other clients of this api_user would have to make room by now.
    const clients = await Promise.all(Array.from({ length: 100 }, () => loggedIn(door.port)));
    for (const client of clients) expect(await client.ask('NOOP')).toMatch(/^250 /);
    for (const client of clients) client.destroy();
  });

  it('closes on a client that is silent for too long', async () => {
    await using door = await openDoor({ clearAuth: true, idleMs: 300 });
    const client = new Client(door.port);
    await client.reply();
    await client.ask('EHLO client.example');
    await client.auth();
    expect(await client.reply()).toMatch(/^421 /);
    expect(await client.end()).toBe('closed');
  });

  it('lets one that crowds it go in the midst of its message, which is not sent', async () => {
    await using door = await startDoor();
    const crowd: Client[] = [];
    for (let i = 0; i < 10; i++) {
      const some = Array.from({ length: 20 }, () => new Client(door.smtpPort));
      await Promise.all(some.map((client) => client.toData()));
      crowd.push(...some);
    }
    const [first] = crowd as [Client, ...Client[]];
    await first.write(MESSAGE);
    const late = new Client(door.smtpPort);
    expect(await late.deliver()).toMatch(/^250 /);
    expect(await first.reply()).toBe('421 4.3.2 Too many connections, try again later');
    expect(await first.end()).toBe('closed');
    expect(door.logged('message')).toMatchObject([{ code: 'overloaded' }, { outcome: 'accepted' }]);
    expect(door.upstream.taken).toHaveLength(1);
    for (const client of crowd) client.destroy();
  });
});

describe('long messages that crawl', { timeout: 60_000 }, () => {
  const LONG = `${MESSAGE}${`${'x'.repeat(998)}\r\n`.repeat(150)}`;

  it('leave a connection to short ones, and wait for their turn', async () => {
    await using door = await startDoor({ SMTP_CONNECTIONS: '2' });
    const crawling = new Client(door.smtpPort);
    await crawling.toData();
    await crawling.write(LONG);
    await until(() => door.upstream.transactions.length === 1);
    const waiting = new Client(door.smtpPort);
    await waiting.toData();
    await waiting.write(LONG);
    waiting.send('.\r\n');
    const labels = [1, 2, 3];
    for (const label of labels) {
      expect(await new Client(door.smtpPort).deliver({ user: `ifaxin#${label}` })).toMatch(/^250 /);
    }
    expect(door.upstream.taken).toHaveLength(3);
    expect(await crawling.ask('.')).toMatch(/^250 /);
    expect(await waiting.reply()).toMatch(/^250 /);
    const sizes = door.upstream.taken.map(({ message }) => message?.length);
    expect(sizes).toEqual([LONG.length, ...labels.map(() => MESSAGE.length), LONG.length]);
    for (const client of [crawling, waiting]) client.destroy();
  });
});
