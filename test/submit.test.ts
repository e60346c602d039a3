/** What a repeated request gets, through a gateway before a real upstream; and each way through the use case. */

import { describe, expect, it } from 'vitest';
import type { Account } from '../src/account.ts';
import type { Delivered, Delivery } from '../src/deliver.ts';
import { type Idempotency, KEPT_MS, type KeyRequest } from '../src/idempotency.ts';
import type { MessageEvent } from '../src/message-event.ts';
import { type Failure, failure, type Outcome } from '../src/outcome.ts';
import { mostRecordChars } from '../src/record.ts';
import { StoreUnavailable } from '../src/store.ts';
import { createMemoryIdempotency } from '../src/stores/memory/idempotency.ts';
import { createSubmit, type Submission, type Submitted } from '../src/submit.ts';
import { standingClock } from './support/clock.ts';
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

const ACCOUNT: Account = {
  apiUser: 'IfaxIn',
  apiKey: 'the-key',
  from: ['ifaxin.com'],
  labels: [7],
  quota: 1000,
};
const ENVELOPE = {
  from: 'support@ifaxin.com',
  to: ['a@ifaxin.com', 'b@ifaxin.com'],
  size: 5,
  eightBit: false,
};
const ACCEPTED: Outcome = {
  delivery: 'accepted',
  reply: { code: 250, enhanced: null, phase: 'dot', response: '250 ok' },
  queueId: null,
  emailIds: {},
  accepted: ENVELOPE.to,
  rejected: [],
};
const MESSAGE_KEY = { key: 'order-1', index: null, fingerprint: 'print' };
const DEADLINE_MS = 30_000;

const SUBMISSION: Submission = {
  caller: { account: ACCOUNT, ownKey: false },
  label: 7,
  envelope: ENVELOPE,
  content: Buffer.from('hello'),
  idempotency: MESSAGE_KEY,
  facts: {
    origin: { requestId: 'r', door: 'http', clientAddress: '127.0.0.1', startedAt: 0 },
    id: 'm',
    composeMs: 1,
    warnings: ['a warning'],
  },
};

/** The use case before an upstream that does what `outcome` says, with a store of keys of its own. */
function start(outcome: Outcome = ACCEPTED, replaced: Partial<Idempotency> = {}) {
  const clock = standingClock();
  const store = createMemoryIdempotency({ now: clock.now });
  const begun: KeyRequest[] = [];
  const deliveries: Delivery[] = [];
  const events: MessageEvent[] = [];
  const upstream = { outcome, during: async () => {} };
  const timing = { lease: 1, draw: 2, send: 3 };
  const submit = createSubmit({
    deliverer: {
      async deliver(delivery): Promise<Delivered> {
        deliveries.push(delivery);
        await upstream.during();
        const quota = { limit: 1000, remaining: 999, resetMs: 60_501 };
        return { outcome: upstream.outcome, quota, timing, attempts: 1 };
      },
      verify: () => expect.fail('No login is to be proven'),
    },
    idempotency: {
      ...store,
      begin(request) {
        begun.push(request);
        return store.begin(request);
      },
      ...replaced,
    },
    deadlineMs: DEADLINE_MS,
    emit: (event) => events.push(event),
  });
  const send = (more: Partial<Submission> = {}): Promise<Submitted> =>
    submit({ ...SUBMISSION, ...more }, AbortSignal.timeout(10_000));
  return { upstream, send, begun, deliveries, events, clock };
}

describe('a submission', () => {
  it('goes out by its account and label, and one event tells it', async () => {
    const { send, deliveries, events, begun } = start();
    const submitted = await send({ idempotency: null });
    expect(submitted).toEqual({
      outcome: ACCEPTED,
      quota: { limit: 1000, remaining: 999, resetMs: 60_501 },
      timing: { lease: 1, draw: 2, send: 3 },
      attempts: 1,
      replayed: false,
    });
    expect(deliveries).toEqual([
      {
        login: { apiUser: 'IfaxIn', apiKey: 'the-key', label: 7 },
        limit: 1000,
        envelope: ENVELOPE,
        content: SUBMISSION.content,
      },
    ]);
    expect(begun).toEqual([]);
    expect(events).toMatchObject([
      {
        requestId: 'r',
        id: 'm',
        apiUser: 'IfaxIn',
        label: 7,
        size: 5,
        recipients: 2,
        outcome: 'accepted',
        attempts: 1,
        replayed: false,
        warnings: ['a warning'],
      },
    ]);
  });

  it.each([
    ['forbidden-sender', { envelope: { ...ENVELOPE, from: 'ceo@bank.example' } }],
    ['forbidden-label', { label: 8 }],
  ] as const)('%s: its key is not even begun', async (code, more) => {
    const { send, deliveries, events, begun } = start();
    expect(await send(more)).toMatchObject({
      outcome: { code, delivery: 'not-sent' },
      quota: null,
      timing: { lease: 0, draw: 0, send: 0 },
      attempts: 0,
      replayed: false,
    });
    expect([deliveries, begun]).toEqual([[], []]);
    expect(events).toMatchObject([{ code, attempts: 0 }]);
  });

  const NO_KEY = failure('upstream-credentials', 'The api_key is wrong.');
  const BUSY = failure('upstream-busy', 'Later.');
  it.each([
    ['the caller’s own', true, NO_KEY, { ...NO_KEY, code: 'unauthorized' }],
    ['the gateway’s', false, NO_KEY, NO_KEY],
    ['the caller’s own, and busy', true, BUSY, BUSY],
  ] as const)('with a key that is %s: whose fault it is', async (_, ownKey, outcome, told) => {
    const { send } = start(outcome);
    expect(await send({ caller: { account: ACCOUNT, ownKey } })).toMatchObject({ outcome: told });
  });

  describe('of a stream', () => {
    const FLAW = failure('invalid-message', 'A flaw.');
    const read = (flaw: Failure | null) => () => ({ flaw, size: 4711, warnings: ['seen on the way'] });

    it.each([
      ['with a flaw, not sent: the flaw is the cause', BUSY, FLAW, FLAW],
      ['without one: upstream’s own words', BUSY, null, BUSY],
      ['accepted all the same', ACCEPTED, FLAW, ACCEPTED],
      [
        'unknown all the same',
        failure('outcome-unknown', 'Lost.'),
        FLAW,
        failure('outcome-unknown', 'Lost.'),
      ],
    ])('%s', async (_, outcome, flaw, told) => {
      const { send, events } = start(outcome);
      expect((await send({ read: read(flaw) })).outcome).toEqual(told);
      expect(events).toMatchObject([{ size: 4711, warnings: ['seen on the way'] }]);
    });
  });
});

describe('a key', () => {
  it('is begun for as long as the deadline and its recording, in its account’s name', async () => {
    const { send, begun } = start();
    await send();
    await send({ idempotency: { ...MESSAGE_KEY, key: 'other', keptMs: 60_000 } });
    const common = {
      apiUser: 'ifaxin',
      fingerprint: 'print',
      leaseMs: DEADLINE_MS + 10_000,
      recordChars: mostRecordChars(2),
    };
    expect(begun).toEqual([
      { ...common, key: '["ifaxin","order-1"]', keptMs: KEPT_MS },
      { ...common, key: '["ifaxin","other"]', keptMs: 60_000 },
    ]);
  });

  it.each([
    ['accepted', ACCEPTED],
    ['refused', failure('message-refused', 'No.')],
    ['unknown', failure('outcome-unknown', 'Lost.')],
  ])('%s: the outcome is kept, and nothing is sent again', async (_, outcome) => {
    const { upstream, send, deliveries, events } = start(outcome);
    expect(await send()).toMatchObject({ outcome, replayed: false, attempts: 1 });
    upstream.outcome = BUSY;
    expect(await send()).toEqual({
      outcome,
      quota: null,
      timing: { lease: 0, draw: 0, send: 0 },
      attempts: 0,
      replayed: true,
    });
    expect(deliveries).toHaveLength(1);
    expect(events).toMatchObject([{ replayed: false }, { replayed: true, attempts: 0 }]);
  });

  const BUSY = failure('upstream-busy', 'Later.');
  it('of what proves that nothing was sent is free again', async () => {
    const { upstream, send, deliveries } = start(BUSY);
    expect(await send()).toMatchObject({ outcome: BUSY, replayed: false });
    upstream.outcome = ACCEPTED;
    expect(await send()).toMatchObject({ outcome: ACCEPTED, replayed: false });
    expect(deliveries).toHaveLength(2);
  });

  it('whose first request is under way: in progress, a second at the most', async () => {
    const { upstream, send, deliveries, clock } = start();
    const { promise: over, resolve } = Promise.withResolvers<void>();
    upstream.during = () => over;
    const first = send();
    expect(await send()).toMatchObject({
      outcome: { code: 'request-in-progress', delivery: 'not-sent', retryAfterMs: 1000 },
      attempts: 0,
      replayed: false,
    });
    await clock.advance(DEADLINE_MS + 10_000 - 400);
    expect(await send()).toMatchObject({ outcome: { code: 'request-in-progress', retryAfterMs: 400 } });
    await clock.advance(400);
    // Its owner is taken for dead.
    expect(await send()).toMatchObject({
      outcome: { code: 'outcome-unknown', delivery: 'unknown' },
      attempts: 0,
      replayed: true,
    });
    resolve();
    expect(await first).toMatchObject({ outcome: ACCEPTED, replayed: false });
    expect(deliveries).toHaveLength(1);
    expect(await send()).toMatchObject({ outcome: ACCEPTED, replayed: true });
  });

  it('that came with another message is refused', async () => {
    const { send, deliveries } = start();
    await send();
    expect(await send({ idempotency: { ...MESSAGE_KEY, fingerprint: 'another' } })).toMatchObject({
      outcome: { code: 'idempotency-key-reused', delivery: 'not-sent' },
      attempts: 0,
      replayed: false,
    });
    expect(deliveries).toHaveLength(1);
  });

  it('whose record cannot be read: unknown, and nothing is sent', async () => {
    const { send, deliveries } = start(ACCEPTED, {
      begin: async () => ({ state: 'replay', record: 'of another version' }),
    });
    expect(await send()).toMatchObject({
      outcome: {
        code: 'outcome-unknown',
        delivery: 'unknown',
        detail: expect.stringMatching('cannot be read'),
      },
      attempts: 0,
      replayed: true,
    });
    expect(deliveries).toEqual([]);
  });

  it('that the store cannot take now: nothing is sent', async () => {
    const begin = () => Promise.reject(new StoreUnavailable('away'));
    const { send, deliveries } = start(ACCEPTED, { begin });
    expect(await send()).toMatchObject({
      outcome: { code: 'store-unavailable', delivery: 'not-sent', retryAfterMs: 1000 },
      attempts: 0,
      replayed: false,
    });
    expect(deliveries).toEqual([]);
  });

  it('before a store that has a bug: throws, and nothing is sent', async () => {
    const { send, deliveries } = start(ACCEPTED, { begin: () => Promise.reject(new RangeError('a bug')) });
    await expect(send()).rejects.toThrow('a bug');
    expect(deliveries).toEqual([]);
  });
});
