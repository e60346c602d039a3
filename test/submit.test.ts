/** What a repeated request gets, through a gateway before a real upstream. */

import { describe, expect, it } from 'vitest';
import { MESSAGE, startPostern } from './support/postern.ts';

const KEY = { 'Idempotency-Key': 'order-1' };

/** As many as a message may have. */
const addresses = (list: string) => Array.from({ length: 100 }, (_, index) => `${list}${index}@ifaxin.com`);
const MANY = { ...MESSAGE, to: addresses('to'), cc: addresses('cc'), bcc: addresses('bcc') };

describe.concurrent('a replay', () => {
  it('is the first answer, to 300 recipients of whom upstream refused most at length', async () => {
    const words = '550 5.1.1 "no" – '.padEnd(900, 'because ');
    const faults = addresses('to')
      .concat(addresses('cc'))
      .map((address) => ({ at: 'rcpt' as const, address, do: { reply: words } }));
    await using postern = await startPostern({}, { faults });
    const first = await postern.send(MANY, KEY);
    const receipt = (await first.json()) as { rejected: { response: string }[]; accepted: string[] };
    expect(first.status).toBe(200);
    expect(receipt.accepted).toEqual(addresses('bcc'));
    expect(receipt.rejected).toHaveLength(200);
    // The start of what upstream said, whatever it said.
    for (const { response } of receipt.rejected) {
      expect(response.length).toBeLessThanOrEqual(256);
      expect(response).toMatch(/^550 5\.1\.1 "no" – because .*…$/);
    }
    const replay = await postern.send(MANY, KEY);
    expect(replay.headers.get('Idempotent-Replayed')).toBe('true');
    expect(await replay.json()).toEqual(receipt);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('is the first refusal, by every recipient', async () => {
    await using postern = await startPostern({}, { faults: [{ at: 'rcpt', do: { reply: '550 5.1.1 no' } }] });
    const [first, replay] = [await postern.send(MANY, KEY), await postern.send(MANY, KEY)];
    const [problem, again] = (await Promise.all([first.json(), replay.json()])) as Record<string, unknown>[];
    expect(problem).toMatchObject({ code: 'recipients-refused', smtp: { code: 550, enhanced: '5.1.1' } });
    expect(problem?.rejected).toHaveLength(300);
    expect(replay.headers.get('Idempotent-Replayed')).toBe('true');
    expect({ ...again, instance: null }).toEqual({ ...problem, instance: null });
  });
});
