import emailAddresses from 'email-addresses';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asciiDomain } from '../../src/message/domain.ts';
import { type MailboxInput, parseMailbox } from '../../src/message/mailbox.ts';

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
    ['Support (EU) <ben@ifaxin.com>', 'Support (EU)', 'ben@ifaxin.com'],
    ['Support(EU) <ben@ifaxin.com>', 'Support(EU)', 'ben@ifaxin.com'],
    ['(EU) Support <ben@ifaxin.com>', '(EU) Support', 'ben@ifaxin.com'],
    ['"Support" (EU (north)) <ben@ifaxin.com>', 'Support (EU (north))', 'ben@ifaxin.com'],
    ['Support (a \\) b) <ben@ifaxin.com>', 'Support (a ) b)', 'ben@ifaxin.com'],
    ['Ben <ben@ifaxin.com> (Sales)', 'Ben (Sales)', 'ben@ifaxin.com'],
    ['Ben <ben@ifaxin.com (home)>', 'Ben (home)', 'ben@ifaxin.com'],
    ['ben@ifaxin.com (Ben)', 'Ben', 'ben@ifaxin.com'],
    ['(Ben) ben@ifaxin.com', 'Ben', 'ben@ifaxin.com'],
    ['(Ben) <ben@ifaxin.com>', 'Ben', 'ben@ifaxin.com'],
    ['ben@ifaxin.com (Ben) (Sales)', '(Ben) (Sales)', 'ben@ifaxin.com'],
    ['[EU] Support <ben@ifaxin.com>', '[EU] Support', 'ben@ifaxin.com'],
    ['Support: EU <ben@ifaxin.com>', 'Support: EU', 'ben@ifaxin.com'],
    ['Ben :-) <ben@ifaxin.com>', 'Ben :-)', 'ben@ifaxin.com'],
    ['ben@ifaxin.com <ben@ifaxin.com>', 'ben@ifaxin.com', 'ben@ifaxin.com'],
    ["'ben@ifaxin.com' <ben@ifaxin.com>", "'ben@ifaxin.com'", 'ben@ifaxin.com'],
    ['.net Team <ben@ifaxin.com>', '.net Team', 'ben@ifaxin.com'],
    ['"A  B" <ben@ifaxin.com>', 'A  B', 'ben@ifaxin.com'],
    ['=?utf-8?q?M=C3=BCller?= <ben@ifaxin.com>', 'Müller', 'ben@ifaxin.com'],
    [
      '=?UTF-8*de?Q?J=C3=B6rg_M?= =?utf-8?b?w7xsbGVy?= (EU) <ben@ifaxin.com>',
      'Jörg Müller (EU)',
      'ben@ifaxin.com',
    ],
    ['=?gb2312?B?1cXI/Q==?= <ben@ifaxin.com>', '张三', 'ben@ifaxin.com'],
    ['ben@ifaxin.com (=?utf-8?q?M=C3=BCller?=)', 'Müller', 'ben@ifaxin.com'],
    ['ben (c) @ ifaxin.com', 'c', 'ben@ifaxin.com'],
    ['🏳️‍🌈 Team <ben@ifaxin.com>', '🏳️‍🌈 Team', 'ben@ifaxin.com'],
    // Invisible characters that came along by copy and paste.
    ['\u200bben@ifaxin.com', '', 'ben@ifaxin.com'],
    ['\ufeff\u00a0ben@ifaxin.com\u200f\r\n', '', 'ben@ifaxin.com'],
    ['Ben <\u2068ben@ifaxin.com\u2069>', 'Ben', 'ben@ifaxin.com'],
    ['\u{e0001}ben@ifaxin.com\u{e007f}', '', 'ben@ifaxin.com'],
    ['\u00a0Ben\u3000<ben@ifaxin.com>\t', 'Ben', 'ben@ifaxin.com'],
    ['Ben\t<ben@ifaxin.com>', 'Ben', 'ben@ifaxin.com'],
    ['Ben\tvan \t Dyk <\tben@ifaxin.com\t>', 'Ben van Dyk', 'ben@ifaxin.com'],
    ['"ken..sato."@docomo.ne.jp', '', '"ken..sato."@docomo.ne.jp'],
    ['Ken <"ken..sato."@docomo.ne.jp>', 'Ken', '"ken..sato."@docomo.ne.jp'],
    ['".ken"@docomo.ne.jp', '', '".ken"@docomo.ne.jp'],
    ['" ken "@docomo.ne.jp', '', '" ken "@docomo.ne.jp'],
    ['"ken".sato@docomo.ne.jp', '', 'ken.sato@docomo.ne.jp'],
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
    [{ name: null, address: 'ben@ifaxin.com\u200b' }, '', 'ben@ifaxin.com'],
    [{ name: 'Support (EU)', address: 'ben@ifaxin.com' }, 'Support (EU)', 'ben@ifaxin.com'],
    ['ben@नेपाल.example', '', 'ben@xn--l2bey1c2b.example'],
    ['ben@نامه\u200cای.com', '', 'ben@xn--mgba3gch31f060k.com'],
    ['ben@l·l.cat', '', 'ben@xn--ll-0ea.cat'],
    [`${'l'.repeat(64)}@ifaxin.com`, '', `${'l'.repeat(64)}@ifaxin.com`],
  ])('%j', (input, name, address) => {
    expect(parseMailbox(input)).toEqual({ mailbox: { name, address } });
  });

  test.each<[MailboxInput, RegExp, string?]>([
    ['', /Write one address/],
    ['ben', /Write one address/],
    ['ben@', /Write one address/],
    ['@ifaxin.com', /Write one address/],
    ['Ben', /Write one address/],
    ['Ben <>', /Write one address/],
    ['Ben <ben@ifaxin.com', /Write one address/],
    ['ben@ifaxin.com>', /Write one address/],
    ['ben@ifaxin.com x', /Write one address/],
    ['Ben <ben@ifaxin.com> x', /Write one address/],
    ['a@ifaxin.com, b@ifaxin.com', /one address in each string.*as a list/],
    ['A <a@ifaxin.com>; B <b@ifaxin.com>', /one address in each string.*as a list/],
    ['"A, B" <a@ifaxin.com>, "B" <b@ifaxin.com>', /one address in each string.*as a list/],
    ['Public, John <john@ifaxin.com>', /: "Public, John" <john@ifaxin.com>\.$/],
    ['A "B, C" D; E <john@ifaxin.com>', /: "A B, C D; E" </],
    ['a@ifaxin.com, Ben <ben@ifaxin.com>', /one address in each string.*as a list/],
    ['Ben <ben@ifaxin.com>;', /Write one address/],
    ['ken..sato.@docomo.ne.jp', /: "ken\.\.sato\."@docomo\.ne\.jp\.$/],
    ['Ken <ken..sato.@docomo.ne.jp>', /: "ken\.\.sato\."@docomo\.ne\.jp\.$/],
    ['.a@ifaxin.com', /: "\.a"@ifaxin\.com\.$/],
    ['a.@ifaxin.com', /: "a\."@ifaxin\.com\.$/],
    ['.@ifaxin.com', /Write one address/],
    ['Ben "The <ben@ifaxin.com>', /Close the double quotes/],
    ['Ben (Sales <ben@ifaxin.com>', /Close the parenthesis/],
    ['"=?utf-8?q?Ben?=" <ben@ifaxin.com>', /plain Unicode/],
    ['=?no-such-charset?q?Ben?= <ben@ifaxin.com>', /plain Unicode/],
    ['=?utf-8?q?=FF?= <ben@ifaxin.com>', /plain Unicode/],
    ['=?utf-8?q?a=0D=0ABcc:_x?= <ben@ifaxin.com>', /control/],
    // Invisible and look-alike characters, by name.
    ['be\u200bn@ifaxin.com', /local part.*U\+200B ZERO WIDTH SPACE\.$/],
    ['ben\u200b@ifaxin.com', /local part.*U\+200B ZERO WIDTH SPACE\.$/],
    ['be\u00adn@ifaxin.com', /local part.*U\+00AD SOFT HYPHEN\.$/],
    ['be\u{e0020}n@ifaxin.com', /local part.*U\+E0020 \(invisible\)\.$/],
    ['ben@\u2060ifaxin.com', /domain name.*U\+2060 WORD JOINER\.$/],
    ['ben@ifa\u00adxin.com', /domain name.*U\+00AD SOFT HYPHEN\.$/],
    ['ben@ifa\u200dxin.com', /domain name.*U\+200D ZERO WIDTH JOINER\.$/],
    ['ben@ifa\u034fxin.com', /domain name.*U\+034F COMBINING GRAPHEME JOINER\.$/],
    ['ben@i❤\ufe0f.ws', /domain name.*U\+FE0F VARIATION SELECTOR-16\.$/],
    ['ben@ifa\u3164xin.com', /domain name.*U\+3164 HANGUL FILLER\.$/],
    ['王小明＜ben@ifaxin.com＞', /full-width "＜" \(U\+FF1C\)\.$/],
    ['Ben ＜ben@ifaxin.com＞', /full-width "＜" \(U\+FF1C\)\.$/],
    ['ben＠ifaxin.com', /full-width "＠" \(U\+FF20\)\.$/],
    ['ｂen@ifaxin.com', /local part.*full-width "ｂ" \(U\+FF42\)\.$/],
    ['ben@ｉfaxin.com', /domain name.*full-width "ｉ" \(U\+FF49\)\.$/],
    ['ben@ifaxin．com', /domain name.*full-width "．" \(U\+FF0E\)\.$/],
    ['ben@ﬁsh.com', /domain name.*"ﬁ" \(U\+FB01\)\.$/],
    ['ben@ban\u212a.com', /domain name.*\(U\+212A\)\.$/],
    ['ben@foo–bar.com', /domain name.*"–" \(U\+2013\)\.$/],
    ['ben@ifаxin.com', /domain name.*"а" \(U\+0430\) among Latin letters\.$/],
    ['a@ifaxin.com，b@ifaxin.com', /full-width "，" \(U\+FF0C\)\.$/],
    ['a@ifaxin.com； b@ifaxin.com', /full-width "；" \(U\+FF1B\)\.$/],
    ['a@ifaxin.com、b@ifaxin.com', /"、" \(U\+3001\)\.$/],
    ['Ben «ben@ifaxin.com»', /"«" \(U\+00AB\)/],
    ['bеn@ifaxin.com', /ASCII local part, without "е" \(U\+0435\).*SMTPUTF8/],
    ['a . b@ifaxin.com', /Write one address/],
    ['a(c).b@ifaxin.com', /Write one address/],
    ['""@ifaxin.com', /Write one address/],
    ['Friends: a@ifaxin.com, b@ifaxin.com;', /one by one/],
    ['Nobody:;', /one by one/],
    ['<@relay.example:ben@ifaxin.com>', /Remove the route/],
    ['Ben <@a.example,@b.example:ben@ifaxin.com>', /Remove the route/],
    ['ben@[192.0.2.1]', /instead of an address literal/],
    ['ben@192.0.2.1', /instead of an IP address/],
    ['ben@1.2', /instead of an IP address/],
    ['ben@ifaxin.0x7f.1', /instead of an IP address/],
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
    ['ben@１.２', /full-width "１"/],
    ['ben@a％41.com', /full-width "％"/],
    ['ben@a／b.com', /full-width "／"/],
    ['ben@a：80.com', /full-width "："/],
    [`ben@${'a'.repeat(64)}.com`, /63 octets/],
    [`ben@${'a.'.repeat(127)}com`, /253 octets/],
    [`ben@${'ü'.repeat(60)}.com`, /DNS cannot hold it/],
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
    [`${'n'.repeat(256)} <ben@ifaxin.com>`, /255 characters/],
    [`${'('.repeat(50)}ben@ifaxin.com`, /Close the parenthesis/],
    [`${'a.'.repeat(150)} <ben@ifaxin.com>`, /Simplify/],
    [{ name: 'a\r\nBcc: x', address: 'ben@ifaxin.com' }, /control/, '/name'],
    [{ name: '=?utf-8?b?QmVu?=', address: 'ben@ifaxin.com' }, /plain Unicode/, '/name'],
    [{ name: '\udc00', address: 'ben@ifaxin.com' }, /lone surrogates/, '/name'],
    [{ name: 'Ben', address: 'Ben <ben@ifaxin.com>' }, /alone/, '/address'],
    [{ name: 'Ben', address: '<ben@ifaxin.com>' }, /alone/, '/address'],
    [{ name: 'Ben', address: 'a@b.example, c@d.example' }, /Write one address/, '/address'],
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

  test('another parser of RFC 5322 reads the same', () => {
    fc.assert(
      fc.property(fc.oneof(address, padded, named, quoted), (input) => {
        const full = emailAddresses({ input, rfc6532: true, startAt: 'address' })?.addresses[0];
        const parsed = parseMailbox(input);
        // It reads fewer names, since a phrase must not begin with a dot.
        if (full?.type !== 'mailbox') return;
        if ('mailbox' in parsed) {
          // It keeps the space around a part, and no more than one space in a quoted name.
          const [name = '', local = '', domain = ''] = [full.name, full.local, full.domain].map((part) =>
            part?.trim(),
          );
          expect(parsed.mailbox).toEqual({ name: expect.any(String), address: `${local}@${domain}` });
          expect(parsed.mailbox.name.replace(/ +/g, ' ').trim()).toBe(name);
        } else {
          expect(parsed.problem).toMatch(/plain Unicode/);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('the short way reads what the long way does', () => {
    const words = fc.array(fc.string({ unit: fc.constantFrom(...'aZ0 '), minLength: 1 }), { maxLength: 3 });
    fc.assert(
      fc.property(words, address, (some, addr) => {
        const name = some.join(' ').trim();
        if (name !== '')
          expect(parseMailbox(`${name} <${addr}>`)).toEqual(parseMailbox(`${name}< ${addr} >`));
        expect(parseMailbox(addr)).toEqual(parseMailbox(`<${addr} >`));
      }),
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
