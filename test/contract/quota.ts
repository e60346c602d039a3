import { beforeEach, expect, test } from 'vitest';
import type { Quota, WindowOptions } from '../../src/quota.ts';
import { StoreUnavailable } from '../../src/store.ts';

/** The window that every store under this contract is made with. */
export const CONTRACT_WINDOW: WindowOptions = { windowMs: 60_000, guardMs: 500 };

/** A call is let go in the first millisecond after the closed interval of window + guard. */
const SPAN = 60_501;

export interface QuotaUnderTest {
  readonly quota: Quota;
  /** Moves the store's clock; the clock stands still otherwise. */
  readonly advance: (ms: number) => Promise<void>;
  /** False for a store that goes on though what all share does not answer. */
  readonly answers?: boolean;
}

/** What every store of the quota promises. `make` gives an empty store with {@link CONTRACT_WINDOW}. */
export function quotaContract(make: () => Promise<QuotaUnderTest>): void {
  let quota: Quota;
  let advance: QuotaUnderTest['advance'];
  let answers: boolean;
  beforeEach(async () => {
    ({ quota, advance, answers = true } = await make());
  });

  test('an idle api_user may spend the whole limit at once, and not one call more', async () => {
    expect(await quota.draw('u', 20_000, 20_000)).toEqual({
      granted: true,
      limit: 20_000,
      remaining: 0,
      resetMs: SPAN,
      retryAfterMs: 0,
    });
    expect(await quota.draw('u', 20_000)).toEqual({
      granted: false,
      limit: 20_000,
      remaining: 0,
      resetMs: SPAN,
      retryAfterMs: SPAN,
    });
  });

  test('an api_user is the same in upper and lower case', async () => {
    await quota.draw('Ifaxin', 10, 4);
    expect((await quota.draw('ifaxin', 10)).remaining).toBe(5);
    await quota.close('IFAXIN', 1000);
    expect((await quota.peek('Ifaxin', 10)).remaining).toBe(0);
  });

  test('a draw costs one call unless it says otherwise', async () => {
    expect((await quota.draw('u', 10)).remaining).toBe(9);
    expect((await quota.draw('u', 10, 4)).remaining).toBe(5);
  });

  test('draws are all or none', async () => {
    await quota.draw('u', 10, 8);
    expect(await quota.draw('u', 10, 3)).toMatchObject({ granted: false, remaining: 2 });
    expect(await quota.draw('u', 10, 2)).toMatchObject({ granted: true, remaining: 0 });
  });

  test('calls are held for the closed interval of window and guard, then let go', async () => {
    await quota.draw('u', 10, 10);
    await advance(SPAN - 1);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 1 });
    await advance(1);
    expect(await quota.draw('u', 10, 10)).toMatchObject({ granted: true, remaining: 0 });
  });

  test('a window in use lets go what is over, and goes on', async () => {
    await quota.draw('u', 10, 4);
    await advance(10_000);
    await quota.draw('u', 10, 3);
    await advance(SPAN - 10_000);
    expect(await quota.draw('u', 10, 5)).toMatchObject({ granted: true, remaining: 2 });
    await advance(10_000);
    expect(await quota.draw('u', 10, 5)).toMatchObject({ granted: true, remaining: 0 });
  });

  test('a window of which all is over begins anew', async () => {
    // A store may look for idle windows when another one is drawn from, and this one is none then.
    await quota.draw('v', 10);
    await advance(30_000);
    await quota.draw('u', 10, 4);
    await advance(SPAN - 30_000);
    await quota.draw('v', 10);
    await advance(30_000);
    expect(await quota.draw('u', 10, 6)).toMatchObject({ granted: true, remaining: 4 });
    expect(await quota.draw('u', 10, 5)).toMatchObject({ granted: false, remaining: 4 });
  });

  test('draws of one grain are let go together, after the last of them', async () => {
    await quota.draw('u', 10, 1);
    await advance(249);
    await quota.draw('u', 10, 1);
    await advance(SPAN - 249);
    expect((await quota.peek('u', 10)).remaining).toBe(8);
    await advance(249);
    expect((await quota.peek('u', 10)).remaining).toBe(10);
  });

  test('a steady stream cannot stretch one grain: its age counts from the first draw', async () => {
    await quota.draw('u', 10, 1);
    await advance(200);
    await quota.draw('u', 10, 1);
    await advance(50);
    await quota.draw('u', 10, 1);
    await advance(SPAN - 50);
    expect((await quota.peek('u', 10)).remaining).toBe(9);
  });

  test('a refusal says when the cost fits', async () => {
    await quota.draw('u', 10, 2);
    await advance(1_000);
    await quota.draw('u', 10, 3);
    await advance(1_000);
    await quota.draw('u', 10, 5);
    const waits = [];
    for (const cost of [1, 2, 3, 5, 6, 10]) waits.push((await quota.draw('u', 10, cost)).retryAfterMs);
    expect(waits).toEqual([58_501, 58_501, 59_501, 59_501, 60_501, 60_501]);

    await advance(58_501);
    expect(await quota.draw('u', 10, 2)).toMatchObject({ granted: true });
  });

  test('a refusal draws nothing and prolongs nothing', async () => {
    await quota.draw('u', 10, 10);
    for (let i = 0; i < 5; i++) {
      await advance(1_000);
      expect(await quota.draw('u', 10, 10)).toMatchObject({ granted: false });
    }
    expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 0, resetMs: SPAN - 5_000 });
  });

  test('peek reads and draws nothing', async () => {
    expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 10, resetMs: 0 });
    await quota.draw('u', 10, 4);
    await advance(500);
    for (let i = 0; i < 3; i++)
      expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 6, resetMs: SPAN - 500 });
    await advance(SPAN);
    expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 10, resetMs: 0 });
  });

  test('a closure refuses everything for its time', async () => {
    await quota.close('u', 10_000);
    expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 0, resetMs: 10_000 });
    expect(await quota.draw('u', 10)).toEqual({
      granted: false,
      limit: 10,
      remaining: 0,
      resetMs: 10_000,
      retryAfterMs: 10_000,
    });
    await advance(9_999);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 1 });
    await advance(1);
    expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 10, resetMs: 0 });
    expect(await quota.draw('u', 10)).toMatchObject({ granted: true, remaining: 9 });
  });

  test('a closure of no time closes nothing', async () => {
    await quota.close('u', 0);
    expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 10, resetMs: 0 });
    expect(await quota.draw('u', 10)).toMatchObject({ granted: true, remaining: 9 });
  });

  test('a closure is never shortened', async () => {
    await quota.close('u', 10_000);
    await quota.close('u', 1_000);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 10_000 });
    await advance(5_000);
    await quota.close('u', 10_000);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 10_000 });
  });

  test('a closure outlasts the window, and the window a closure', async () => {
    await quota.draw('u', 10, 4);
    await quota.close('u', 100_000);
    expect(await quota.draw('u', 10)).toMatchObject({ retryAfterMs: 100_000, resetMs: 100_000 });
    await advance(SPAN);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 100_000 - SPAN });

    await quota.draw('v', 10, 10);
    await quota.close('v', 10_000);
    expect(await quota.draw('v', 10)).toMatchObject({ retryAfterMs: SPAN, resetMs: SPAN });
    await advance(10_000);
    expect(await quota.draw('v', 10)).toMatchObject({ granted: false, retryAfterMs: SPAN - 10_000 });
  });

  test('a clock that steps back frees nothing, and the window goes on', async () => {
    await quota.draw('u', 10, 6);
    await advance(-3_600_000);
    expect(await quota.peek('u', 10)).toEqual({ limit: 10, remaining: 4, resetMs: SPAN });
    expect(await quota.draw('u', 10, 4)).toMatchObject({ granted: true, remaining: 0 });
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: SPAN });
    await advance(3_600_000 + SPAN - 1);
    expect(await quota.draw('u', 10)).toMatchObject({ granted: false, retryAfterMs: 1 });
    await advance(1);
    expect(await quota.draw('u', 10, 10)).toMatchObject({ granted: true });
  });

  test('the limit may change from call to call', async () => {
    await quota.draw('u', 20, 15);
    expect(await quota.draw('u', 10, 1)).toMatchObject({ granted: false, limit: 10, remaining: 0 });
    expect(await quota.peek('u', 10)).toMatchObject({ limit: 10, remaining: 0 });
    expect(await quota.draw('u', 20, 5)).toMatchObject({ granted: true, limit: 20, remaining: 0 });
  });

  test('api_users do not share a window', async () => {
    await quota.draw('u', 10, 10);
    await quota.close('u', 1_000);
    expect(await quota.draw('v', 10, 10)).toMatchObject({ granted: true });
  });

  test.each([0, -1, 1.5, 11, Number.NaN, Number.POSITIVE_INFINITY])(
    'a cost of %d is a RangeError',
    async (cost) => {
      await expect(quota.draw('u', 10, cost)).rejects.toThrow(RangeError);
      expect((await quota.peek('u', 10)).remaining).toBe(10);
    },
  );

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'a closure of %d ms is a RangeError',
    async (ms) => {
      await expect(quota.close('u', ms)).rejects.toThrow(RangeError);
      expect((await quota.peek('u', 10)).remaining).toBe(10);
    },
  );

  test('draws at the same time never get more than the limit together', async () => {
    const draws = await Promise.all(Array.from({ length: 60 }, () => quota.draw('u', 50)));
    expect(draws.filter((draw) => draw.granted)).toHaveLength(50);
    expect((await quota.peek('u', 50)).remaining).toBe(0);
  });

  test('a ping tells whether it answers, and draws nothing', async () => {
    if (answers) await quota.ping();
    else await expect(quota.ping()).rejects.toThrow(StoreUnavailable);
    expect(await quota.peek('ping', 10)).toEqual({ limit: 10, remaining: 10, resetMs: 0 });
  });
}
