/** `POST /v1/messages` with a whole message (message/rfc822): what goes out is what came in. */

import { describe, expect, it } from 'vitest';
import { type Running, startPostern, TOKEN } from '../support/postern.ts';

const crlf = (text: string): string => text.replaceAll('\n', '\r\n');

const MESSAGE = crlf(`From: Support <support@ifaxin.com>
To: Ben <ben@ifaxin.com>, "Ann, the other" <ann@ifaxin.com>
Cc: BEN@ifaxin.com
Bcc: secret@ifaxin.com,
 another@ifaxin.com
Subject: =?utf-8?B?w7w=?=
Message-ID: <order-1@ifaxin.com>
X-Odd:   spaces   stay
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

.A line with a dot, and a tail of blanks  
.
ünïcode
`);

const post = (postern: Running, message: string | Buffer, query = '', headers: Record<string, string> = {}) =>
  fetch(`${postern.url}/v1/messages${query}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'message/rfc822', ...headers },
    body: message as string,
  });

const taken = (postern: Running) => postern.upstream.taken[0];
const text = (postern: Running) => Buffer.from(taken(postern)?.message ?? '').toString('utf8');

describe.concurrent('a whole message', () => {
  it('goes out byte for byte, without Bcc; its envelope is that of its header section', async () => {
    await using postern = await startPostern();
    const response = await post(postern, MESSAGE, '?label=31337');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      messageId: '<order-1@ifaxin.com>',
      label: 31337,
      accepted: ['ben@ifaxin.com', 'ann@ifaxin.com', 'secret@ifaxin.com', 'another@ifaxin.com'],
      embedded: 0,
      warnings: [],
    });
    expect(text(postern)).toBe(MESSAGE.replace(/Bcc:[^\n]*\n [^\n]*\n/, ''));
    expect(taken(postern)).toMatchObject({ from: 'support@ifaxin.com' });
  });

  it('goes where the query says', async () => {
    await using postern = await startPostern();
    const query = '?from=bounce%40ifaxin.com&to=a%40ifaxin.com,%22d,e%22%40ifaxin.com&to=C%40ifaxin.com';
    const response = await post(postern, MESSAGE, query);
    expect(await response.json()).toMatchObject({
      accepted: ['a@ifaxin.com', '"d,e"@ifaxin.com', 'C@ifaxin.com'],
    });
    expect(taken(postern)).toMatchObject({ from: 'bounce@ifaxin.com' });
  });

  it('with the line ends of Unix gets those of mail; a mixture is refused', async () => {
    await using postern = await startPostern();
    expect((await post(postern, MESSAGE.replaceAll('\r\n', '\n'))).status).toBe(200);
    expect(text(postern)).toBe(MESSAGE.replace(/Bcc:[^\n]*\n [^\n]*\n/, ''));
    for (const mixed of [MESSAGE.replace('\r\n.\r\n', '\n.\r\n'), MESSAGE.replace('\r\n.\r\n', '\r.\r\n')]) {
      const response = await post(postern, mixed);
      expect(await response.json()).toMatchObject({
        code: 'invalid-message',
        errors: [{ pointer: '', message: expect.stringContaining('CRLF') }],
      });
    }
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it.each([
    ['no recipients', 'From: a@ifaxin.com\r\nTo: undisclosed-recipients:;\r\n\r\nx\r\n', '', '/to'],
    ['no sender', 'To: ben@ifaxin.com\r\n\r\nx\r\n', '', '/from'],
    ['a list that is none', 'From: a@ifaxin.com\r\nTo: <ben@ifaxin.com\r\n\r\nx\r\n', '', '/to'],
    ['a wrong address in the query', MESSAGE, '?to=ben', '/to'],
    ['a wrong label', MESSAGE, '?label=0', '/label'],
    ['a NUL', MESSAGE.replace('stay', '\0'), '', ''],
    ['a byte order mark', `\ufeffBcc: amy@ifaxin.com\r\n${MESSAGE}`, '', ''],
    ['one behind an empty line', `\r\n\ufeffBcc: amy@ifaxin.com\r\n${MESSAGE}`, '', ''],
    ['one amid the header section', MESSAGE.replace('Bcc', '\ufeffBcc'), '', ''],
    ['a header section of a megabyte', `X-A: b\r\n`.repeat(125_000) + MESSAGE, '', ''],
    ['no header section', '\r\nHello\r\n', '?from=a%40ifaxin.com&to=b%40ifaxin.com', ''],
  ])('with %s is refused by name', async (_, message, query, pointer) => {
    await using postern = await startPostern();
    const response = await post(postern, message, query);
    expect(response.status).toBe(422);
    const { code, errors } = (await response.json()) as { code: string; errors: { pointer: string }[] };
    expect(code).toBe('invalid-message');
    expect(errors.map((error) => error.pointer)).toContain(pointer);
    expect(await postern.drawn()).toBe(0);
  });

  it.each([
    [
      'a message that was resent, to whom it was resent',
      `Resent-From: amy@ifaxin.com\r\nResent-To: new@ifaxin.com\r\nResent-Bcc: hidden@ifaxin.com\r\n${MESSAGE}`,
      ['amy@ifaxin.com', 'new@ifaxin.com', 'hidden@ifaxin.com'],
    ],
    [
      'groups, to their members',
      'From: amy@ifaxin.com\r\nTo: Team: a@ifaxin.com, Ben <b@ifaxin.com>;\r\nCc: "No: one": ;\r\n\r\nx\r\n',
      ['amy@ifaxin.com', 'a@ifaxin.com', 'b@ifaxin.com'],
    ],
  ])('has the envelope of %s', async (_, message, [from, ...to]) => {
    await using postern = await startPostern();
    expect(await (await post(postern, message)).json()).toMatchObject({ accepted: to });
    expect(taken(postern)).toMatchObject({ from });
    expect(text(postern)).not.toMatch(/hidden/);
  });

  it.each([
    ['resent twice', `Resent-From: a@ifaxin.com\r\n`.repeat(2) + MESSAGE, '', /resent more than once/],
    [
      'with an unreadable From',
      'From: J\xf6rg <a@ifaxin.com>\r\nTo: b@ifaxin.com\r\n\r\nx',
      '',
      /the from field/,
    ],
    ['with semicolons', 'From: a@ifaxin.com\r\nTo: b@ifaxin.com; c@ifaxin.com\r\n\r\nx', '', /commas/],
    ['to an address with a bare "+"', MESSAGE, '?to=ben+tag@ifaxin.com', /"\+" as %2B/],
    ['with an Idempotency-Key of its own', `Idempotency-Key: a\r\n${MESSAGE}`, '', /header of the request/],
  ])('%s is told what to do', async (_, message, query, problem) => {
    await using postern = await startPostern();
    const response = await post(postern, Buffer.from(message, 'latin1'), query);
    expect(await response.json()).toMatchObject({
      code: 'invalid-message',
      errors: [{ message: expect.stringMatching(problem) }],
    });
  });

  it('goes out with a body that is larger than a header section may be', async () => {
    await using postern = await startPostern();
    const large = MESSAGE + 'a line of the body\r\n'.repeat(50_000);
    expect((await post(postern, large)).status).toBe(200);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it.each([
    [
      'the first line of an mbox',
      `From ben@ifaxin.com Thu Nov 26 10:00:00 2026\r\n${MESSAGE}`,
      /is not a field/,
    ],
    ['an empty line in front', `\r\n${MESSAGE}`, /empty line before the header/],
    ['a blank before a colon', MESSAGE.replace('Subject:', 'Subject :'), /before its colon/],
  ])('with %s goes out as it is, with a warning', async (_, message, warning) => {
    await using postern = await startPostern();
    const response = await post(postern, message);
    expect(await response.json()).toMatchObject({
      warnings: [{ pointer: '', message: expect.stringMatching(warning) }],
    });
    expect(text(postern)).toBe(message.replace(/Bcc:[^\n]*\n [^\n]*\n/, ''));
  });

  it('is read the same wherever its slices end', async () => {
    await using postern = await startPostern();
    const header = MESSAGE.replace(/Bcc:[^\n]*\n [^\n]*\n/, '');
    // A line break lies on each bound of a MiB, its CR before it and its LF behind it.
    const line = `${'y'.repeat(62)}\r\n`;
    const first = `${'x'.repeat(2 ** 20 - Buffer.byteLength(header) - 1)}\r\n`.replace(/x{62}xx/g, line);
    const large = Buffer.from(header + first + line.repeat(2 ** 15) + line);
    expect([large[2 ** 20 - 1], large[2 ** 20]]).toEqual([13, 10]);
    const unix = Buffer.from(large.toString('latin1').replaceAll('\r\n', '\n').slice(0, -1), 'latin1');
    for (const sent of [large, unix]) {
      const response = await post(postern, sent);
      expect(await response.json()).toMatchObject({ size: large.length, warnings: [] });
    }
    for (const one of postern.upstream.taken) expect(Buffer.from(one.message ?? '').equals(large)).toBe(true);
    expect(postern.upstream.taken).toHaveLength(2);
    const broken = Buffer.from(large);
    broken[2 ** 20] = 0x78;
    expect(await (await post(postern, broken)).json()).toMatchObject({ code: 'invalid-message' });
  });

  it.each(['?subject=x', '?label=1&label=2', '?from=a@ifaxin.com&to=b@ifaxin.com&from=c@ifaxin.com'])(
    'with a parameter too many is refused: %s',
    async (query) => {
      await using postern = await startPostern();
      expect(await (await post(postern, MESSAGE, query)).json()).toMatchObject({ code: 'invalid-request' });
    },
  );

  it('is held to the sender policy, in its envelope and in its header section', async () => {
    await using postern = await startPostern({
      SENDCLOUD_API_USER: '',
      SENDCLOUD_API_KEY: '',
      GATEWAY_TOKENS: '',
      ACCOUNTS: JSON.stringify([
        { apiUser: 'ifaxin', apiKey: 'the-key', tokens: [TOKEN], from: ['ifaxin.com'] },
      ]),
    });
    expect((await post(postern, MESSAGE)).status).toBe(200);
    const forged = MESSAGE.replace('Support <support@ifaxin.com>', 'CEO <ceo@bank.example>');
    for (const [message, query] of [
      [forged, '?from=support%40ifaxin.com'],
      [MESSAGE, '?from=ceo%40bank.example'],
      [`From: ceo@bank.example\r\n${MESSAGE}`, '?from=support%40ifaxin.com'],
      [`Sender: ceo@bank.example\r\n${MESSAGE}`, '?from=support%40ifaxin.com'],
    ] as const) {
      const response = await post(postern, message, query);
      expect(response.status, message.slice(0, 60)).toBe(403);
      expect(await response.json()).toMatchObject({ code: 'forbidden-sender' });
    }
  });

  it('cannot replace its recipients', async () => {
    await using postern = await startPostern();
    const response = await post(postern, `X-SMTPAPI: eyJ0byI6W119\r\n${MESSAGE}`);
    expect(await response.json()).toMatchObject({ code: 'invalid-message' });
    expect(postern.upstream.taken).toHaveLength(0);
  });

  it('is sent once under its key', async () => {
    await using postern = await startPostern();
    const key = { 'Idempotency-Key': 'order-1' };
    const [first, again, other] = [
      await post(postern, MESSAGE, '', key),
      await post(postern, MESSAGE, '', key),
      await post(postern, MESSAGE.replace('stay', 'go'), '', key),
    ];
    expect([first.status, again.status, other.status]).toEqual([200, 200, 422]);
    expect(again.headers.get('Idempotent-Replayed')).toBe('true');
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('with a long line goes out with a warning', async () => {
    await using postern = await startPostern();
    const fitting = await post(postern, `${MESSAGE}${'x'.repeat(990)}\r\n`);
    expect(await fitting.json()).toMatchObject({ warnings: [] });
    const response = await post(postern, `${MESSAGE}${'y'.repeat(991)}\r\n`);
    expect(await response.json()).toMatchObject({
      warnings: [{ pointer: '', message: expect.stringContaining('990') }],
    });
    const sent = Buffer.from(postern.upstream.taken.at(-1)?.message ?? '').toString();
    expect(sent).toContain('y'.repeat(991));
  });

  it('is judged by what goes out of it, not by its Bcc', async () => {
    await using postern = await startPostern();
    const plain = 'From: a@ifaxin.com\r\nTo: ben@ifaxin.com\r\n\r\nHello\r\n';
    const response = await post(
      postern,
      `Bcc: "${'ü'.repeat(600)}" <ann@ifaxin.com>\r\n${plain}`,
      '?to=ben@ifaxin.com',
    );
    expect(await response.json()).toMatchObject({ warnings: [] });
    expect(postern.upstream.taken[0]?.parameters).not.toContain('8BITMIME');
    expect(text(postern)).toBe(plain);
  });
});
