import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { sha256 } from '../src/digest.ts';

test.each(['', 'abc', '{"text":"ü 🎉"}'])('the SHA-256 of %j, in hex', async (value) => {
  expect(await sha256(value)).toBe(createHash('sha256').update(value).digest('hex'));
});
