import { describe, expect, test } from 'vitest';
import { parseMessage } from '../../src/message/parse.ts';

const base = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Hello', text: 'Hello Ben' };

function parsed(headers: unknown): readonly (readonly [string, string])[] {
  const result = parseMessage({ ...base, headers });
  if ('errors' in result) throw new Error(JSON.stringify(result.errors));
  return result.message.headers;
}

function errorsOf(headers: unknown): [pointer: string, message: string][] {
  const result = parseMessage({ ...base, headers });
  return 'errors' in result ? result.errors.map(({ pointer, message }) => [pointer, message]) : [];
}

describe('a structured header is put right', () => {
  const ids = Array.from(
    { length: 50 },
    (_, i) => `<VI1PR04MB0123456789ABCDEF${i}@VI1PR04MB1234.eurprd04.prod.example.com>`,
  );
  const url = '<https://ifaxin.com/u?t=1,2>';
  const mailto = '<mailto:u@ifaxin.com?subject=stop>';
  const isSame = '';
  test.each<[name: string, value: string, expected: string]>([
    ['In-Reply-To', '<order-17@ifaxin.com>', isSame],
    ['In-Reply-To', 'order-17@ifaxin.com', '<order-17@ifaxin.com>'],
    ['in-reply-to', '  <a@ifaxin.com>\r\n', '<a@ifaxin.com>'],
    ['References', '<a@ifaxin.com>,<b@ifaxin.com>', '<a@ifaxin.com> <b@ifaxin.com>'],
    [
      'References',
      '<a@ifaxin.com>, b@ifaxin.com;c@ifaxin.com',
      '<a@ifaxin.com> <b@ifaxin.com> <c@ifaxin.com>',
    ],
    ['References', '<a@ifaxin.com><b@ifaxin.com>', '<a@ifaxin.com> <b@ifaxin.com>'],
    [
      'References',
      '<a@ifaxin.com>\r\n <b@ifaxin.com>\n\t<c@ifaxin.com>\n',
      '<a@ifaxin.com> <b@ifaxin.com> <c@ifaxin.com>',
    ],
    ['References', 'a@ifaxin.com\nb@ifaxin.com', '<a@ifaxin.com> <b@ifaxin.com>'],
    ['References', '<a@ifaxin.com>   <b@ifaxin.com> (two)', '<a@ifaxin.com> <b@ifaxin.com> (two)'],
    ['References', ids.join(' '), isSame],
    ['References', ids.join(',\r\n '), ids.join(' ')],
    // Ids that are no ids by the RFC, as other senders make them: they are answered to the letter.
    ['References', '<a..b@ifaxin.com> <"3 4"@ifaxin.com> <x@[1.2.3.4]> <1@a@b> <$(x),y@z>', isSame],
    ['References', 'a.b-c+d$e@[192.0.2.1]', '<a.b-c+d$e@[192.0.2.1]>'],
    ['Supersedes', 'a@ifaxin.com', '<a@ifaxin.com>'],
    ['List-Unsubscribe', `${url}, ${mailto}`, isSame],
    ['List-Unsubscribe', 'https://ifaxin.com/u?t=1', '<https://ifaxin.com/u?t=1>'],
    ['List-Unsubscribe', ' mailto:u@ifaxin.com ', '<mailto:u@ifaxin.com>'],
    ['List-Unsubscribe', `${url} ${mailto}`, `${url}, ${mailto}`],
    ['List-Unsubscribe', `${url}${mailto}`, `${url}, ${mailto}`],
    ['List-Unsubscribe', `${url},\r\n ${mailto}`, `${url}, ${mailto}`],
    ['List-Unsubscribe', '< https://ifaxin.com/u >', '<https://ifaxin.com/u>'],
    [
      'List-Unsubscribe',
      'https://ifaxin.com/u, mailto:u@ifaxin.com',
      '<https://ifaxin.com/u>, <mailto:u@ifaxin.com>',
    ],
    ['List-Unsubscribe', 'u@ifaxin.com', '<mailto:u@ifaxin.com>'],
    ['List-Unsubscribe', '<u@ifaxin.com>', '<mailto:u@ifaxin.com>'],
    ['List-Unsubscribe', `${url} (Click here)`, isSame],
    // One reading each (RFC 3987 section 3.1).
    [
      'List-Unsubscribe',
      '<https://bücher.example/ü?t=退订>',
      '<https://xn--bcher-kva.example/%C3%BC?t=%E9%80%80%E8%AE%A2>',
    ],
    [
      'List-Unsubscribe',
      'mailto:u@ifaxin.com?subject=Grüße',
      '<mailto:u@ifaxin.com?subject=Gr%C3%BC%C3%9Fe>',
    ],
    ['List-Owner', '<mailto:a%40ifaxin.com>', isSame],
    ['List-Owner', '<mailto:a@ifaxin.com,b@ifaxin.com?subject=x,y>', isSame],
    ['List-Archive', 'https://ifaxin.com/архив', '<https://ifaxin.com/%D0%B0%D1%80%D1%85%D0%B8%D0%B2>'],
    ['List-Help', '(all of it) <https://ifaxin.com/help>', isSame],
    ['List-Help', 'https://ifaxin.com/help', '<https://ifaxin.com/help>'],
    ['List-Archive', '<ftp://ifaxin.com/archive>', isSame],
    ['List-Post', 'no', 'NO'],
    ['List-Post', 'No (posting not allowed on this list)', 'NO (posting not allowed on this list)'],
    ['List-Post', 'news@ifaxin.com', '<mailto:news@ifaxin.com>'],
    ['Archived-At', 'https://ifaxin.com/a', '<https://ifaxin.com/a>'],
    ['List-Id', '<news.ifaxin.com>', isSame],
    ['List-Id', 'news.ifaxin.com', '<news.ifaxin.com>'],
    ['List-Id', 'Our news <news.ifaxin.com>', isSame],
    ['List-Id', '"The news" < news.ifaxin.com >', '"The news" <news.ifaxin.com>'],
    ['List-Id', 'News (EU), weekly <news.ifaxin.com>', '"News (EU), weekly" <news.ifaxin.com>'],
    ['List-Id', '=?utf-8?q?M=C3=BCller?= <news.ifaxin.com>', isSame],
    ['Errors-To', 'e@ifaxin.com', isSame],
    ['Errors-To', '=?utf-8?q?M=C3=BCller?= <a@ifaxin.com>, "Dyk, Ben" <b@ifaxin.com>', isSame],
    [
      'Disposition-Notification-To',
      'Support (EU) <a@ifaxin.com>,b@ifaxin.com',
      '"Support (EU)" <a@ifaxin.com>, b@ifaxin.com',
    ],
    ['Disposition-Notification-To', 'Jörg <a@ifaxin.com>', '=?UTF-8?B?SsO2cmc=?= <a@ifaxin.com>'],
    [
      'Errors-To',
      '=?utf-8?q?J=C3=B6rg?= <a@bücher.example>',
      '=?UTF-8?B?SsO2cmc=?= <a@xn--bcher-kva.example>',
    ],
    ['List-Id', 'Müller <news.ifaxin.com>', '=?UTF-8?Q?M=C3=BCller?= <news.ifaxin.com>'],
    [
      'List-Id',
      '=?utf-8?q?M=C3=BC?=, weekly <news.ifaxin.com>',
      '=?UTF-8?B?TcO8LCB3ZWVrbHk=?= <news.ifaxin.com>',
    ],
    [
      'List-Unsubscribe',
      '<mailto:u@bücher.example?subject=ü%40>',
      '<mailto:u@xn--bcher-kva.example?subject=%C3%BC%40>',
    ],
    ['List-Unsubscribe', 'mailto:u@bücher.example', '<mailto:u@xn--bcher-kva.example>'],
    ['Auto-Submitted', 'auto-generated', isSame],
    ['Auto-Submitted', 'auto-replied (vacation)', isSame],
    ['Auto-Submitted', 'Auto-Replied; owner-email="a@ifaxin.com"', isSame],
    ['Auto-Submitted', 'auto-generated; owner=a@ifaxin.com', isSame],
    ['Precedence', 'Bulk', isSame],
    ['Importance', 'High', isSame],
    ['Priority', 'non-urgent', isSame],
    ['Sensitivity', 'Company-Confidential', isSame],
    ['X-Priority', '1 (Highest)', isSame],
    ['X-MSMail-Priority', 'Low', isSame],
    ['Content-Language', 'en', isSame],
    ['content-language', 'zh-Hans-CN, de-CH', isSame],
    ['Keywords', 'one, "two, three"', isSame],
    ['Feedback-ID', 'a:b:c:ifaxin', isSame],
    ['X-Data', '{"a":["b", "c"]}', isSame],
    ['X-Name', 'Jörg', isSame],
    ['X-Long', 'word '.repeat(10_000).trim(), isSame],
  ])('%s: %s', (name, value, expected) => {
    expect(parsed({ [name]: value })).toEqual([[name, expected === isSame ? value : expected]]);
  });

  test.each(['List-Unsubscribe=One-Click', 'list-unsubscribe = one-click', '"List-Unsubscribe=One-Click"'])(
    'List-Unsubscribe-Post: %s',
    (value) => {
      expect(parsed({ 'List-Unsubscribe': `${mailto}, ${url}`, 'list-unsubscribe-post': value })).toEqual([
        ['List-Unsubscribe', `${mailto}, ${url}`],
        ['list-unsubscribe-post', 'List-Unsubscribe=One-Click'],
      ]);
    },
  );
});

describe('a structured header with more than one reading is refused', () => {
  test.each<[name: string, value: string, problem: RegExp]>([
    ['In-Reply-To', 'order-17', /ids in angle brackets/],
    ['In-Reply-To', '<order-17>', /ids in angle brackets/],
    ['In-Reply-To', '<order-17@ifaxin.com', /ids in angle brackets/],
    ['In-Reply-To', 'order-17@ifaxin.com>', /ids in angle brackets/],
    ['In-Reply-To', 'Your message of Friday <a@ifaxin.com>', /ids in angle brackets/],
    ['In-Reply-To', '&lt;a@ifaxin.com&gt;', /ids in angle brackets/],
    ['In-Reply-To', '(a comment)', /ids in angle brackets/],
    ['In-Reply-To', ' , ', /ids in angle brackets/],
    ['References', 'a@ifaxin.com\r\nBcc: b@ifaxin.com', /ids in angle brackets/],
    ['References', '<a@ifaxin.com>\u0001', /control/],
    ['References', `<${'a'.repeat(900)}@ifaxin.com>`, /899/],
    ['References', '<é@ifaxin.com>', /ASCII/],
    ['References', 'Müller <a@ifaxin.com>', /ASCII.*"ü" \(U\+00FC\).*encoded-word/],
    ['In-Reply-To', '\u200b<a@ifaxin.com>', /ASCII.*U\+200B ZERO WIDTH SPACE/],
    ['In-Reply-To', '＜a@ifaxin.com＞', /ASCII.*full-width "＜"/],
    ['List-Unsubscribe', 'click here', /URLs in angle brackets/],
    ['List-Unsubscribe', 'www.ifaxin.com/u', /URLs in angle brackets/],
    ['List-Unsubscribe', '<https://>', /URLs in angle brackets/],
    ['List-Unsubscribe', '<https://ifaxin.com/a b>', /URLs in angle brackets/],
    ['List-Unsubscribe', '<javascript:alert(1)>', /URLs in angle brackets/],
    ['List-Unsubscribe', '<https://ifaxin.com/u', /URLs in angle brackets/],
    ['List-Unsubscribe', '<>', /URLs in angle brackets/],
    ['List-Unsubscribe', 'https://ifaxin.com/u,https://ifaxin.com/v', /URLs in angle brackets/],
    ['List-Unsubscribe', '<mailto:a@ifaxin.com,b>', /URLs in angle brackets/],
    ['List-Unsubscribe', `<mailto:${'%40'.repeat(20_000)}@@>`, /URLs in angle brackets/],
    ['List-Unsubscribe', '<mailto:a%40>', /URLs in angle brackets/],
    ['List-Unsubscribe', 'mailto:u', /URLs in angle brackets/],
    ['List-Unsubscribe', '<https://ifaxin.com/ü ü>', /ASCII/],
    ['List-Unsubscribe', 'ü@ifaxin.com', /ASCII/],
    ['List-Unsubscribe', `<https://ifaxin.com/${'u'.repeat(900)}>`, /899/],
    ['List-Unsubscribe', '<https://ifaxin.com/u>\r\nBcc: b@ifaxin.com', /control/],
    ['List-Post', 'no (closed', /URLs in angle brackets/],
    ['List-Id', 'news', /id in angle brackets/],
    ['List-Id', '<news@ifaxin.com>', /id in angle brackets/],
    ['List-Id', 'News <news.ifaxin.com', /id in angle brackets/],
    ['List-Id', 'News\r\nBcc: b@ifaxin.com <news.ifaxin.com>', /control/],
    ['Errors-To', 'nobody', /Write one address/],
    ['Errors-To', 'a@ifaxin.com, b', /Write one address/],
    ['Auto-Submitted', 'yes', /auto-generated/],
    ['Auto-Submitted', 'auto-generated; owner', /auto-generated/],
    ['Precedence', 'banana', /bulk, list, junk/],
    ['Importance', '1', /high, normal, low/],
    ['Priority', 'high', /urgent, normal, non-urgent/],
    ['X-Priority', 'high', /"1" \(highest\)/],
    ['X-Priority', '6', /"1" \(highest\)/],
    ['Content-Language', 'en_US', /"en"/],
    ['Content-Language', '', /blank/],
    ['X-A', 'a\tb', /control/],
    ['X-A', 'a\r\n b', /control/],
    ['X-A', 'a'.repeat(900), /899/],
    ['X-A', `a${' '.repeat(60)}b`, /59 spaces/],
    ['X-A', '\ud800', /surrogate/],
  ])('%s: %s', (name, value, problem) => {
    expect(errorsOf({ [name]: value })).toEqual([[`/headers/${name}`, expect.stringMatching(problem)]]);
  });

  test.each<[string, Record<string, string>, RegExp]>([
    [
      'with another value',
      { 'List-Unsubscribe': '<https://ifaxin.com/u>', 'List-Unsubscribe-Post': 'yes' },
      /One-Click/,
    ],
    ['without List-Unsubscribe', { 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }, /https URL/],
    [
      'without an https URL',
      {
        'list-unsubscribe': '<mailto:u@ifaxin.com>, <http://ifaxin.com/u>',
        'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      },
      /https URL/,
    ],
  ])('List-Unsubscribe-Post %s', (_, headers, problem) => {
    expect(errorsOf(headers)).toEqual([['/headers/List-Unsubscribe-Post', expect.stringMatching(problem)]]);
  });

  test('and its companion is not blamed for it', () => {
    expect(
      errorsOf({ 'List-Unsubscribe': 'click', 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }),
    ).toEqual([['/headers/List-Unsubscribe', expect.stringMatching(/URLs/)]]);
  });
});

describe('a header several times', () => {
  test('is a list, or another spelling', () => {
    expect(
      parsed({ 'X-Tag': ['one', ' two '], 'x-tag': 'three', Keywords: ['a', 'b'], 'X-None': [] }),
    ).toEqual([
      ['X-Tag', 'one'],
      ['X-Tag', 'two'],
      ['x-tag', 'three'],
      ['Keywords', 'a'],
      ['Keywords', 'b'],
    ]);
  });

  test.each([
    'List-Unsubscribe',
    'In-Reply-To',
    'References',
    'List-Id',
    'Auto-Submitted',
    'Precedence',
    'X-Priority',
    'Disposition-Notification-To',
    'Content-Language',
    'Feedback-ID',
    'User-Agent',
  ])('is refused of %s', (name) => {
    const value =
      {
        'List-Id': 'a.b.example',
        'Auto-Submitted': 'no',
        Precedence: 'bulk',
        'X-Priority': '1',
        'Content-Language': 'en',
      }[name] ?? 'a@b.example';
    expect(parsed({ [name]: value })).toHaveLength(1);
    expect(errorsOf({ [name]: value, [name.toLowerCase()]: value, [name.toUpperCase()]: value })).toEqual([
      [`/headers/${name.toLowerCase()}`, expect.stringContaining(`"${name}" is the same name`)],
      [`/headers/${name.toUpperCase()}`, expect.stringContaining(`"${name.toLowerCase()}" is the same name`)],
    ]);
    expect(errorsOf({ [name]: [value, value] })).toEqual([
      [`/headers/${name}/1`, expect.stringMatching(/Use this header once/)],
    ]);
    expect(parsed({ [name]: [value] })).toHaveLength(1);
    expect(parsed({ [name]: value, [name.toLowerCase()]: null })).toHaveLength(1);
  });

  test('counts each of its values', () => {
    const values = (count: number) => Array.from({ length: count }, (_, i) => `v${i}`);
    expect(parsed({ 'X-A': values(25), 'X-B': values(25) })).toHaveLength(50);
    expect(errorsOf({ 'X-A': values(25), 'X-B': values(26) })).toEqual([
      ['/headers', 'Use at most 50 headers.'],
    ]);
  });

  test('with a wrong value says which', () => {
    expect(errorsOf({ 'X-A': ['a', 1, ' ', null] })).toEqual([
      ['/headers/X-A/1', expect.stringMatching(/must be a string/)],
      ['/headers/X-A/3', expect.stringMatching(/must be a string/)],
      ['/headers/X-A/2', expect.stringMatching(/blank/)],
    ]);
  });
});

test('all headers have 65536 characters at most', () => {
  const value = 'word '.repeat(10_000).trim();
  expect(errorsOf({ 'X-A': value })).toEqual([]);
  expect(errorsOf({ 'X-A': value, 'X-B': value })).toEqual([
    ['/headers', expect.stringMatching(/at most 65536 characters in all/)],
  ]);
});
