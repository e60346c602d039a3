import { setImmediate as turn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { Pace } from '../src/pace.ts';

test('others have their turn once the pieces of one took long, and then anew', async () => {
  const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
  try {
    const turns: number[] = [];
    const pace = new Pace();
    for (const milliseconds of [4, 4, 4, 4, 4, 4]) {
      const others = turn().then(() => turns.push(clock()));
      clock.mockReturnValue(clock() + milliseconds);
      await pace.giveWay();
      void others;
    }
    expect(turns.slice(0, 3)).toEqual([12, 12, 12]);
    expect(turns).toHaveLength(6);
  } finally {
    clock.mockRestore();
  }
});
