/** What goes out, read by parsers that did not make it: postal-mime, and Python's email package where it is there. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text as textOfStream } from 'node:stream/consumers';
import fc from 'fast-check';
import MailComposer from 'nodemailer/lib/mail-composer';
import PostalMime, { decodeWords, type Email } from 'postal-mime';
import { describe, expect, test } from 'vitest';
import { compose } from '../../src/message/compose.ts';
import { type Message, messageIdFor } from '../../src/message/message.ts';

const ids = { messageId: '<1@ifaxin.com>', date: new Date('2026-01-02T03:04:05Z') };
const mailbox = (address: string, name = '') => ({ name, address });
const EMPTY: Message = {
  from: mailbox('support@ifaxin.com', 'Support'),
  to: [mailbox('ben@ifaxin.com', 'Ben')],
  cc: [],
  bcc: [],
  replyTo: [],
  subject: 'Hello',
  text: 'Hello',
  html: null,
  label: null,
  inlineImages: [],
  attachments: [],
  calendar: null,
  returnPath: null,
  messageId: null,
  sendAt: null,
  headers: [],
  embedded: 0,
  warnings: [],
};
const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString('base64');
const image = { cid: 'image1', contentType: 'image/png', content: base64('a picture'), filename: 'test.png' };
const file = { filename: 'a.pdf', contentType: 'application/pdf', content: base64('%PDF-'), cid: null };

const bytesOf = async (message: Partial<Message>): Promise<Buffer> =>
  (await compose({ ...EMPTY, ...message }, ids)).bytes ?? expect.fail('over a limit that no one set');
const textOf = async (message: Partial<Message>): Promise<string> =>
  (await bytesOf(message)).toString('latin1');
const read = async (message: Partial<Message>): Promise<Email> => PostalMime.parse(await bytesOf(message));

/** The lines of one field of the root, as they were folded. */
const fieldOf = (text: string, name: string): string =>
  new RegExp(`^${name}:.*(?:\\r\\n[ \\t].*)*`, 'm').exec(text.slice(0, text.indexOf('\r\n\r\n')))?.[0] ?? '';

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
  test('has each recipient once, in the order of to, cc and bcc, in its first spelling', async () => {
    const { envelope } = await compose(
      {
        ...EMPTY,
        to: [mailbox('Ben@ifaxin.com'), mailbox('a@ifaxin.com')],
        cc: [mailbox('ben@ifaxin.com'), mailbox('c@ifaxin.com')],
        bcc: [mailbox('A@ifaxin.com'), mailbox('d@ifaxin.com')],
      },
      ids,
    );
    expect(envelope.to).toEqual(['Ben@ifaxin.com', 'a@ifaxin.com', 'c@ifaxin.com', 'd@ifaxin.com']);
  });

  test('is sent by the return path where there is one', async () => {
    expect((await compose(EMPTY, ids)).envelope.from).toBe('support@ifaxin.com');
    const returnPath = 'bounces@ifaxin.com';
    expect((await compose({ ...EMPTY, returnPath }, ids)).envelope.from).toBe(returnPath);
  });
});

describe('the tree of parts', () => {
  const html = '<img src="cid:image1">';
  const calendar = { method: 'REQUEST', content: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n' };
  const related = { 'multipart/related': ['text/html', 'image/png'] };
  test.each<[string, Partial<Message>, unknown]>([
    ['text', {}, 'text/plain'],
    ['html', { text: null, html }, 'text/html'],
    ['both', { html }, { 'multipart/alternative': ['text/plain', 'text/html'] }],
    ['a picture', { text: null, html, inlineImages: [image] }, related],
    [
      'text and a picture',
      { html, inlineImages: [image] },
      { 'multipart/alternative': ['text/plain', related] },
    ],
    ['a file', { attachments: [file] }, { 'multipart/mixed': ['text/plain', 'application/pdf'] }],
    [
      'everything',
      { html, inlineImages: [image], attachments: [file], calendar },
      {
        'multipart/mixed': [
          { 'multipart/alternative': ['text/plain', related, 'text/calendar'] },
          'application/pdf',
          'application/ics',
        ],
      },
    ],
  ])('%s', async (_, message, tree) => {
    expect(treeOf(await textOf(message))).toEqual(tree);
  });

  test('a picture and a file have their ids and names', async () => {
    const attachments = [{ ...file, cid: 'file1@ifaxin.com' }];
    const mail = await read({ html, inlineImages: [image], attachments });
    expect(mail.attachments).toMatchObject([
      { contentId: '<image1>', disposition: 'inline', filename: 'test.png', mimeType: 'image/png' },
      { contentId: '<file1@ifaxin.com>', disposition: 'attachment', filename: 'a.pdf' },
    ]);
  });

  test('an invitation is the last alternative, with its method, and a file', async () => {
    const text = await textOf({ html, calendar });
    expect(text).toContain('Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n');
    const mail = await PostalMime.parse(text, { attachmentEncoding: 'utf8' });
    expect(mail.attachments).toContainEqual(
      expect.objectContaining({ filename: 'invite.ics', mimeType: 'application/ics' }),
    );
  });

  test('boundaries differ, and a text that looks like one ends nothing', async () => {
    const [one, other] = [await textOf({ html }), await textOf({ html })].map(
      (text) => /boundary="([^"]+)"/.exec(text)?.[1],
    );
    expect(one).not.toBe(other);
    const text = `--${one}\n--${one}--\n`;
    expect((await read({ text, html })).text?.trimEnd()).toBe(text.trimEnd());
  });
});

describe('the header section', () => {
  test('is whole, and of hidden recipients there is no word', async () => {
    const text = await textOf({ bcc: [mailbox('secret@ifaxin.com')], cc: [mailbox('c@ifaxin.com', 'C')] });
    const [head = ''] = text.split('\r\n\r\n', 1);
    expect(head.split('\r\n').map((line) => line.split(':', 1)[0])).toEqual([
      'From',
      'To',
      'Cc',
      'Subject',
      'Message-ID',
      'Date',
      'MIME-Version',
      'Content-Type',
      'Content-Transfer-Encoding',
    ]);
    expect(head).toContain('\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\n');
    expect(text).not.toContain('secret');
  });

  test('says that the recipients are undisclosed where all are hidden', async () => {
    expect(fieldOf(await textOf({ to: [], bcc: [mailbox('a@ifaxin.com')] }), 'To')).toBe(
      'To: undisclosed-recipients:;',
    );
    expect(fieldOf(await textOf({ to: [], cc: [mailbox('a@ifaxin.com')] }), 'To')).toBe('');
  });

  test("has the caller's Message-ID, or one of the sender's domain", async () => {
    expect(fieldOf(await textOf({ messageId: '<own@ifaxin.com>' }), 'Message-ID')).toBe(
      'Message-ID: <own@ifaxin.com>',
    );
    expect(messageIdFor('4711', mailbox('support@ifaxin.com'))).toBe('<4711@ifaxin.com>');
  });

  const LONG = 'x'.repeat(200);
  test.each([
    ['Message-ID', { messageId: `<${LONG}@ifaxin.com>` }],
    ['List-Unsubscribe', { headers: [['List-Unsubscribe', `<https://ifaxin.com/u?t=${LONG}>`]] }],
    ['In-Reply-To', { headers: [['In-Reply-To', `<${LONG}@ifaxin.com>`]] }],
    ['References', { headers: [['References', `<${LONG}@ifaxin.com> <2@ifaxin.com>`]] }],
    ['Subject', { subject: LONG }],
    ['Subject', { subject: 'ü'.repeat(200) }],
    ['From', { from: mailbox('support@ifaxin.com', 'ü'.repeat(100)) }],
  ] as const)('has the name and the first token of %s on one line', async (name, message) => {
    expect(fieldOf(await textOf(message as Partial<Message>), name)).toMatch(new RegExp(`^${name}: \\S`));
  });

  test('folds between ids, and keeps each whole', async () => {
    const references = Array.from({ length: 50 }, (_, i) => `<${'a'.repeat(60)}${i}@ifaxin.com>`).join(' ');
    const field = fieldOf(await textOf({ headers: [['References', references]] }), 'References');
    expect(field.replaceAll('\r\n', '')).toBe(`References: ${references}`);
    expect(field.split('\r\n')).toHaveLength(50);
  });

  test('keeps what a caller wrote: case, spaces, repeated fields', async () => {
    const text = await textOf({
      headers: [
        ['x-CaMpaign', 'a  b   c'],
        ['Comments', 'one'],
        ['Comments', 'two'],
      ],
    });
    expect(text).toContain('\r\nx-CaMpaign: a  b   c\r\nComments: one\r\nComments: two\r\n');
  });

  test('has a name by RFC 2231, and in the content type for clients that read no other', async () => {
    const filename = '年度报告 – Übersicht & Zahlen (endgültige Fassung) zum Weitergeben.pdf';
    const text = await textOf({ attachments: [{ ...file, filename }] });
    expect(text).toMatch(/filename\*0\*=utf-8''/);
    expect(text).toMatch(/name="=\?UTF-8\?B\?/);
    expect((await PostalMime.parse(text)).attachments[0]?.filename).toBe(filename);
  });
});

describe('a text', () => {
  test.each([
    ['ASCII goes as it is', 'Hello\nBen\r\n\rBye', '7bit'],
    ['blanks at the end of a line', 'Hello \nBen', 'quoted-printable'],
    ['a line that begins a mailbox', 'Hello\nFrom me\n', 'quoted-printable'],
    ['a line over 990 bytes', 'x'.repeat(991), 'quoted-printable'],
    ['a few umlauts', 'Liebe Grüße, und wie immer bis bald!\n'.repeat(20), 'quoted-printable'],
    ['another script', '你好，世界\n'.repeat(20), 'base64'],
    ['control characters', 'bell \x07 and escape \x1b', 'quoted-printable'],
  ])('%s', async (_, text, encoding) => {
    const composed = await textOf({ text });
    expect(composed).toContain(`Content-Transfer-Encoding: ${encoding}\r\n`);
    const received = (await PostalMime.parse(composed)).text;
    expect(lines(received)).toBe(lines(text.replace(/\r(?!\n)/g, '\n')));
    expect(composed).not.toMatch(/^From /m);
  });

  test.each(['Hello\n', 'Hello\r\n\r\n', 'Grüße, und wie immer bis bald!\n', '你好\n'])(
    'that ends its last line is not ended twice: %j',
    async (text) => {
      const received = (await PostalMime.parse(await textOf({ text }))).text;
      expect(received?.replaceAll('\r', '')).toBe(text.replaceAll('\r', ''));
    },
  );

  test('is measured before it is made', async () => {
    const { size, bytes } = await compose({ ...EMPTY, text: '\n'.repeat(5_000_000) }, ids, 1_000_000);
    expect(size).toBeGreaterThan(10_000_000);
    expect(bytes).toBeNull();
  });
});

// Six scripts, what a reader might take for something else, and what lies outside the basic plane.
const words = fc.constantFrom(
  'Hello',
  'order',
  '4711',
  'Grüße',
  'naïve',
  'Привет',
  'заказ',
  '你好',
  '订单',
  'مرحبا',
  'طلب',
  'नमस्ते',
  'आदेश',
  '👋🏽',
  '👨‍👩‍👧',
  '=?x',
  '"quoted"',
  'a,b',
  '(c)',
  '<d>',
  'e@f',
  'g;h',
  '\\',
  "it's",
  '100%',
  '=20',
  '_',
  '.',
  'x'.repeat(80),
  'ü'.repeat(60),
);
const phrase = fc.array(words, { minLength: 1, maxLength: 12 }).map((some) => some.join(' '));
const paragraph = fc
  .array(fc.oneof(phrase, fc.constantFrom('', '.', '..', 'From me', 'tail ', '\ttab')), {
    minLength: 1,
    maxLength: 8,
  })
  .map((lines) => lines.join('\n'))
  .filter((text) => text.trim() !== '');
const address = fc.integer({ min: 0, max: 999 }).map((n) => `user-${n}@ifaxin.com`);
const mailboxes = (minLength: number) =>
  fc.array(
    fc.record({
      address,
      name: fc.option(
        phrase.filter((name) => name.length < 250),
        { nil: '' },
      ),
    }),
    { minLength, maxLength: 4 },
  );
const filename = fc
  .array(words, { minLength: 1, maxLength: 3 })
  .map((some) => `${some.join(' ').replace(/[/\\]/g, '').trim()}.bin`);
const content = fc.uint8Array({ maxLength: 300 }).map(base64);
const randomMessage: fc.Arbitrary<Message> = fc
  .record({
    from: mailboxes(1).map((all) => all[0] ?? mailbox('a@ifaxin.com')),
    to: mailboxes(1),
    cc: mailboxes(0),
    subject: phrase,
    text: fc.option(paragraph),
    html: paragraph.map((text) => `<p>${text}</p>`),
    inlineImages: fc.array(fc.record({ content, filename }), { maxLength: 2 }),
    attachments: fc.array(fc.record({ content, filename }), { maxLength: 2 }),
    note: phrase,
  })
  .map(({ inlineImages, attachments, note, ...message }) => ({
    ...EMPTY,
    ...message,
    inlineImages: inlineImages.map((one, i) => ({ ...one, cid: `image-${i}@x`, contentType: 'image/png' })),
    attachments: attachments.map((one, i) => ({
      ...one,
      contentType: 'application/octet-stream',
      cid: i === 0 ? 'file@x' : null,
    })),
    headers: [['X-Note', note]],
  }));

/** Ten thousand in each run, of which Python, which is slow, reads a quarter; POSTERN_MESSAGES asks for more. */
const RUNS = Number(process.env.POSTERN_MESSAGES ?? 10_000);

/** What both parsers are asked of a message, in one shape. */
interface Reading {
  readonly subject: string;
  readonly from: readonly (readonly [string, string])[];
  readonly to: readonly (readonly [string, string])[];
  readonly cc: readonly (readonly [string, string])[];
  readonly note: string;
  readonly text: string | null;
  readonly html: string | null;
  readonly parts: readonly (readonly [filename: string, contentId: string | null, base64: string])[];
}

const lines = (text: string | null | undefined): string | null =>
  text == null ? null : text.replace(/\r\n/g, '\n').replace(/\n+$/, '');

const written = (message: Message): Reading => ({
  subject: message.subject,
  from: [[message.from.name, message.from.address]],
  to: message.to.map(({ name, address }) => [name, address]),
  cc: message.cc.map(({ name, address }) => [name, address]),
  note: message.headers[0]?.[1] ?? '',
  text: lines(message.text),
  html: lines(message.html),
  parts: [...message.inlineImages, ...message.attachments].map(({ filename, cid, content }) => [
    filename,
    cid === null ? null : `<${cid}>`,
    content,
  ]),
});

async function readByPostalMime(bytes: Buffer): Promise<Reading> {
  const mail = await PostalMime.parse(bytes);
  const pairs = (all: Email['to'] = []) => all.map(({ name, address = '' }) => [name, address] as const);
  return {
    subject: mail.subject ?? '',
    from: pairs(mail.from ? [mail.from] : []),
    to: pairs(mail.to),
    cc: pairs(mail.cc),
    note: decodeWords(mail.headers.find(({ key }) => key === 'x-note')?.value ?? ''),
    text: lines(mail.text),
    html: lines(mail.html),
    parts: mail.attachments.map(({ filename, contentId, content }) => [
      filename ?? '',
      contentId ?? null,
      base64(new Uint8Array(content as ArrayBuffer)),
    ]),
  };
}

/** Python keeps the space between two encoded-words of a name, against RFC 2047 section 6.2 (seen on 3.11). */
const pythons = (reading: Reading): Reading => {
  const solid = (pairs: Reading['to']) =>
    pairs.map(([name, address]) => [name.replace(/\s/g, ''), address] as const);
  return { ...reading, from: solid(reading.from), to: solid(reading.to), cc: solid(reading.cc) };
};

const PYTHON = `
import sys, json, base64
from email import message_from_bytes
from email.policy import default
source = sys.stdin.buffer
while True:
    head = source.readline()
    if not head: break
    mail = message_from_bytes(source.read(int(head)), policy=default)
    pairs = lambda name: [[a.display_name, a.addr_spec] for a in (mail[name].addresses if mail[name] else [])]
    body = lambda kind: (lambda p: None if p is None else p.get_content())(mail.get_body((kind,)))
    parts = [p for p in mail.walk() if p.get_content_disposition()]
    print(json.dumps({
        'subject': str(mail['subject']), 'from': pairs('from'), 'to': pairs('to'), 'cc': pairs('cc'),
        'note': str(mail['x-note']), 'text': body('plain'), 'html': body('html'),
        'parts': [[p.get_filename(), p['content-id'], base64.b64encode(p.get_payload(decode=True)).decode()] for p in parts],
    }))
`;

describe('every message', { timeout: 240_000 }, () => {
  const samples = fc.sample(randomMessage, { numRuns: RUNS, seed: Date.now() });

  test('is ASCII in lines that every server takes, folded where every reader can', async () => {
    for (const message of samples) {
      const text = await textOf(message);
      expect(text).toMatch(/^[\t\r\n\x20-\x7e]*\r\n$/);
      expect(text).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
      const all = text.split('\r\n');
      expect(Math.max(...all.map((line) => line.length))).toBeLessThanOrEqual(990);
      for (const [word] of text.matchAll(/=\?UTF-8\?[BQ]\?[^?]*\?=/g))
        expect(word.length).toBeLessThanOrEqual(75);
      for (const line of text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n')) {
        expect(line).toMatch(/^(?:[!-9;-~]+: \S| \S)/);
        if (line.length > 78) expect(line.trim().replace(/^[^:]*: /, '')).toMatch(/^\S+$|^"/);
      }
    }
  });

  test('is read by postal-mime as it was written', async () => {
    for (const message of samples) {
      expect(await readByPostalMime(await bytesOf(message))).toEqual(written(message));
    }
  });

  test("is read by Python's email package as it was written", async () => {
    if (spawnSync('python3', ['--version']).error) return;
    const python = spawn('python3', ['-c', PYTHON], { stdio: ['pipe', 'pipe', 'inherit'] });
    const printed = textOfStream(python.stdout);
    const some = samples.slice(0, Math.ceil(RUNS / 4));
    for (const message of some) {
      const bytes = await bytesOf(message);
      if (!python.stdin.write(Buffer.concat([Buffer.from(`${bytes.length}\n`), bytes]))) {
        await once(python.stdin, 'drain');
      }
    }
    python.stdin.end();
    const readings = (await printed).trimEnd().split('\n');
    expect(readings).toHaveLength(some.length);
    for (const [index, line] of readings.entries()) {
      const { text, html, ...reading } = JSON.parse(line) as Reading;
      const expected = written(some[index] as Message);
      expect(pythons({ ...reading, text: lines(text), html: lines(html) })).toEqual(pythons(expected));
    }
  });

  test('is read as what the former composer makes of it', async () => {
    for (const message of samples.slice(0, 300)) {
      const former = new MailComposer({
        from: message.from,
        to: [...message.to],
        subject: message.subject,
        text: message.text ?? '',
        html: message.html ?? '',
      });
      const [ours, theirs] = await Promise.all([
        read(message),
        former
          .compile()
          .build()
          .then((bytes) => PostalMime.parse(bytes)),
      ]);
      expect([ours.subject, ours.from, ours.to, lines(ours.html)]).toEqual([
        theirs.subject,
        theirs.from,
        theirs.to,
        lines(theirs.html),
      ]);
    }
  });
});
