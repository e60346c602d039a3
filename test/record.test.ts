import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bounded, FAILURES, type FailureCode, failure, kindOf, type Outcome } from '../src/outcome.ts';
import { mostRecordChars, readRecord, writeRecord } from '../src/record.ts';
import { emailIds } from '../src/sendcloud.ts';

const TO = ['a@ifaxin.com', 'b@ifaxin.com', 'c@ifaxin.com'];
const QUEUE_ID = '1426390015358_15_6484_8661.sc-10_10_127_51-inbound';

const accepted = (to: readonly string[], refused: ReadonlySet<string>, words = '550 no'): Outcome => {
  const rest = to.filter((address) => !refused.has(address));
  return {
    delivery: 'accepted',
    reply: { code: 250, enhanced: null, phase: 'dot', response: `250 #${QUEUE_ID}#Queued` },
    queueId: QUEUE_ID,
    emailIds: emailIds(QUEUE_ID, rest),
    accepted: rest,
    rejected: to
      .filter((one) => refused.has(one))
      .map((address) => ({ address, code: 550, response: words })),
  };
};

const settled = (Object.keys(FAILURES) as FailureCode[]).filter((code) => kindOf(code).settled);

const OUTCOMES: [string, Outcome][] = [
  ['accepted', accepted(TO, new Set())],
  ['accepted by some', accepted(TO, new Set(['b@ifaxin.com']))],
  ['accepted without an id', { ...accepted(TO, new Set()), queueId: null, emailIds: {} } as Outcome],
  ...settled.map((code): [string, Outcome] => [code, failure(code, 'What happened.')]),
  [
    'refused, with what upstream said',
    failure('recipients-refused', 'All.', {
      smtp: { code: 550, enhanced: '5.1.1', phase: 'rcpt', response: '550 5.1.1 no' },
      rejected: TO.map((address) => ({ address, code: 550, response: '550 5.1.1 "no"\r\n' })),
    }),
  ],
];

describe('a record', () => {
  it.each(OUTCOMES)('keeps an outcome as it was: %s', (_, outcome) => {
    expect(readRecord(writeRecord(outcome, TO), TO)).toEqual(outcome);
  });

  it('tells who was refused, and the ids, when the recipients come back in another order', () => {
    const to = ['c@ifaxin.com', 'a@ifaxin.com', 'b@ifaxin.com'];
    const outcome = accepted(to, new Set(['a@ifaxin.com']));
    expect(readRecord(writeRecord(outcome, to), TO)).toEqual(outcome);
  });

  it('of one recipient has some 200 characters', () => {
    expect(writeRecord(accepted(['ben@ifaxin.com'], new Set()), ['ben@ifaxin.com']).length).toBeLessThan(250);
  });

  it('is never longer than was reserved, whatever upstream says to whom', () => {
    const words = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 3000 }),
      fc.constantFrom('"'.repeat(5000), '\\'.repeat(300), 'x'.repeat(100_000)),
    );
    const property = fc.property(words, words, fc.integer({ min: 1, max: 300 }), (reply, refusal, count) => {
      const to = Array.from({ length: count }, (_, place) => `${place}@ifaxin.com`);
      const smtp = { code: 550, enhanced: '5.555.555', phase: 'greeting' as const, response: reply };
      const rejected = to.map((address) => ({ address, code: 550, response: refusal }));
      const outcome = bounded(failure('recipients-refused', 'x'.repeat(200), { smtp, rejected }));
      const record = writeRecord(outcome, to);
      expect(record.length).toBeLessThanOrEqual(mostRecordChars(count));
      expect(readRecord(record, to)).toEqual(outcome);
    });
    fc.assert(property, { numRuns: 200 });
  });

  const good = writeRecord(accepted(TO, new Set(['b@ifaxin.com'])), TO);
  const changed = (change: object) => JSON.stringify({ ...JSON.parse(good), ...change });

  it.each([
    ['nothing', ''],
    ['no JSON', '{"v":1'],
    ['a text', '"accepted"'],
    ['null', 'null'],
    ['a list', '[]'],
    ['an outcome as it is, without a version', JSON.stringify(accepted(TO, new Set()))],
    ['an older version', changed({ v: 0 })],
    ['a newer version', changed({ v: 2 })],
    ['a number of recipients', changed({ to: 3 })],
    ['fewer recipients', changed({ to: [0, 1] })],
    ['more recipients', changed({ to: [0, 1, 2, 2] })],
    ['a recipient that is not there', changed({ to: [0, 1, 3] })],
    ['no reply', changed({ reply: undefined })],
    ['a reply that is a text', changed({ reply: '250 ok' })],
    ['a phase that is none', changed({ reply: { ...JSON.parse(good).reply, phase: 'lunch' } })],
    ['a reply code that is none', changed({ reply: { ...JSON.parse(good).reply, code: '250' } })],
    ['a field more', changed({ secret: 'x' })],
    ['both ends', changed({ code: 'message-refused', detail: 'x' })],
    ['a refused recipient that is not there', changed({ rejected: [[3, 550, 'no']] })],
    ['a refused recipient before the first', changed({ rejected: [[-1, 550, 'no']] })],
    ['a refused recipient without a place', changed({ rejected: [[null, 550, 'no']] })],
    [
      'a failure that is none',
      JSON.stringify({ v: 1, to: [0, 1, 2], code: 'no-such', detail: 'x', rejected: [] }),
    ],
    [
      'a failure that frees its key',
      JSON.stringify({ v: 1, to: [0, 1, 2], code: 'quota-exceeded', detail: 'x', rejected: [] }),
    ],
  ])('that is damaged is none: %s', (_, record) => {
    expect(readRecord(record, TO)).toBeNull();
  });

  it('cut anywhere is none, and changed anywhere is none or an outcome', () => {
    for (let at = 0; at < good.length; at++) expect(readRecord(good.slice(0, at), TO)).toBeNull();
    const property = fc.property(fc.nat(good.length - 1), fc.string({ maxLength: 3 }), (at, text) => {
      const read = readRecord(good.slice(0, at) + text + good.slice(at + 1), TO);
      expect([undefined, 'accepted']).toContain(read?.delivery);
    });
    fc.assert(property, { numRuns: 2000 });
  });
});
