import { expect, test } from 'vitest';
import { createDeadline } from '../../src/runtime/deadline.ts';

test('what is left is the running request’s own, also after a wait, and never below zero', async () => {
  const { run, remainingMs } = createDeadline();
  const afterAWait = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return remainingMs();
  };
  const [long, over] = await Promise.all([run(60_000, afterAWait), run(1, afterAWait)]);
  expect(long).toBeGreaterThan(30_000);
  expect(long).toBeLessThan(60_000);
  expect(over).toBe(0);
});

test('outside a request it is a bug to ask', () => {
  expect(() => createDeadline().remainingMs()).toThrow('outside a request');
});
