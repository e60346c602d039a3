import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasAtMost } from '../src/json.ts';

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
