/** Texts in transfer: what a reader gets back is what was written, wherever a large one is cut into slices. */

import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { textBody } from '../../src/message/text-body.ts';
import { Pace } from '../../src/pace.ts';

interface Transferred {
  readonly encoding: string;
  readonly lines: readonly string[];
  readonly text: string;
}

/** Written behind other bytes, as often as it is asked for; and decoded. */
async function transferred(text: string): Promise<Transferred> {
  const body = await textBody(text, new Pace());
  const written = Buffer.alloc(body.size);
  const again = Buffer.alloc(body.size + 4, 'a');
  expect(await body.write(written, 0, new Pace())).toBe(body.size);
  expect(await body.write(again, 2, new Pace())).toBe(body.size + 2);
  expect(again.equals(Buffer.concat([Buffer.from('aa'), written, Buffer.from('aa')]))).toBe(true);
  const latin1 = written.toString('latin1');
  return { encoding: body.encoding, lines: latin1.split('\r\n'), text: decoded(latin1, body.encoding) };
}

function decoded(written: string, encoding: string): string {
  if (encoding === '7bit') return written;
  if (encoding === 'base64') return Buffer.from(written, 'base64').toString();
  const octets = written
    .replaceAll('=\r\n', '')
    .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, 'latin1').toString();
}

const withCrlf = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');

async function holds(text: string): Promise<Transferred> {
  const found = await transferred(text);
  expect(found.text === withCrlf(text)).toBe(true);
  const longest = found.encoding === '7bit' ? 990 : 76;
  const unsafe = /[ \t]$|^From |[^\x20-\x7e\t]/;
  expect(found.lines.filter((line) => line.length > longest || unsafe.test(line))).toEqual([]);
  if (found.encoding === 'base64') {
    expect(found.lines.slice(0, -1).every((line) => line.length === 76)).toBe(true);
    expect(found.lines.at(-1)).not.toBe('');
  }
  return found;
}

/** Characters of a slice. */
const SLICE = 16 * 1024;

describe('a text that is cut', () => {
  test.each([
    ['a line end', 'end\r\nnext'],
    ['bare line ends', 'a\rb\nc\n\nd\r\re'],
    ['a blank before a line end', 'blank \r\nand tab\t\nend'],
    ['a blank within', 'one two\tthree'],
    ['what begins a mailbox', 'x\nFrom here\nFrom\nFromage'],
    ['an equals sign', 'a=b==c'],
    ['letters outside ASCII', 'Grüße, 订单, 🎉🎉'],
    ['a line of 990', `\n${'x'.repeat(990)}\n`],
    ['a line of 991', `\n${'x'.repeat(991)}\n`],
  ])('at any place of %s', async (_, special) => {
    const line = 'Dear Ben, your order is on its way.\n';
    const filler = line.repeat(1000);
    for (
      let before = SLICE - special.length - 5;
      before <= SLICE + 1;
      before += special.length > 500 ? 97 : 1
    ) {
      await holds(`${filler.slice(0, before)}${special}${filler}`);
    }
    await holds(`${filler}${special}`);
  });

  test('is plain, quoted or base64 by what all of it needs', async () => {
    const plain = 'Dear Ben, your order is on its way.\n'.repeat(3000);
    expect((await holds(plain)).encoding).toBe('7bit');
    expect((await holds(plain.replaceAll('\n', '\r\n'))).encoding).toBe('7bit');
    expect((await holds(`${plain}é`)).encoding).toBe('quoted-printable');
    expect((await holds(`é${plain}`)).encoding).toBe('quoted-printable');
    expect((await holds(`${plain} `)).encoding).toBe('quoted-printable');
    expect((await holds('x'.repeat(50_000))).encoding).toBe('quoted-printable');
    expect((await holds('订单已发货\n'.repeat(8000))).encoding).toBe('base64');
    expect((await holds(`${'🎉'.repeat(30_000)}x`)).encoding).toBe('base64');
  });

  test('is not mixed with another one that is written at the same time', async () => {
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
    try {
      const units = [
        'Dear Ben.\n',
        'Grüße = a\n',
        '订单已发货\n',
        'Dear Ann.\n',
        'Grüße = b\n',
        '货已发单订\n',
      ];
      await Promise.all(units.map((unit) => holds(unit.repeat(10_000))));
    } finally {
      clock.mockRestore();
    }
  });

  test('is itself again, whatever it is', async () => {
    const unit = fc.constantFrom(
      ...['a', 'word ', ' ', '\t', '\n', '\r\n', '\r', '=', 'F', 'From ', '.', 'é', '订', '🎉', '\x07'],
      ...['a line of some length without anything that is special, until here ', 'x'.repeat(80)],
    );
    const text = fc.tuple(fc.array(unit, { minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 1500 }));
    await fc.assert(
      fc.asyncProperty(text, async ([pieces, times]) => {
        await holds(pieces.join('').repeat(times).slice(0, 100_000).toWellFormed().replaceAll('\ufffd', ''));
      }),
      { numRuns: 300 },
    );
  });
});
