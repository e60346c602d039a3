/** What is written into the door arrives at upstream, byte for byte, or not at all. */

import { describe, expect, it } from 'vitest';
import type { Running } from '../support/postern.ts';
import { Client, startDoor } from './door.ts';

/** As a client has to write it (RFC 5321 section 4.5.2). */
const stuffed = (message: Buffer): Buffer =>
  Buffer.from(message.toString('latin1').replace(/(^|\r\n)\./g, '$1..'), 'latin1');

const messageOf = ({ upstream }: Running): Buffer | null | undefined => upstream.taken[0]?.message;

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).filter(
  (byte) => byte !== 0x0d && byte !== 0x0a,
);

const MESSAGES: Record<string, Buffer> = {
  'headers as they are': bytes(
    'subject:  two  spaces\r\nX-Odd:\tfolded\r\n\tonce\r\nMessage-ID: <kept@ifaxin.com>\r\nBcc: seen@ifaxin.com\r\n\r\nbody\r\n',
  ),
  'no header at all': bytes('just a line\r\n'),
  'one line end': bytes('\r\n'),
  'dots at line starts': bytes('.\r\n..\r\n...\r\n.a\r\na.\r\n.\r\n\r\n.\r\n'),
  'a dot alone as the whole message': bytes('.\r\n'),
  'dots in the middle': bytes('a.b\r\n a\r\n\t.\r\n'),
  'every byte but CR and LF': Buffer.concat([bytes('a: b\r\n\r\n'), everyByte, bytes('\r\n')]),
  'lines longer than they may be': bytes(
    `a: ${'x'.repeat(5000)}\r\n\r\n${`${'\xe4'.repeat(2000)}\r\n`.repeat(100)}`,
  ),
  'lines as long as they may be': bytes(`a: b\r\n\r\n${`${'\xe4'.repeat(998)}\r\n`.repeat(100)}`),
  'what only looks like X-SMTPAPI': bytes(
    'X-SMTPAPIs: a\r\nY: b\r\n X-SMTPAPI: c\r\n-X-SMTPAPI: d\r\n\r\nX-SMTPAPI: e\r\n',
  ),
  'many line ends': bytes('\r\n'.repeat(5000)),
  'many lines with dots': bytes('.\r\n'.repeat(5000)),
};

/** How the bytes are cut on their way: the door must not care. */
const CUTS: Record<string, (message: Buffer) => Buffer[]> = {
  whole: (message) => [message],
  'byte by byte': (message) => Array.from(message, (_, at) => message.subarray(at, at + 1)),
};

describe.concurrent('bytes', { timeout: 60_000 }, () => {
  for (const [name, message] of Object.entries(MESSAGES)) {
    for (const [cut, parts] of Object.entries(CUTS)) {
      if (cut === 'byte by byte' && message.length > 500) continue;
      it(`${name}, ${cut}`, async () => {
        await using door = await startDoor();
        const client = new Client(door.smtpPort);
        expect(await client.toData()).toMatch(/^354 /);
        for (const part of parts(Buffer.concat([stuffed(message), bytes('.\r\n')]))) await client.write(part);
        expect(await client.reply()).toMatch(/^250 #\S+#Queued$/);
        expect(messageOf(door)?.equals(message)).toBe(true);
        client.destroy();
      });
    }
  }

  it('any bytes, cut anywhere', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.secure();
    await client.auth();
    const random = lehmer(20250325);
    const alphabet = ['.', '.', '\r\n', '\r\n', 'a', '\xff', '\r\n.\r\n', '..', '\r\n..'];
    for (let round = 0; round < 60; round++) {
      const pieces = Array.from({ length: 1 + random(60) }, () => alphabet[random(alphabet.length)] ?? '');
      const message = bytes(`${pieces.join('')}\r\n`);
      await client.ask('MAIL FROM:<support@ifaxin.com>');
      await client.ask('RCPT TO:<ben@ifaxin.com>');
      await client.ask('DATA');
      let rest = Buffer.concat([stuffed(message), bytes('.\r\n')]);
      while (rest.length > 0) {
        const length = 1 + random(7);
        await client.write(rest.subarray(0, length));
        rest = rest.subarray(length);
      }
      expect(await client.reply()).toMatch(/^250 /);
      expect(door.upstream.taken[round]?.message?.toString('latin1')).toBe(message.toString('latin1'));
    }
    client.destroy();
  });

  it('what is pipelined behind the dot is the next message', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.secure();
    await client.auth();
    const transaction = (body: string) =>
      `MAIL FROM:<support@ifaxin.com>\r\nRCPT TO:<ben@ifaxin.com>\r\nDATA\r\n${body}\r\n.\r\n`;
    await client.write(transaction('one') + transaction('two'));
    const codes: unknown[] = [];
    for (let i = 0; i < 8; i++) codes.push((await client.reply())?.slice(0, 3));
    expect(codes).toEqual(['250', '250', '354', '250', '250', '250', '354', '250']);
    expect(door.upstream.taken.map(({ message }) => message?.toString())).toEqual(['one\r\n', 'two\r\n']);
    client.destroy();
  });

  it('a lone LF is a line end, and no way to smuggle a second message', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.toData();
    const smuggled = '\nMAIL FROM:<x@evil.example>\r\nRCPT TO:<ben@ifaxin.com>\r\nDATA\r\nevil';
    await client.write(`a: b\n\none\n.\n${smuggled}\n.\r\n${smuggled}\r\n.\r\n`);
    expect(await client.reply()).toMatch(/^250 /);
    expect(door.upstream.transactions).toHaveLength(1);
    const expected = `a: b\n\none\n.\n${smuggled}\n.\r\n${smuggled}\r\n`;
    expect(messageOf(door)?.toString()).toBe(expected.replace(/\r?\n/g, '\r\n'));
    client.destroy();
  });

  const LONE_CR = '554 5.6.0 Bare CR (RFC 5321 section 2.3.8): lines end in CRLF';
  const SMTPAPI = '554 5.7.1 An X-SMTPAPI header would replace the recipients; take it out';
  for (const [name, message, reply] of [
    ['a lone CR among other bytes', 'a: b\r\n\r\none\rtwo\r\n', LONE_CR],
    ['a lone CR before a line end', 'a: b\r\r\nc: d\r\n\r\n', LONE_CR],
    ['a lone CR before a dot', 'a: b\r\n\r\none\r.\r\n', LONE_CR],
    ['a lone CR far behind the header', `a: b\r\n\r\n${'x\r\n'.repeat(150)}y\rz\r\n`, LONE_CR],
    ['a lone CR as the first byte', '\ra: b\r\n', LONE_CR],
    ['X-SMTPAPI', 'a: b\r\nX-SMTPAPI: eyJ0byI6W119\r\n\r\nbody\r\n', SMTPAPI],
    ['X-SMTPAPI as the first header', 'X-SMTPAPI:eyJ0byI6W119\r\n\r\n', SMTPAPI],
    ['X-SMTPAPI in another case', 'a: b\r\nx-SmtpApi \t: eyJ0byI6W119\r\n\r\n', SMTPAPI],
    ['X-SMTPAPI, folded', 'a: b\r\n c\r\nX-SMTPAPI:\r\n eyJ0byI6W119\r\n\r\n', SMTPAPI],
    ['X-SMTPAPI, folded before its colon', 'a: b\r\nX-SMTPAPI\r\n : eyJ0byI6W119\r\n\r\n', SMTPAPI],
    ['X-SMTPAPI after a lone LF', 'a: b\nX-SMTPAPI: eyJ0byI6W119\r\n\r\n', SMTPAPI],
    ['X-SMTPAPI behind what is no header', 'hello\r\nX-SMTPAPI: eyJ0byI6W119\r\n', SMTPAPI],
  ] as const) {
    for (const [cut, parts] of Object.entries(CUTS)) {
      it(`${name}, ${cut}: refused`, async () => {
        await using door = await startDoor();
        const client = new Client(door.smtpPort);
        await client.toData();
        for (const part of parts(bytes(`${message}.\r\n`))) await client.write(part);
        expect(await client.reply()).toBe(reply);
        expect(door.upstream.taken).toHaveLength(0);
        // The connection is still good.
        expect(await client.ask('NOOP')).toMatch(/^250 /);
        client.destroy();
      });
    }
  }

  it('commands and envelope as the transcript has them, the declared size among them', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.secure();
    await client.auth('ifaxin#31337');
    await client.ask('MAIL FROM:<Support@ifaxin.com> SIZE=12 BODY=8BITMIME');
    await client.ask('RCPT TO:<Ben@IFAXIN.com>');
    await client.ask("RCPT TO:<o'neil+tag@xn--bcher-kva.example>");
    await client.ask('DATA');
    await client.write('a: b\r\n\r\nhi\r\n.\r\n');
    expect(await client.reply()).toBe('250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued');
    expect(door.upstream.taken).toMatchObject([
      {
        from: 'Support@ifaxin.com',
        parameters: 'BODY=8BITMIME SIZE=12',
        recipients: ['Ben@IFAXIN.com', "o'neil+tag@xn--bcher-kva.example"],
      },
    ]);
    expect(door.upstream.logins).toMatchObject([{ user: 'ifaxin#31337', key: 'the-key', secured: true }]);
    expect(door.logged('message')).toMatchObject([
      {
        door: 'smtp',
        apiUser: 'ifaxin',
        label: 31337,
        outcome: 'accepted',
        queueId: '1426390015358_15_6484_8661.sc-10_10_127_51-inbound',
        milliseconds: expect.objectContaining({ total: expect.any(Number) }),
      },
    ]);
    client.destroy();
  });
});

/** Whole numbers below a bound, the same at every run. */
function lehmer(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 0x7fffffff;
    return state % below;
  };
}

describe('a message whose upstream connection is lost before MAIL is answered', () => {
  it('goes through at the third attempt, whole: its bytes are read only after 354', async () => {
    await using door = await startDoor({}, { faults: [{ at: 'mail', do: 'close', times: 2 }] });
    const body = `Subject: A test\r\n\r\n${'0123456789\r\n'.repeat(50_000)}`;
    expect(await new Client(door.smtpPort).deliver({ body })).toMatch(/^250 /);
    expect(door.upstream.taken.map(({ message }) => message?.toString())).toEqual([body]);
    expect(door.upstream.transactions).toHaveLength(3);
    expect(await door.drawn()).toBe(3);
  });
});
