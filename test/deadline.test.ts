import { expect, test } from 'vitest';
import { firstOf, remainingMs, withDeadline } from '../src/deadline.ts';

test('a deadline tells what it leaves, never less than nothing, and aborts then', async () => {
  await withDeadline(60_000, async (long) => {
    expect(remainingMs(long)).toBeLessThanOrEqual(60_000);
    expect(remainingMs(long)).toBeGreaterThan(30_000);
    expect(long.aborted).toBe(false);
  });
  await withDeadline(1, async (over) => {
    await new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }));
    expect(remainingMs(over)).toBe(0);
  });
});

test('a deadline ends with its work, whose result or error is passed on', async () => {
  const done = await withDeadline(1, async (signal) => ({ signal }));
  const failing = withDeadline(1, async () => {
    throw new Error('a bug');
  });
  await expect(failing).rejects.toThrow('a bug');
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(done.signal.aborted).toBe(false);
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
