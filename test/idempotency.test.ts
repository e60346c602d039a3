import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { fingerprint } from '../src/idempotency.ts';

test.each(['', 'abc', '{"text":"ü 🎉"}'])('the fingerprint of %j is its SHA-256 in hex', async (value) => {
  expect(await fingerprint(value)).toBe(createHash('sha256').update(value).digest('hex'));
});
