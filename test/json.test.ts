import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasAtMost, parseJson } from '../src/json.ts';

/** Members and elements, their keys, and the containers, less what the first of each saves. */
function valuesOf(json: unknown): number {
  if (typeof json !== 'object' || json === null) return 0;
  const inner = Object.values(json);
  const separators = Math.max(0, inner.length - 1) + (Array.isArray(json) ? 0 : inner.length);
  return 1 + separators + inner.reduce<number>((sum, value) => sum + valuesOf(value), 0);
}

test('JSON is counted before it is parsed', () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: 'medium' }), fc.constantFrom(undefined, 1), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      const count = valuesOf(value);
      expect(hasAtMost(count, text)).toBe(true);
      expect(hasAtMost(count - 1, text)).toBe(count === 0);
    }),
  );
});

test.each([
  ['"[,:{"', 0],
  ['["\\"[,", "\\\\", "\\\\\\",,"]', 3],
  ['{"a\\"":[1,1,1]}', 5],
])('%s has %i', (text, count) => {
  expect(hasAtMost(count, text)).toBe(true);
  expect(hasAtMost(count - 1, text)).toBe(count === 0);
});

test.each(['[', '{"a":', '1,', '"', '\\', '"\\', '"\\"', ' ', ',"'])('megabytes of %j end', (piece) => {
  hasAtMost(100_000, piece.repeat(4_000_000 / piece.length));
  expect(hasAtMost(10, `[${'1,'.repeat(20)}`)).toBe(false);
});

describe('a body with files in base64', () => {
  const file = fc
    .integer({ min: 6000, max: 9000 })
    .map((size) => Buffer.alloc(size, size).toString('base64'));
  const FILE = 'QUJD'.repeat(5000);

  test('is what JSON.parse makes of it', async () => {
    const leaf = fc.oneof(fc.string({ unit: 'grapheme' }), file, fc.constant(FILE));
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'content', FILE));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
    }));
    await fc.assert(
      fc.asyncProperty(value, fc.constantFrom(undefined, 1), async (json, indent) => {
        const text = JSON.stringify(json, null, indent);
        expect(await parseJson(Buffer.from(text))).toEqual({ json: JSON.parse(text) });
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    ['a key', `{"${FILE}"  : "${FILE}","b":"${FILE}"}`],
    ['the whole text', `"${FILE}"`],
    ['behind a byte order mark', `\ufeff{"a":"${FILE}"}`],
    ['twice in an object', `{"a":"${FILE}","a":"x"}`],
    ['escaped', `["${FILE}\\u0041QUI","QUJD${FILE}"]`],
  ])('as %s', async (_, text) => {
    expect(await parseJson(Buffer.from(text))).toEqual({ json: JSON.parse(text.replace('\ufeff', '')) });
  });

  test('as deep as it is long', async () => {
    const parsed = await parseJson(Buffer.from(`${'['.repeat(9000)}"${FILE}"${']'.repeat(9000)}`));
    // By hand: JSON.stringify and the comparisons of tests recurse.
    let json = 'json' in parsed && parsed.json;
    while (Array.isArray(json)) [json] = json;
    expect(json).toBe(FILE);
  });

  test.each([
    ['a line break', `{"a":"${FILE}\n"}`, 'The body is not JSON at position 20006'],
    ['no end', `{"a":"${FILE}","b":"${FILE}`, 'The body is not JSON'],
    ['no comma', `{"a":"${FILE}" "b":"${FILE}"}`, 'The body is not JSON'],
    ['a byte order mark amid', `{"a":"${FILE}"\ufeff}`, 'The body is not JSON'],
  ])('with %s is none', async (_, text, detail) => {
    expect(await parseJson(Buffer.from(text))).toMatchObject({ detail: expect.stringContaining(detail) });
  });

  test('that is no UTF-8 beside them is refused as such', async () => {
    const body = Buffer.concat([Buffer.from(`{"a":"${FILE}","b":"`), Buffer.from([0xff]), Buffer.from('"}')]);
    expect(await parseJson(body)).toMatchObject({ detail: 'The body is not UTF-8.' });
  });
});

describe('a large list', () => {
  const PARAGRAPH = 'Liebe Grüße, 订单 😀 and "quotes", [brackets], {braces}. '.repeat(60);
  const value = fc.oneof(fc.jsonValue(), fc.constant(PARAGRAPH), fc.constant({ text: PARAGRAPH, to: [[]] }));
  const list = fc
    .array(value, { minLength: 1, maxLength: 20 })
    .map((values) => Array.from({ length: 400 / values.length }, () => values).flat())
    .filter((values) => values.length > 0);
  const parsedBy = (text: string): unknown => {
    try {
      return { json: JSON.parse(text) };
    } catch {
      return null;
    }
  };
  const reading = async (text: string): Promise<unknown> => {
    const parsed = await parseJson(Buffer.from(text));
    return 'json' in parsed ? parsed : null;
  };
  const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

  test('is what JSON.parse makes of it', async () => {
    await fc.assert(
      fc.asyncProperty(list, fc.constantFrom(undefined, 1), async (values, indent) => {
        const text = JSON.stringify([PARAGRAPH.repeat(9), ...values], null, indent);
        expect(isSame(await reading(text), { json: values && JSON.parse(text) })).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test('that is broken anywhere is refused where JSON.parse refuses it', async () => {
    const wrong = fc.constantFrom(
      '',
      '[',
      ']',
      '{',
      '}',
      ',',
      ':',
      '"',
      '\\',
      ' ',
      'x',
      '1',
      '\ufeff',
      '[],',
      '],[',
    );
    await fc.assert(
      fc.asyncProperty(
        list,
        wrong,
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (values, piece, place) => {
          const text = JSON.stringify([...values, 'é', PARAGRAPH.repeat(9)]);
          const at = Math.floor(place * text.length);
          for (const where of [0, 1, at, text.length - 1, text.length]) {
            // A cut through an emoji leaves half of it, which UTF-8 cannot carry.
            const broken = (text.slice(0, where) + piece + text.slice(where + 1)).toWellFormed();
            const expected = where === 0 && piece === '\ufeff' ? parsedBy(broken.slice(1)) : parsedBy(broken);
            expect(isSame(await reading(broken), expected)).toBe(true);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test.each([
    '[]',
    '[ ]',
    '[1,]',
    '[,1]',
    '[1',
    '1]',
    '[1}',
    '{1]',
    '[1]]',
    '[[1]',
    '[1] x',
    '[\ufeff1]',
    '[1,\ufeff1]',
    '[1]\n',
  ])('as %j, but large', async (text) => {
    const large = text.replace('1', `"${'é'.repeat(70_000)}",1`).replace('[ ]', `[${' '.repeat(70_000)}]`);
    expect(isSame(await reading(large), parsedBy(large))).toBe(true);
  });
});

describe('a text of megabytes', () => {
  const MEGABYTE = 1024 * 1024;

  test.each([
    ['escapes', '\\n\\u00e9\\\\\\"\\/'],
    ['backslashes', '\\\\'],
    ['halves of a pair', '\\ud83d\\ude00'],
    ['first halves alone', '\\ud83d'],
    ['second halves alone', '\\ude00'],
    ['characters of one to four bytes', 'aé订😀'],
    ['byte order marks', '\ufeff'],
  ])('with %s at every place where it may be cut is what JSON.parse makes of it', async (_, unit) => {
    const megabyte = unit.repeat(MEGABYTE / Buffer.byteLength(unit) + 1);
    for (let before = 0; before < Buffer.byteLength(unit); before += 1) {
      const text = `{"a":"${'x'.repeat(before)}${megabyte}","b":1}`;
      const parsed = await parseJson(Buffer.from(text));
      // Not by `toEqual`, whose report of a difference would have megabytes too.
      expect('json' in parsed && JSON.stringify(parsed.json) === JSON.stringify(JSON.parse(text))).toBe(true);
    }
  });

  test.each([
    ['a line break', '\n', /not JSON at position 2097158/],
    ['half an escape', '\\u00', /not JSON/],
  ])('with %s is none', async (_, wrong, detail) => {
    const text = `{"a":"${'x'.repeat(2 * MEGABYTE)}${wrong}"}`;
    expect(await parseJson(Buffer.from(text))).toMatchObject({ detail: expect.stringMatching(detail) });
  });

  test.each([
    ['one byte', 1],
    ['bytes inside of characters alone', MEGABYTE],
  ])('that is no UTF-8 for %s is refused as such', async (_, length) => {
    const body = Buffer.from(`{"a":"${'x'.repeat(2 * MEGABYTE)}"}`);
    body.fill(0x80, 6, 6 + length);
    body.fill(0x80, MEGABYTE, MEGABYTE + length);
    expect(await parseJson(body)).toMatchObject({ detail: 'The body is not UTF-8.' });
  });
});
