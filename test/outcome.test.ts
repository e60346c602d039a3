import { describe, expect, it } from 'vitest';
import { type Accepted, bounded, FAILURES, type FailureCode, failure, isFailure } from '../src/outcome.ts';

const reply = { code: 250, enhanced: null, phase: 'dot', response: '250 ok' } as const;
const ACCEPTED: Accepted = {
  delivery: 'accepted',
  reply,
  queueId: null,
  emailIds: {},
  accepted: ['a@ifaxin.com'],
  rejected: [],
};

describe('a failure', () => {
  it.each(Object.keys(FAILURES) as FailureCode[])('%s: its delivery is the table’s', (code) => {
    expect(failure(code, 'What happened.')).toEqual({
      delivery: FAILURES[code].delivery,
      code,
      detail: 'What happened.',
    });
  });

  it('tells what else is known', () => {
    expect(failure('upstream-busy', 'Later.', { retryAfterMs: 7, again: true })).toMatchObject({
      retryAfterMs: 7,
      again: true,
    });
  });

  it.each([
    [failure('internal', 'x'), true],
    [ACCEPTED, false],
    [{ code: 250 }, false],
    [null, false],
    [undefined, false],
    ['code', false],
  ])('%j is one: %j', (result, is) => {
    expect(isFailure(result)).toBe(is);
  });
});

describe('upstream’s words', () => {
  const long = (length: number) => `550 ${'x'.repeat(length - 4)}`;
  const rejection = (length: number) => ({ address: 'b@ifaxin.com', code: 550, response: long(length) });

  it('as long as they may be stay as they are', () => {
    const whole = { ...ACCEPTED, reply: { ...reply, response: long(1024) }, rejected: [rejection(256)] };
    expect(bounded(whole)).toEqual(whole);
    const smtp = { ...reply, response: long(1024) };
    const refused = failure('recipients-refused', 'x', { smtp, rejected: [rejection(256)] });
    expect(bounded(refused)).toEqual(refused);
    const bare = failure('internal', 'x');
    expect(bounded(bare)).toEqual(bare);
    expect(Object.keys(bounded(bare))).toEqual(Object.keys(bare));
  });

  it('are cut beyond that, all else is kept', () => {
    const reply1024 = { ...reply, response: `${long(1023)}…` };
    const rejected256 = [{ ...rejection(256), response: `${long(255)}…` }];
    const smtp = { ...reply, response: long(1025) };
    expect(bounded({ ...ACCEPTED, reply: smtp, rejected: [rejection(257)] })).toEqual({
      ...ACCEPTED,
      reply: reply1024,
      rejected: rejected256,
    });
    const refused = failure('recipients-refused', 'x', { smtp, rejected: [rejection(257)] });
    expect(bounded(refused)).toEqual({ ...refused, smtp: reply1024, rejected: rejected256 });
  });

  it('are cut between characters', () => {
    const smtp = { ...reply, response: `${'x'.repeat(1022)}\u{1f389}y` };
    const { smtp: cut } = bounded(failure('message-refused', 'x', { smtp })) as { smtp?: typeof smtp };
    expect(cut?.response).toBe(`${'x'.repeat(1022)}\ufffd…`);
  });
});
