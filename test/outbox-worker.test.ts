import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Account } from '../src/account.ts';
import type { Delivered, Delivery } from '../src/deliver.ts';
import { createLog } from '../src/log.ts';
import type { MessageEvent } from '../src/message-event.ts';
import type { Claim, NewEntry, Outbox, OutboxRecord } from '../src/outbox.ts';
import { createOutboxWorker, createSendClaim, type OutboxWorker } from '../src/outbox-worker.ts';
import { FAILURES, type FailureCode, failure, kindOf, type Outcome } from '../src/outcome.ts';
import { StoreUnavailable } from '../src/store.ts';
import { openSqliteOutbox, type SqliteOutbox } from '../src/stores/sqlite/outbox.ts';
import { ACCEPTED, entry } from './contract/outbox.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const START = 1_750_000_000_000;
const GIVE_UP_MS = 24 * HOUR;
const CONNECTIONS = 5;

const ACCOUNT: Account = { apiUser: 'IfaxIn', apiKey: 'the-key', from: null, labels: null, quota: 1000 };

type Deliver = (delivery: Delivery, signal: AbortSignal) => Promise<Outcome>;

let folder: string;
let outbox: SqliteOutbox;
let deliveries: Delivery[];
let events: MessageEvent[];
let lines: Record<string, unknown>[];
/** What upstream does with a message; without the mark it never gets it. */
let upstream: Deliver;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: START });
  vi.spyOn(Math, 'random').mockReturnValue(1);
  folder = await mkdtemp(join(tmpdir(), 'postern-worker-'));
  outbox = openSqliteOutbox({ path: join(folder, 'outbox.db'), maxBytes: 1e9, keepMs: 7 * 24 * HOUR, log });
  deliveries = [];
  events = [];
  lines = [];
  upstream = async () => ACCEPTED;
});
afterEach(async () => {
  await outbox.close();
  await rm(folder, { recursive: true });
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const log = createLog('info', (line) => lines.push(JSON.parse(line)));

const HELD = failure('request-in-progress', 'Held back.');

async function deliver(delivery: Delivery, signal: AbortSignal): Promise<Delivered> {
  deliveries.push(delivery);
  const outcome = await upstream(delivery, signal);
  const isAtDot = outcome.delivery !== 'not-sent' || outcome.smtp?.phase === 'dot';
  const isHeld = isAtDot && !(await delivery.beforeDot?.());
  return {
    outcome: isHeld ? HELD : outcome,
    quota: null,
    timing: { lease: 0, draw: 0, send: 0 },
    attempts: 1,
  };
}

const sender = (more: Partial<Parameters<typeof createSendClaim>[0]> = {}) =>
  createSendClaim({
    outbox,
    deliver,
    accounts: () => [ACCOUNT],
    quotaLimit: 20_000,
    reserve: 0.1,
    giveUpMs: GIVE_UP_MS,
    emit: (event) => events.push(event),
    log,
    ...more,
  });

const worker = (more: Partial<Parameters<typeof createOutboxWorker>[0]> = {}): OutboxWorker =>
  createOutboxWorker({
    outbox,
    send: sender(),
    connections: CONNECTIONS,
    deadlineMs: 25 * SECOND,
    log,
    ...more,
  });

async function putAll(...entries: readonly NewEntry[]): Promise<void> {
  const put = await Promise.all(entries.map((one) => outbox.put(one)));
  expect(put.every(({ state }) => state === 'put')).toBe(true);
}

const many = (count: number, prefix: string, more: Partial<NewEntry> = {}) =>
  Array.from({ length: count }, (_, index) => entry(`${prefix}${index}`, more));

async function claimOne(leaseMs = 60 * SECOND): Promise<Claim> {
  const [claimed, ...others] = await outbox.claim({ count: 10, leaseMs, except: new Set() });
  if (!claimed || others.length > 0) throw new Error('expected one message that is due');
  return claimed;
}

async function read(id: string, apiUser = 'ifaxin'): Promise<OutboxRecord> {
  const record = await outbox.read(apiUser, id);
  if (!record) throw new Error(`there is no ${id}`);
  return record;
}

const states = async (apiUser = 'ifaxin') => {
  const { records = [] } = (await outbox.list(apiUser, { state: null, limit: 100, cursor: null })) ?? {};
  return Object.fromEntries(
    [...Map.groupBy(records, ({ state }) => state)].map(([state, all]) => [state, all.length]),
  );
};

/** Puts a message, and sends it once with what `upstream` does now. */
async function sendOne(more: Partial<NewEntry> = {}): Promise<OutboxRecord> {
  await putAll(entry('a', more));
  const claim = await claimOne();
  await sender()(claim, AbortSignal.timeout(10_000));
  return read('a', claim.apiUser);
}

/** Lets turns of the event loop pass, for what was begun to come to where it waits. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('one message', () => {
  describe('ends or waits by the kind of its failure', () => {
    const codes = Object.keys(FAILURES) as FailureCode[];

    test.each(codes)('%s', async (code) => {
      upstream = async () =>
        failure(code, 'What was wrong.', code === 'quota-exceeded' ? { retryAfterMs: 12_345 } : {});
      const record = await sendOne();
      const { delivery, retryable } = kindOf(code);
      const attempt = { at: START, code, detail: 'What was wrong.', smtp: null };
      if (code === 'quota-exceeded') {
        expect(record).toMatchObject({
          state: 'queued',
          nextAttemptAt: START + 12_345,
          attempts: [],
          outcome: null,
        });
      } else if (delivery === 'unknown') {
        expect(record).toMatchObject({ state: 'unknown', outcome: { code }, attempts: [] });
      } else if (retryable || code === 'upstream-credentials') {
        expect(record).toMatchObject({
          state: 'queued',
          nextAttemptAt: START + 5000,
          attempts: [attempt],
          outcome: null,
        });
      } else {
        expect(record).toMatchObject({ state: 'failed', outcome: { code }, attempts: [] });
      }
    });
  });

  test('accepted: its outcome is kept, and one event tells it', async () => {
    expect(await sendOne()).toMatchObject({ state: 'accepted', outcome: ACCEPTED });
    expect(events).toMatchObject([
      {
        id: 'a',
        requestId: 'a',
        door: 'outbox',
        apiUser: 'ifaxin',
        clientAddress: '',
        outcome: 'accepted',
        attempts: 1,
        recipients: 1,
        replayed: false,
        warnings: [],
      },
    ]);
  });

  test.each([
    ['the account’s', null, [{ apiUser: 'ifaxin', code: 'upstream-credentials', detail: 'Refused.' }]],
    ['its caller’s own', 'own', []],
  ])('whose key upstream refuses tells the probe, where the key is %s', async (_, apiKey, told) => {
    upstream = async () => failure('upstream-credentials', 'Refused.');
    const seen: unknown[] = [];
    await putAll(entry('a', { apiKey }));
    await sender({ observe: (refused) => seen.push(refused) })(await claimOne(), AbortSignal.timeout(10_000));
    expect(seen).toEqual(told);
  });

  test('a failure that waits is logged without a word of the message', async () => {
    upstream = async () => failure('upstream-busy', 'Upstream deferred the message.');
    await sendOne({ content: new TextEncoder().encode('a body that is secret'), apiKey: 'a secret' });
    expect(lines).toMatchObject([
      {
        level: 'warn',
        event: 'a queued message waits for another attempt',
        id: 'a',
        apiUser: 'ifaxin',
        code: 'upstream-busy',
        attempts: 1,
        nextAttemptAt: new Date(START + 5000).toISOString(),
      },
    ]);
    expect(JSON.stringify(lines)).not.toContain('secret');
    expect(events).toEqual([]);
  });

  test.each([
    ['by its account, as the settings spell it', {}, { apiUser: 'IfaxIn', apiKey: 'the-key' }, 900],
    [
      'by the key its caller brought',
      { apiKey: 'own', loginAs: 'IFAXIN' },
      { apiUser: 'IFAXIN', apiKey: 'own' },
      900,
    ],
    [
      'by the key its caller brought, without an account',
      { apiUser: 'other', loginAs: 'Other', apiKey: 'own' },
      { apiUser: 'Other', apiKey: 'own' },
      18_000,
    ],
  ])('logs in %s, and leaves the reserve', async (_, more, login, limit) => {
    const { facts } = entry('a');
    await sendOne({ ...more, facts: { ...facts, label: 31337 } });
    expect(deliveries).toMatchObject([{ login: { ...login, label: 31337 }, limit }]);
  });

  test.each([
    [1, 0.5, 1],
    [10, 1, 1],
    [10, 0, 10],
  ])('of %i calls with a reserve of %d it may draw %i', async (quota, reserve, limit) => {
    await putAll(entry('a'));
    await sender({ accounts: () => [{ ...ACCOUNT, quota }], reserve })(
      await claimOne(),
      AbortSignal.timeout(10_000),
    );
    expect(deliveries).toMatchObject([{ limit }]);
  });

  test('of an account that is no longer in the settings waits for it', async () => {
    const record = await sendOne({ apiUser: 'gone' });
    expect(record).toMatchObject({
      state: 'queued',
      attempts: [{ code: 'upstream-credentials', detail: 'The settings name no account gone any more.' }],
    });
    expect(deliveries).toEqual([]);
  });

  test('pauses double from 5 s to 10 min, each with full jitter', async () => {
    upstream = async () => failure('upstream-unreachable', 'Upstream cannot be reached.');
    await putAll(entry('a'));
    const pauses: number[] = [];
    for (let n = 0; n < 9; n++) {
      await sender()(await claimOne(), AbortSignal.timeout(10_000));
      const { nextAttemptAt } = await read('a');
      pauses.push((nextAttemptAt as number) - Date.now());
      vi.setSystemTime(nextAttemptAt as number);
    }
    expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600].map((seconds) => seconds * SECOND));
    vi.spyOn(Math, 'random').mockReturnValue(0.25);
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect((await read('a')).nextAttemptAt).toBe(Date.now() + 150 * SECOND);
  });

  test('what upstream asks to wait for is the least pause', async () => {
    upstream = async () => failure('upstream-busy', 'Busy.', { retryAfterMs: 60_000 });
    expect(await sendOne()).toMatchObject({ nextAttemptAt: START + 60_000 });
  });

  test('is given up after its time, with the last problem', async () => {
    await putAll(entry('a', { sendAt: START + 30 * 24 * HOUR }));
    vi.setSystemTime(START + 30 * 24 * HOUR);
    upstream = async () => failure('upstream-busy', 'First.');
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    vi.setSystemTime(Date.now() + GIVE_UP_MS - 1);
    upstream = async () => failure('upstream-credentials', 'Second.');
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    vi.setSystemTime((await read('a')).nextAttemptAt as number);
    upstream = async () => failure('upstream-timeout', 'Third.');
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({
      state: 'failed',
      outcome: { code: 'upstream-timeout', detail: 'Third.' },
    });
    expect((await read('a')).attempts.map(({ detail }) => detail)).toEqual(['First.', 'Second.']);
  });

  test('the event of its end tells all attempts', async () => {
    upstream = async () => failure('upstream-busy', 'Busy.');
    await sendOne();
    upstream = async () => failure('upstream-busy', 'Busy again.');
    vi.setSystemTime((await read('a')).nextAttemptAt as number);
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    upstream = async () => ACCEPTED;
    vi.setSystemTime((await read('a')).nextAttemptAt as number);
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect(events).toMatchObject([{ outcome: 'accepted', attempts: 3 }]);
  });

  test('waiting for the quota is no attempt, however long it takes', async () => {
    upstream = async () => failure('quota-exceeded', 'Spent.', { retryAfterMs: 2 * GIVE_UP_MS });
    await sendOne();
    vi.setSystemTime(START + 2 * GIVE_UP_MS);
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({ state: 'queued', attempts: [] });
    vi.setSystemTime(START + 4 * GIVE_UP_MS);
    upstream = async () => failure('upstream-busy', 'First.');
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({ state: 'queued', attempts: [{ detail: 'First.' }] });
  });

  test('waiting for the quota is not given up, however old the first attempt is', async () => {
    upstream = async () => failure('upstream-busy', 'First.');
    await sendOne();
    vi.setSystemTime(START + 2 * GIVE_UP_MS);
    upstream = async () => failure('quota-exceeded', 'Spent.', { retryAfterMs: 1000 });
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({ state: 'queued', nextAttemptAt: Date.now() + 1000 });
  });

  test('is given up at the very end of its time', async () => {
    upstream = async () => failure('upstream-busy', 'Busy.');
    await sendOne();
    vi.setSystemTime(START + GIVE_UP_MS);
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({ state: 'failed', outcome: { code: 'upstream-busy' } });
  });

  test('upstream’s 536 after the dot waits as well', async () => {
    const smtp = { code: 536, enhanced: null, phase: 'dot', response: '536 frequency limited' } as const;
    upstream = async () => failure('quota-exceeded', 'Upstream’s own.', { smtp, retryAfterMs: 10_000 });
    expect(await sendOne()).toMatchObject({ state: 'queued', attempts: [], nextAttemptAt: START + 10_000 });
  });

  test('that is another worker’s by now gets no dot, and its outcome counts for nothing', async () => {
    await putAll(entry('a'));
    const first = await claimOne(1000);
    vi.setSystemTime(START + 2000);
    const second = await claimOne();
    expect(await sender()(first, AbortSignal.timeout(10_000))).toBeNull();
    expect(await read('a')).toMatchObject({ state: 'sending', outcome: null });
    expect(events).toEqual([]);
    await sender()(second, AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({ state: 'accepted' });
  });

  test.each([
    ['written', async () => true, true],
    ['another’s by now', async () => false, false],
    ['not written', () => Promise.reject(new StoreUnavailable('away')), false],
  ])('whose mark is %s: the dot may be written: %o', async (_, mark, may) => {
    const said: unknown[] = [];
    upstream = async ({ beforeDot }) => {
      said.push(await beforeDot?.());
      return HELD;
    };
    await putAll(entry('a'));
    await sender({ outbox: { ...outbox, mark } })(await claimOne(), AbortSignal.timeout(10_000));
    expect(said).toEqual([may]);
  });

  test('whose mark meets a bug is another attempt', async () => {
    await putAll(entry('a'));
    const mark = () => Promise.reject(new RangeError('a bug'));
    await sender({ outbox: { ...outbox, mark } })(await claimOne(), AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({ state: 'queued', attempts: [{ code: 'upstream-unreachable' }] });
    expect(lines[0]).toMatchObject({ event: 'internal' });
  });

  test('whose mark cannot be written gets no dot, and waits without an attempt', async () => {
    await putAll(entry('a'));
    const away = { ...outbox, mark: () => Promise.reject(new StoreUnavailable('away')) };
    const postponed = await sender({ outbox: away })(await claimOne(), AbortSignal.timeout(10_000));
    expect(postponed).toEqual({ code: 'store-unavailable', until: START + 5000 });
    expect(await read('a')).toMatchObject({ state: 'queued', attempts: [], nextAttemptAt: START + 5000 });
  });

  test('whose outcome cannot be written is written while the lease runs', async () => {
    await putAll(entry('a'));
    let refused = 0;
    const settle: Outbox['settle'] = async (claim, outcome) => {
      if (refused++ < 5) throw new StoreUnavailable('away');
      return outbox.settle(claim, outcome);
    };
    const sent = sender({ outbox: { ...outbox, settle } })(await claimOne(), AbortSignal.timeout(10_000));
    await settled();
    await vi.advanceTimersByTimeAsync(10 * SECOND);
    await sent;
    expect(await read('a')).toMatchObject({ state: 'accepted' });

    await putAll(entry('b'));
    const never = { ...outbox, settle: () => Promise.reject(new StoreUnavailable('away')) };
    const lost = sender({ outbox: never })(await claimOne(), AbortSignal.timeout(10_000));
    const caught = expect(lost).rejects.toThrow(StoreUnavailable);
    await settled();
    await vi.advanceTimersByTimeAsync(60 * SECOND);
    await caught;
    await outbox.claim({ count: 1, leaseMs: 1, except: new Set() });
    expect(await read('b')).toMatchObject({ state: 'unknown' });
  });

  test('whose end cannot be written has its event all the same, once', async () => {
    await putAll(entry('a'));
    let refused = 0;
    const settle: Outbox['settle'] = async (claim, outcome) => {
      if (refused++ < 5) throw new StoreUnavailable('away');
      return outbox.settle(claim, outcome);
    };
    const sent = sender({ outbox: { ...outbox, settle } })(await claimOne(), AbortSignal.timeout(10_000));
    await settled();
    expect(await read('a')).toMatchObject({ state: 'sending' });
    expect(events).toMatchObject([{ id: 'a', outcome: 'accepted' }]);
    await vi.advanceTimersByTimeAsync(10 * SECOND);
    await sent;
    expect(await read('a')).toMatchObject({ state: 'accepted' });
    expect(events).toHaveLength(1);
  });

  test('a bug before the dot is another attempt, one after it leaves the outcome unknown', async () => {
    upstream = async () => {
      throw new Error('a bug');
    };
    expect(await sendOne()).toMatchObject({ state: 'queued', attempts: [{ code: 'upstream-unreachable' }] });
    expect(lines).toMatchObject([
      { event: 'internal', error: expect.stringMatching(/Error: a bug\n +at /) },
      {},
    ]);
    vi.setSystemTime(START + HOUR);
    upstream = async ({ beforeDot }) => {
      await beforeDot?.();
      throw new Error('a bug');
    };
    await sender()(await claimOne(), AbortSignal.timeout(10_000));
    expect(await read('a')).toMatchObject({ state: 'unknown' });
  });
});

describe('the worker', () => {
  /** Runs and moves the clock to where it asked to come again, until nothing waits. */
  async function runToEnd(running: OutboxWorker, most = 200): Promise<number> {
    for (let runs = 1; runs <= most; runs++) {
      const next = await running.run();
      if (next === null) return runs;
      vi.setSystemTime(Math.max(Date.now(), next));
    }
    throw new Error('it never ends');
  }

  /** An upstream that holds every message until it is let go. */
  function holding() {
    const held: { readonly apiUser: string; readonly release: (outcome?: Outcome) => void }[] = [];
    let most = 0;
    upstream = ({ login }) =>
      new Promise((resolve) => {
        const one = {
          apiUser: login.apiUser,
          release: (outcome: Outcome = ACCEPTED) => {
            held.splice(held.indexOf(one), 1);
            resolve(outcome);
          },
        };
        held.push(one);
        most = Math.max(most, held.length);
      });
    const of = (apiUser: string) => held.filter((one) => one.apiUser === apiUser);
    return { held, of, most: () => most };
  }

  const own = (apiUser: string) => ({ apiUser, loginAs: apiUser, apiKey: 'key' });

  test('sends what is due, several at once up to the connections', async () => {
    const { held, most } = holding();
    await putAll(...many(12, 'm'));
    const run = worker().run();
    await settled();
    expect(held).toHaveLength(CONNECTIONS);
    while (held.length > 0) {
      held[0]?.release();
      await settled();
    }
    expect(await run).toBeNull();
    expect(most()).toBe(CONNECTIONS);
    expect(await states()).toEqual({ accepted: 12 });
    expect(deliveries).toHaveLength(12);
    // Nothing went wrong, and nothing is left that would wake it.
    expect(lines).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('an api_user whose messages hang holds up no other', async () => {
    const { of } = holding();
    await putAll(...many(20, 'slow', own('slow')), ...many(20, 'quick', own('quick')));
    const run = worker().run();
    await settled();
    expect(of('slow')).toHaveLength(CONNECTIONS);
    for (let n = 0; n < 20; n++) {
      expect(of('quick').length).toBeGreaterThan(0);
      of('quick')[0]?.release();
      await settled();
    }
    expect(await states('quick')).toEqual({ accepted: 20 });
    expect(of('slow')).toHaveLength(CONNECTIONS);
    while (of('slow').length > 0) {
      of('slow')[0]?.release();
      await settled();
    }
    expect(await run).toBeNull();
  });

  test('large messages of an api_user leave memory to others', async () => {
    const { of } = holding();
    const content = new Uint8Array(10_000_000);
    await putAll(...many(5, 'large', { ...own('large'), content }), ...many(5, 'small', own('small')));
    const run = worker().run();
    await settled();
    expect(of('large').length).toBeLessThan(4);
    expect(of('small')).toHaveLength(CONNECTIONS);
    for (const apiUser of ['small', 'large']) {
      while (of(apiUser).length > 0) {
        of(apiUser)[0]?.release();
        await settled();
      }
    }
    expect(await run).toBeNull();
    expect(await states('large')).toEqual({ accepted: 5 });
  });

  test('a spent quota rests its api_user until the window says, and nobody else', async () => {
    let left = 3;
    upstream = async ({ login }) => {
      if (login.apiUser !== 'spent' || left-- > 0) return ACCEPTED;
      return failure('quota-exceeded', 'Spent.', { retryAfterMs: 30_000 });
    };
    await putAll(...many(50, 'spent', own('spent')), ...many(50, 'free', own('free')));
    const running = worker();
    expect(await running.run()).toBe(START + 30_000);
    expect(await states('free')).toEqual({ accepted: 50 });
    expect(await states('spent')).toEqual({ accepted: 3, queued: 47 });
    // Only those that were under way met the refusal.
    expect(deliveries.length).toBeLessThanOrEqual(53 + CONNECTIONS);
    expect((await read('spent49', 'spent')).nextAttemptAt).toBe(START);

    const before = deliveries.length;
    await putAll(entry('another', own('spent')));
    expect(await running.run()).toBe(START + 30_000);
    expect(deliveries).toHaveLength(before);

    vi.setSystemTime(START + 30_000);
    left = 1000;
    expect(await running.run()).toBeNull();
    expect(await states('spent')).toEqual({ accepted: 51 });
    expect((await read('spent49', 'spent')).attempts).toEqual([]);
  });

  test('a wrong key is tried more and more seldom, however many messages wait, and loses none', async () => {
    let isWrong = true;
    upstream = async () =>
      isWrong ? failure('upstream-credentials', 'Upstream refused the key.') : ACCEPTED;
    await putAll(...many(60, 'm'));
    const running = worker();
    while (Date.now() < START + HOUR) {
      const next = await running.run();
      vi.setSystemTime(Math.max(Date.now(), next ?? 0));
    }
    // 5 s, doubling to 10 min, each with as many as there are connections.
    expect(deliveries.length).toBeLessThanOrEqual(15 * CONNECTIONS);
    isWrong = false;
    await runToEnd(running);
    expect(await states()).toEqual({ accepted: 60 });
  });

  test.each<FailureCode>([
    'upstream-credentials',
    'upstream-unreachable',
    'overloaded',
    'quota-unavailable',
    'store-unavailable',
  ])('%s rests the api_user, twice as long the second time', async (code) => {
    upstream = async () => failure(code, 'For every message.');
    await putAll(...many(20, 'm'));
    const running = worker();
    expect(await running.run()).toBe(START + 5000);
    expect(deliveries).toHaveLength(CONNECTIONS);
    vi.setSystemTime(START + 5000);
    expect(await running.run()).toBe(START + 15_000);
    expect(deliveries).toHaveLength(2 * CONNECTIONS);
  });

  test('one that goes through ends the rest, and what it would grow to', async () => {
    await putAll(...many(3, 'm'));
    const outcomes = [failure('upstream-unreachable', 'Away.'), ACCEPTED, ACCEPTED];
    upstream = async () => outcomes.shift() ?? failure('upstream-unreachable', 'Away again.');
    const running = worker({ connections: 1 });
    expect(await running.run()).toBe(START + 5000);
    vi.setSystemTime(START + 5000);
    expect(await running.run()).toBe(START + 10_000);
    expect(await states()).toEqual({ accepted: 2, queued: 1 });
  });

  test.each([
    ['upstream-unreachable', 'ends the rest', 1],
    ['quota-exceeded', 'does not', 0],
  ] as const)('%s beside one that goes through: that %s', async (code, _, more) => {
    const { held } = holding();
    await putAll(...many(3, 'm'));
    const run = worker({ connections: 2 }).run();
    await settled();
    held[0]?.release(failure(code, 'Not now.', { retryAfterMs: 30_000 }));
    await settled();
    held[0]?.release();
    await settled();
    expect(held).toHaveLength(more);
    held[0]?.release();
    expect(await run).toBe(START + 30_000);
  });

  test('of several that rest the first one to end it says when to come again', async () => {
    upstream = async ({ login }) =>
      failure('quota-exceeded', 'Spent.', { retryAfterMs: login.apiUser === 'b' ? 10_000 : 30_000 });
    await putAll(entry('1', own('a')), entry('2', own('b')), entry('3', own('c')));
    expect(await worker().run()).toBe(START + 10_000);
  });

  test('a rest that is over wakes nobody', async () => {
    upstream = async () => failure('upstream-unreachable', 'Away.');
    await putAll(entry('a'));
    const running = worker();
    expect(await running.run()).toBe(START + 5000);
    vi.setSystemTime(START + 5000);
    expect(await outbox.cancel('ifaxin', 'a')).toBe('cancelled');
    expect(await running.run()).toBeNull();
  });

  test('of all api_users together a hundred at a time, and nothing is asked meanwhile', async () => {
    const { held } = holding();
    for (let user = 0; user < 22; user++) await putAll(...many(5, `${user}-`, own(`user${user}`)));
    let asked = 0;
    const claim: Outbox['claim'] = (options) => {
      asked++;
      return outbox.claim(options);
    };
    const run = worker({ outbox: { ...outbox, claim } }).run();
    await settled();
    expect(held).toHaveLength(100);
    const before = asked;
    await vi.advanceTimersByTimeAsync(20 * SECOND);
    expect(asked).toBe(before);
    held[0]?.release();
    await settled();
    expect(held).toHaveLength(100);
    while (held.length > 0) {
      for (const one of [...held]) one.release();
      await settled();
    }
    expect(await run).toBeNull();
  });

  test('of all api_users together 128 MiB at a time, one of 16 MiB of each', async () => {
    const content = new Uint8Array(16 * 2 ** 20);
    const excepted: string[][] = [];
    const claim: Outbox['claim'] = async ({ except }) => {
      excepted.push([...except]);
      const apiUser = `user${excepted.length}`;
      return [{ ...(await template), id: apiUser, apiUser, content }];
    };
    await putAll(entry('a'));
    const template = claimOne();
    const ends: (() => void)[] = [];
    const send = () => new Promise<null>((resolve) => ends.push(() => resolve(null)));
    const running = worker({ outbox: { ...outbox, claim }, send });
    void running.run();
    await settled();
    expect(ends).toHaveLength(8);
    expect(excepted.at(-1)).toEqual(Array.from({ length: 7 }, (__, index) => `user${index + 1}`));
    ends[0]?.();
    await settled();
    expect(ends).toHaveLength(9);
    const closed = running.close();
    for (const end of ends) end();
    await closed;
  });

  test('a message whose end cannot be written is let go, and the others go on', async () => {
    await putAll(...many(3, 'm'));
    const sendClaim = sender();
    const send: typeof sendClaim = (claim, signal) =>
      claim.id === 'm1' ? Promise.reject(new StoreUnavailable('away')) : sendClaim(claim, signal);
    // When its lease ends.
    expect(await worker({ send }).run()).toBe(START + 55 * SECOND);
    expect(await states()).toEqual({ accepted: 2, sending: 1 });
    expect(lines).toMatchObject([
      {
        event: 'a queued message was let go',
        id: 'm1',
        apiUser: 'ifaxin',
        error: expect.stringContaining('away'),
      },
    ]);
  });

  test('at its end it tries once more what the outbox did not take, and says why it let go', async () => {
    await putAll(entry('a'));
    let tries = 0;
    const settle = () => {
      tries++;
      return Promise.reject(new StoreUnavailable('away', { cause: new Error('ENOSPC') }));
    };
    const running = worker({ send: sender({ outbox: { ...outbox, settle } }) });
    void running.run();
    await settled();
    expect(tries).toBe(1);
    const before = Date.now();
    await running.close();
    expect([tries, Date.now() - before]).toEqual([2, 0]);
    expect(lines).toMatchObject([{ event: 'a queued message was let go', id: 'a', error: 'Error: ENOSPC' }]);
    expect(events).toMatchObject([{ id: 'a', outcome: 'accepted' }]);
  });

  test.each([0, 1])('what was due %i ms ago and is not given is asked for a little later', async (ms) => {
    const stubborn = { ...outbox, claim: async () => [], nextDueAt: async () => START - ms };
    expect(await worker({ outbox: stubborn }).run()).toBe(START + 250);
  });

  test('what fails for a message alone does not hold up the next one', async () => {
    upstream = async ({ envelope }) =>
      envelope.to[0] === 'busy@ifaxin.com' ? failure('upstream-busy', 'Greylisted.') : ACCEPTED;
    const to = (address: string) => ({ envelope: { ...entry('x').envelope, to: [address] } });
    await putAll(...many(10, 'busy', to('busy@ifaxin.com')), ...many(10, 'm'));
    expect(await worker().run()).toBe(START + 5000);
    expect(await states()).toEqual({ accepted: 10, queued: 10 });
  });

  test('says when to come again, and comes by for what was put meanwhile', async () => {
    const { held } = holding();
    await putAll(entry('later', { sendAt: START + HOUR }), entry('a'));
    const running = worker();
    const run = running.run();
    await settled();
    expect(held).toHaveLength(1);
    await putAll(entry('b'));
    expect(running.run()).toBe(run);
    await settled();
    expect(held).toHaveLength(2);
    for (const one of [...held]) one.release();
    expect(await run).toBe(START + HOUR);
    upstream = async () => ACCEPTED;
    vi.setSystemTime(START + HOUR);
    expect(await running.run()).toBeNull();
    expect(await states()).toEqual({ accepted: 3 });
  });

  test('sends at its time what becomes due while another one is being sent', async () => {
    const { held } = holding();
    await putAll(entry('a'), entry('b', { sendAt: START + 20 * SECOND }));
    const run = worker().run();
    await settled();
    expect(held).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(20 * SECOND);
    await settled();
    expect(held).toHaveLength(2);
    for (const one of [...held]) one.release();
    expect(await run).toBeNull();
  });

  test('at its end it claims nothing more and waits for what is being sent', async () => {
    const { held } = holding();
    await putAll(...many(12, 'm'));
    const running = worker();
    void running.run();
    await settled();
    let isClosed = false;
    const closed = running.close().then(() => {
      isClosed = true;
    });
    await settled();
    expect(isClosed).toBe(false);
    for (const one of [...held]) one.release();
    await closed;
    expect(await states()).toEqual({ accepted: CONNECTIONS, queued: 12 - CONNECTIONS });
    expect(deliveries).toHaveLength(CONNECTIONS);
  });

  test('a clock that is set forward while it sends takes no message from it', async () => {
    const { held } = holding();
    await putAll(entry('a'));
    const running = worker();
    const run = running.run();
    await settled();
    vi.setSystemTime(START + HOUR);
    await putAll(entry('b'));
    void running.run();
    await settled();
    expect(await read('a')).toMatchObject({ state: 'sending' });
    for (const one of [...held]) one.release();
    await run;
    expect(await states()).toEqual({ accepted: 2 });
    expect(deliveries).toHaveLength(2);
  });

  test('past the time it was given it begins nothing more', async () => {
    await putAll(...many(3, 'm'));
    expect(await worker().run(START)).toBe(START);
    expect(await states()).toEqual({ queued: 3 });
  });

  test('a store that is away is asked more and more seldom, and told once', async () => {
    await putAll(entry('a'));
    let asked = 0;
    let isAway = true;
    const claim: Outbox['claim'] = async (options) => {
      asked++;
      if (isAway) throw new StoreUnavailable('away', { cause: new Error('ECONNREFUSED') });
      return outbox.claim(options);
    };
    const running = worker({ outbox: { ...outbox, claim } });
    for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
      const next = await running.run();
      expect(next).toBe(Date.now() + seconds * SECOND);
      vi.setSystemTime(next as number);
    }
    expect(asked).toBe(7);
    expect(lines).toMatchObject([{ event: 'the outbox is away', error: 'Error: ECONNREFUSED' }]);
    isAway = false;
    expect(await running.run()).toBeNull();
    expect(lines.map(({ event }) => event)).toContain('the outbox is back');
    expect(await states()).toEqual({ accepted: 1 });
  });

  test.each([
    ['one for later', [entry('later', { sendAt: START + HOUR })]],
    ['none', []],
  ])('asks the store no more often than something happens, while %s waits', async (_, later) => {
    let asked = 0;
    const claim: Outbox['claim'] = (options) => {
      asked++;
      return outbox.claim(options);
    };
    const { held } = holding();
    await putAll(...many(CONNECTIONS, 'm'), ...later);
    const running = worker({ outbox: { ...outbox, claim } });
    const run = running.run();
    await settled();
    expect(held).toHaveLength(CONNECTIONS);
    const begun = asked;
    await vi.advanceTimersByTimeAsync(25 * SECOND);
    await settled();
    expect(asked).toBe(begun);
    for (const one of [...held]) one.release();
    await run;
    expect(asked).toBeLessThanOrEqual(begun + CONNECTIONS + 1);
  });

  test('sweeps at the start and each hour', async () => {
    await putAll(entry('a'));
    const running = worker();
    await running.run();
    vi.setSystemTime(START + 7 * 24 * HOUR - SECOND);
    await running.run();
    expect(await states()).toEqual({ accepted: 1 });
    vi.setSystemTime(Date.now() + HOUR);
    await running.run();
    expect(await states()).toEqual({});
  });

  test('sweeps no more often, and ends when the sweep has', async () => {
    let sweeps = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const sweep = () => {
      sweeps++;
      return promise;
    };
    const running = worker({ outbox: { ...outbox, sweep } });
    let isOver = false;
    const run = running.run().then(() => {
      isOver = true;
    });
    await settled();
    expect([sweeps, isOver]).toEqual([1, false]);
    resolve();
    await run;
    vi.setSystemTime(START + HOUR - 1);
    await running.run();
    expect(sweeps).toBe(1);
    vi.setSystemTime(START + HOUR);
    await running.run();
    expect(sweeps).toBe(2);
  });

  test('a sweep that fails is logged, and nothing is held up by it', async () => {
    await putAll(entry('a'));
    const sweep = () => Promise.reject(new StoreUnavailable('away'));
    expect(await worker({ outbox: { ...outbox, sweep } }).run()).toBeNull();
    expect(await states()).toEqual({ accepted: 1 });
    expect(lines).toMatchObject([
      { event: 'the outbox was not swept', error: expect.stringContaining('away') },
    ]);
  });

  test('two on one outbox send each message once', async () => {
    upstream = async () => {
      await settled();
      return ACCEPTED;
    };
    await putAll(...many(60, 'm'), ...many(60, 'n', own('other')));
    await Promise.all([worker().run(), worker().run(), worker().run()]);
    expect(deliveries).toHaveLength(120);
    expect(await states()).toEqual({ accepted: 60 });
    expect(await states('other')).toEqual({ accepted: 60 });
  });
});
