import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Account } from '../../src/account.ts';
import {
  HeaderEnd,
  type HeaderProblem,
  headerProblem,
  IDEMPOTENCY_KEY,
  idempotencyKeyIn,
  parseHeaderSection,
  withoutFields,
} from '../../src/message/header-section.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const section = (text: string) => parseHeaderSection(bytes(text));

const free: Account = { apiUser: 'ifaxin', apiKey: 'the-key', from: null, labels: null, quota: 1 };
const held: Account = {
  ...free,
  from: ['allowed.example', 'xn--mgba3gch31f060k.example', 'one@other.example'],
};

const problem = (text: string, account: Account): HeaderProblem | null =>
  headerProblem(section(text), account);
const detail = (text: string, account: Account): string | undefined => problem(text, account)?.failure.detail;

describe('the end of a header section', () => {
  it.each([
    ['a: b\r\n\r\nbody', 8],
    ['a: b\n\nbody', 6],
    ['\r\n\r\na: b\r\n\r\nbody', 12],
    ['a: b\r\n \r\n\r\nbody', 11],
    ['a: b\n \n\nbody', 8],
    ['a: b\nx\n\nbody', 8],
    ['\r\n\r\n\r\n', null],
    ['a: b\r\n', null],
    ['', null],
  ])('%j: %s, however it is cut', (text, end) => {
    expect(new HeaderEnd().find(bytes(text))).toBe(end);
    const byByte = new HeaderEnd();
    const found = [...bytes(text)].map((byte) => byByte.find(Buffer.of(byte)));
    const at = found.indexOf(1);
    expect(at === -1 ? null : at + 1).toBe(end);
  });
});

it('a header section that is too long is known by its bytes and its lines', () => {
  const longest = ['x'.repeat(256 * 1024), `${'x'.repeat(62)}\r\n`.repeat(4096), 'a: b\r\n'.repeat(10_000)];
  const lengths = longest.map((text) => {
    const end = new HeaderEnd();
    end.find(bytes(text));
    const before = end.isTooLong;
    end.find(bytes('a: b\r\n'));
    return [before, end.isTooLong];
  });
  expect(lengths).toEqual(longest.map(() => [false, true]));
  // All of it at once, with its end.
  for (const text of longest) expect(new HeaderEnd().find(bytes(`${text}a: b\n\n`))).toBeNull();
});

describe('the fields', () => {
  it('are read unfolded, byte by byte', () => {
    const text = 'From: a@b.example\r\nSubject : two\r\n\tlines \xe4\r\nno field\r\nX-Y:\r\n\r\n';
    expect(section(text).fields).toEqual([
      { name: 'from', value: 'a@b.example', start: 0, end: 19 },
      { name: 'subject', value: 'two\tlines \xe4', start: 19, end: 44 },
      { name: '', value: 'no field', start: 44, end: 54 },
      { name: 'x-y', value: '', start: 54, end: 60 },
    ]);
  });

  it('end with LF as well, and a line that only looks empty is none', () => {
    const namesIn = (text: string) => section(text).fields.map(({ name, value }) => `${name}=${value}`);
    expect(namesIn('\nA: b\n c\n\nC: d\n\n')).toEqual(['a=b c', 'c=d']);
    expect(namesIn('A: b\nx\nC: d\n')).toEqual(['a=b', '=x', 'c=d']);
    expect(namesIn('A: b\r\n\rC: d\r\n')).toEqual(['a=b', '=C: d']);
  });

  it('are taken out by name, with their folds', () => {
    const text = 'Idempotency-Key:\r\n 1\r\nA: b\r\nidempotency-key: 2\r\nC: d\r\n\r\n';
    const rest = withoutFields(bytes(text), section(text), [IDEMPOTENCY_KEY]);
    expect(Buffer.from(rest).toString()).toBe('A: b\r\nC: d\r\n\r\n');
  });

  it.each([
    ['Idempotency-Key: order-4711\r\n', 'order-4711'],
    ['Idempotency-Key: \t order-4711 \t\r\n', 'order-4711'],
    ['idempotency-KEY: "a, b"\r\n', 'a, b'],
    ['Subject: x\r\n', null],
  ])('%j: the key %j', (text, key) => {
    expect(idempotencyKeyIn(section(text))).toBe(key);
  });

  it.each(['', ' ', 'a, b', 'a\xe4', 'a\xa0', '\xa0a', '"', 'x'.repeat(256)])('%j is no key', (key) => {
    expect(idempotencyKeyIn(section(`Idempotency-Key: ${key}\r\n`))).toMatchObject({
      code: 'invalid-message',
    });
  });

  it('two keys are none', () => {
    const twice = 'Idempotency-Key: a\r\nIdempotency-Key: a\r\n';
    expect(idempotencyKeyIn(section(twice))).toMatchObject({ code: 'invalid-message' });
  });
});

describe('X-SMTPAPI', () => {
  const value = 'eyJ0byI6W119';
  it.each([
    `X-SMTPAPI: ${value}`,
    `x-smtpapi:${value}`,
    `X-SMTPAPI \t : ${value}`,
    `X-SMTPAPI\r\n : ${value}`,
    `X-SMTPAPI\r\n ${value}`,
    `X-SMT\r\n PAPI: ${value}`,
    `\xef\xbb\xbfX-SMTPAPI: ${value}`,
    `\0X-SMTPAPI: ${value}`,
    `X-SM\0TPAPI: ${value}`,
    `X-SMTPAPI\0: ${value}`,
    `\xa0X-SMTPAPI: ${value}`,
    `X-SMTPAPI\xa0: ${value}`,
    `X\xc2\xad-SMTPAPI: ${value}`,
    ` X-SMTPAPI: ${value}`,
    `\r\nX-SMTPAPI: ${value}`,
    `\r\n\r\n X-SMTPAPI: ${value}`,
    `From ann@b.example Mon Jan 1\r\nX-SMTPAPI: ${value}`,
    `no field\r\n X-SMTPAPI: ${value}`,
    `no field\nX-SMTPAPI: ${value}`,
    `A: b\vX-SMTPAPI: ${value}`,
    `A: b\fX-SMTPAPI: ${value}`,
    `A: b\x1eX-SMTPAPI: ${value}`,
    `A: b\x85X-SMTPAPI: ${value}`,
    `A: b\xe2\x80\xa8X-SMTPAPI: ${value}`,
    `A: b\rX-SMTPAPI: ${value}`,
    `A: b\0X-SMTPAPI: ${value}`,
    `A: b\r\n \r\n X-SMTPAPI: ${value}`,
    `A: ${'b'.repeat(990)}X-SMTPAPI: ${value}`,
    `: b\r\nX-SMTPAPI: ${value}`,
    `A: b\r\n\tc\r\nX-Smtpapi: ${value}\r\n d`,
  ])('%j is found', (text) => {
    for (const account of [free, held]) {
      for (const end of ['', '\r\n', '\r\n\r\n']) {
        expect(problem(`${text}${end}`, account)).toMatchObject({
          failure: { code: 'invalid-message', delivery: 'not-sent' },
          enhanced: '5.7.1',
        });
      }
    }
  });

  it('is found whatever invisible bytes stand in and around its name', () => {
    const invisible = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((byte) => {
        const isVisible = (byte > 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d;
        return isVisible ? '' : String.fromCharCode(byte);
      }),
      maxLength: 3,
    });
    const name = fc
      .array(invisible, { minLength: 10, maxLength: 10 })
      .map((gaps) => gaps.map((gap, at) => `${gap}${'X-SMTPAPI:'[at]}`).join(''));
    const front = fc.constantFrom('', '\r\n', 'no field\r\n', 'From x\r\n', ' \r\n');
    fc.assert(
      fc.property(front, name, (before, smtpapi) => {
        const found = problem(`${before}${smtpapi} ${value}\r\n\r\n`, free);
        expect(found).toMatchObject({ enhanced: '5.7.1' });
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    'Subject: X-SMTPAPI: how to',
    'Subject: a\r\n X-SMTPAPI: b',
    'X-SMTPAPIs: a',
    '-X-SMTPAPI: a',
    'A-X-SMTPAPI: a',
    'X-SMTP: API',
    'Subject: \xe4\xbd\xa0 X-SMTPAPI',
    'A: \0\r\nSubject: X-SMTPAPI: how to',
    'no field\r\nSubject: X-SMTPAPI: how to',
    'A-SMTPAPI is no field',
    `A: ${'b'.repeat(986)}X-SMTPAPI`,
  ])('%j is harmless', (text) => {
    expect(problem(`${text}\r\n\r\n`, free)).toBeNull();
  });
});

describe('an account without a sender policy', () => {
  it.each([
    '',
    'just a line\r\n',
    'From: a@b.example\r\nFrom: c@d.example\r\n',
    '\0\v\xff: x\r\n y\r\n',
    `Subject: ${'x'.repeat(2000)}\r\n`,
  ])('may write %j', (text) => {
    expect(problem(text, free)).toBeNull();
  });
});

describe('an account with a sender policy', () => {
  it.each([
    'From: ann@allowed.example',
    'from:<ann@ALLOWED.example>',
    'From: "Ann, of sales" <ann@allowed.example>',
    'From: =?UTF-8?B?5byg5LiJ?= <ann@allowed.example>',
    'From: \xe5\xbc\xa0\xe4\xb8\x89 <ann@allowed.example>',
    'From: \xe2\x80\x8fAnn\xe2\x80\x8c\xef\xbc\x9c <ann@allowed.example>',
    'From: ann@allowed.example (Ann\xe3\x80\x80of sales)',
    'From: ann@allowed.example (Ann, (of) sales)',
    'From: ann@allowed.example (Ann (of)\xe3\x80\x80sales \\) \xe2\x80\x8d)',
    'From: [Sales] =?UTF-8?B?5byg5LiJ?= <ann@allowed.example>',
    'From: [Sales] SHOP\\ann <ann@allowed.example>',
    'From: ann@allowed\xef\xbd\xa1example',
    'From: ann@\xd9\x86\xd8\xa7\xd9\x85\xd9\x87\xe2\x80\x8c\xd8\xa7\xdb\x8c.example',
    'From:\r\n Ann\r\n\t<ann@allowed.example>',
    'From: One <ONE@other.example>',
    'From: "ann"@allowed.example',
    'From: ann@allowed.example, ben@allowed.example\r\nSender: ann@allowed.example',
    'From: ann@allowed.example\r\nReply-To: ceo@bank.example\r\nTo: undisclosed-recipients:;',
    'From: ann@allowed.example\r\nSubject: From: ceo@bank.example',
    'From: ann@allowed.example\r\nSubject: \x85\xc7\xeb\xff',
    'From: ann@allowed.example\r\nResent-From: ben@allowed.example\r\nResent-Sender: ann@allowed.example',
    'From: ann@allowed.example\r\nResent-From: ann@allowed.example, ben@allowed.example',
    'From: "ceo@bank.example" <ann@allowed.example>',
    'From: ann@allowed.example (not ceo@bank.example)',
    'From: "Ann \\", of sales" <ann@allowed.example>',
    'From: ann@allowed.example (Ann "of sales)',
    'From: , ann@allowed.example,',
    `From: ann@allowed.example\r\nSubject: ${'x'.repeat(989)}`,
    `From: ann@allowed.example${'\r\nA: b'.repeat(997)}`,
  ])('may write %j', (text) => {
    expect(problem(`${text}\r\n\r\n`, held)).toBeNull();
    expect(problem(`${text}\r\n`, held)).toBeNull();
  });

  const own = 'From: ann@allowed.example\r\n';
  it.each([
    ['', 'From'],
    ['Subject: x\r\n', 'From'],
    ['From:\r\n', 'From'],
    ['From: CEO <ceo@bank.example>\r\n', 'From'],
    ['From: two@other.example\r\n', 'From'],
    ['From: ann@sub.allowed.example\r\n', 'From'],
    ['From: ann@allowed.example.bank.example\r\n', 'From'],
    [`${own}From: ann@allowed.example\r\n`, 'From'],
    [`${own}fROM: ceo@bank.example\r\n`, 'From'],
    ['From: ann@allowed.example, ceo@bank.example\r\nSender: ann@allowed.example\r\n', 'From'],
    ['From: ann@allowed.example, ben@allowed.example\r\n', 'Sender'],
    ['From: ceo@bank.example <ann@allowed.example>\r\n', 'From'],
    ['From: <ceo@bank.example> <ann@allowed.example>\r\n', 'From'],
    ['From: <@bank.example:ann@allowed.example>\r\n', 'From'],
    ['From: Staff: ann@allowed.example;\r\n', 'From'],
    ['From: Staff: <ann@allowed.example>\r\n', 'From'],
    ['From: Ann; <ann@allowed.example>\r\n', 'From'],
    ['From: "ann@allowed.example\r\n', 'From'],
    ['From: "Ann <ann@allowed.example>\r\n', 'From'],
    ['From: Ann) <ann@allowed.example>\r\n', 'From'],
    ['From: Ann (<ann@allowed.example>\r\n', 'From'],
    ['From: (ann@allowed.example\r\n', 'From'],
    ['From: Ann\r\n', 'From'],
    ['From: \xb2\xe2 <ann@allowed.example>\r\n', 'From'],
    ['From: <\xef\xbb\xbfann@allowed.example>\r\n', 'From'],
    ['From: ann@allowed.example\xe2\x80\x8b\r\n', 'From'],
    ['From: ann@allowed.example\xe2\x80\x8c(Ann)\r\n', 'From'],
    ['From: ann@allowed.example,\xef\xbb\xbf\r\n', 'From'],
    ['From: ((a)") \xef\xbb\xbfann@allowed.example (")\r\n', 'From'],
    ['From: ((a)") ceo@bank.example (") <ann@allowed.example>\r\n', 'From'],
    ['From: "ceo@bank.example"[ <ann@allowed.example>\r\n', 'From'],
    ['From: =?utf-8?q?ceo=40bank.example?= \\ <ann@allowed.example>\r\n', 'From'],
    ['From: =?utf-8?b?Y2VvQGJhbmsuZXhhbXBsZQ==?=[<ann@allowed.example>\r\n', 'From'],
    ['From: "ceo@bank.example"] <ann@allowed.example>\r\n', 'From'],
    ['From: \\" <ceo@bank.example> "\\"" <ann@allowed.example>\r\n', 'From'],
    ['From: Ann <ann@allowed.example>\xc2\xa0\r\n', 'From'],
    [
      'From: "Ann, of" <ann@allowed.example>, \xc2\xadann@allowed.example\r\nSender: ann@allowed.example\r\n',
      'From',
    ],
    [`${own}Sender: \xe3\x80\x80ann@allowed.example\r\n`, 'Sender'],
    [`${own}Sender: ceo@bank.example\r\n`, 'Sender'],
    [`${own}Sender: ann@allowed.example\r\nSender: ann@allowed.example\r\n`, 'Sender'],
    [`${own}Sender: ann@allowed.example, ben@allowed.example\r\n`, 'Sender'],
    [`${own}Sender:\r\n`, 'Sender'],
    [`${own}Resent-From: ceo@bank.example\r\n`, 'Resent-From'],
    [`${own}Resent-Sender: ceo@bank.example\r\n`, 'Resent-Sender'],
    [
      `${own}Resent-From: ann@allowed.example\r\nResent-From: ann@allowed.example, ceo@bank.example\r\n`,
      'Resent-From',
    ],
  ])('may not write %j', (text, field) => {
    expect(problem(`${text}\r\n`, held)).toMatchObject({
      failure: { code: 'forbidden-sender', errors: [{ pointer: `/headers/${field}` }] },
      enhanced: '5.7.1',
    });
  });

  it.each([
    ['no field\r\n', /not a field/],
    ['Hello Ben,\r\n', /not a field/],
    [': x\r\n', /not a field/],
    ['F\xe4: x\r\n', /not a field/],
    ['\xef\xbb\xbfTo: x\r\n', /not a field/],
    ['From ceo@bank.example Mon Jan 1\r\n', /not a field/],
    ['From : ceo@bank.example\r\n', /before its colon/],
    ['To\r\n : x\r\n', /not a field/],
    ['Subject: \0\r\n', /control character/],
    ['Subject: a\vFrom: ceo@bank.example\r\n', /control character/],
    ['Subject: a\rFrom: ceo@bank.example\r\n', /control character/],
    ['Subject: a\r\n \r\n', /white space/],
    ['Subject: a\n \n', /white space/],
    ['Subject: a\r\n \t \r\n', /white space/],
    ['Subject: a\r\n ', /white space/],
    ['Subject: a\x85From: ceo@bank.example\r\n', /line separator/],
    ['Subject: a\xc2\x85 From : ceo@bank.example\r\n', /line separator/],
    ['Subject: a\xe2\x80\xa9sender: ceo@bank.example\r\n', /line separator/],
    [`Subject: ${'x'.repeat(990)}\r\n`, /more than 998 bytes/],
    ['A: b\r\n'.repeat(1000), /more than 1000 lines/],
  ])('may not write %j behind its From', (text, words) => {
    expect(problem(`${own}${text}\r\n`, held)).toMatchObject({ enhanced: '5.6.0' });
    expect(detail(`${own}${text}\r\n`, held)).toMatch(words);
  });

  it.each([
    [` x\r\n${own}`, /not a field/],
    [`\r\n${own}`, /empty line/],
    [`\n${own}`, /empty line/],
  ])('may not begin with %j', (text, words) => {
    expect(detail(`${text}\r\n`, held)).toMatch(words);
  });
});

it.each([
  ['quotes that are escaped', 'From: "', '\\"'],
  ['comments that do not end', 'From: ', '('],
  ['escapes in a comment', 'From: (', '\\('],
  ['commas', 'From: ', 'a@allowed.example,'],
  ['words', 'From: ', 'a '],
  ['line separators', 'A:', '\x85 '],
  ['blank lines', 'A:', '\r\n '],
  ['fields', '', 'From: a@allowed.example\r\n'],
  ['nearly X-SMTPAPI', 'X-SMTPAPI', '\0-'],
])('the longest section of %s is judged at once', (_name, front, piece) => {
  // Quadratic work on 256 KB takes longer than a test may.
  expect(problem(front + piece.repeat((256 * 1024) / piece.length), held)).not.toBeUndefined();
});
