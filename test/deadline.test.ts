import { expect, test } from 'vitest';
import { deadlineIn, firstOf, remainingMs } from '../src/deadline.ts';

test('a deadline tells what it leaves, never less than nothing', async () => {
  const long = deadlineIn(60_000);
  const over = deadlineIn(1);
  await new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }));
  expect(remainingMs(long)).toBeLessThan(60_000);
  expect(remainingMs(long)).toBeGreaterThan(30_000);
  expect(remainingMs(over)).toBe(0);
});

test('another signal has no deadline to tell', () => {
  expect(() => remainingMs(new AbortController().signal)).toThrow('no deadline');
});

test('the first of several signals aborts for all', () => {
  const controllers = [new AbortController(), new AbortController()] as const;
  const first = firstOf(...controllers.map(({ signal }) => signal));
  controllers[1].abort('the second');
  controllers[0].abort('the first');
  expect(first.reason).toBe('the second');
  expect(firstOf(first).aborted).toBe(true);
});
