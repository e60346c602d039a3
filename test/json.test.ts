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

  test('is what JSON.parse makes of it', () => {
    const leaf = fc.oneof(fc.string({ unit: 'grapheme' }), file, fc.constant(FILE));
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'content', FILE));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1), (json, indent) => {
        const text = JSON.stringify(json, null, indent);
        expect(parseJson(Buffer.from(text))).toEqual({ json: JSON.parse(text) });
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
  ])('as %s', (_, text) => {
    expect(parseJson(Buffer.from(text))).toEqual({ json: JSON.parse(text.replace('\ufeff', '')) });
  });

  test('as deep as it is long', () => {
    const parsed = parseJson(Buffer.from(`${'['.repeat(9000)}"${FILE}"${']'.repeat(9000)}`));
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
  ])('with %s is none', (_, text, detail) => {
    expect(parseJson(Buffer.from(text))).toMatchObject({ detail: expect.stringContaining(detail) });
  });

  test('that is no UTF-8 beside them is refused as such', () => {
    const body = Buffer.concat([Buffer.from(`{"a":"${FILE}","b":"`), Buffer.from([0xff]), Buffer.from('"}')]);
    expect(parseJson(body)).toMatchObject({ detail: 'The body is not UTF-8.' });
  });
});
