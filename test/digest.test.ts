import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { digestOfLarge, sha256 } from '../src/digest.ts';

test.each(['', 'abc', '{"text":"ü 🎉"}'])('the SHA-256 of %j, in hex', async (value) => {
  expect(await sha256(value)).toBe(createHash('sha256').update(value).digest('hex'));
});

test('a large text has another digest wherever it is another', async () => {
  const slice = 256 * 1024;
  const text = 'x'.repeat(3 * slice);
  const changed = [0, 1, slice - 1, slice, 2 * slice + 1, 3 * slice - 1].map(
    (at) => `${text.slice(0, at)}y${text.slice(at + 1)}`,
  );
  const emoji = [0, 1, 2].flatMap((after) =>
    ['🎉', '🎊'].map((one) => `${'x'.repeat(slice - after)}${one}${text.slice(slice)}`),
  );
  const all = ['', 'x', ...emoji, text.slice(1), `${text}x`, text.slice(slice), text, ...changed];
  const digests = await Promise.all(all.map(digestOfLarge));
  expect(new Set(digests).size).toBe(all.length);
  expect(await digestOfLarge(`${'x'.repeat(slice)}${text.slice(slice)}`)).toBe(await digestOfLarge(text));
});

test('bytes have the digest of the text that they are', async () => {
  const text = 'a letter, '.repeat(60_000);
  expect(await digestOfLarge(Buffer.from(text))).toBe(await digestOfLarge(text));
});
