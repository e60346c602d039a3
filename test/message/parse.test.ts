import { toJsonSchemaDefs } from '@valibot/to-json-schema';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/parse.ts';
import { MESSAGE_COMPONENTS } from '../../src/message/schema.ts';
import { base64Of, PICTURES } from '../support/pictures.ts';

type Json = Record<string, unknown>;

const base = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Hello', text: 'Hello Ben' };
const png = base64Of('image/png');
const gif = base64Of('image/gif');
const image = { cid: 'image1', contentType: 'image/png', content: png };
const file = { filename: 'a.pdf', contentType: 'application/pdf', content: 'AAAA' };
const referring = '<img src="cid:image1">';

function parsed(input: Json): Message {
  const result = parseMessage({ ...base, ...input });
  if (!('message' in result)) throw new Error(JSON.stringify(result.errors));
  return result.message;
}

function errorsOf(input: unknown): [pointer: string, message: string][] {
  const result = parseMessage(input);
  return 'errors' in result ? result.errors.map(({ pointer, message }) => [pointer, message]) : [];
}

const without = (...fields: (keyof typeof base)[]): Json =>
  Object.fromEntries(Object.entries(base).filter(([field]) => !fields.includes(field as keyof typeof base)));

const many = <T>(count: number, one: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => one(i));

describe('a message', () => {
  test('has everything, where the JSON has little', () => {
    expect(parsed({})).toEqual({
      from: { name: '', address: 'support@ifaxin.com' },
      to: [{ name: '', address: 'ben@ifaxin.com' }],
      cc: [],
      bcc: [],
      replyTo: [],
      subject: 'Hello',
      text: 'Hello Ben',
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
    });
  });

  test('carries all that the JSON has', () => {
    const message = parsed({
      from: 'Support <support@ifaxin.com>',
      to: ['Ben <ben@ifaxin.com>', { name: '张三', address: 'zhang@例子.测试' }],
      cc: { address: 'cc@ifaxin.com' },
      bcc: ['bcc@ifaxin.com'],
      replyTo: 'reply@ifaxin.com',
      subject: '  你好  ',
      html: referring,
      label: '31337',
      returnPath: 'bounces@IFAXIN.com',
      messageId: 'order-17@ifaxin.com',
      calendar: { method: 'publish', content: 'BEGIN:VCALENDAR\nEND:VCALENDAR\n' },
      inlineImages: [{ ...image, filename: 'test.png' }],
      attachments: [
        { ...file, cid: 'a@ifaxin.com' },
        { filename: 'empty.txt', contentType: 'text/plain; charset=utf-8', content: '' },
      ],
      headers: { 'X-Campaign': ' spring ', 'List-Unsubscribe': '<https://ifaxin.com/u>' },
    });
    expect(message).toEqual({
      from: { name: 'Support', address: 'support@ifaxin.com' },
      to: [
        { name: 'Ben', address: 'ben@ifaxin.com' },
        { name: '张三', address: 'zhang@xn--fsqu00a.xn--0zwm56d' },
      ],
      cc: [{ name: '', address: 'cc@ifaxin.com' }],
      bcc: [{ name: '', address: 'bcc@ifaxin.com' }],
      replyTo: [{ name: '', address: 'reply@ifaxin.com' }],
      subject: '你好',
      text: 'Hello Ben',
      html: referring,
      label: 31337,
      inlineImages: [{ cid: 'image1', contentType: 'image/png', content: png, filename: 'test.png' }],
      attachments: [
        { filename: 'a.pdf', contentType: 'application/pdf', content: 'AAAA', cid: 'a@ifaxin.com' },
        { filename: 'empty.txt', contentType: 'text/plain; charset=utf-8', content: '', cid: null },
      ],
      calendar: { method: 'PUBLISH', content: 'BEGIN:VCALENDAR\r\nMETHOD:PUBLISH\r\nEND:VCALENDAR\r\n' },
      sendAt: null,
      returnPath: 'bounces@ifaxin.com',
      messageId: '<order-17@ifaxin.com>',
      headers: [
        ['X-Campaign', 'spring'],
        ['List-Unsubscribe', '<https://ifaxin.com/u>'],
      ],
      embedded: 0,
      warnings: [],
    });
  });

  test.each<[string, Json]>([
    ['a recipient in cc alone', { to: [], cc: 'ben@ifaxin.com' }],
    ['a recipient in bcc alone', { to: undefined, bcc: 'ben@ifaxin.com' }],
    ['html alone', { text: undefined, html: '<p>' }],
    ['an empty text beside html', { text: '', html: '<p>' }],
    [
      'an empty Content-ID of two files',
      {
        attachments: [
          { ...file, cid: '' },
          { ...file, cid: '' },
        ],
      },
    ],
    ['100 recipients', { to: many(100, (i) => `b${i}@ifaxin.com`) }],
    ['3 addresses in replyTo', { replyTo: many(3, (i) => `b${i}@ifaxin.com`) }],
    ['100 attachments', { attachments: many(100, () => file) }],
    ['50 headers', { headers: Object.fromEntries(many(50, (i) => [`X-${i}`, 'x'])) }],
    ['a subject with the line break of its template', { subject: 'Hello\r\n' }],
    ['a long subject', { subject: 'word '.repeat(1000) }],
    ['a long subject without a space in Chinese', { subject: '张'.repeat(5000) }],
    [
      'an encoded-word in a header of addresses',
      { headers: { 'Errors-To': '=?utf-8?q?M=C3=BCller?= <a@ifaxin.com>' } },
    ],
    ['a header with double quotes', { headers: { 'X-Data': '{"a":"b"}' } }],
    ['the largest label', { label: Number.MAX_SAFE_INTEGER }],
    ['the smallest label', { label: '1' }],
    [
      'a type with parameters',
      { attachments: [{ ...file, contentType: 'text/csv ;charset="utf-8" ; header=present' }] },
    ],
  ])('may have %s', (_, input) => {
    expect(errorsOf({ ...base, ...input })).toEqual([]);
  });
});

describe('content as the tools of the world write it', () => {
  test('what was not filled in is an absent field, where nothing else can be meant', () => {
    const blanks = { cc: '', bcc: '', replyTo: '', html: '', messageId: '' };
    expect(parsed(blanks)).toEqual(parsed({}));
    const parts = (blank: Json) => ({
      html: referring,
      inlineImages: [{ ...image, filename: undefined, ...blank }],
    });
    expect(parsed(parts({ filename: '' }))).toEqual(parsed(parts({})));
    expect(parsed({ attachments: [{ ...file, cid: '' }] })).toEqual(parsed({ attachments: [file] }));
    expect(errorsOf({ ...base, to: null, cc: '', bcc: '' })).toEqual([
      ['/to', expect.stringMatching(/Add a recipient/)],
    ]);
    expect(errorsOf({ ...base, to: '' })).toEqual([['/to', expect.stringMatching(/Write one address/)]]);
    // A recipient that is missing, a message that was meant for later, the null return path (RFC 5321 section 4.5.5).
    for (const field of ['to', 'sendAt', 'returnPath']) {
      expect(errorsOf({ ...base, cc: 'ben@ifaxin.com', [field]: '' })).toEqual([
        [`/${field}`, expect.anything()],
      ]);
    }
  });

  test('null is an absent field, everywhere', () => {
    const nulls = {
      ...Object.fromEntries(
        ['cc', 'bcc', 'replyTo', 'html', 'label', 'attachments', 'inlineImages', 'headers', 'calendar'].map(
          (field) => [field, null],
        ),
      ),
      returnPath: null,
      messageId: null,
      sendAt: null,
    };
    expect(parsed(nulls)).toEqual(parsed({}));
    expect(parsed({ to: null, cc: 'ben@ifaxin.com', text: null, html: '<p>' })).toEqual(
      parsed({ to: undefined, cc: 'ben@ifaxin.com', text: undefined, html: '<p>' }),
    );
    const { to, inlineImages, attachments, headers } = parsed({
      to: { name: null, address: 'ben@ifaxin.com' },
      html: referring,
      inlineImages: [{ ...image, filename: null }],
      attachments: [{ ...file, cid: null }],
      headers: { 'X-A': null, 'X-B': 'b' },
    });
    expect(to).toEqual([{ name: '', address: 'ben@ifaxin.com' }]);
    expect(inlineImages).toEqual([{ ...image, filename: 'image-1.png' }]);
    expect(attachments).toEqual([{ ...file, cid: null }]);
    expect(headers).toEqual([['X-B', 'b']]);
  });

  test('an empty list is no headers', () => {
    expect(parsed({ headers: [] })).toEqual(parsed({}));
  });

  const pdf = Buffer.from('%PDF-1.4 >>>???'.repeat(20)).toString('base64');
  test.each([
    ['lines of 76', pdf.replace(/.{76}/g, '$&\r\n')],
    ['the URL-safe alphabet without padding', Buffer.from(pdf, 'base64').toString('base64url')],
    ['a data URI as FileReader makes it', `data:application/pdf;base64,${pdf}`],
    ['a data URI of an alias', `data:application/x-pdf;base64,${pdf}`],
    ['a data URI of a file that the browser does not know', `data:application/octet-stream;base64,${pdf}`],
    ['a data URI without a type', `data:;base64,${pdf}`],
    ['a data URI with parameters', `data:Application/PDF; name=a.pdf;base64,${pdf}`],
  ])('base64 as %s', (_, content) => {
    expect(parsed({ attachments: [{ ...file, content }] }).attachments[0]?.content).toBe(pdf);
  });

  test('a picture as a data URI in its content', () => {
    const { inlineImages } = parsed({
      html: referring,
      inlineImages: [{ ...image, content: `data:image/png;base64,${png}` }],
    });
    expect(inlineImages).toEqual([{ ...image, filename: 'image-1.png' }]);
  });

  test.each<[string, unknown, RegExp]>([
    ['of another type', `data:image/gif;base64,${gif}`, /says image\/gif, and contentType application\/pdf/],
    ['that is cut off', 'data:application/pdf;base64,AAAAA', /cut off/],
    ['without a comma', 'data:application/pdf;base64', /no comma/],
  ])('not a data URI %s', (_, content, problem) => {
    expect(errorsOf({ ...base, attachments: [{ ...file, content }] })).toEqual([
      ['/attachments/0/content', expect.stringMatching(problem)],
    ]);
  });

  test.each([
    ['image/jpg', 'image/jpeg'],
    ['image/pjpeg', 'image/jpeg'],
    [' Image/JPEG ; name="a.jpg"', 'image/jpeg'],
    ['IMAGE/X-PNG', 'image/png'],
    ['image/x-ms-bmp', 'image/bmp'],
    ['image/svg', 'image/svg+xml'],
    ['image/x-icon', 'image/vnd.microsoft.icon'],
  ] as const)('the type %s, in all places', (alias, contentType) => {
    const content = base64Of(contentType);
    const inline = { cid: 'image1', contentType: alias, content };
    expect(parsed({ html: referring, inlineImages: [inline] }).inlineImages).toMatchObject([{ contentType }]);
    const attachment = { filename: 'a.jpg', contentType: alias, content };
    expect(parsed({ attachments: [attachment] }).attachments).toMatchObject([{ contentType: contentType }]);
    const uri = `data:${alias.replace(/"/g, '').trim()};base64,${content}`;
    expect(parsed({ html: `<img src="${uri}">` }).inlineImages).toMatchObject([{ contentType }]);
  });

  test('the name of a file is its filename, wherever it stands', () => {
    const typed = (contentType: string) => ({ ...base, attachments: [{ ...file, contentType }] });
    expect(parsed(typed('application/pdf; name="a.pdf"; x=y')).attachments).toMatchObject([
      { contentType: 'application/pdf; x=y' },
    ]);
    const encoded = 'application/pdf; name="=?utf-8?q?a?= =?utf-8?q?=2Epdf?="';
    expect(parsed(typed(encoded)).attachments).toMatchObject([{ contentType: 'application/pdf' }]);
    expect(errorsOf(typed('application/pdf; name="b.pdf"'))).toEqual([
      ['/attachments/0/contentType', expect.stringMatching(/"filename"/)],
    ]);
  });
});

describe('the return path and the message id', () => {
  test.each([
    ['bounces@ifaxin.com', 'bounces@ifaxin.com'],
    ['<bounces@IFAXIN.com>', 'bounces@ifaxin.com'],
    [' \u200bbounces+17@bücher.example\n', 'bounces+17@xn--bcher-kva.example'],
  ])('returnPath %j', (returnPath, expected) => {
    expect(parsed({ returnPath }).returnPath).toBe(expected);
  });

  test.each<[unknown, RegExp]>([
    ['', /Write one address/],
    ['<>', /Write one address/],
    ['Ben <ben@ifaxin.com>', /without a name/],
    ['a@ifaxin.com, b@ifaxin.com', /one address/],
    [{ address: 'ben@ifaxin.com' }, /must be a string/],
    ['ben@ifaxin.com\r\nBcc: x@ifaxin.com', /control/],
  ])('not the returnPath %j', (returnPath, problem) => {
    expect(errorsOf({ ...base, returnPath })).toEqual([['/returnPath', expect.stringMatching(problem)]]);
  });

  test.each([
    ['<order-17@ifaxin.com>', '<order-17@ifaxin.com>'],
    [' order-17@ifaxin.com ', '<order-17@ifaxin.com>'],
    ["a.b!#$%&'*+-/=?^_`{|}~@[192.0.2.1]", "<a.b!#$%&'*+-/=?^_`{|}~@[192.0.2.1]>"],
    [`<${'a'.repeat(450)}@${'b'.repeat(440)}>`, `<${'a'.repeat(450)}@${'b'.repeat(440)}>`],
  ])('messageId %j', (messageId, expected) => {
    expect(parsed({ messageId }).messageId).toBe(expected);
  });

  test.each([
    'order-17',
    '<order-17>',
    '<order-17@ifaxin.com',
    'order-17@ifaxin.com>',
    '<a@b> <c@d>',
    '<a..b@ifaxin.com>',
    '<a b@ifaxin.com>',
    '<"a b"@ifaxin.com>',
    '<é@ifaxin.com>',
    '<a@ifaxin.com>\r\nBcc: b@ifaxin.com',
    '<a@if\r\naxin.com>',
    '<a@[192.0.2.1>',
    `<${'a'.repeat(900)}@b>`,
  ])('not the messageId %j', (messageId) => {
    expect(errorsOf({ ...base, messageId })).toEqual([['/messageId', expect.stringMatching(/message id/)]]);
  });
});

describe('an attachment with a Content-ID', () => {
  const attached = { filename: 'logo.png', contentType: 'image/png', content: png, cid: 'logo' };

  test('may be referred to, or not', () => {
    expect(parsed({ attachments: [attached] }).attachments).toEqual([attached]);
    expect(parsed({ html: '<p>', attachments: [attached] }).attachments).toEqual([attached]);
  });

  test('is an inline image where the HTML shows it', () => {
    const other = { ...attached, cid: 'other' };
    const message = parsed({
      html: '<img src="cid:logo"><img src="cid:image1">',
      inlineImages: [image],
      attachments: [other, attached],
    });
    expect(message.inlineImages).toEqual([{ ...image, filename: 'image-1.png' }, attached]);
    expect(message.attachments).toEqual([other]);
    expect(message.warnings).toEqual([]);
  });

  test('is held to what an inline image is, where the HTML shows it', () => {
    const shown = (part: Json) => ({
      ...base,
      html: '<img src="cid:logo">',
      attachments: [{ ...attached, ...part }],
    });
    expect(errorsOf(shown({ contentType: 'image/tiff' }))).toEqual([
      ['/attachments/0/contentType', expect.stringMatching(/Use one of|use one of/)],
    ]);
    expect(errorsOf(shown({ content: gif }))).toEqual([
      ['/attachments/0/content', expect.stringMatching(/are image\/gif/)],
    ]);
    expect(
      parsed(shown({ contentType: 'image/svg+xml', content: base64Of('image/svg+xml') })).warnings,
    ).toEqual([{ pointer: '/attachments/0', message: expect.stringMatching(/Gmail and Outlook/) }]);
    expect(errorsOf({ ...base, attachments: [{ ...attached, contentType: 'image/tiff' }] })).toEqual([]);
    expect(errorsOf({ ...base, html: '<a href="cid:doc">', attachments: [{ ...file, cid: 'doc' }] })).toEqual(
      [],
    );
  });

  test('has one of its own', () => {
    expect(
      errorsOf({
        ...base,
        html: referring,
        inlineImages: [image],
        attachments: [
          { ...file, cid: 'image1' },
          { ...file, cid: 'a' },
          { ...file, cid: 'a' },
        ],
      }),
    ).toEqual([
      ['/attachments/0/cid', expect.stringMatching(/taken/)],
      ['/attachments/2/cid', expect.stringMatching(/taken/)],
    ]);
  });

  test.each(['<a>', 'a b', 'a\r\nb', 'é', 'a'.repeat(201)])('not %j', (cid) => {
    expect(errorsOf({ ...base, attachments: [{ ...file, cid }] })).toEqual([
      ['/attachments/0/cid', expect.stringMatching(/Content-ID/)],
    ]);
  });
});

describe('refused', () => {
  test.each<[string, unknown, string, RegExp]>([
    ['no object', null, '', /JSON object/],
    ['a list', [base], '', /JSON object/],
    ['a string', 'hello', '', /JSON object/],
    ['no from', without('from'), '/from', /required/],
    ['no subject', without('subject'), '/subject', /required/],
    ['no recipient', without('to'), '/to', /Add a recipient/],
    ['no body', without('text'), '/text', /Add text or html/],
    ['empty bodies', { ...base, text: '', html: '' }, '/text', /Add text or html/],
    ['only empty lists of recipients', { ...base, to: [], cc: [], bcc: [] }, '/to', /Add a recipient/],
    ['a blank subject', { ...base, subject: ' ' }, '/subject', /blank/],
    ['null for a required field', { ...base, subject: null }, '/subject', /must be a string/],
    ['null in a list', { ...base, to: ['ben@ifaxin.com', null] }, '/to/1', /Use a mailbox/],
    ['an unknown field', { ...base, 'a/b~c': 1 }, '/a~1b~0c', /Remove this field.*from, to/],
    [
      'an unknown field of an address',
      { ...base, to: { address: 'b@ifaxin.com', email: 'x' } },
      '/to/email',
      /name, address/,
    ],
    [
      'an unknown field of an image',
      { ...base, html: referring, inlineImages: [{ ...image, url: 'x' }] },
      '/inlineImages/0/url',
      /cid, contentType/,
    ],
    [
      'an unknown field of an attachment',
      { ...base, attachments: [{ ...file, path: '/etc/passwd' }] },
      '/attachments/0/path',
      /Remove this field/,
    ],
    [
      '__proto__',
      JSON.parse(`{"__proto__": {"to": "x"}, ${JSON.stringify(base).slice(1)}`),
      '/__proto__',
      /Remove this field/,
    ],
    ['constructor', { ...base, constructor: 1 }, '/constructor', /Remove this field/],

    ['two senders', { ...base, from: ['a@ifaxin.com', 'b@ifaxin.com'] }, '/from', /Use a mailbox/],
    ['a number for an address', { ...base, to: [1] }, '/to/0', /Use a mailbox/],
    ['an address object without address', { ...base, to: [{ name: 'Ben' }] }, '/to/0/address', /required/],
    [
      'a name that is no string',
      { ...base, to: { name: 1, address: 'b@ifaxin.com' } },
      '/to/name',
      /must be a string/,
    ],
    ['a bad address', { ...base, to: ['ben@ifaxin.com', 'ben'] }, '/to/1', /Write one address/],
    [
      'a bad address in an object',
      { ...base, bcc: [{ address: '张@ifaxin.com' }] },
      '/bcc/0/address',
      /SMTPUTF8/,
    ],
    [
      'a control character in a name',
      { ...base, from: { name: 'a\r\nBcc: x', address: 'b@ifaxin.com' } },
      '/from/name',
      /control/,
    ],
    ['101 recipients', { ...base, to: many(101, (i) => `b${i}@ifaxin.com`) }, '/to', /at most 100/],
    [
      '4 addresses in replyTo',
      { ...base, replyTo: many(4, (i) => `b${i}@ifaxin.com`) },
      '/replyTo',
      /at most 3/,
    ],
    ['a mailbox of 1001 characters', { ...base, cc: 'x'.repeat(1001) }, '/cc', /1000 characters/],
    [
      'a name of 256 characters',
      { ...base, cc: { name: 'x'.repeat(256), address: 'b@ifaxin.com' } },
      '/cc/name',
      /255 characters/,
    ],

    ['CR in the subject', { ...base, subject: 'a\rb' }, '/subject', /control/],
    ['LF in the subject', { ...base, subject: 'a\nBcc: x@y.example' }, '/subject', /control/],
    ['NUL in the subject', { ...base, subject: 'a\0' }, '/subject', /control/],
    ['a lone surrogate in the subject', { ...base, subject: 'a\ud800' }, '/subject', /surrogate/],
    [
      'an encoded-word as the subject',
      { ...base, subject: '=?utf-8?q?Hello?=' },
      '/subject',
      /plain Unicode/,
    ],
    ['a subject of 65537 characters', { ...base, subject: `${'a '.repeat(32_768)}a` }, '/subject', /65536/],
    ['a subject that cannot be folded', { ...base, subject: 'a'.repeat(900) }, '/subject', /899/],
    ['a subject of spaces', { ...base, subject: `a${' '.repeat(60)}b` }, '/subject', /59 spaces/],
    ['a subject that is no string', { ...base, subject: 5 }, '/subject', /must be a string/],
    ['NUL in the text', { ...base, text: 'a\0' }, '/text', /NUL/],
    ['NUL in the html', { ...base, html: '<p>\0' }, '/html', /NUL/],
    ['a lone surrogate in the text', { ...base, text: '\udfff' }, '/text', /surrogate/],
    ['a lone surrogate in the html', { ...base, html: '\ud800' }, '/html', /surrogate/],

    ['label 0', { ...base, label: 0 }, '/label', /positive/],
    ['a negative label', { ...base, label: -1 }, '/label', /positive/],
    ['a fraction as label', { ...base, label: 1.5 }, '/label', /whole number/],
    ['a label beyond the safe integers', { ...base, label: 2 ** 53 }, '/label', /whole number/],
    ['digits beyond the safe integers', { ...base, label: '9007199254740993' }, '/label', /9007199254740991/],
    ['a word as label', { ...base, label: 'spring' }, '/label', /its digits/],
    ['a label with a sign', { ...base, label: '+1' }, '/label', /its digits/],
    ['an empty label', { ...base, label: '' }, '/label', /its digits/],
    ['true as label', { ...base, label: true }, '/label', /its digits/],

    ['inline images without html', { ...base, inlineImages: [image] }, '/inlineImages', /Add html/],
    [
      'inline images that are no list',
      { ...base, html: referring, inlineImages: image },
      '/inlineImages',
      /a list/,
    ],
    [
      'an inline image that is no object',
      { ...base, html: '<p>', inlineImages: ['x'] },
      '/inlineImages/0',
      /Use an inline image/,
    ],
    [
      'an inline image that is a list',
      { ...base, html: '<p>', inlineImages: [[]] },
      '/inlineImages/0',
      /not a list/,
    ],
    [
      'an image without content',
      { ...base, html: referring, inlineImages: [{ cid: 'image1', contentType: 'image/png' }] },
      '/inlineImages/0/content',
      /required/,
    ],
    [
      'an empty image',
      { ...base, html: referring, inlineImages: [{ ...image, content: '' }] },
      '/inlineImages/0/content',
      /empty/,
    ],
    [
      'an image of another type',
      { ...base, html: referring, inlineImages: [{ ...image, content: gif }] },
      '/inlineImages/0/content',
      /are image\/gif, not image\/png/,
    ],
    [
      'an image type that clients do not show',
      { ...base, html: referring, inlineImages: [{ ...image, contentType: 'image/tiff' }] },
      '/inlineImages/0/contentType',
      /Use one of image\/png/,
    ],
    [
      'an image that is not base64',
      { ...base, html: referring, inlineImages: [{ ...image, content: `${png}*` }] },
      '/inlineImages/0/content',
      /base64/,
    ],
    [
      'angle brackets around a cid',
      { ...base, html: '<p>', inlineImages: [{ ...image, cid: '<image1>' }] },
      '/inlineImages/0/cid',
      /without angle brackets/,
    ],
    [
      'a line break in a cid',
      { ...base, html: '<p>', inlineImages: [{ ...image, cid: 'image1\r\nX: y' }] },
      '/inlineImages/0/cid',
      /letters, digits/,
    ],
    [
      'an empty cid',
      { ...base, html: '<p>', inlineImages: [{ ...image, cid: '' }] },
      '/inlineImages/0/cid',
      /letters, digits/,
    ],
    [
      'one cid for two images',
      { ...base, html: referring, inlineImages: [image, image] },
      '/inlineImages/1/cid',
      /taken/,
    ],
    [
      'an image without a reference',
      { ...base, html: '<p>', inlineImages: [image] },
      '/inlineImages/0/cid',
      /Refer to "cid:image1"/,
    ],
    [
      'a cid in another case',
      { ...base, html: '<img src="cid:Image1"><img src="cid:image1">', inlineImages: [image] },
      '/html',
      /Add the inline image for "cid:Image1"/,
    ],
    [
      'a reference without its image',
      { ...base, html: referring },
      '/html',
      /Add the inline image for "cid:image1"/,
    ],
    [
      'a path as the name of an image',
      { ...base, html: referring, inlineImages: [{ ...image, filename: 'a/b.png' }] },
      '/inlineImages/0/filename',
      /without a path/,
    ],
    [
      '101 inline images',
      {
        ...base,
        html: many(101, (i) => `<img src=cid:i${i}>`).join(''),
        inlineImages: many(101, (i) => ({ ...image, cid: `i${i}` })),
      },
      '/inlineImages',
      /at most 100/,
    ],

    [
      'too many pictures in data URIs',
      {
        ...base,
        html: many(
          101,
          (i) =>
            `<img src="data:image/gif;base64,${Buffer.concat([PICTURES['image/gif'], Buffer.from([i])]).toString('base64')}">`,
        ).join(''),
      },
      '/html',
      /at most 100/,
    ],

    ['attachments that are no list', { ...base, attachments: file }, '/attachments', /a list/],
    [
      'an attachment without a name',
      { ...base, attachments: [{ ...file, filename: undefined }] },
      '/attachments/0/filename',
      /must be a string/,
    ],
    [
      'an empty file name',
      { ...base, attachments: [{ ...file, filename: '' }] },
      '/attachments/0/filename',
      /file name/,
    ],
    [
      'a blank file name',
      { ...base, attachments: [{ ...file, filename: ' ' }] },
      '/attachments/0/filename',
      /blank/,
    ],
    [
      'a path',
      { ...base, attachments: [{ ...file, filename: '../a.pdf' }] },
      '/attachments/0/filename',
      /without a path/,
    ],
    [
      'a Windows path',
      { ...base, attachments: [{ ...file, filename: 'C:\\a.pdf' }] },
      '/attachments/0/filename',
      /without a path/,
    ],
    [
      'a directory',
      { ...base, attachments: [{ ...file, filename: '..' }] },
      '/attachments/0/filename',
      /without a path/,
    ],
    [
      'a line break in a file name',
      { ...base, attachments: [{ ...file, filename: 'a\r\n.pdf' }] },
      '/attachments/0/filename',
      /control/,
    ],
    [
      'an encoded-word as file name',
      { ...base, attachments: [{ ...file, filename: '=?utf-8?q?a?=' }] },
      '/attachments/0/filename',
      /plain Unicode/,
    ],
    [
      'a file name of 256 characters',
      { ...base, attachments: [{ ...file, filename: 'a'.repeat(256) }] },
      '/attachments/0/filename',
      /255/,
    ],
    [
      'no content type',
      { ...base, attachments: [{ ...file, contentType: 'pdf' }] },
      '/attachments/0/contentType',
      /such as "application\/pdf"/,
    ],
    [
      'a line break in a content type',
      { ...base, attachments: [{ ...file, contentType: 'text/plain\r\nX: y' }] },
      '/attachments/0/contentType',
      /such as "application\/pdf"/,
    ],
    [
      'a content type beyond ASCII',
      { ...base, attachments: [{ ...file, contentType: 'text/plain; name="é"' }] },
      '/attachments/0/contentType',
      /such as "application\/pdf"/,
    ],
    [
      'a multipart',
      { ...base, attachments: [{ ...file, contentType: 'Multipart/Mixed; boundary=x' }] },
      '/attachments/0/contentType',
      /octet-stream/,
    ],
    [
      'a message',
      { ...base, attachments: [{ ...file, contentType: 'message/rfc822' }] },
      '/attachments/0/contentType',
      /octet-stream/,
    ],
    [
      'an attachment that is not base64',
      { ...base, attachments: [file, { ...file, content: 'A' }] },
      '/attachments/1/content',
      /cut off/,
    ],
    ['101 attachments', { ...base, attachments: many(101, () => file) }, '/attachments', /at most 100/],

    ['headers that are no object', { ...base, headers: 'X: y' }, '/headers', /object/],
    ['a list of headers', { ...base, headers: ['X: y'] }, '/headers', /object/],
    [
      'a header value that is no string',
      { ...base, headers: { 'X-A': 1 } },
      '/headers/X-A',
      /must be a string/,
    ],
    [
      'a value that is no string under an odd name',
      { ...base, headers: { constructor: 1 } },
      '/headers/constructor',
      /must be a string/,
    ],
    [
      '51 headers',
      { ...base, headers: Object.fromEntries(many(51, (i) => [`X-${i}`, 'x'])) },
      '/headers',
      /at most 50/,
    ],
    ['a blank header', { ...base, headers: { 'X-A': ' ' } }, '/headers/X-A', /it is blank/],
    ['a header name with a space', { ...base, headers: { 'X A': 'x' } }, '/headers/X A', /printable ASCII/],
    ['a header name with a colon', { ...base, headers: { 'X:A': 'x' } }, '/headers/X:A', /printable ASCII/],
    [
      'a header name with a line break',
      { ...base, headers: { 'X\nBcc': 'x' } },
      '/headers/X\nBcc',
      /printable ASCII/,
    ],
    ['an empty header name', { ...base, headers: { '': 'x' } }, '/headers/', /printable ASCII/],
    [
      'a header name of 77 characters',
      { ...base, headers: { ['X'.repeat(77)]: 'x' } },
      `/headers/${'X'.repeat(77)}`,
      /76/,
    ],
    [
      'a line break in a header value',
      { ...base, headers: { 'X-A': 'a\r\nBcc: b' } },
      '/headers/X-A',
      /control/,
    ],
    ['a tab in a header value', { ...base, headers: { 'X-A': 'a\tb' } }, '/headers/X-A', /control/],
    [
      'a header value of 999 characters',
      { ...base, headers: { 'X-A': `${'a '.repeat(32_768)}a` } },
      '/headers/X-A',
      /65536/,
    ],
    [
      'a header value that cannot be folded',
      { ...base, headers: { 'X-A': 'a'.repeat(900) } },
      '/headers/X-A',
      /899/,
    ],
    ...['References', 'in-reply-to', 'X-Original-To', 'List-Unsubscribe', 'Keywords', 'X-Priority'].map(
      (name): [string, unknown, string, RegExp] => [
        `${name} beyond ASCII`,
        { ...base, headers: { [name]: 'Müller <a@ifaxin.com>' } },
        `/headers/${name}`,
        /ASCII.*encoded-word/,
      ],
    ),
  ])('%s', (_, input, pointer, message) => {
    expect(errorsOf(input)).toEqual([[pointer, expect.stringMatching(message)]]);
  });

  test.each([
    'Date',
    'MIME-Version',
    'Content-Type',
    'content-transfer-encoding',
    'Content-Language-X',
    'Content-',
  ])('the header %s, which the gateway makes', (name) => {
    expect(errorsOf({ ...base, headers: { [name]: 'x' } })).toEqual([
      [`/headers/${name}`, expect.stringMatching(/the gateway makes it/)],
    ]);
  });

  test.each([
    ['Sender', /the sender is in "from"/],
    ['Received', /servers on the way/],
    ['DKIM-Signature', /servers on the way/],
    ['Resent-To', /as message\/rfc822/],
  ])('the header %s, with what to do', (name, problem) => {
    expect(errorsOf({ ...base, headers: { [name]: 'x' } })).toEqual([
      [`/headers/${name}`, expect.stringMatching(problem)],
    ]);
  });

  test.each([
    ['From', 'from'],
    ['to', 'to'],
    ['CC', 'cc'],
    ['Bcc', 'bcc'],
    ['Subject', 'subject'],
    ['Message-ID', 'messageId'],
    ['message-id', 'messageId'],
    ['Return-Path', 'returnPath'],
  ])('the header %s, which has a field', (name, field) => {
    expect(errorsOf({ ...base, headers: { [name]: 'x' } })).toEqual([
      [`/headers/${name}`, `Use the field "${field}" for this header.`],
    ]);
  });

  test('Reply-To and X-SMTPAPI as headers, each with its reason', () => {
    expect(errorsOf({ ...base, headers: { 'reply-to': 'x', 'x-smtpapi': 'e30=' } })).toEqual([
      ['/headers/reply-to', expect.stringMatching(/"replyTo"/)],
      ['/headers/x-smtpapi', expect.stringMatching(/override the recipients/)],
    ]);
  });

  test('everything that is wrong, in one answer', () => {
    const errors = errorsOf({
      from: 'nobody',
      to: ['ben@ifaxin.com', { address: 7, mail: 1 }, 'ben@localhost'],
      cc: 5,
      text: '\0',
      html: '<img src="cid:a"><img src="cid:b"><img src="data:image/gif;base64,AAA">',
      label: 'x',
      inlineImages: [{ ...image, cid: 'b', content: '*' }, { ...image, cid: 'c' }, 7],
      attachments: [{ ...file, filename: 'a/b', content: '=' }],
      headers: { From: 'x', 'X-A': 'a\nb' },
      one: 1,
      two: 2,
    });
    expect(errors.map(([pointer]) => pointer).sort()).toEqual([
      '/attachments/0/content',
      '/attachments/0/filename',
      '/cc',
      '/from',
      '/headers/From',
      '/headers/X-A',
      '/html',
      '/html',
      '/inlineImages/0/content',
      '/inlineImages/1/cid',
      '/inlineImages/2',
      '/label',
      '/one',
      '/subject',
      '/text',
      '/to/1/address',
      '/to/1/mail',
      '/to/2',
      '/two',
    ]);
  });

  test('and no more than 100 errors, however long the lists', () => {
    const everywhere = many(200_000, () => 'nobody');
    const errors = errorsOf({ ...base, to: everywhere, cc: everywhere, attachments: everywhere });
    expect(errors).toHaveLength(100);
    expect(errorsOf(Object.fromEntries(many(500, (i) => [`field${i}`, i])))).toHaveLength(100);
  });

  test('as many references as pictures are allowed, and one error for more', () => {
    const references = (count: number) => many(count, (i) => `<img src=cid:i${i}>`).join('');
    expect(errorsOf({ ...base, html: references(100) })).toHaveLength(100);
    for (const html of [
      references(200_000),
      `<img srcset="${many(200_000, (i) => `cid:i${i} 1x`).join(', ')}">`,
      `<style>${many(200_000, (i) => `url(cid:i${i})`).join('')}</style>`,
    ]) {
      expect(errorsOf({ ...base, html })).toEqual([['/html', expect.stringMatching(/at most 100/)]]);
    }
  });
});

test('every error is text that a strict parser of JSON reads', () => {
  const errors = errorsOf({
    ...base,
    headers: { 'X-\ud800': 'a' },
    '\udc00': 1,
    attachments: [{ ...file, content: '\ud800' }],
  });
  expect(errors.map(([pointer]) => pointer)).toEqual([
    '/\ufffd',
    '/attachments/0/content',
    '/headers/X-\ufffd',
  ]);
  expect(errors.flat().every((text) => text.isWellFormed())).toBe(true);
});

describe('what is wrong is bounded before it is looked at', () => {
  const million = (value: unknown) => many(200_000, () => value);
  const keys = () => Object.fromEntries(many(30_000, (i) => [`k${i}`, 1]));
  const longKey = { ['k'.repeat(2_000_000)]: 1 };
  const fields = [
    ...['from', 'to', 'cc', 'bcc', 'replyTo', 'subject', 'text', 'html', 'label', 'returnPath', 'messageId'],
    ...['calendar', 'inlineImages', 'attachments', 'headers', 'nothing'],
  ];
  const values: [string, () => unknown][] = [
    ['a long list of numbers', () => million(1)],
    ['a long list of strings', () => million('x')],
    ['a long list of lists', () => million([])],
    ['a long list of objects', () => million({})],
    ['a list in a list', () => [million(1)]],
    ['an object of many keys', keys],
    ['many objects of many keys', () => many(3, () => keys())],
    ['a key of megabytes', () => longKey],
    ['a list of keys of megabytes', () => [longKey]],
    ['text of megabytes', () => '\ud800<"'.repeat(200_000)],
  ];
  test.each(values)('%s', (_, make) => {
    const value = make();
    for (const field of fields) {
      const input = { ...base, [field]: value };
      const errors = errorsOf(input);
      expect(errors.length, field).toBeGreaterThan(0);
      expect(errors.length, field).toBeLessThanOrEqual(100);
      expect(JSON.stringify(errors).length, field).toBeLessThan(60_000);
      for (const [pointer] of errors) expect(pointerResolves(input, pointer), pointer).toBe(true);
    }
  });

  test.each<[string, (value: unknown) => unknown]>([
    ['a recipient', (value) => ({ to: [{ name: value, address: value }] })],
    [
      'an inline image',
      (value) => ({
        html: referring,
        inlineImages: [{ ...image, cid: value, contentType: value, content: value, filename: value }],
      }),
    ],
    [
      'an attachment',
      (value) => ({ attachments: [{ filename: value, contentType: value, content: value, cid: value }] }),
    ],
    ['a calendar', (value) => ({ calendar: { method: value, content: value } })],
    [
      'a header',
      (value) => ({
        headers: { 'X-A': value, References: value, 'List-Unsubscribe': value, constructor: value },
      }),
    ],
  ])('inside %s', (_, fieldsOf) => {
    for (const [name, make] of values) {
      const input = { ...base, ...(fieldsOf(make()) as Json) };
      const errors = errorsOf(input);
      expect(errors.length, name).toBeGreaterThan(0);
      expect(JSON.stringify(errors).length, name).toBeLessThan(60_000);
      for (const [pointer] of errors) expect(pointerResolves(input, pointer), pointer).toBe(true);
    }
  });

  test('an object of many keys keeps the errors about those that count', () => {
    expect(errorsOf(keys()).slice(0, 1)).toEqual([['/from', 'This field is required.']]);
    expect(errorsOf({ ...base, to: 'nobody', ...keys() })).toHaveLength(100);
  });

  test.each<[string, (text: string) => Json]>([
    ['a header', (text) => ({ headers: { 'X-A': text, [text]: 'x' } })],
    [
      'a structured header',
      (text) => ({ headers: { References: text, 'List-Id': text, 'Errors-To': text } }),
    ],
    ['a mailbox', (text) => ({ to: text, cc: [text], replyTo: { name: text, address: text } })],
    ['the subject', (text) => ({ subject: text })],
    ['an attachment', (text) => ({ attachments: [{ filename: text, contentType: text, content: text }] })],
    [
      'an inline image',
      (text) => ({ html: referring, inlineImages: [{ cid: text, contentType: text, content: text }] }),
    ],
    ['a calendar', (text) => ({ calendar: { method: 'REQUEST', content: `BEGIN:VCALENDAR\n${text}` } })],
  ])('text of megabytes as %s', (_, fieldsOf) => {
    const pieces = [
      'a',
      ' ',
      '<',
      ',',
      ';',
      '=',
      '/',
      '"',
      '(',
      '%',
      '\n',
      '\n ',
      'é',
      'a:',
      'A ',
      'AAAA ',
      'a@b.c ',
    ];
    for (const piece of [...pieces, `${'a'.repeat(899)} `, '=?', '=?a?q?', 'a.', '-to', '<a@b> ', '\\']) {
      const errors = errorsOf({ ...base, ...fieldsOf(piece.repeat(300_000 / piece.length)) });
      expect(errors).not.toEqual([]);
      expect(JSON.stringify(errors).length).toBeLessThan(5000);
    }
  });
});

const pointerResolves = (input: unknown, pointer: string): boolean => {
  let at: unknown = input;
  const tokens = pointer
    .split('/')
    .slice(1)
    .map((t) => t.replaceAll('~1', '/').replaceAll('~0', '~'));
  for (const [index, token] of tokens.entries()) {
    if (typeof at !== 'object' || at === null) return false;
    // A missing member can be pointed at, by the last token alone.
    if (!Object.hasOwn(at, token)) return index === tokens.length - 1 && !Array.isArray(at);
    at = (at as Record<string, unknown>)[token];
  }
  return true;
};

describe('whatever comes', () => {
  const value = fc.oneof(
    fc.anything(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      'ben@ifaxin.com',
      'Ben <ben@ifaxin.com>',
      png,
      'image/png',
      'image1',
      referring,
      'text/plain',
    ),
  );
  const some = (fields: Record<string, fc.Arbitrary<unknown>>) => fc.record(fields, { requiredKeys: [] });
  const part = some({ cid: value, contentType: value, content: value, filename: value, ' ': value });
  const mailbox = fc.oneof(value, some({ name: value, address: value, x: value }));
  const list = (item: fc.Arbitrary<unknown>) => fc.oneof(item, fc.array(item));
  const message = some({
    from: mailbox,
    to: list(mailbox),
    cc: list(mailbox),
    bcc: list(mailbox),
    replyTo: list(mailbox),
    subject: value,
    text: value,
    html: value,
    label: value,
    inlineImages: list(part),
    attachments: list(part),
    headers: fc.oneof(value, fc.dictionary(fc.string({ unit: 'binary' }), value)),
    'a/b~': value,
  });

  test('no exception, and every pointer leads somewhere', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.jsonValue(), message), (input) => {
        const result = parseMessage(input);
        if ('message' in result) return;
        expect(result.errors.length).toBeGreaterThan(0);
        for (const { pointer, message } of result.errors) {
          expect(message).toMatch(/^[A-Z].*\.$/s);
          expect(pointerResolves(input, pointer), pointer).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('one field spoilt is at least one error, all others right', () => {
    const whole: Json = {
      ...base,
      html: referring,
      label: 1,
      inlineImages: [image],
      attachments: [file],
      headers: { 'X-A': 'x' },
      replyTo: [],
    };
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(whole)),
        fc.constantFrom(true, [[]], -1, 0.5),
        (field, bad) => {
          const errors = errorsOf({ ...whole, [field]: bad });
          expect(
            errors.some(([pointer]) => pointer === `/${field}` || pointer.startsWith(`/${field}/`)),
          ).toBe(true);
        },
      ),
    );
  });
});

test('the API description comes from the schema, and its example is a message', () => {
  const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
  const components = toJsonSchemaDefs(MESSAGE_COMPONENTS, {
    typeMode: 'input',
    errorMode: 'throw',
    overrideRef: ({ referenceId }) => ref(referenceId).$ref,
  });
  const description = components.Message;
  const orNull = (schema: object) => ({ anyOf: [schema, { type: 'null' }] });
  const several = (max: number) =>
    orNull({ anyOf: [ref('Mailbox'), { type: 'array', items: ref('Mailbox'), maxItems: max }] });
  expect(description).toMatchObject({
    type: 'object',
    required: ['from', 'subject'],
    additionalProperties: false,
    properties: {
      from: ref('Mailbox'),
      to: several(100),
      replyTo: several(3),
      calendar: orNull(ref('Calendar')),
      inlineImages: orNull({ type: 'array', items: ref('InlineImage'), maxItems: 100 }),
      attachments: orNull({ type: 'array', items: ref('Attachment'), maxItems: 100 }),
    },
  });
  expect(description.examples).toHaveLength(1);
  for (const example of description.examples ?? []) expect(errorsOf(example)).toEqual([]);
});
