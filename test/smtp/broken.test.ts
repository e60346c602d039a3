/** Messages that break off, crawl or never end: upstream must never be told that one of them is complete. */

import { describe, expect, it } from 'vitest';
import type { UpstreamOptions } from '../support/upstream.ts';
import { Client, MESSAGE, type RunningDoor, startDoor, until } from './door.ts';

const BLOCK = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(64));

/** More than the door has to have before it asks upstream for a connection. */
const LONG_BEGINNING = Buffer.concat([Buffer.from('Subject: A test\r\n\r\n'), BLOCK, BLOCK]);

/** The message has been given up, and upstream has seen no dot of it. */
async function expectNothingSent(door: RunningDoor, outcome: string): Promise<void> {
  await until(() => door.logged('message').length > 0);
  expect(door.logged('message')).toMatchObject([{ code: outcome }]);
  await until(() => door.upstream.sessions.every(({ open }) => !open));
  expect(door.upstream.taken).toHaveLength(0);
  const lines = door.upstream.sessions.flatMap(({ dialogue }) => dialogue.map(({ text }) => text));
  expect(lines).not.toContain('C: .');
}

const LEAVING: Record<string, (client: Client) => void> = {
  'goes away in order': (client) => client.close(),
  'goes away': (client) => client.destroy(),
  'resets the connection': (client) => client.reset(),
};

describe.concurrent('a client in the midst of a message', { timeout: 60_000 }, () => {
  for (const [name, leave] of Object.entries(LEAVING)) {
    for (const [where, begin] of Object.entries({
      'after some lines': MESSAGE,
      'within a line': 'Subject: A te',
      'after the line end before the dot': `${MESSAGE}\r\n`,
      'after the dot, before its line end': `${MESSAGE}.`,
      'within the last line end': `${MESSAGE}.\r`,
    })) {
      it(`${name} ${where}: nothing is sent`, async () => {
        await using door = await startDoor();
        const client = new Client(door.smtpPort);
        await client.toData();
        await client.write(LONG_BEGINNING);
        await client.write(begin);
        await until(() =>
          door.upstream.sessions.some((s) => s.dialogue.some((l) => l.text.startsWith('S: 354'))),
        );
        leave(client);
        await expectNothingSent(door, 'invalid-message');
      });
    }

    it(`${name} while upstream is slow to let it in: nothing is sent, and nothing drawn`, async () => {
      await using door = await startDoor({}, { faults: [{ at: 'auth-key', delayMs: 500 }] });
      const client = new Client(door.smtpPort);
      await client.toData();
      await client.write(LONG_BEGINNING);
      leave(client);
      await until(() => door.logged('message').length > 0);
      expect(door.logged('message')).toMatchObject([{ code: 'invalid-message' }]);
      expect(await door.drawn()).toBe(0);
      expect(door.upstream.transactions).toHaveLength(0);
    });

    it(`${name} in the midst of a short message: upstream is not even asked`, async () => {
      await using door = await startDoor();
      const client = new Client(door.smtpPort);
      await client.toData();
      await client.write(MESSAGE);
      leave(client);
      await expectNothingSent(door, 'invalid-message');
      expect(door.upstream.sessions).toHaveLength(0);
    });
  }

  it('goes away after the dot: the message is sent all the same', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.toData();
    await client.write(`${MESSAGE}.\r\n`);
    client.destroy();
    await until(() => door.logged('message').length > 0);
    expect(door.upstream.taken).toHaveLength(1);
  });

  for (const [where, beginning, outcome] of [
    ['at once', '', 'invalid-message'],
    ['in the header section', 'Subject: A te', 'invalid-message'],
    ['in a short message', MESSAGE, 'invalid-message'],
    ['in a long one', LONG_BEGINNING, 'upstream-timeout'],
  ] as const) {
    it(`stalls ${where}: told so after the deadline, and nothing is sent`, async () => {
      await using door = await startDoor({ DEADLINE_MS: '500' });
      const client = new Client(door.smtpPort);
      await client.toData();
      await client.write(beginning);
      expect(await client.reply()).toBe('421 4.4.2 The message did not arrive in time');
      expect(await client.end()).toBe('closed');
      await expectNothingSent(door, outcome);
    });

    it(`trickles ${where}: told so after the deadline, and nothing is sent`, async () => {
      await using door = await startDoor({ DEADLINE_MS: '500' });
      const client = new Client(door.smtpPort);
      await client.toData();
      await client.write(beginning);
      const trickle = setInterval(() => client.send('x'), 20);
      expect(await client.reply()).toMatch(/^421 4\.4\.2 /);
      clearInterval(trickle);
      await expectNothingSent(door, outcome);
      client.destroy();
    });
  }

  it('never ends: told that it is too large, and cut off', async () => {
    await using door = await startDoor({ MAX_MESSAGE_BYTES: '1000000', DEADLINE_MS: '1500' });
    const client = new Client(door.smtpPort);
    await client.toData();
    await client.write(MESSAGE);
    const writing = (async () => {
      while (await client.write(BLOCK)) await new Promise((resolve) => setTimeout(resolve, 5));
    })();
    expect(await client.reply()).toBe('552 5.3.4 Message too large');
    expect(await client.end()).toBe('closed');
    await writing;
    await expectNothingSent(door, 'message-too-large');
  });

  it('ends too late, after upstream has refused: told what upstream said, after its own dot', async () => {
    const faults = [{ at: 'mail', do: { reply: '553 template_validate not match' } }] as const;
    await using door = await startDoor({}, { faults });
    const client = new Client(door.smtpPort);
    await client.toData();
    await client.write(LONG_BEGINNING);
    await until(() => door.logged('message').length > 0);
    // 5 MB more, which are thrown away.
    for (let i = 0; i < 80; i++) await client.write(BLOCK);
    expect(await client.ask('.')).toBe('553 template_validate not match');
    expect(await client.ask('NOOP')).toMatch(/^250 /);
    client.destroy();
  });

  it('never ends its header section: told so, and upstream is not even asked', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.toData();
    for (let i = 0; i < 5; i++) await client.write(BLOCK);
    expect(await client.ask('.')).toBe('552 5.3.4 The header section is too long, or does not end');
    expect(await client.ask('NOOP')).toMatch(/^250 /);
    expect(door.upstream.sessions).toHaveLength(0);
    client.destroy();
  });

  it('one byte over the limit, and exactly at it', async () => {
    await using door = await startDoor({ MAX_MESSAGE_BYTES: '2000' });
    const client = new Client(door.smtpPort);
    await client.secure();
    await client.auth();
    const send = async (size: number) => {
      await client.ask('MAIL FROM:<support@ifaxin.com>');
      await client.ask('RCPT TO:<ben@ifaxin.com>');
      await client.ask('DATA');
      return client.ask(`${'0123456\r\n'.repeat(size).slice(0, size - 2)}\r\n.`);
    };
    expect(await send(2000)).toMatch(/^250 /);
    expect(await send(2001)).toBe('552 5.3.4 Message too large');
    expect(await send(2000)).toMatch(/^250 /);
    expect(door.upstream.taken.map(({ message }) => message?.length)).toEqual([2000, 2000]);
    client.destroy();
  });

  it('writes no faster than upstream reads', async () => {
    const silent: UpstreamOptions = { faults: [{ at: 'body', do: 'silent' }] };
    await using door = await startDoor({ MAX_MESSAGE_BYTES: '100000000', DEADLINE_MS: '8000' }, silent);
    const client = new Client(door.smtpPort);
    await client.toData();
    await client.write(MESSAGE);
    let left = 0;
    const writing = (async () => {
      while (left < 60_000_000 && (await client.write(BLOCK))) left += BLOCK.length;
    })();
    for (let before = -1; before !== left; ) {
      before = left;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    // What has left is in the kernel's buffers of two connections; of the rest the door has taken nothing.
    expect(left).toBeLessThan(30_000_000);
    client.destroy();
    await writing;
    await until(() => door.logged('message').length > 0);
    expect(door.logged('message')).toMatchObject([{ code: 'upstream-timeout' }]);
    expect(door.upstream.taken).toHaveLength(0);
  });

  it('15 MB pass through', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.toData(`MAIL FROM:<support@ifaxin.com> SIZE=${MESSAGE.length + BLOCK.length * 234}`);
    await client.write(MESSAGE);
    for (let i = 0; i < 234; i++) await client.write(BLOCK);
    expect(await client.ask('.')).toMatch(/^250 /);
    expect(door.upstream.taken[0]?.message?.length).toBe(MESSAGE.length + BLOCK.length * 234);
    client.destroy();
  });
});
