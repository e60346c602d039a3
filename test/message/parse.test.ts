import { toJsonSchema } from '@valibot/to-json-schema';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/parse.ts';
import { MessageSchema } from '../../src/message/schema.ts';
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
      headers: [],
      embedded: 0,
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
      inlineImages: [{ ...image, filename: 'test.png' }],
      attachments: [file, { filename: 'empty.txt', contentType: 'text/plain; charset=utf-8', content: '' }],
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
      inlineImages: [
        { cid: 'image1', contentType: 'image/png', content: PICTURES['image/png'], filename: 'test.png' },
      ],
      attachments: [
        { filename: 'a.pdf', contentType: 'application/pdf', content: Buffer.alloc(3) },
        { filename: 'empty.txt', contentType: 'text/plain; charset=utf-8', content: Buffer.alloc(0) },
      ],
      headers: [
        ['X-Campaign', 'spring'],
        ['List-Unsubscribe', '<https://ifaxin.com/u>'],
      ],
      embedded: 0,
    });
  });

  test.each<[string, Json]>([
    ['a recipient in cc alone', { to: [], cc: 'ben@ifaxin.com' }],
    ['a recipient in bcc alone', { to: undefined, bcc: 'ben@ifaxin.com' }],
    ['html alone', { text: undefined, html: '<p>' }],
    ['an empty text beside html', { text: '', html: '<p>' }],
    ['100 recipients', { to: many(100, (i) => `b${i}@ifaxin.com`) }],
    ['3 addresses in replyTo', { replyTo: many(3, (i) => `b${i}@ifaxin.com`) }],
    ['100 attachments', { attachments: many(100, () => file) }],
    ['50 headers', { headers: Object.fromEntries(many(50, (i) => [`X-${i}`, 'x'])) }],
    ['a long subject', { subject: 'word '.repeat(199) }],
    ['a long subject without a space in Chinese', { subject: '张'.repeat(998) }],
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
    ['null for nothing', { ...base, cc: null }, '/cc', /Leave this field out/],
    ['null for no HTML', { ...base, html: null }, '/html', /Leave this field out/],
    ['null for no text', { ...base, text: null }, '/text', /Leave this field out/],
    ['null for no label', { ...base, label: null }, '/label', /Leave this field out/],
    ['null for no headers', { ...base, headers: null }, '/headers', /Leave this field out/],
    ['null for no attachments', { ...base, attachments: null }, '/attachments', /Leave this field out/],
    ['null for no images', { ...base, inlineImages: null }, '/inlineImages', /Leave this field out/],
    [
      'null for no name',
      { ...base, to: { name: null, address: 'b@ifaxin.com' } },
      '/to/name',
      /Leave this field out/,
    ],
    ['null for a required field', { ...base, subject: null }, '/subject', /as a string/],
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

    ['two senders', { ...base, from: ['a@ifaxin.com', 'b@ifaxin.com'] }, '/from', /Give a mailbox/],
    ['a number for an address', { ...base, to: [1] }, '/to/0', /Give a mailbox/],
    ['an address object without address', { ...base, to: [{ name: 'Ben' }] }, '/to/0/address', /required/],
    [
      'a name that is no string',
      { ...base, to: { name: 1, address: 'b@ifaxin.com' } },
      '/to/name',
      /as a string/,
    ],
    ['a bad address', { ...base, to: ['ben@ifaxin.com', 'ben'] }, '/to/1', /Give one address/],
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
    ['a subject of 999 characters', { ...base, subject: 'a '.repeat(500) }, '/subject', /998/],
    ['a subject that cannot be folded', { ...base, subject: 'a'.repeat(900) }, '/subject', /899/],
    ['a subject of spaces', { ...base, subject: `a${' '.repeat(60)}b` }, '/subject', /59 spaces/],
    ['a subject that is no string', { ...base, subject: 5 }, '/subject', /as a string/],
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
      /Give an inline image/,
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
      'an image type that is none of the five',
      { ...base, html: referring, inlineImages: [{ ...image, contentType: 'image/svg+xml' }] },
      '/inlineImages/0/contentType',
      /Use one of image\/png/,
    ],
    [
      'an image that is not base64',
      { ...base, html: referring, inlineImages: [{ ...image, content: `${png}\n` }] },
      '/inlineImages/0/content',
      /white space/,
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
      'an SVG in a data URI',
      { ...base, html: '<img src="data:image/svg+xml;base64,PHN2Zy8+">' },
      '/html',
      /Use one of image\/png/,
    ],
    ['text in a data URI', { ...base, html: '<img src="data:,hello">' }, '/html', /Use one of image\/png/],
    [
      'a data URI without base64',
      { ...base, html: '<img src="data:image/png,%89PNG">' },
      '/html',
      /in base64/,
    ],
    [
      'bad base64 in a data URI',
      { ...base, html: '<img src="data:image/png;base64,AAA">' },
      '/html',
      /multiple of 4/,
    ],
    [
      'wrong bytes in a data URI',
      { ...base, html: `<img src="data:image/png;base64,${gif}">` },
      '/html',
      /are image\/gif/,
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
      /as a string/,
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
      /like "application\/pdf"/,
    ],
    [
      'a line break in a content type',
      { ...base, attachments: [{ ...file, contentType: 'text/plain\r\nX: y' }] },
      '/attachments/0/contentType',
      /like "application\/pdf"/,
    ],
    [
      'a content type beyond ASCII',
      { ...base, attachments: [{ ...file, contentType: 'text/plain; name="é"' }] },
      '/attachments/0/contentType',
      /like "application\/pdf"/,
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
      { ...base, attachments: [file, { ...file, content: 'AAA' }] },
      '/attachments/1/content',
      /multiple of 4/,
    ],
    ['101 attachments', { ...base, attachments: many(101, () => file) }, '/attachments', /at most 100/],

    ['headers that are no object', { ...base, headers: 'X: y' }, '/headers', /object of strings/],
    ['a list of headers', { ...base, headers: ['X: y'] }, '/headers', /object of strings/],
    ['a header value that is no string', { ...base, headers: { 'X-A': 1 } }, '/headers/X-A', /as a string/],
    [
      'a value that is no string under an odd name',
      { ...base, headers: { constructor: 1 } },
      '/headers/constructor',
      /as a string/,
    ],
    [
      '51 headers',
      { ...base, headers: Object.fromEntries(many(51, (i) => [`X-${i}`, 'x'])) },
      '/headers',
      /at most 50/,
    ],
    ['a blank header', { ...base, headers: { 'X-A': ' ' } }, '/headers/X-A', /Give the header a value/],
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
      { ...base, headers: { 'X-A': 'a '.repeat(500) } },
      '/headers/X-A',
      /998/,
    ],
    [
      'a header value that cannot be folded',
      { ...base, headers: { 'X-A': 'a'.repeat(900) } },
      '/headers/X-A',
      /899/,
    ],
    ...[
      'References',
      'in-reply-to',
      'Disposition-Notification-To',
      'Return-Receipt-To',
      'Errors-To',
      'X-Confirm-Reading-To',
      'List-Unsubscribe',
      'List-Id',
      'Keywords',
      'X-Priority',
    ].map((name): [string, unknown, string, RegExp] => [
      `${name} beyond ASCII`,
      { ...base, headers: { [name]: 'Müller <a@ifaxin.com>' } },
      `/headers/${name}`,
      /ASCII.*encoded-word/,
    ]),
  ])('%s', (_, input, pointer, message) => {
    expect(errorsOf(input)).toEqual([[pointer, expect.stringMatching(message)]]);
  });

  test.each([
    'From',
    'to',
    'CC',
    'Bcc',
    'Subject',
    'Date',
    'Message-ID',
    'message-id',
    'MIME-Version',
    'Content-Type',
    'content-transfer-encoding',
    'Content-',
    'Sender',
    'Return-Path',
    'Received',
    'DKIM-Signature',
    'Resent-To',
  ])('the header %s, which the gateway makes', (name) => {
    expect(errorsOf({ ...base, headers: { [name]: 'x' } })).toEqual([
      [`/headers/${name}`, expect.stringMatching(/the gateway makes it/)],
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
    const everywhere = many(500_000, () => 'nobody');
    const errors = errorsOf({ ...base, to: everywhere, cc: everywhere, attachments: everywhere });
    expect(errors).toHaveLength(100);
    expect(errorsOf(Object.fromEntries(many(500, (i) => [`field${i}`, i])))).toHaveLength(100);
  });

  test('as many references as pictures are allowed, and one error for more', () => {
    const references = (count: number) => many(count, (i) => `<img src=cid:i${i}>`).join('');
    expect(errorsOf({ ...base, html: references(100) })).toHaveLength(100);
    for (const html of [
      references(1_000_000),
      `<img srcset="${many(500_000, (i) => `cid:i${i} 1x`).join(', ')}">`,
      many(500_000, (i) => `url(cid:i${i})`).join(''),
    ]) {
      expect(errorsOf({ ...base, html })).toEqual([['/html', expect.stringMatching(/at most 100/)]]);
    }
  });

  test('the full parser reads so much of a message, and no more', () => {
    const hostile = many(100, () => 'a"b" '.repeat(63).trim());
    const errors = errorsOf({ ...base, to: hostile, cc: hostile, bcc: hostile });
    expect(errors.filter(([, message]) => !message.includes('"name": "Ben"'))).toHaveLength(10);
    const comments = many(100, (i) => `Ben (no. ${i}) <ben@ifaxin.com>`);
    expect(errorsOf({ ...base, to: comments })).toEqual([]);
    const common = many(100, (i) => ` "Ben \\"${i}\\"" <${'ben'.repeat(10)}@ifaxin.com>`);
    expect(errorsOf({ ...base, to: common, cc: common, bcc: common })).toEqual([]);
  });
});

describe('references in the HTML', () => {
  test.each([
    '<img src="cid:image1">',
    "<img src='cid:image1'>",
    '<img src=cid:image1>',
    '<img src=cid:image1/>'.replace('/>', ' />'),
    '<IMG SRC="CID:image1">',
    '<img\n  alt="a > b"\n  src = "cid:image1"\n>',
    '<img alt=">" src="cid:image1">',
    '<img src=" cid:image1 ">',
    '<img src="cid:%69mage1">',
    '<img srcset="https://ifaxin.com/a.png 1x, cid:image1 2x">',
    '<table background="cid:image1">',
    '<td style="background: url(cid:image1)">',
    '<td style="background: url(\'cid:image1\') no-repeat">',
    '<td style="background: url(&quot;cid:image1&quot;)">',
    '<style>p { background: URL( "cid:image1" ) }</style>',
    '<!--[if mso]><v:fill src="cid:image1"/><![endif]-->',
    '<a href="cid:image1">see</a>',
  ])('%s', (html) => {
    expect(errorsOf({ ...base, html, inlineImages: [image] })).toEqual([]);
  });

  test('decode before they are compared', () => {
    const at = { ...image, cid: 'logo@ifaxin.com' };
    expect(errorsOf({ ...base, html: '<img src="cid:logo%40ifaxin.com">', inlineImages: [at] })).toEqual([]);
    expect(errorsOf({ ...base, html: '<img src="cid:a&amp;b%zz">' })).toEqual([
      ['/html', expect.stringContaining('"cid:a&b%zz"')],
    ]);
  });

  test.each([
    '<p>Citric acid: x, cid:y</p>',
    '<p title="acid:x">',
    '<p title="cid: what is it?">',
    '<p>a = cid:x</p>',
    '<a href="https://ifaxin.com/?cid:x">',
    '<a href="https://ifaxin.com/?u=cid:x">',
    '<td style="background: url(https://ifaxin.com/cid:x)">',
  ])('are not found in %s', (html) => {
    expect(errorsOf({ ...base, html })).toEqual([]);
  });
});

describe('pictures in data URIs', () => {
  const uri = `data:image/png;base64,${png}`;

  test.each([
    `<img src="${uri}">`,
    `<img src='${uri}'>`,
    `<img src=${uri}>`,
    `<IMG ALT="x > y" WIDTH=1 SRC="${uri.replace('data:image/png;base64', 'DATA:Image/PNG;BASE64')}">`,
    `<img src="data:image/png;charset=utf-8;base64,${png}">`,
    `<img src="data:image/png;base64,${png.replaceAll('+', '%2B').replaceAll('=', '%3d')}">`,
    `<img src="\n data:image/png;base64,${png.slice(0, 20)}\r\n${png.slice(20)}\n">`,
  ])('become inline images: %s', (tag) => {
    const { html, embedded, inlineImages } = parsed({ html: `<p>${tag}</p>` });
    expect(html).toMatch(/^<p><img.* src=["']?cid:embedded-1["']?><\/p>$/is);
    expect(html).not.toMatch(/data:/i);
    expect(embedded).toBe(1);
    expect(inlineImages).toEqual([
      { cid: 'embedded-1', contentType: 'image/png', content: PICTURES['image/png'], filename: null },
    ]);
  });

  test('once each, however often they stand there', () => {
    const { html, embedded, inlineImages } = parsed({
      html: `<img src="${uri}"><img src="data:image/gif;base64,${gif}"><img src='${uri}'>`,
    });
    expect(html).toBe(`<img src="cid:embedded-1"><img src="cid:embedded-2"><img src='cid:embedded-1'>`);
    expect(embedded).toBe(2);
    expect(inlineImages.map(({ contentType }) => contentType)).toEqual(['image/png', 'image/gif']);
  });

  test('image/jpg is a JPEG', () => {
    const { inlineImages } = parsed({ html: `<img src="data:image/jpg;base64,${base64Of('image/jpeg')}">` });
    expect(inlineImages.map(({ contentType }) => contentType)).toEqual(['image/jpeg']);
  });

  test('get an id that nobody has', () => {
    const { html, inlineImages } = parsed({
      html: `<img src="cid:embedded-1"><img src="${uri}">`,
      inlineImages: [{ ...image, cid: 'embedded-1' }],
    });
    expect(html).toBe('<img src="cid:embedded-1"><img src="cid:embedded-1-">');
    expect(inlineImages.map(({ cid }) => cid)).toEqual(['embedded-1', 'embedded-1-']);
  });

  test('do not stand in for a missing image', () => {
    expect(errorsOf({ ...base, html: `<img src="cid:embedded-1"><img src="${uri}">` })).toEqual([
      ['/html', expect.stringMatching(/Add the inline image for "cid:embedded-1"/)],
    ]);
  });

  test('elsewhere stay as they are', () => {
    const html = `<td style="background: url(${uri})"><a href="data:text/plain,x"><p>data:x</p>`;
    expect(parsed({ html })).toMatchObject({ html, embedded: 0 });
  });
});

describe('text of megabytes ends', () => {
  const pieces = [
    'a',
    ' ',
    '<a',
    '&quot',
    '&quot;',
    'url(cid:',
    'cid:',
    ',',
    ';',
    '=',
    '/',
    '"',
    '%',
    '\n',
    'é',
  ];
  const heads = [
    'url(',
    'url(cid:',
    '<',
    '<a ',
    '<a b =',
    '<a b="cid:',
    '<img src="data:',
    '<img src="data:image/png;base64,',
    '<img srcset="cid:',
  ];
  test.each(heads)('as HTML: %s', (head) => {
    for (const piece of pieces) {
      for (const tail of ['', '">'])
        parseMessage({ ...base, html: head + piece.repeat(15_000_000 / piece.length) + tail });
    }
  });

  test.each<[string, (text: string) => Json]>([
    ['a header', (text) => ({ headers: { 'X-A': text, [text]: 'x' } })],
    ['a mailbox', (text) => ({ to: text, cc: [text], replyTo: { name: text, address: text } })],
    ['the subject', (text) => ({ subject: text })],
    ['an attachment', (text) => ({ attachments: [{ filename: text, contentType: text, content: text }] })],
    [
      'an inline image',
      (text) => ({ html: referring, inlineImages: [{ cid: text, contentType: text, content: text }] }),
    ],
  ])('as %s', (_, fields) => {
    for (const piece of [...pieces, `${'a'.repeat(899)} `, '=?', '=?a?q?', 'a.', '-to']) {
      expect(errorsOf({ ...base, ...fields(piece.repeat(15_000_000 / piece.length)) })).not.toEqual([]);
    }
  });
});

describe('HTML of megabytes ends in time', () => {
  test.each([
    ['opened tags', '<a'],
    ['opened attributes', '<a b="'],
    ['opened single quotes', "<a b='"],
    ['equal signs', '<a ='],
    ['white space', '<a                '],
    ['CSS', 'url(  '],
    ['references', '<img src=cid:'],
    ['data URIs', '<img src=data:'],
  ])('%s', (_, piece) => {
    parseMessage({ ...base, html: `cid:${piece.repeat(2_000_000 / piece.length)}` });
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
        fc.constantFrom(null, true, [[]], -1, 0.5),
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
  const description = toJsonSchema(MessageSchema, { typeMode: 'input', errorMode: 'throw' });
  expect(description).toMatchObject({
    type: 'object',
    required: ['from', 'subject'],
    additionalProperties: false,
    properties: { inlineImages: { maxItems: 100 } },
  });
  expect(description.examples).toHaveLength(1);
  for (const example of description.examples ?? []) expect(errorsOf(example)).toEqual([]);
});
