/** Who gets a place where there are few. */

import { describe, expect, it } from 'vitest';
import { Places, type Seat } from '../src/places.ts';

/** One that waits for its client since `waitingSince`, and is pushed onto `gone` when it has to go. */
const seat = (waitingSince: number | null, gone: Seat[] = []): Seat => {
  const made: Seat = { waitingSince, giveWay: () => gone.push(made) };
  return made;
};

describe('places', () => {
  it('go to the first who ask, as long as there are any', () => {
    const places = new Places(30, 0);
    for (let i = 0; i < 30; i++) expect(places.take('one', seat(null))).toBe(true);
    expect(places.take('one', seat(null))).toBe(false);
    expect(places.take('two', seat(null))).toBe(false);
  });

  it('go from the longest idle of who has most to who has fewer', () => {
    const places = new Places(6, 0);
    const gone: Seat[] = [];
    const busy = seat(null, gone);
    const [newer, oldest, newest] = [seat(2, gone), seat(1, gone), seat(3, gone)];
    for (const one of [busy, newer, oldest, newest]) places.take('many', one);
    const few = [seat(0, gone), seat(0, gone)];
    for (const one of few) places.take('few', one);
    expect(places.take('newcomer', seat(null))).toBe(true);
    expect(gone).toEqual([oldest]);
    // Now three to two to one.
    expect(places.take('newcomer', seat(null))).toBe(true);
    expect(gone).toEqual([oldest, newer]);
    expect(places.take('newcomer', seat(null))).toBe(false);
  });

  it('go from an idle one to another one of the same holder', () => {
    const places = new Places(2, 0);
    const gone: Seat[] = [];
    const idle = seat(5, gone);
    places.take('one', idle);
    places.take('one', seat(null, gone));
    expect(places.take('one', seat(6, gone))).toBe(true);
    expect(gone).toEqual([idle]);
  });

  it('keep some for those who have few, though the others keep theirs busy', () => {
    const places = new Places(40, 15);
    for (let i = 0; i < 25; i++) expect(places.take('many', seat(null))).toBe(true);
    expect(places.take('many', seat(null))).toBe(false);
    for (let i = 0; i < 10; i++) expect(places.take('few', seat(null))).toBe(true);
    expect(places.take('few', seat(null))).toBe(false);
    for (let i = 0; i < 5; i++) expect(places.take('other', seat(null))).toBe(true);
  });

  it('go from the longest idle of all where the holders have equally many', () => {
    const places = new Places(3, 0);
    const gone: Seat[] = [];
    const [newer, oldest, newest] = [seat(2, gone), seat(1, gone), seat(3, gone)];
    for (const one of [newer, oldest, newest]) places.take(String(one.waitingSince), one);
    expect(places.take('newcomer', seat(null))).toBe(true);
    expect(gone).toEqual([oldest]);
  });

  it('are free again when they are left, and left once', () => {
    const places = new Places(1, 0);
    const gone: Seat[] = [];
    const first = seat(1, gone);
    places.take('one', first);
    expect(places.take('two', seat(null))).toBe(true);
    places.leave('one', first);
    expect(places.take('three', seat(null))).toBe(false);
  });
});
