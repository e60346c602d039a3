import { expect, test } from 'vitest';
import { giveWay } from '../src/give-way.ts';

test.each([
  ['behind long work others have their turn', -1000, true],
  ['behind short work none is taken', 1000, false],
])('%s', async (_, offset, expected) => {
  let hadTurn = false;
  setImmediate(() => {
    hadTurn = true;
  });
  await giveWay(performance.now() + offset);
  expect(hadTurn).toBe(expected);
});
