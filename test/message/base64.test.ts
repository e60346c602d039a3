import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CanonicalBase64, canonicalBase64, canonicalInSlices } from '../../src/message/base64.ts';
import { Pace } from '../../src/pace.ts';

const bytes = Buffer.from(Array.from({ length: 200 }, (_, index) => (index * 37) % 256));
const canonical = bytes.toString('base64');

/** The text behind white space, so that each of its places once is where a large one is cut: at 64 kB. */
function* cutAnywhere(text: string): Generator<string> {
  for (let before = 65_536 - text.length; before < 65_536; before += 1) {
    yield text.replace(/^\ufeff?/, (mark) => mark + '\n'.repeat(before));
  }
}

/** Both ways of reading, which say the same. */
async function read(text: string): Promise<CanonicalBase64> {
  const whole = canonicalBase64(text);
  expect(await canonicalInSlices(text, new Pace())).toEqual(whole);
  return whole;
}

describe('canonical base64', () => {
  test('is any bytes, as encoded', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), async (some) => {
        const text = Buffer.from(some).toString('base64');
        expect(await read(text)).toEqual({ base64: text });
      }),
    );
  });

  test('or nothing else, whatever comes', async () => {
    const unit = fc.constantFrom(...'ABQgw09+/=-_ \n\r\t*\u0141张');
    const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit, maxLength: 24 }));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const canonical = await read(text);
        if ('problem' in canonical) return;
        const { base64 } = canonical;
        expect(base64).toMatch(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/);
        expect(Buffer.from(base64, 'base64').toString('base64')).toBe(base64);
      }),
      { numRuns: 5000 },
    );
  });

  test.each<[string, string, string?]>([
    ['lines of 76 with CRLF', canonical.replace(/.{76}/g, '$&\r\n')],
    ['lines of 64 with LF, and one at the end', `${canonical.replace(/.{64}/g, '$&\n')}\n`],
    ['lines of 76 with CR', canonical.replace(/.{76}/g, '$&\r')],
    ['indented lines', `\n    ${canonical.replace(/.{76}/g, '$& \n\t  ')}  `],
    ['lines of any length', `${canonical.slice(0, 7)}\n${canonical.slice(7, 30)}\n\n${canonical.slice(30)}`],
    ['spaces where line breaks were', canonical.replace(/.{76}/g, '$& ')],
    ['a byte order mark in front', `\ufeff${canonical}`],
    ['the URL-safe alphabet', canonical.replaceAll('+', '-').replaceAll('/', '_')],
    ['no padding', canonical.replaceAll('=', '')],
    ['all of it', ` ${bytes.toString('base64url').replace(/.{76}/g, '$&\r\n')}\r\n`],
    ['nothing', '', ''],
    ['white space alone', ' \r\n', ''],
    ['one byte without padding', 'AA', 'AA=='],
    ['two bytes without padding', 'AAA', 'AAA='],
    ['padding on a line of its own', 'AA\n==', 'AA=='],
  ])('comes of %s', async (_, text, expected = canonical) => {
    for (const whole of [text, ...cutAnywhere(text)]) {
      expect(await read(whole)).toEqual({ base64: expected });
    }
  });

  test.each<[string, string, RegExp]>([
    ['one character too many', 'AAAAA', /cut off/],
    ['half the padding', 'AA=', /wrong padding/],
    ['too much padding', 'AAAA====', /wrong padding/],
    ['padding alone', '=', /wrong padding/],
    ['bits behind the last byte', 'AB==', /cut off/],
    ['bits behind the last byte, without padding', 'AAB', /cut off/],
    ['two encodings in one text', 'AA==AAAA', /in one go/],
    ['a foreign character', 'AA*A', /characters other than/],
    ['a character that a lenient decoder takes for "A"', 'AAA\u0141', /characters other than/],
    ['a letter beyond ASCII', 'AAAÄ', /characters other than/],
    ['percent-encoding', 'AA%2B', /characters other than/],
    ['a space where a "+" was', canonical.replace('+', ' '), /decoded once too often/],
    ['spaces where each "+" was', canonical.replaceAll('+', ' '), /decoded once too often/],
    ['a space and no padding', 'AAAA AAA', /decoded once too often/],
  ])('does not come of %s', async (_, text, problem) => {
    for (const whole of [text, ...cutAnywhere(text)]) {
      expect(await read(whole)).toEqual({ problem: expect.stringMatching(problem) });
    }
  });

  test('of megabytes, good or bad', async () => {
    const large = Buffer.alloc(12_000_000, 7).toString('base64');
    expect(await read(large)).toEqual({ base64: large });
    expect(await read(large.replace(/.{76}/g, '$&\r\n'))).toEqual({ base64: large });
    const bad = await read(`${large}*`);
    expect('problem' in bad && bad.problem.length).toBeLessThan(200);
  });
});
