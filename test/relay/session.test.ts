/** One dialogue over a real socket: who owes what, and each way it ends. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { nextTurn, Session } from '../../src/relay/session.ts';
import { authority, CERTIFICATE } from './relay.ts';

interface Peers {
  readonly session: Session;
  readonly peer: Socket;
  /** What the peer has heard so far. */
  heard(): string;
  /** The peer says this, and the session has had the time to hear it. */
  says(text: string): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A session that is connected, and has had its greeting unless `greeting` is another. */
async function start(greeting: string | null = '220 hello\r\n'): Promise<Peers> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const [peer] = (await accepted) as [Socket];
  let heard = '';
  peer.on('data', (chunk) => {
    heard += chunk;
  });
  peer.on('error', () => {});
  const session = new Session(socket);
  if (greeting !== null) {
    peer.write(greeting);
    await session.reply();
  }
  return {
    session,
    peer,
    heard: () => heard,
    async says(text) {
      peer.write(text);
      await pause(20);
    },
    async [Symbol.asyncDispose]() {
      session.close();
      peer.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const OUT_OF_STEP = { why: 'out-of-step' };

describe.concurrent('what is owed', () => {
  it('is the greeting first, then a reply to each command', async () => {
    await using peers = await start(null);
    const { session } = peers;
    expect([session.isSettled, session.isHearing, session.ending]).toEqual([false, false, null]);
    await peers.says('220 hel');
    expect([session.isSettled, session.isHearing]).toEqual([false, true]);
    await peers.says('lo\r\n');
    expect([session.isSettled, session.isHearing]).toEqual([false, false]);
    expect(await session.reply()).toMatchObject({ code: 220 });
    expect(session.isSettled).toBe(true);

    session.command('MAIL', 'RCPT');
    expect(session.isSettled).toBe(false);
    await peers.says('250 a\r\n');
    expect(await session.reply()).toMatchObject({ code: 250, texts: ['a'] });
    expect(session.isSettled).toBe(false);
    const second = session.reply();
    await peers.says('550 b\r\n');
    expect(await second).toMatchObject({ code: 550, texts: ['b'] });
    expect([session.isSettled, session.ending]).toEqual([true, null]);
    expect(peers.heard()).toBe('MAIL\r\nRCPT\r\n');
  });

  it('is a reply to the dot as well', async () => {
    await using peers = await start();
    const { session } = peers;
    await session.write(Buffer.from('a\r\n'));
    session.finish(Buffer.from('.\r\n'));
    expect(session.isSettled).toBe(false);
    await peers.says('250 ok\r\n');
    expect(await session.reply()).toMatchObject({ code: 250 });
    expect(peers.heard()).toBe('a\r\n.\r\n');
    expect(session.isSettled).toBe(true);
  });

  it('a reply too many ends it; the one that was owed is still given', async () => {
    await using peers = await start();
    const { session } = peers;
    session.command('NOOP');
    await peers.says('250 a\r\n550 b\r\n250 c\r\n');
    expect(session.ending).toMatchObject({ why: 'out-of-step', unasked: { code: 550, texts: ['b'] } });
    expect(await session.reply()).toMatchObject({ code: 250 });
    expect(await session.reply()).toBeNull();
  });

  it.each(['\r', '\n'])('no command has %j within it', async (end) => {
    await using peers = await start();
    expect(() => peers.session.command('NOOP', `MAIL${end}RCPT`)).toThrow('line break');
    await pause(20);
    expect([peers.heard(), peers.session.isSettled, peers.session.ending]).toEqual(['', true, null]);
  });

  it('a command behind half a reply that answers none is not said', async () => {
    await using peers = await start();
    await peers.says('55');
    peers.session.command('MAIL');
    expect(peers.session.ending).toEqual(OUT_OF_STEP);
    await pause(20);
    expect(peers.heard()).toBe('');
  });

  it('a command behind half a reply that answers one is', async () => {
    await using peers = await start();
    peers.session.command('MAIL');
    await peers.says('25');
    peers.session.command('RCPT');
    await peers.says('0 a\r\n250 b\r\n');
    expect(await peers.session.reply()).toMatchObject({ texts: ['a'] });
    expect(await peers.session.reply()).toMatchObject({ texts: ['b'] });
  });

  it('behind its end nothing is said', async () => {
    await using peers = await start();
    peers.session.close();
    peers.session.command('MAIL');
    await peers.session.write(Buffer.from('a'));
    expect(peers.session.isSettled).toBe(true);
    expect(await peers.session.reply()).toBeNull();
  });
});

describe.concurrent('at rest', () => {
  it('the first byte ends it, until it goes on', async () => {
    await using peers = await start();
    const { session } = peers;
    session.rest();
    expect(session.ending).toBeNull();
    session.resume();
    session.command('NOOP');
    await peers.says('250 ok\r\n');
    expect(await session.reply()).toMatchObject({ code: 250 });
    session.rest();
    await peers.says('\r');
    expect(session.ending).toEqual(OUT_OF_STEP);
  });

  it.each([
    ['a reply is owed', ''],
    ['a reply was not taken', '250 ok\r\n'],
  ])('not while %s', async (_, text) => {
    await using peers = await start();
    peers.session.command('NOOP');
    await peers.says(text);
    peers.session.rest();
    expect(peers.session.ending).toEqual(OUT_OF_STEP);
  });

  it('not amid a reply', async () => {
    await using peers = await start();
    await peers.says('4');
    peers.session.rest();
    expect(peers.session.ending).toEqual(OUT_OF_STEP);
  });

  it('QUIT may be answered all the same', async () => {
    await using peers = await start();
    peers.session.rest();
    const quit = peers.session.quit();
    await pause(20);
    expect([peers.heard(), peers.session.ending]).toEqual(['QUIT\r\n', null]);
    await peers.says('221 bye\r\n');
    await quit;
    expect(peers.session.ending).toEqual({ why: 'lost' });
  });
});

describe.concurrent('the end', () => {
  it('by the peer: what waits is woken, and told once', async () => {
    await using peers = await start();
    let ends = 0;
    peers.session.onEnd = () => {
      ends++;
    };
    peers.session.command('NOOP');
    const [reply, over] = [peers.session.reply(), peers.peer.end()];
    expect([await reply, over.writable]).toEqual([null, false]);
    expect(peers.session.ending).toEqual({ why: 'lost' });
    peers.session.close();
    await pause(20);
    expect([ends, peers.session.ending]).toEqual([1, { why: 'lost' }]);
  });

  it('by a reset: with its code', async () => {
    await using peers = await start();
    peers.peer.resetAndDestroy();
    await peers.session.over();
    expect(peers.session.ending).toEqual({ why: 'lost', code: 'ECONNRESET' });
  });

  it('amid a refusal that is owed: it is the reply', async () => {
    await using peers = await start();
    peers.session.command('MAIL');
    peers.peer.end('550 n');
    expect(await peers.session.reply()).toMatchObject({ code: 550, texts: ['n'] });
    expect(peers.session.ending).toEqual({ why: 'lost' });
  });

  it('amid a refusal that is not owed', async () => {
    await using peers = await start();
    peers.peer.end('421 by');
    await peers.session.over();
    expect(peers.session.ending).toMatchObject({ why: 'out-of-step', unasked: { code: 421 } });
  });

  it('by a deadline: at once where it has passed, not where the work was done before', async () => {
    await using peers = await start();
    const over = new AbortController();
    expect(await peers.session.within(over.signal, async () => 7)).toBe(7);
    over.abort();
    expect(peers.session.ending).toBeNull();
    const second = new AbortController();
    peers.session.command('NOOP');
    const reply = peers.session.within(second.signal, () => peers.session.reply());
    second.abort();
    expect(await reply).toBeNull();
    expect(peers.session.ending).toEqual({ why: 'silent' });

    await using late = await start();
    await late.session.within(AbortSignal.abort(), async () => {
      expect(late.session.ending).toEqual({ why: 'silent' });
    });
  });

  it('by a reply that does not come in its time', async () => {
    await using peers = await start();
    peers.session.command('NOOP');
    const inTime = peers.session.replyIn(60_000);
    await peers.says('250 ok\r\n');
    expect(await inTime).toMatchObject({ code: 250 });
    peers.session.command('NOOP');
    expect(await peers.session.replyIn(20)).toBeNull();
    expect(peers.session.ending).toEqual({ why: 'silent' });
  });

  it('not by the time of a reply that has come', async () => {
    await using peers = await start();
    peers.session.command('NOOP');
    const reply = peers.session.replyIn(20);
    await peers.says('250 ok\r\n');
    await reply;
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(peers.session.ending).toBeNull();
  });

  it('closes the socket', async () => {
    await using peers = await start();
    const ended = once(peers.peer, 'end');
    peers.session.close();
    await ended;
  });

  it('other waits end with it, or with their own work', async () => {
    await using peers = await start();
    const { session } = peers;
    expect(await session.orEnd(Promise.resolve(7))).toBe(7);
    await expect(session.orEnd(Promise.reject(new Error('a bug')))).rejects.toThrow('a bug');
    const waiting = session.orEnd(new Promise(() => {}));
    // A reply wakes it, and it waits on.
    session.command('NOOP');
    await peers.says('250 ok\r\n');
    expect(await Promise.race([waiting, nextTurn().then(() => 'waits')])).toBe('waits');
    session.close();
    expect(await waiting).toBeNull();
    expect(await session.orEnd(Promise.reject(new Error('too late')))).toBeNull();
    await session.over();
  });
});

describe.concurrent('STARTTLS', () => {
  const TRUSTED = { servername: 'localhost', ca: authority.cert };

  it('goes on inside TLS', async () => {
    await using peers = await start();
    const started = peers.session.startTls(TRUSTED);
    await pause(20);
    expect(peers.heard()).toBe('STARTTLS\r\n');
    peers.peer.removeAllListeners('data');
    peers.peer.write('220 go\r\n');
    const secured = new TLSSocket(peers.peer, { isServer: true, ...CERTIFICATE });
    expect(await started).toMatchObject({ code: 220 });
    peers.session.command('EHLO me');
    const [said] = await once(secured, 'data');
    expect(String(said)).toBe('EHLO me\r\n');
    secured.write('250 you\r\n');
    expect(await peers.session.reply()).toMatchObject({ code: 250, texts: ['you'] });
    secured.destroy();
    await peers.session.over();
    expect(peers.session.ending).toMatchObject({ why: 'lost' });
  });

  it('that is refused leaves the session as it was', async () => {
    await using peers = await start();
    const started = peers.session.startTls(TRUSTED);
    await peers.says('454 not now\r\n');
    expect(await started).toMatchObject({ code: 454 });
    expect([peers.session.ending, peers.session.isSettled]).toEqual([null, true]);
    peers.session.command('NOOP');
    // A 220 to another command begins no handshake.
    await peers.says('220 go\r\n');
    expect(await peers.session.reply()).toMatchObject({ code: 220 });
    await pause(20);
    expect([peers.heard(), peers.session.ending]).toEqual(['STARTTLS\r\nNOOP\r\n', null]);
  });

  it.each([
    ['half a reply', '220 go\r\n25', OUT_OF_STEP],
    ['a whole one', '220 go\r\n250 in the clear\r\n', { why: 'out-of-step', unasked: { code: 250 } }],
  ])('with %s behind it: no handshake', async (_, text, ending) => {
    await using peers = await start();
    const started = peers.session.startTls(TRUSTED);
    await peers.says(text);
    expect(await started).toBeNull();
    expect(peers.session.ending).toMatchObject(ending);
    expect(peers.heard()).toBe('STARTTLS\r\n');
  });

  it('lost amid the handshake, or not even begun', async () => {
    await using peers = await start();
    const started = peers.session.startTls(TRUSTED);
    await peers.says('220 go\r\n');
    peers.peer.destroy();
    expect(await started).toBeNull();
    expect(peers.session.ending).toMatchObject({ why: 'lost' });

    await using other = await start();
    const broken = other.session.startTls({ ...TRUSTED, minVersion: 'TLSv9' as 'TLSv1.2' });
    await other.says('220 go\r\n');
    expect(await broken).toBeNull();
    expect(other.session.ending).toEqual({ why: 'lost', code: 'TLS' });
  });
});
