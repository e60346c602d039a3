import fc from 'fast-check';
import MailComposer from 'nodemailer/lib/mail-composer';
import PostalMime from 'postal-mime';
import { describe, expect, test } from 'vitest';
import { compose } from '../../src/message/compose.ts';
import { type Message, messageIdFor } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/parse.ts';
import { base64Of, PICTURES } from '../support/pictures.ts';

const ids = { messageId: '<1@ifaxin.com>', date: new Date('2026-01-02T03:04:05Z') };
const base = {
  from: 'Support <support@ifaxin.com>',
  to: 'Ben <ben@ifaxin.com>',
  subject: 'Hello',
  text: 'Hello',
};
const referring = '<p>Hello <img src="cid:image1"></p>';
const image = {
  cid: 'image1',
  contentType: 'image/png',
  content: base64Of('image/png'),
  filename: 'test.png',
};
const file = {
  filename: 'a.pdf',
  contentType: 'application/pdf',
  content: Buffer.from('%PDF-').toString('base64'),
};

function messageOf(input: Record<string, unknown>): Message {
  const result = parseMessage({ ...base, ...input });
  if (!('message' in result)) throw new Error(JSON.stringify(result.errors));
  return result.message;
}

const textOf = (message: Message): string => compose(message, ids).bytes.toString('latin1');

/** The header fields of the root, unfolded. */
function headersOf(text: string): [name: string, value: string][] {
  const block = text.slice(0, text.indexOf('\r\n\r\n')).replace(/\r\n(?=[ \t])/g, '');
  return block.split('\r\n').map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
}

/** The tree of content types, by the boundaries as a reader follows them. */
function treeOf(text: string): unknown {
  const [, type = '', boundary] =
    /^Content-Type: ([^;\r]+)(?:;(?:[^\r]|\r\n[ \t])*?boundary="([^"]+)")?/im.exec(
      text.slice(0, text.indexOf('\r\n\r\n')),
    ) ?? [];
  if (boundary === undefined) return type;
  const [, ...parts] = text.split(`\r\n--${boundary}--`)[0]?.split(`--${boundary}\r\n`) ?? [];
  return { [type]: parts.map(treeOf) };
}

describe('the envelope', () => {
  test('has each recipient once, in the order of to, cc and bcc', () => {
    const message = messageOf({
      to: ['b@ifaxin.com', 'a@ifaxin.com', 'B@ifaxin.com'],
      cc: ['a@IFAXIN.com', 'c@ifaxin.com'],
      bcc: ['d@ifaxin.com', 'b@ifaxin.com', 'd@bücher.example'],
    });
    expect(compose(message, ids).envelope).toEqual({
      from: 'support@ifaxin.com',
      to: [
        'b@ifaxin.com',
        'a@ifaxin.com',
        'B@ifaxin.com',
        'c@ifaxin.com',
        'd@ifaxin.com',
        'd@xn--bcher-kva.example',
      ],
    });
  });

  test('the size is that of the bytes', () => {
    const { bytes, size } = compose(messageOf({ text: 'héllo' }), ids);
    expect(size).toBe(bytes.length);
  });
});

describe('the structure', () => {
  const inline = { html: referring, inlineImages: [image] };
  const related = { 'multipart/related': ['text/html', 'image/png'] };
  test.each<[string, Record<string, unknown>, unknown]>([
    ['text', {}, 'text/plain'],
    ['html', { text: undefined, html: '<p>' }, 'text/html'],
    ['text and html', { html: '<p>' }, { 'multipart/alternative': ['text/plain', 'text/html'] }],
    ['html and an image', { text: undefined, ...inline }, related],
    ['text, html and an image', inline, { 'multipart/alternative': ['text/plain', related] }],
    ['text and a file', { attachments: [file] }, { 'multipart/mixed': ['text/plain', 'application/pdf'] }],
    [
      'html, an image and a file',
      { text: undefined, ...inline, attachments: [file] },
      { 'multipart/mixed': [related, 'application/pdf'] },
    ],
    [
      'everything',
      { ...inline, attachments: [file, { ...file, contentType: 'text/html' }] },
      {
        'multipart/mixed': [
          { 'multipart/alternative': ['text/plain', related] },
          'application/pdf',
          'text/html',
        ],
      },
    ],
  ])('of %s', (_, input, tree) => {
    expect(treeOf(textOf(messageOf(input)))).toEqual(tree);
  });

  test('an inline image has its Content-ID in angle brackets, and is inline', () => {
    const text = textOf(messageOf(inline));
    expect(text).toMatch(/^Content-ID: <image1>\r$/m);
    expect(text).toMatch(/^Content-Disposition: inline; filename=test\.png\r$/m);
    expect(text).toMatch(/^Content-Type: multipart\/related; type="text\/html";/m);
  });

  test('a data URI arrives as an inline image', async () => {
    const message = messageOf({ html: `<img src="data:image/gif;base64,${base64Of('image/gif')}">` });
    const mail = await PostalMime.parse(compose(message, ids).bytes);
    expect(mail.html?.trim()).toBe('<img src="cid:embedded-1">');
    expect(mail.attachments).toMatchObject([
      { mimeType: 'image/gif', contentId: '<embedded-1>', disposition: 'inline', filename: null },
    ]);
    expect(Buffer.from(mail.attachments[0]?.content as ArrayBuffer)).toEqual(PICTURES['image/gif']);
  });

  test('a file has its name in the disposition by RFC 2231, and in the content type for old clients', async () => {
    const filename = `合同 "第1版" ${'ü'.repeat(60)}.pdf`;
    const message = messageOf({
      attachments: [{ ...file, filename, contentType: 'text/csv ; charset="utf-8"' }],
    });
    const text = textOf(message);
    expect(text).toMatch(/^Content-Type: text\/csv; charset=utf-8;\r\n name="=\?UTF-8\?/im);
    expect(text).toMatch(/^Content-Disposition: attachment;\r\n filename\*0\*=utf-8''%E5%90%88/m);
    const mail = await PostalMime.parse(text);
    expect(mail.attachments).toMatchObject([{ filename }]);
  });

  test('an attachment that is a picture or text stays an attachment', () => {
    const text = textOf(
      messageOf({
        attachments: [
          { ...image, filename: 'a.png', cid: undefined },
          { ...file, filename: 'a.txt', contentType: 'text/plain' },
        ].map(({ filename, contentType, content }) => ({ filename, contentType, content })),
      }),
    );
    expect(text.match(/^Content-Disposition: attachment; filename=a\.\w+\r$/gm)).toHaveLength(2);
  });
});

describe('the headers', () => {
  test('are those of the message, and ours', () => {
    const message = messageOf({
      cc: 'cc@ifaxin.com',
      bcc: 'secret@ifaxin.com',
      replyTo: ['r@ifaxin.com'],
      headers: { 'X-Data': '{"a":"b"}', 'X-Name': 'Jörg', 'In-Reply-To': '<0@ifaxin.com>' },
    });
    expect(headersOf(textOf(message))).toEqual([
      ['X-Data', '{"a":"b"}'],
      ['X-Name', '=?UTF-8?Q?J=C3=B6rg?='],
      ['In-Reply-To', '<0@ifaxin.com>'],
      ['From', 'Support <support@ifaxin.com>'],
      ['To', 'Ben <ben@ifaxin.com>'],
      ['Cc', 'cc@ifaxin.com'],
      ['Reply-To', 'r@ifaxin.com'],
      ['Subject', 'Hello'],
      ['Message-ID', '<1@ifaxin.com>'],
      ['Date', 'Fri, 02 Jan 2026 03:04:05 +0000'],
      ['Content-Transfer-Encoding', '7bit'],
      ['MIME-Version', '1.0'],
      ['Content-Type', 'text/plain; charset=utf-8'],
    ]);
  });

  // Of every header that a caller may give and nodemailer or a parser knows by name.
  const custom = {
    References: '<1@ifaxin.com>  <2@ifaxin.com> <"3 4"@ifaxin.com> (three)',
    'In-Reply-To': '<1@ifaxin.com> <2@ifaxin.com>',
    'List-Unsubscribe': '<https://ifaxin.com/u?a=1,2>, <mailto:u@ifaxin.com?subject="u">',
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    'List-Id': '"The news" <news.ifaxin.com>',
    'List-Help': '<https://ifaxin.com/help>',
    Precedence: 'bulk',
    'Auto-Submitted': 'auto-generated; owner="a@ifaxin.com"',
    Importance: 'high',
    Priority: 'urgent',
    'X-Priority': '1 (Highest)',
    Sensitivity: 'Private',
    'Disposition-Notification-To': '"Dyk, Ben" <ben@ifaxin.com>',
    'Return-Receipt-To': '=?utf-8?q?M=C3=BCller?= <jm@ifaxin.com>',
    'Errors-To': 'e@ifaxin.com',
    'Feedback-ID': 'a:b:c:ifaxin',
    'OTP-Token': '"1234"; origin="https://ifaxin.com"',
    Organization: 'The "Ifaxin" \\ Company',
    Comments: `=?no encoded-word ${'but words '.repeat(90).trim()}`,
    Keywords: 'one, "two, three"',
    'X-JSON': JSON.stringify({ a: ['"', '\\'], text: 'x '.repeat(200) }),
    'X-Long': 'x'.repeat(899),
    'x-sOME-cASE': 'kept',
    'X-SMTPAPI-Not': 'x',
    'Archived-At': '<https://ifaxin.com/a>',
    [`X-${'n'.repeat(74)}`]: 'x',
  };

  test('of the caller arrive as they were written', async () => {
    const { bytes } = compose(messageOf({ headers: custom }), ids);
    const fields = headersOf(bytes.toString('latin1'));
    expect(fields.slice(0, Object.keys(custom).length)).toEqual(Object.entries(custom));
    const { headers } = await PostalMime.parse(bytes);
    const read = new Map(headers.map(({ key, value }) => [key, value]));
    for (const [name, value] of Object.entries(custom)) expect(read.get(name.toLowerCase())).toBe(value);
  });

  test('have no word of a blind copy', () => {
    const { bytes, envelope } = compose(messageOf({ to: [], bcc: 'Secret <secret@ifaxin.com>' }), ids);
    expect(bytes.toString()).not.toMatch(/bcc|secret/i);
    expect(envelope.to).toEqual(['secret@ifaxin.com']);
  });

  test('a quoted local part arrives as it was given', () => {
    const message = messageOf({
      to: ['Ben <"b, .n"@ifaxin.com>', '"a  \\"b"@ifaxin.com'],
    });
    const { bytes, envelope } = compose(message, ids);
    expect(envelope.to).toEqual(['"b, .n"@ifaxin.com', '"a  \\"b"@ifaxin.com']);
    expect(headersOf(bytes.toString())).toContainEqual([
      'To',
      'Ben <"b, .n"@ifaxin.com>, <"a  \\"b"@ifaxin.com>',
    ]);
  });

  test('the Message-ID has the domain of the sender', () => {
    expect(messageIdFor('7f3a', { name: '', address: '"a@b"@ifaxin.com' })).toBe('<7f3a@ifaxin.com>');
  });
});

test.each(['a', ' ', '\n', 'é', '='])('a body of megabytes of %j is composed', (piece) => {
  const body = piece.repeat(5_000_000);
  expect(compose(messageOf({ text: body, html: body }), ids).size).toBeGreaterThan(10_000_000);
});

describe('whatever the message', () => {
  const special = fc.constantFrom(...' "\\=?_<>@,;:()[]%*\'.-ab');
  const words = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 60 }),
    fc.string({ unit: special, maxLength: 120 }),
    fc.string({ unit: fc.oneof(special, fc.constantFrom('é', '张', '😀')), maxLength: 300 }),
  );
  const line = words.map((text) => text.trim() || 'x');
  const prose = fc
    .array(
      fc.oneof(
        words,
        fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
      ),
      { maxLength: 5 },
    )
    .chain((lines) => fc.constantFrom('\n', '\r\n', '\r', '').map((end) => lines.join(end)))
    .filter((text) => text !== '' && text.isWellFormed());
  const name = line.map((text) => text.slice(0, 100).toWellFormed().trim() || 'x');
  const address = fc.constantFrom('a@ifaxin.com', 'b+c@bücher.example', '"d e"@ifaxin.com', 'f@例子.测试');
  const mailbox = fc.oneof(address, fc.record({ name, address }));
  const filename = name
    .map((text) => text.replace(/[/\\]/g, '') || 'x')
    .filter((text) => !/^\s*\.{0,2}\s*$/.test(text));
  const content = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('base64'));
  const input = fc
    .record(
      {
        from: mailbox,
        to: fc.array(mailbox, { maxLength: 5 }),
        cc: fc.array(mailbox, { maxLength: 2 }),
        bcc: fc.array(fc.constantFrom('secret@ifaxin.com', { name: 'Secret', address: 'secret@ifaxin.com' })),
        replyTo: fc.array(mailbox, { maxLength: 3 }),
        subject: line,
        text: prose,
        html: prose,
        picture: filename,
        attachments: fc.array(
          fc.record({
            filename,
            contentType: fc.constantFrom(
              'application/pdf',
              'text/plain; charset="utf-8"',
              'image/png',
              'text/html',
            ),
            content,
          }),
          { maxLength: 3 },
        ),
        headers: fc.dictionary(
          fc.constantFrom('X-A', 'x-b', 'X-SMTP', 'List-Unsubscribe', '__proto__'),
          line,
        ),
      },
      {
        requiredKeys: ['from', 'to', 'bcc', 'subject', 'headers', 'attachments', 'text'],
        noNullPrototype: true,
      },
    )
    .map(({ picture, ...rest }) =>
      picture === undefined || rest.html === undefined
        ? rest
        : { ...rest, html: `${rest.html}${referring}`, inlineImages: [{ ...image, filename: picture }] },
    );
  const message = input
    .map((json) => parseMessage(json))
    .filter((result) => 'message' in result)
    .map((result) => result.message);

  test('its bytes are lines that every server takes', () => {
    fc.assert(
      fc.property(message, (message) => {
        const { bytes, size } = compose(message, ids);
        expect(size).toBe(bytes.length);
        const text = bytes.toString('latin1');
        expect(text).toMatch(/^[\r\n\x20-\x7e\t]*\r\n$/);
        expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
        for (const line of text.split('\r\n')) expect(line.length).toBeLessThanOrEqual(990);
      }),
      { numRuns: 500 },
    );
  });

  test('no string makes a header of its own, and no blind copy shows', () => {
    fc.assert(
      fc.property(message, (message) => {
        const text = textOf(message);
        const expected = [
          ...message.headers.map(([name]) => name.toLowerCase()),
          'from',
          ...(message.to.length > 0 ? ['to'] : []),
          ...(message.cc.length > 0 ? ['cc'] : []),
          ...(message.replyTo.length > 0 ? ['reply-to'] : []),
          ...['subject', 'message-id', 'date', 'mime-version', 'content-type'],
        ];
        const found = headersOf(text).map(([name]) => name.toLowerCase());
        expect(found.filter((name) => name !== 'content-transfer-encoding').sort()).toEqual(expected.sort());
        expect(text).not.toMatch(/^bcc:|secret@/im);
      }),
      { numRuns: 500 },
    );
  });

  // The parser ends every body with a line break, so how many stood at its end is left out.
  const lines = (text: string | null | undefined) =>
    text?.replace(/\r\n|\r/g, '\n').replace(/\n+$/, '') ?? null;

  test('a parser that did not make it reads what the caller wrote', async () => {
    await fc.assert(
      fc.asyncProperty(message, async (message) => {
        const { bytes } = compose(message, ids);
        const mail = await PostalMime.parse(bytes);
        expect(mail.subject).toBe(message.subject);
        expect(mail.from).toEqual(message.from);
        expect(mail.to ?? []).toEqual(message.to);
        expect(mail.cc ?? []).toEqual(message.cc);
        expect(mail.replyTo ?? []).toEqual(message.replyTo);
        expect(mail.bcc).toBeUndefined();
        expect(lines(mail.text)).toBe(lines(message.text));
        expect(lines(mail.html)).toBe(lines(message.html));
        expect(
          mail.attachments.map(({ filename, mimeType, disposition, contentId, content }) => ({
            filename,
            mimeType,
            disposition,
            contentId,
            content: Buffer.from(content as ArrayBuffer),
          })),
        ).toEqual([
          ...message.inlineImages.map(({ cid, contentType, content, filename }) => ({
            filename,
            mimeType: contentType,
            disposition: 'inline',
            contentId: `<${cid}>`,
            content,
          })),
          ...message.attachments.map(({ contentType, content, filename }) => ({
            filename,
            mimeType: contentType.split(';')[0],
            disposition: 'attachment',
            contentId: undefined,
            content,
          })),
        ]);
      }),
      { numRuns: 500 },
    );
  });

  test('the bytes are those that nodemailer itself builds', async () => {
    const fixed = (text: string) => text.replace(/--_NmP-[0-9a-f]{16}/g, '--_NmP');
    const crlf = (text: string | null) => text?.replace(/\r\n|\r|\n/g, '\r\n');
    await fc.assert(
      fc.asyncProperty(message, async (message) => {
        const built = await new MailComposer({
          ...ids,
          from: message.from,
          to: [...message.to],
          cc: [...message.cc],
          replyTo: [...message.replyTo],
          subject: message.subject,
          text: crlf(message.text),
          html: crlf(message.html),
          attachments: [
            ...message.inlineImages.map((image) => ({
              ...image,
              filename: image.filename ?? (false as const),
            })),
            ...message.attachments.map((part) => ({ ...part, contentDisposition: 'attachment' })),
          ],
        })
          .compile()
          .build();
        expect(fixed(textOf({ ...message, headers: [] }))).toBe(fixed(built.toString('latin1')));
      }),
      { numRuns: 200 },
    );
  });
});
