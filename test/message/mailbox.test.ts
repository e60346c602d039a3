import emailAddresses from 'email-addresses';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asciiDomain, type MailboxInput, parseMailbox } from '../../src/message/mailbox.ts';

describe('a mailbox', () => {
  test.each<[MailboxInput, string, string]>([
    ['ben@ifaxin.com', '', 'ben@ifaxin.com'],
    [' ben@ifaxin.com ', '', 'ben@ifaxin.com'],
    ['<ben@ifaxin.com>', '', 'ben@ifaxin.com'],
    ['Ben <ben@ifaxin.com>', 'Ben', 'ben@ifaxin.com'],
    ['Ben<ben@ifaxin.com>', 'Ben', 'ben@ifaxin.com'],
    ['Ben  van  Dyk <ben@ifaxin.com>', 'Ben van Dyk', 'ben@ifaxin.com'],
    ['John Q. Public <john@ifaxin.com>', 'John Q. Public', 'john@ifaxin.com'],
    ["Sun & Co. O'Neil <sun@ifaxin.com>", "Sun & Co. O'Neil", 'sun@ifaxin.com'],
    ['"Public, John" <john@ifaxin.com>', 'Public, John', 'john@ifaxin.com'],
    ['"John \\"Q\\" \\\\ Public" <john@ifaxin.com>', 'John "Q" \\ Public', 'john@ifaxin.com'],
    ['Dwayne "The Rock" Johnson <d@ifaxin.com>', 'Dwayne The Rock Johnson', 'd@ifaxin.com'],
    ['"A" "B" <ab@ifaxin.com>', 'A B', 'ab@ifaxin.com'],
    ['"" <ben@ifaxin.com>', '', 'ben@ifaxin.com'],
    ['  Ben  < ben@ifaxin.com >  ', 'Ben', 'ben@ifaxin.com'],
    ['张三 <zhang@ifaxin.com>', '张三', 'zhang@ifaxin.com'],
    ['Jörg Müller <jm@ifaxin.com>', 'Jörg Müller', 'jm@ifaxin.com'],
    ['😀 Smile <s@ifaxin.com>', '😀 Smile', 's@ifaxin.com'],
    ['عمر <o@ifaxin.com>', 'عمر', 'o@ifaxin.com'],
    ['Ben (sales) <ben@ifaxin.com>', 'Ben', 'ben@ifaxin.com'],
    ['ben@ifaxin.com (Ben)', '', 'ben@ifaxin.com'],
    ['a+b=c/d@ifaxin.com', '', 'a+b=c/d@ifaxin.com'],
    ['Ben@IFAXIN.Com', '', 'Ben@ifaxin.com'],
    ['"ben"@ifaxin.com', '', 'ben@ifaxin.com'],
    ['"ben van dyk"@ifaxin.com', '', '"ben van dyk"@ifaxin.com'],
    ['"a\\"b\\\\c"@ifaxin.com', '', '"a\\"b\\\\c"@ifaxin.com'],
    ['"a@b, c"@ifaxin.com', '', '"a@b, c"@ifaxin.com'],
    ['"a  b"@ifaxin.com', '', '"a  b"@ifaxin.com'],
    ['"a..b"@ifaxin.com', '', '"a..b"@ifaxin.com'],
    ['ben@bücher.example', '', 'ben@xn--bcher-kva.example'],
    ['Ben <ben@例子.测试>', 'Ben', 'ben@xn--fsqu00a.xn--0zwm56d'],
    ['ben@例子。测试', '', 'ben@xn--fsqu00a.xn--0zwm56d'],
    ['ben@XN--BCHER-KVA.example', '', 'ben@xn--bcher-kva.example'],
    [{ name: 'Public, John', address: 'john@ifaxin.com' }, 'Public, John', 'john@ifaxin.com'],
    [{ name: ' "Q" ', address: 'john@ifaxin.com' }, '"Q"', 'john@ifaxin.com'],
    [{ address: 'john@BÜCHER.example' }, '', 'john@xn--bcher-kva.example'],
    [{ name: '', address: '"j d"@ifaxin.com' }, '', '"j d"@ifaxin.com'],
    [`${'l'.repeat(64)}@ifaxin.com`, '', `${'l'.repeat(64)}@ifaxin.com`],
  ])('%j', (input, name, address) => {
    expect(parseMailbox(input)).toEqual({ mailbox: { name, address } });
  });

  test.each<[MailboxInput, RegExp, string?]>([
    ['', /Give one address/],
    ['ben', /Give one address/],
    ['ben@', /Give one address/],
    ['@ifaxin.com', /Give one address/],
    ['Ben', /Give one address/],
    ['Ben <>', /Give one address/],
    ['Ben <ben@ifaxin.com', /Give one address/],
    ['ben@ifaxin.com>', /Give one address/],
    ['ben@ifaxin.com x', /Give one address/],
    ['Ben <ben@ifaxin.com> x', /Give one address/],
    ['a@ifaxin.com, b@ifaxin.com', /Give one address.*use a list/],
    ['A <a@ifaxin.com>; B <b@ifaxin.com>', /Give one address.*use a list/],
    ['"A, B" <a@ifaxin.com>, "B" <b@ifaxin.com>', /Give one address.*use a list/],
    ['Public, John <john@ifaxin.com>', /double quotes/],
    ['a@b <ben@ifaxin.com>', /Give one address/],
    ['a..b@ifaxin.com', /Give one address/],
    ['.a@ifaxin.com', /Give one address/],
    ['a.@ifaxin.com', /Give one address/],
    ['a . b@ifaxin.com', /Give one address/],
    ['a(c).b@ifaxin.com', /Give one address/],
    ['""@ifaxin.com', /Give one address/],
    ['Friends: a@ifaxin.com, b@ifaxin.com;', /one by one/],
    ['Nobody:;', /one by one/],
    ['<@relay.example:ben@ifaxin.com>', /Remove the route/],
    ['Ben <@a.example,@b.example:ben@ifaxin.com>', /Remove the route/],
    ['ben@[192.0.2.1]', /domain name: an address literal/],
    ['ben@192.0.2.1', /domain name: an IP address/],
    ['ben@1.2', /domain name: an IP address/],
    ['ben@ifaxin.0x7f.1', /domain name: an IP address/],
    ['ben@localhost', /domain name of at least two labels/],
    ['ben@ifaxin.com.', /Remove the dot at the end/],
    ['ben@例子。测试。', /Remove the dot at the end/],
    ['ben@ifaxin..com', /empty label/],
    ['ben@.ifaxin.com', /empty label/],
    ['ben@-a.com', /hyphen/],
    ['ben@a-.com', /hyphen/],
    ['ben@a_b.com', /letters, digits, hyphens/],
    ['ben@if%61xin.com', /letters, digits, hyphens/],
    ['ben@ifaxin.com/x', /letters, digits, hyphens/],
    ['ben@１.２', /that DNS can hold/],
    ['ben@a％41.com', /that DNS can hold/],
    ['ben@a／b.com', /that DNS can hold/],
    ['ben@a：80.com', /that DNS can hold/],
    [`ben@${'a'.repeat(64)}.com`, /63 octets/],
    [`ben@${'a.'.repeat(127)}com`, /253 octets/],
    [`ben@${'ü'.repeat(60)}.com`, /that DNS can hold/],
    [`${'l'.repeat(65)}@ifaxin.com`, /64 octets/],
    [`${'l'.repeat(60)}@${'abcdefg.'.repeat(25)}com`, /254 octets/],
    ['张@ifaxin.com', /SMTPUTF8/],
    ['Zhang <张@ifaxin.com>', /SMTPUTF8/],
    ['"张 三"@ifaxin.com', /SMTPUTF8/],
    ['"a<b"@ifaxin.com', /angle brackets/],
    ['Ben\r\nBcc: x <ben@ifaxin.com>', /control/],
    ['Ben\r\n <ben@ifaxin.com>', /control/],
    ['Ben\0 <ben@ifaxin.com>', /control/],
    ['"Ben\u0001" <ben@ifaxin.com>', /control/],
    ['Ben\u0085 <ben@ifaxin.com>', /control/],
    ['Ben\ud800 <ben@ifaxin.com>', /lone surrogates/],
    ['=?utf-8?q?Ben?= <ben@ifaxin.com>', /plain Unicode/],
    [`${'n'.repeat(256)} <ben@ifaxin.com>`, /255 characters/],
    [`${'('.repeat(50)}ben@ifaxin.com`, /Simplify/],
    [`"${'n'.repeat(400)}\\"" x <ben@ifaxin.com>`, /Simplify/],
    [{ name: 'a\r\nBcc: x', address: 'ben@ifaxin.com' }, /control/, '/name'],
    [{ name: '=?utf-8?b?QmVu?=', address: 'ben@ifaxin.com' }, /plain Unicode/, '/name'],
    [{ name: '\udc00', address: 'ben@ifaxin.com' }, /lone surrogates/, '/name'],
    [{ name: 'Ben', address: 'Ben <ben@ifaxin.com>' }, /alone/, '/address'],
    [{ name: 'Ben', address: '<ben@ifaxin.com>' }, /alone/, '/address'],
    [{ name: 'Ben', address: 'a@b.example, c@d.example' }, /Give one address/, '/address'],
    [{ name: 'Ben', address: '张@ifaxin.com' }, /SMTPUTF8/, '/address'],
    [{ name: 'Ben', address: 'ben@localhost' }, /two labels/, '/address'],
  ])('refused: %j', (input, problem, at = '') => {
    expect(parseMailbox(input)).toEqual({ problem: expect.stringMatching(problem), at });
  });

  const atext = fc.constantFrom(..."abcXYZ019!#$%&'*+-/=?^_`{|}~");
  const word = fc.string({
    unit: fc.oneof(atext, fc.constantFrom('é', '张', '😀', '.')),
    minLength: 1,
    maxLength: 8,
  });
  const local = fc.array(fc.string({ unit: atext, minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 3,
  });
  const address = local.map((parts) => `${parts.join('.')}@ifaxin.com`);
  const padded = address.map((addr) => `  ${addr} `);
  const named = fc
    .tuple(fc.array(word, { maxLength: 4 }), fc.constantFrom(' ', ''), address)
    .map(([words, gap, addr]) => `${gap}${words.join(gap || ' ')}${gap}<${gap}${addr}${gap}>${gap}`);
  const quoted = fc
    .tuple(
      fc.string({
        unit: fc.constantFrom('a', ' ', ',', '<', '@', 'é', '.', '(', '\\\\', '\\"'),
        maxLength: 8,
      }),
      address,
    )
    .map(([name, addr]) => `"${name}" <${addr}>`);

  test('the short way says what the full parser says', () => {
    fc.assert(
      fc.property(fc.oneof(address, padded, named, quoted), (input) => {
        const full = emailAddresses({ input, rfc6532: true, startAt: 'address' })?.addresses[0];
        const parsed = parseMailbox(input);
        if (full?.type !== 'mailbox') {
          expect(parsed).toHaveProperty('problem');
        } else if ('mailbox' in parsed) {
          // The parser keeps the space around a part.
          const [name = '', local = '', domain = ''] = [full.name, full.local, full.domain].map((part) =>
            part?.trim(),
          );
          expect(parsed.mailbox).toEqual({ name, address: `${local}@${domain}` });
        } else {
          expect(parsed.problem).toMatch(/plain Unicode/);
        }
      }),
      { numRuns: 1000 },
    );
  });

  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'<>@."\\(),:; \t\r\nab'), maxLength: 40 }),
  );

  test('whatever comes: no exception, and an address that SMTP can carry', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.record({ name: anyText, address: anyText })), (input) => {
        const parsed = parseMailbox(input);
        if ('problem' in parsed) return;
        expect(parsed.mailbox.address).toMatch(/^[\x20-\x3b\x3d\x3f-\x7e]{1,254}$/);
        expect(parsed.mailbox.address).toMatch(/@[a-z0-9.-]+$/);
        expect(parseMailbox(parsed.mailbox)).toEqual(parsed);
      }),
      { numRuns: 2000 },
    );
  });
});

test('a domain is LDH labels or nothing', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: fc.constantFrom(...'aZ0-.xn%[]:/@。１ü') }),
        fc.domain(),
        fc.webUrl(),
      ),
      (text) => {
        const domain = asciiDomain(text);
        if (domain === null) return;
        expect(domain).toMatch(/^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/);
        expect(asciiDomain(domain)).toBe(domain);
      },
    ),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.domain(), (domain) => {
      expect(asciiDomain(domain)).toBe(domain.toLowerCase());
    }),
  );
});
