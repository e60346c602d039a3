/** What the door makes of a message's header section: the sender policy, the Idempotency-Key, and the log. */

import PostalMime from 'postal-mime';
import { describe, expect, it } from 'vitest';
import { accountWith } from '../support/faults.ts';
import { Client, type Delivery, loggedIn, MESSAGE, startDoor } from './door.ts';

const POLICY = accountWith({ from: ['ifaxin.com'] });
const OWN = 'From: Support <support@ifaxin.com>\r\n';

describe.concurrent('an account that is held to its senders', { timeout: 60_000 }, () => {
  for (const [what, header] of [
    ['its own From', OWN],
    ['an encoded name', 'From: =?UTF-8?B?5byg5LiJ?= <support@ifaxin.com>\r\nSubject: \xe5\xbc\xa0\r\n'],
    ['two authors and a Sender', `From: a@ifaxin.com, b@IFAXIN.com\r\nSender: a@ifaxin.com\r\n`],
  ] as const) {
    it(`may send with ${what}, byte for byte`, async () => {
      await using door = await startDoor(POLICY);
      const client = await loggedIn(door.smtpPort);
      await client.data();
      const message = Buffer.from(`${header}\r\nFrom: ceo@bank.example\r\n`, 'latin1');
      await client.write(message);
      expect(await client.ask('.')).toMatch(/^250 /);
      expect(door.upstream.taken[0]?.message?.equals(message)).toBe(true);
      client.destroy();
    });
  }

  for (const [what, header, reply] of [
    ['a foreign From', 'From: CEO <ceo@bank.example>\r\n', /^550 5\.7\.1 The From field names a sender/],
    ['no From', 'Subject: x\r\n', /^550 5\.7\.1 The message needs exactly one From field$/],
    ['two of them', `${OWN}${OWN}`, /^550 5\.7\.1 The message needs exactly one From field$/],
    ['a foreign Sender', `${OWN}Sender: ceo@bank.example\r\n`, /^550 5\.7\.1 The Sender field/],
    ['a foreign Resent-From', `${OWN}Resent-From: ceo@bank.example\r\n`, /^550 5\.7\.1 The Resent-From/],
    [
      'a From with what shows nothing',
      OWN.replace('<', '<\xe2\x80\x8b'),
      /^550 5\.7\.1 The From field is not a plain list/,
    ],
    ['a NUL', `${OWN}Subject: a\0b\r\n`, /^554 5\.6\.0 The header section contains a control character/],
    ['a BOM in front', `\xef\xbb\xbf${OWN}`, /^554 5\.6\.0 A line of the header section is not a field/],
    ['a fold in front', ` x\r\n${OWN}`, /^554 5\.6\.0 A line of the header section is not a field/],
    [
      'a body before the end',
      `${OWN}Hello Ben,\r\n`,
      /^554 5\.6\.0 A line of the header section is not a field/,
    ],
    ['X-SMTPAPI', `${OWN}X-SMTPAPI: e30=\r\n`, /^554 5\.7\.1 An X-SMTPAPI header/],
  ] as const) {
    it(`may not send with ${what}, and upstream is not even asked`, async () => {
      await using door = await startDoor(POLICY);
      const client = await loggedIn(door.smtpPort);
      await client.data();
      await client.write(Buffer.from(`${header}\r\nx\r\n`, 'latin1'));
      expect(await client.ask('.')).toMatch(reply);
      expect(door.upstream.sessions).toHaveLength(0);
      expect(await door.drawn()).toBe(0);
      // The session is still good.
      expect(await client.transact({ body: `${OWN}\r\nx\r\n` })).toMatch(/^250 /);
      client.destroy();
    });
  }

  it('is told at once, however long the message is', async () => {
    await using door = await startDoor(POLICY);
    const client = await loggedIn(door.smtpPort);
    await client.data();
    await client.write(`From: ceo@bank.example\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(50_000)}`);
    expect(await client.ask('.')).toMatch(/^550 5\.7\.1 /);
    expect(door.upstream.sessions).toHaveLength(0);
    expect(door.logged('message')).toMatchObject([{ code: 'forbidden-sender', pointers: ['/headers/From'] }]);
    client.destroy();
  });
});

/** A message as a client writes it anew at each try. */
const tried = (subject: string, n: number): Delivery => ({
  body: `Date: ${n}\r\nMessage-ID: <${n}@x.example>\r\nIdempotency-Key: order-4711\r\nSubject: ${subject}\r\nContent-Type: multipart/mixed; boundary=b${n}\r\n\r\n--b${n}--\r\n`,
});

describe.concurrent('an Idempotency-Key', { timeout: 60_000 }, () => {
  it('is taken out, and a second try gets the first answer', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    const first = await client.transact(tried('Order', 1));
    expect(first).toMatch(/^250 #/);
    expect(await client.transact(tried('Order', 2))).toBe(first);
    expect(await new Client(door.smtpPort).deliver({ ...tried('Order', 3), user: 'ifaxin#7' })).toBe(first);
    expect(door.upstream.taken).toHaveLength(1);
    expect(await door.drawn()).toBe(1);
    const sent = tried('Order', 1).body?.replace('Idempotency-Key: order-4711\r\n', '');
    expect(door.upstream.taken[0]?.message?.toString()).toBe(sent);
    expect(door.logged('message')).toMatchObject([
      { replayed: false },
      { replayed: true },
      { replayed: true },
    ]);
    client.destroy();
  });

  it('works for a message that streams', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    const body = `Idempotency-Key: "big"\r\n${MESSAGE}${'0123456789\r\n'.repeat(50_000)}`;
    const first = await client.transact({ body });
    expect(await client.transact({ body })).toBe(first);
    expect(door.upstream.taken).toHaveLength(1);
    expect(door.upstream.taken[0]?.message?.toString()).toBe(body.replace(/^.*\r\n/, ''));
    client.destroy();
  });

  for (const [what, given] of [
    ['another subject', tried('Other', 2)],
    ['other recipients', { ...tried('Order', 2), recipients: ['ann@ifaxin.com'] }],
    ['names a sender', { ...tried('Order', 2), mail: '<other@ifaxin.com>' }],
  ] as const) {
    it(`with ${what} is another message's`, async () => {
      await using door = await startDoor();
      const client = await loggedIn(door.smtpPort);
      await client.transact(tried('Order', 1));
      expect(await client.transact(given)).toBe('554 5.6.0 The Idempotency-Key belongs to another message');
      expect(door.upstream.taken).toHaveLength(1);
      client.destroy();
    });
  }

  it('is free again after a failure that proves that nothing was sent', async () => {
    const faults = [{ at: 'mail', do: { reply: '451 later' }, times: 1 }] as const;
    await using door = await startDoor({}, { faults });
    const client = await loggedIn(door.smtpPort);
    expect(await client.transact(tried('Order', 1))).toBe('451 later');
    expect(await client.transact(tried('Order', 2))).toMatch(/^250 /);
    client.destroy();
  });

  it('keeps an unknown outcome: a queue that tries again doubles nothing', async () => {
    const faults = [{ at: 'dot', do: 'close', taken: true, times: 1 }] as const;
    await using door = await startDoor({}, { faults });
    const client = await loggedIn(door.smtpPort);
    const unknown = '451 4.4.2 Outcome unknown: upstream may have the message';
    expect(await client.transact(tried('Order', 1))).toBe(unknown);
    expect(await client.transact(tried('Order', 2))).toBe(unknown);
    expect(door.upstream.taken).toHaveLength(1);
    client.destroy();
  });

  for (const field of [
    'Idempotency-Key:',
    'Idempotency-Key: a, b',
    'Idempotency-Key: a\r\nIdempotency-Key: a',
  ]) {
    it(`${JSON.stringify(field)} is none`, async () => {
      await using door = await startDoor();
      const client = await loggedIn(door.smtpPort);
      expect(await client.transact({ body: `${field}\r\n${MESSAGE}` })).toBe(
        '554 5.6.0 Give one Idempotency-Key of 1 to 255 printable ASCII characters',
      );
      expect(door.upstream.taken).toHaveLength(0);
      client.destroy();
    });
  }
});

describe.concurrent('the log', { timeout: 60_000 }, () => {
  it('has one line a message, with what it was about', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.deliver({ user: 'ifaxin#7', recipients: ['ben@ifaxin.com', 'ann@ifaxin.com'] });
    expect(door.logged('message')).toMatchObject([
      {
        requestId: expect.stringMatching(/^[\da-f-]{36}$/),
        door: 'smtp',
        clientAddress: '127.0.0.1',
        apiUser: 'ifaxin',
        label: 7,
        recipients: 2,
        size: MESSAGE.length,
        replayed: false,
        outcome: 'accepted',
      },
    ]);
    client.destroy();
  });

  it('warns of lines that upstream may break up', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    await client.transact({ body: `${MESSAGE}${'x'.repeat(990)}\r\n` });
    await client.transact({ body: `${MESSAGE}${'x'.repeat(991)}\r\n` });
    await client.transact({ body: `${MESSAGE}${'x\r\n'.repeat(50_000)}${'x'.repeat(991)}\n\r\n` });
    const warnings = ['A line has more than 990 bytes: upstream may break it up.'];
    expect(door.logged('message').map((facts) => facts.warnings)).toEqual([[], warnings, warnings]);
    const mail = await PostalMime.parse(door.upstream.taken[1]?.message ?? '');
    expect(mail.text).toContain('x'.repeat(991));
    client.destroy();
  });

  it('says why MAIL was refused', async () => {
    await using door = await startDoor(POLICY);
    const client = await loggedIn(door.smtpPort);
    expect(await client.ask('MAIL FROM:<ceo@bank.example>')).toMatch(/^550 5\.7\.1 /);
    expect(await client.ask('MAIL FROM:<>')).toMatch(/^553 /);
    expect(door.logged('message')).toMatchObject([
      { code: 'forbidden-sender', recipients: 0 },
      { code: 'invalid-message', recipients: 0 },
    ]);
    client.destroy();
  });

  it('says which recipients were refused: with the message, or where none came', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    expect(await client.transact({ recipients: ['ben@ifaxin.com', 'ben@localhost'] })).toMatch(/^553 /);
    await client.ask('DATA');
    await client.ask(`${MESSAGE}.`);
    expect(await client.transact({ recipients: ['ben@localhost', 'ann@localhost'] })).toMatch(/^553 /);
    await client.ask('RSET');
    await client.ask('MAIL FROM:<support@ifaxin.com>');
    expect(door.logged('message')).toMatchObject([
      { outcome: 'accepted', recipients: 1, warnings: [expect.stringMatching(/^5\.1\.3 /)] },
      { code: 'invalid-message', recipients: 0, detail: expect.stringMatching(/^5\.1\.3 /) },
    ]);
    client.destroy();
  });
});
