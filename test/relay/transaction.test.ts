/** One mail transaction: what each answer of upstream makes of the message, and of the connection. */

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Content } from '../../src/transaction.ts';
import type { Fault } from '../support/upstream.ts';
import { ENVELOPE, LONG, MESSAGE, once, startRelay } from './relay.ts';

const BOTH = { ...ENVELOPE, to: ['a@ifaxin.com', 'b@ifaxin.com'] as const };
const rcpt = (reply: string, address: string): Fault => once('rcpt', { reply }, { address });

/** The next message, and what it shows of the connection before: kept as it was, kept behind a RSET, or given up. */
async function nextGoes(relay: Awaited<ReturnType<typeof startRelay>>): Promise<'kept' | 'reset' | 'new'> {
  relay.upstream.faults = [];
  expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
  if (relay.said(0).includes('C: RSET')) return 'reset';
  return relay.upstream.sessions.length === 1 ? 'kept' : 'new';
}

describe.concurrent('recipients', { timeout: 30_000 }, () => {
  it.each([
    ['550 no', '450 later', { code: 'upstream-busy', smtp: { code: 450 } }],
    ['450 later', '550 no', { code: 'upstream-busy', smtp: { code: 450 } }],
    ['450 later', '500 what', { code: 'upstream-busy', smtp: { code: 450 } }],
    ['450 later', '536 frequency limited', { code: 'quota-exceeded', smtp: { code: 536 } }],
    ['536 frequency limited', '450 later', { code: 'quota-exceeded', smtp: { code: 536 } }],
    ['550 no', '551 gone', { code: 'recipients-refused', smtp: { code: 551 } }],
    ['450 later', '451 later still', { code: 'upstream-busy', smtp: { code: 451 } }],
    ['400 no', '400 neither', { code: 'upstream-busy', smtp: { code: 400 } }],
  ])('%j and %j: told is what says most', async (first, second, told) => {
    await using relay = await startRelay({}, { faults: [rcpt(first, BOTH.to[0]), rcpt(second, BOTH.to[1])] });
    expect(await relay.deliver({ envelope: BOTH })).toMatchObject({
      ...told,
      delivery: 'not-sent',
      smtp: { ...told.smtp, phase: 'rcpt' },
      rejected: [
        { address: 'a@ifaxin.com', response: first },
        { address: 'b@ifaxin.com', response: second },
      ],
    });
  });

  it.each(['550 no', '450 later'])('%j for one of two: the other gets it', async (reply) => {
    await using relay = await startRelay({}, { faults: [rcpt(reply, 'a@ifaxin.com')] });
    expect(await relay.deliver({ envelope: BOTH })).toMatchObject({
      delivery: 'accepted',
      accepted: ['b@ifaxin.com'],
      rejected: [{ address: 'a@ifaxin.com', code: Number(reply.slice(0, 3)), response: reply }],
    });
  });

  it.each([
    ['200 ok', 'accepted'],
    ['299 ok', 'accepted'],
    ['300 what', 'not-sent'],
    ['399 what', 'not-sent'],
  ])('%j: %s', async (reply, delivery) => {
    await using relay = await startRelay({}, { faults: [once('rcpt', { reply, meant: 250 })] });
    expect(await relay.deliver()).toMatchObject({ delivery });
  });
});

describe.concurrent('an acceptance', { timeout: 30_000 }, () => {
  const QUEUE_ID = '1426390015358_15_6484_8661.sc-10_10_127_51-inbound';

  it('has the e-mail id of each recipient', async () => {
    const faults = [once('dot', { reply: `250 #${QUEUE_ID}#Queued` })];
    await using relay = await startRelay({}, { faults });
    expect(await relay.deliver({ envelope: BOTH })).toMatchObject({
      reply: { code: 250, phase: 'dot' },
      queueId: QUEUE_ID,
      emailIds: { 'a@ifaxin.com': `${QUEUE_ID}0$a@ifaxin.com`, 'b@ifaxin.com': `${QUEUE_ID}1$b@ifaxin.com` },
    });
  });

  it('without an id has none', async () => {
    await using relay = await startRelay({}, { faults: [once('dot', { reply: '250 ok' })] });
    expect(await relay.deliver()).toMatchObject({ delivery: 'accepted', queueId: null, emailIds: {} });
  });
});

describe.concurrent('before MAIL is answered', { timeout: 30_000 }, () => {
  it('silence on a new connection is the end, a loss is not', async () => {
    await using relay = await startRelay({ connections: 1 }, { faults: [once('mail', 'silent')] });
    const short = () => AbortSignal.timeout(500);
    const silent = await (await relay.lease()).send(ENVELOPE, MESSAGE, short());
    expect(silent).toMatchObject({ code: 'upstream-timeout', delivery: 'not-sent' });
    expect(silent).not.toHaveProperty('again');
    relay.upstream.faults = [once('mail', 'close')];
    expect(await relay.send()).toMatchObject({ code: 'upstream-unreachable', again: true });
    // On one that has been used, silence may be that of a dead peer.
    await relay.send();
    relay.upstream.faults = [once('mail', 'silent')];
    expect(await (await relay.lease()).send(ENVELOPE, MESSAGE, short())).toMatchObject({
      code: 'upstream-timeout',
      again: true,
    });
  });
});

describe.concurrent('lost before the dot', { timeout: 30_000 }, () => {
  it('behind the recipients: not sent, not tried again, and nobody was refused', async () => {
    await using relay = await startRelay({}, { faults: [{ at: 'data', do: 'close' }] });
    const told = await relay.deliver();
    expect(told).toMatchObject({ code: 'upstream-unreachable', delivery: 'not-sent' });
    expect(told).not.toHaveProperty('rejected');
    expect(told).not.toHaveProperty('smtp');
    expect(relay.upstream.transactions).toHaveLength(1);
  });

  it('behind a deferral of one recipient of two: says who was deferred, and not that all were', async () => {
    const faults = [rcpt('450 later', 'a@ifaxin.com'), once('data', 'close')];
    await using relay = await startRelay({}, { faults });
    const told = await relay.deliver({ envelope: BOTH });
    expect(told).toMatchObject({
      code: 'upstream-unreachable',
      rejected: [{ address: 'a@ifaxin.com', code: 450 }],
    });
    expect(told).not.toHaveProperty('smtp');
  });

  it('behind the quota’s end for the first of two: told with its phase', async () => {
    const faults = [once('rcpt', { reply: '536 frequency limited', after: 'close' })];
    await using relay = await startRelay({}, { faults });
    expect(await relay.deliver({ envelope: BOTH })).toMatchObject({
      code: 'quota-exceeded',
      smtp: { code: 536, phase: 'rcpt' },
    });
  });

  it('with half a reply behind the 354, and then nothing: no dot is written', async () => {
    await using relay = await startRelay(
      {},
      { faults: [once('data', { reply: '354 go\r\n55', cut: true })] },
    );
    const told = await relay.deliver({}, AbortSignal.timeout(500));
    expect(told).toMatchObject({ code: 'upstream-timeout', delivery: 'not-sent' });
    while (relay.open() > 0) await pause(5);
    expect(relay.upstream.transactions).toMatchObject([{ message: null, taken: false }]);
  });

  it('with a refusal right behind the 354: nothing of the message is read', async () => {
    await using relay = await startRelay({}, { faults: [once('data', { reply: '354 go\r\n550 no' })] });
    const content: Content = { [Symbol.asyncIterator]: () => expect.fail('It must not be read') };
    expect(await relay.deliver({ content })).toMatchObject({ code: 'message-refused' });
  });

  it('amid the only part of a stream: the hook before the dot does not run', async () => {
    await using relay = await startRelay({}, { faults: [once('body', { reply: '550 no', after: 'close' })] });
    const content: Content = {
      async *[Symbol.asyncIterator]() {
        yield LONG;
      },
    };
    const beforeDot = () => expect.fail('There is no dot to come');
    expect(await relay.deliver({ content, beforeDot })).toMatchObject({ code: 'message-refused' });
  });
});

it.each(['\r\n', '\n', '\r'])(
  'never lets an address become a command, by %j: that it could is a bug',
  async (end) => {
    await using relay = await startRelay();
    const envelope = { ...ENVELOPE, to: [`a@ifaxin.com>${end}RCPT TO:<b@ifaxin.com`] };
    await expect(relay.deliver({ envelope })).rejects.toThrow('line break');
    expect(relay.upstream.transactions).toHaveLength(0);
    while (relay.open() > 0) await pause(5);
  },
);

it('a stream that cannot be told to stop is sent as well', async () => {
  await using relay = await startRelay();
  const parts = [MESSAGE];
  const next = async () => {
    const value = parts.shift();
    return value ? { value } : ({ value: undefined, done: true } as const);
  };
  expect(await relay.deliver({ content: { [Symbol.asyncIterator]: () => ({ next }) } })).toMatchObject({
    delivery: 'accepted',
  });
  expect(relay.upstream.taken[0]?.message?.equals(MESSAGE)).toBe(true);
});

describe.concurrent('the connection', { timeout: 30_000 }, () => {
  it.each<[string, Fault, 'kept' | 'reset' | 'new']>([
    ['a refused recipient', once('rcpt', { reply: '550 no' }), 'reset'],
    ['a refused message', once('dot', { reply: '550 no' }), 'kept'],
    ['a refused MAIL, and the rest accepted', once('mail', { reply: '550 no', meant: 250 }), 'new'],
    ['421 to RCPT', once('rcpt', { reply: '421 closing' }), 'new'],
    ['421 to DATA', once('data', { reply: '421 closing' }), 'new'],
    ['530 to MAIL', once('mail', { reply: '530 log in first' }), 'new'],
    ['what is no answer to RCPT', once('rcpt', { reply: '354 go', meant: 250 }), 'new'],
    ['what is no answer to the dot', once('dot', { reply: '354 go' }), 'new'],
  ])('behind %s: %j → %s', async (_, fault, expected) => {
    await using relay = await startRelay({ connections: 1 }, { faults: [fault] });
    expect(await relay.deliver()).not.toMatchObject({ delivery: 'accepted' });
    expect(await nextGoes(relay)).toBe(expected);
  });

  it.each(['500 what', '251 what', '421 closing'])(
    'whose RSET is answered %j is used no more',
    async (reply) => {
      const faults = [once('rcpt', { reply: '550 no' }), once('rset', { reply })];
      await using relay = await startRelay({ connections: 1 }, { faults });
      expect(await relay.deliver()).toMatchObject({ code: 'recipients-refused' });
      while (relay.open() > 0) await pause(5);
      expect(relay.said(0)).toContain('C: RSET');
      expect(await nextGoes(relay)).toBe('reset');
      expect(relay.upstream.sessions).toHaveLength(2);
    },
  );

  it('whose RSET brings half a reply more is used no more', async () => {
    const faults = [once('rcpt', { reply: '550 no' }), once('rset', { reply: '250 ok\r\n2', cut: true })];
    await using relay = await startRelay({ connections: 1 }, { faults });
    expect(await relay.deliver()).toMatchObject({ code: 'recipients-refused' });
    while (relay.open() > 0) await pause(5);
    expect(await nextGoes(relay)).toBe('reset');
    expect(relay.upstream.sessions).toHaveLength(2);
  });

  it('behind a message that broke off has heard nothing more', async () => {
    const broken: Content = {
      async *[Symbol.asyncIterator]() {
        yield MESSAGE;
        throw new Error('the client went away');
      },
    };
    for (const [delivery, received] of [
      [{ content: broken }, 0],
      [{ beforeDot: async () => false }, MESSAGE.length],
    ] as const) {
      await using relay = await startRelay();
      expect(await relay.deliver(delivery)).toMatchObject({ delivery: 'not-sent' });
      while (relay.open() > 0) await pause(5);
      expect(relay.upstream.transactions).toMatchObject([{ message: null, received }]);
    }
  });
});
