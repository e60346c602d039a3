import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { sha256, sha256OfAll } from '../src/digest.ts';

const digest = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test.each(['', 'abc', '{"text":"ü 🎉"}'])('the SHA-256 of %j, in hex', (value) => {
  expect(sha256(value)).toBe(digest(value));
});

test('that of large texts and bytes is that of all they are together', async () => {
  // At every place of a pair of surrogates, where a slice may end.
  const text = `${'a letter ü, '.repeat(20_000)}${'🎉'.repeat(100_000)}x${'🎉'.repeat(100_000)}`;
  const bytes = Buffer.alloc(200_000, 'bytes');
  expect(await sha256OfAll([])).toBe(digest(''));
  expect(await sha256OfAll(['', text, 'x', bytes])).toBe(
    digest(Buffer.concat([Buffer.from(`${text}x`), bytes])),
  );
});
