import { describe, expect, it } from 'vitest';
import { Turns } from '../../src/smtp/turns.ts';

const never = new AbortController().signal;

describe('turns', () => {
  it('come in order, and to each holder for itself', async () => {
    const turns = new Turns(2);
    const order: number[] = [];
    const take = async (n: number) => {
      const done = await turns.take('one', never);
      order.push(n);
      return done;
    };
    const [first, second] = await Promise.all([take(1), take(2)]);
    const [third, fourth] = [take(3), take(4)];
    expect(await turns.take('other', never)).not.toBeNull();
    expect(order).toEqual([1, 2]);
    second?.();
    (await third)?.();
    first?.();
    await fourth;
    expect(order).toEqual([1, 2, 3, 4]);
  });

  it('do not come to who stopped waiting', async () => {
    const turns = new Turns(1);
    const done = await turns.take('one', never);
    expect(await turns.take('one', AbortSignal.abort())).toBeNull();
    const impatient = new AbortController();
    const given = turns.take('one', impatient.signal);
    const patient = turns.take('one', never);
    impatient.abort();
    expect(await given).toBeNull();
    done?.();
    expect(await patient).not.toBeNull();
  });
});
