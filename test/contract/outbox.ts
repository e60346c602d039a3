import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KEPT_MS } from '../../src/idempotency.ts';
import {
  type Claim,
  MOST_ATTEMPTS_KEPT,
  type NewEntry,
  type Outbox,
  type OutboxState,
} from '../../src/outbox.ts';
import { type Accepted, failure } from '../../src/outcome.ts';

export interface OutboxUnderTest {
  readonly outbox: Outbox;
  /** Ends the only instance as a crash does, and starts another; absent where several instances share the store. */
  readonly reopen?: () => Promise<Outbox>;
  readonly close: () => Promise<void>;
}

export interface OutboxOptions {
  readonly maxBytes: number;
  readonly keepMs: number;
}

/** What an engine cannot promise. */
export interface Lacking {
  /** The order of an api_user's messages. */
  readonly order?: true;
  /** The exact times and numbers of `nextDueAt` and `depth`. */
  readonly counts?: true;
  /** OUTBOX_MAX_BYTES. */
  readonly bound?: true;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const LEASE_MS = MINUTE;
const KEEP_MS = 7 * 24 * HOUR;
const MAX_BYTES = 100_000_000;
/** Engines that are woken by another service may be late by this. */
const LATE_MS = 3 * SECOND;

const NONE: ReadonlySet<string> = new Set();

export function entry(id: string, more: Partial<NewEntry> = {}): NewEntry {
  const content = more.content ?? new TextEncoder().encode(`Subject: ${id}\r\n\r\nThe body of ${id}\r\n`);
  const apiUser = more.apiUser ?? 'ifaxin';
  return {
    id,
    apiUser,
    loginAs: apiUser,
    apiKey: null,
    envelope: { from: 'support@ifaxin.com', to: ['ben@ifaxin.com'], size: content.length, eightBit: false },
    content,
    facts: { messageId: `<${id}@ifaxin.com>`, label: null, size: content.length, embedded: 0, warnings: [] },
    sendAt: null,
    key: null,
    ...more,
  };
}

export const ACCEPTED: Accepted = {
  delivery: 'accepted',
  reply: { code: 250, enhanced: null, phase: 'dot', response: '250 #1_2.sc#Queued' },
  queueId: '1_2.sc',
  emailIds: { 'ben@ifaxin.com': '1_2.sc0$ben@ifaxin.com' },
  accepted: ['ben@ifaxin.com'],
  rejected: [{ address: 'eve@ifaxin.com', code: 550, response: '550 no “Eve”\u0000 here' }],
};

const REFUSED = failure('message-refused', 'Upstream refused the message.', {
  smtp: { code: 554, enhanced: '5.0.0', phase: 'dot', response: '554 5.0.0 no' },
});

const BUSY = { code: 'upstream-busy', detail: 'Upstream deferred the message.', smtp: null } as const;

/** What every outbox promises. `make` gives an empty one; its clock is `Date`, which the tests set. */
export function outboxContract(
  make: (options: OutboxOptions) => Promise<OutboxUnderTest>,
  lacking: Lacking = {},
): void {
  let made: OutboxUnderTest;
  let outbox: Outbox;

  const open = async (options: Partial<OutboxOptions> = {}) => {
    made = await make({ maxBytes: MAX_BYTES, keepMs: KEEP_MS, ...options });
    outbox = made.outbox;
  };
  const reopen = async () => {
    outbox = (await made.reopen?.()) as Outbox;
  };

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_750_000_000_000 });
    await open();
  });
  afterEach(async () => {
    await made.close();
    vi.useRealTimers();
  });

  const advance = (ms: number) => void vi.setSystemTime(Date.now() + ms);

  const claim = (count = 100, except = NONE): Promise<readonly Claim[]> =>
    outbox.claim({ count, leaseMs: LEASE_MS, except });

  async function claimOne(): Promise<Claim> {
    const [claimed, ...others] = await claim();
    if (!claimed || others.length > 0) throw new Error('expected one message that is due');
    return claimed;
  }

  const idsOf = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);

  const read = async (id: string, apiUser = 'ifaxin') => {
    const record = await outbox.read(apiUser, id);
    if (!record) throw new Error(`there is no ${id}`);
    return record;
  };
  const stateOf = async (id: string): Promise<OutboxState> => (await read(id)).state;

  const list = async (
    more: { state?: OutboxState; limit?: number; cursor?: string | null } = {},
    apiUser = 'ifaxin',
  ) => {
    const page = await outbox.list(apiUser, { state: null, limit: 100, cursor: null, ...more });
    if (!page) throw new Error('the cursor is none of a list');
    return page;
  };

  async function putAll(...entries: readonly NewEntry[]): Promise<void> {
    for (const one of entries) expect(await outbox.put(one)).toEqual({ state: 'put', id: one.id });
  }

  describe('put', () => {
    test('what was put is claimed as it is', async () => {
      const content = new Uint8Array(70_000).map((_, index) => index * 7);
      const put = entry('a', {
        loginAs: 'Ifaxin',
        apiKey: 'the “key”',
        content,
        envelope: { from: '', to: ['ben@ifaxin.com', 'zoë@ifaxin.com'], size: null, eightBit: true },
        facts: {
          messageId: '<a@ifaxin.com>',
          label: 31337,
          size: 70_000,
          embedded: 2,
          warnings: [{ pointer: '/html', message: 'shows “nothing” \u0000 🎉' }],
        },
      });
      await putAll(put);
      const createdAt = Date.now();
      expect(await read('a')).toEqual({
        id: 'a',
        apiUser: 'ifaxin',
        state: 'queued',
        createdAt,
        sendAt: null,
        attempts: [],
        nextAttemptAt: createdAt,
        facts: put.facts,
        outcome: null,
      });
      advance(10);
      const { content: claimed, fence, ...rest } = await claimOne();
      expect(rest).toEqual({
        id: 'a',
        apiUser: 'ifaxin',
        loginAs: 'Ifaxin',
        apiKey: 'the “key”',
        envelope: put.envelope,
        label: 31337,
        leasedUntil: Date.now() + LEASE_MS,
        attempts: 0,
        firstAttemptAt: null,
      });
      expect(Buffer.from(claimed).equals(content)).toBe(true);
      expect(await read('a')).toMatchObject({ state: 'sending', nextAttemptAt: null });
    });

    test.each([0, 1, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 16_000_000])(
      'a body of %i bytes stays as it is',
      async (size) => {
        const content = new Uint8Array(size);
        for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
        await putAll(entry('a', { content }));
        expect(Buffer.from((await claimOne()).content).equals(content)).toBe(true);
      },
    );

    test('a body that its caller changes afterwards is kept as it was', async () => {
      const content = new Uint8Array(100).fill(65);
      const put = outbox.put(entry('a', { content }));
      await put;
      content.fill(66);
      expect(Buffer.from((await claimOne()).content).toString()).toBe('A'.repeat(100));
    });

    test('many at once are all there', async () => {
      const ids = Array.from({ length: 60 }, (_, index) => `m${index}`);
      await Promise.all(ids.map((id) => outbox.put(entry(id))));
      expect(idsOf(await claim()).sort()).toEqual(ids.sort());
    });
  });

  describe('the idempotency key', () => {
    const KEY = { key: '["ifaxin","k"]', fingerprint: 'print' };
    const keyed = (id: string, more: Partial<NewEntry> = {}) => entry(id, { key: KEY, ...more });

    test('gives the first id in every state, and keeps one message', async () => {
      await putAll(keyed('a'));
      const known = { state: 'known', id: 'a' };
      expect(await outbox.put(keyed('b'))).toEqual(known);
      const claimed = await claimOne();
      expect(await outbox.put(keyed('c'))).toEqual(known);
      await outbox.settle(claimed, ACCEPTED);
      expect(await outbox.put(keyed('d'))).toEqual(known);
      expect(await claim()).toEqual([]);
      expect(idsOf((await list()).records)).toEqual(['a']);
      expect(await outbox.find('ifaxin', KEY.key)).toEqual({ id: 'a', fingerprint: 'print' });
    });

    test('with another request is a mismatch in every state', async () => {
      await putAll(keyed('a'));
      const other = { ...KEY, fingerprint: 'other' };
      expect(await outbox.put(entry('b', { key: other }))).toEqual({ state: 'mismatch' });
      const claimed = await claimOne();
      expect(await outbox.put(entry('b', { key: other }))).toEqual({ state: 'mismatch' });
      await outbox.settle(claimed, REFUSED);
      expect(await outbox.put(entry('b', { key: other }))).toEqual({ state: 'mismatch' });
      expect(await outbox.read('ifaxin', 'b')).toBeNull();
    });

    test('of a cancelled message is still known', async () => {
      await putAll(keyed('a'));
      await outbox.cancel('ifaxin', 'a');
      expect(await outbox.put(keyed('b'))).toEqual({ state: 'known', id: 'a' });
    });

    test('is an api_user’s own', async () => {
      await putAll(keyed('a'), keyed('b', { apiUser: 'other' }));
      expect(await outbox.find('ifaxin', KEY.key)).toMatchObject({ id: 'a' });
      expect(await outbox.find('other', KEY.key)).toMatchObject({ id: 'b' });
      expect(await outbox.find('third', KEY.key)).toBeNull();
      expect(await outbox.find('ifaxin', 'another')).toBeNull();
    });

    test('of many at once keeps one message', async () => {
      const puts = await Promise.all(
        Array.from({ length: 20 }, (_, index) => outbox.put(keyed(`m${index}`))),
      );
      const claimed = await claimOne();
      expect(puts.filter(({ state }) => state === 'put')).toEqual([{ state: 'put', id: claimed.id }]);
      expect(puts.filter(({ state }) => state === 'known')).toHaveLength(19);
      expect(puts.every((put) => 'id' in put && put.id === claimed.id)).toBe(true);
    });

    test('is kept while its message waits, however long', async () => {
      await putAll(keyed('a', { sendAt: Date.now() + 5 * KEPT_MS }));
      advance(4 * KEPT_MS);
      expect(await outbox.put(keyed('b'))).toEqual({ state: 'known', id: 'a' });
      expect(await outbox.find('ifaxin', KEY.key)).toMatchObject({ id: 'a' });
      advance(KEPT_MS + LATE_MS);
      await claimOne();
      expect(await outbox.put(keyed('b'))).toEqual({ state: 'known', id: 'a' });
    });

    test.each([
      ['settled', async () => outbox.settle(await claimOne(), ACCEPTED)],
      ['cancelled', () => outbox.cancel('ifaxin', 'a')],
    ])('lasts 24 hours from when it was %s; then another request is a new one', async (_, end) => {
      await putAll(keyed('a'));
      advance(KEPT_MS);
      await end();
      advance(KEPT_MS - MINUTE);
      expect(await outbox.put(keyed('b'))).toEqual({ state: 'known', id: 'a' });
      advance(2 * MINUTE);
      expect(await outbox.find('ifaxin', KEY.key)).toBeNull();
      expect(await stateOf('a')).not.toBe('queued');
      const other = { ...KEY, fingerprint: 'other' };
      await putAll(entry('b', { key: other }));
      expect(await outbox.find('ifaxin', KEY.key)).toEqual({ id: 'b', fingerprint: 'other' });
      expect(await outbox.put(keyed('c'))).toEqual({ state: 'mismatch' });
      expect((await claimOne()).id).toBe('b');
    });

    test('that has had its time makes one message of many puts at once', async () => {
      await putAll(keyed('a'));
      await outbox.settle(await claimOne(), ACCEPTED);
      advance(KEPT_MS + MINUTE);
      const puts = await Promise.all(Array.from({ length: 10 }, () => outbox.put(keyed('a'))));
      expect(puts.filter(({ state }) => state === 'put')).toHaveLength(1);
      expect((await claimOne()).id).toBe('a');
    });

    test('ends after 24 hours under the same id too: its state is that of the new message', async () => {
      await putAll(keyed('a'));
      await outbox.settle(await claimOne(), ACCEPTED);
      advance(KEPT_MS - MINUTE);
      await outbox.sweep();
      expect(await outbox.put(keyed('a'))).toEqual({ state: 'known', id: 'a' });
      advance(2 * MINUTE);
      await outbox.sweep();
      expect(await outbox.find('ifaxin', KEY.key)).toBeNull();
      const createdAt = Date.now();
      await putAll(keyed('a', { content: new TextEncoder().encode('again') }));
      expect(await read('a')).toMatchObject({ state: 'queued', createdAt });
      expect(idsOf((await list()).records)).toEqual(['a']);
      expect(Buffer.from((await claimOne()).content).toString()).toBe('again');
    });
  });

  describe('claim', () => {
    test.skipIf(lacking.order)('takes the oldest due first', async () => {
      const at = Date.now();
      await putAll(
        entry('c', { sendAt: at + 3 }),
        entry('a', { sendAt: at + 1 }),
        entry('b', { sendAt: at + 2 }),
      );
      advance(10);
      await putAll(entry('d'), entry('e'));
      expect(idsOf(await claim(4))).toEqual(['a', 'b', 'c', 'd']);
      expect(idsOf(await claim(4))).toEqual(['e']);
    });

    test('gives no more than is asked, and none twice', async () => {
      await putAll(entry('a'), entry('b'), entry('c'));
      const first = idsOf(await claim(2));
      const second = idsOf(await claim(2));
      expect(first).toHaveLength(2);
      expect([...first, ...second].sort()).toEqual(['a', 'b', 'c']);
      expect(await claim()).toEqual([]);
    });

    test('takes the api_users in turn within one claim', async () => {
      const users = ['u1', 'u2', 'u3'];
      for (const apiUser of users) {
        for (const n of [1, 2, 3]) await putAll(entry(`${apiUser}-${n}`, { apiUser }));
      }
      const claims = await claim(9);
      expect(
        claims
          .slice(0, 3)
          .map(({ apiUser }) => apiUser)
          .sort(),
      ).toEqual(users);
      expect(
        claims
          .slice(3, 6)
          .map(({ apiUser }) => apiUser)
          .sort(),
      ).toEqual(users);
    });

    test.skipIf(lacking.order)('takes the api_users in turn from claim to claim', async () => {
      for (const n of [1, 2, 3, 4, 5, 6]) await putAll(entry(`long-${n}`, { apiUser: 'long' }));
      advance(MINUTE);
      await putAll(entry('short-1', { apiUser: 'short' }), entry('short-2', { apiUser: 'short' }));
      const seen: string[] = [];
      for (let n = 0; n < 4; n++) seen.push(...(await claim(1)).map(({ apiUser }) => apiUser));
      expect(seen).toEqual(['long', 'short', 'long', 'short']);
      expect(idsOf(await claim(2))).toEqual(['long-3', 'long-4']);
    });

    test('leaves the api_users in `except` where they are', async () => {
      await putAll(
        entry('a', { apiUser: 'u1' }),
        entry('b', { apiUser: 'u2' }),
        entry('c', { apiUser: 'u1' }),
      );
      expect(idsOf(await claim(100, new Set(['u1'])))).toEqual(['b']);
      expect(await outbox.read('u1', 'a')).toMatchObject({ state: 'queued', attempts: [] });
      advance(LATE_MS);
      expect(idsOf(await claim()).sort()).toEqual(['a', 'c']);
    });

    test('by several workers at once gives no message to two of them', async () => {
      const ids = Array.from({ length: 40 }, (_, index) => `m${index}`);
      await Promise.all(ids.map((id, index) => outbox.put(entry(id, { apiUser: `u${index % 3}` }))));
      const claims = (await Promise.all(Array.from({ length: 8 }, () => claim(10)))).flat();
      expect(idsOf(claims).sort()).toEqual(ids.sort());
    });

    test('waits for sendAt', async () => {
      const sendAt = Date.now() + HOUR;
      await putAll(entry('later', { sendAt }), entry('past', { sendAt: Date.now() - HOUR }));
      expect(await read('later')).toMatchObject({ state: 'queued', sendAt, nextAttemptAt: sendAt });
      const past = await claimOne();
      expect(past.id).toBe('past');
      await outbox.settle(past, ACCEPTED);
      advance(HOUR - 1);
      expect(await claim()).toEqual([]);
      advance(1 + LATE_MS);
      expect(idsOf(await claim())).toEqual(['later']);
    });
  });

  describe('a lease', () => {
    test('that ran out without a mark: nothing was sent, the message is due', async () => {
      await putAll(entry('a'));
      const first = await claimOne();
      advance(LEASE_MS - 1);
      expect(await claim()).toEqual([]);
      advance(1 + LATE_MS);
      const second = await claimOne();
      expect(second.id).toBe('a');
      expect(second.fence).toBeGreaterThan(first.fence);
      expect(second.attempts).toBe(0);
    });

    test('that ran out with a mark: the outcome is unknown, for good', async () => {
      await putAll(entry('a'));
      const first = await claimOne();
      expect(await outbox.mark(first)).toBe(true);
      advance(LEASE_MS - 1);
      expect(await claim()).toEqual([]);
      expect(await stateOf('a')).toBe('sending');
      advance(1 + LATE_MS);
      expect(await claim()).toEqual([]);
      expect(await read('a')).toMatchObject({
        state: 'unknown',
        nextAttemptAt: null,
        outcome: { delivery: 'unknown', code: 'outcome-unknown' },
      });
      expect(await outbox.mark(first)).toBe(false);
      await outbox.settle(first, ACCEPTED);
      await outbox.postpone(first, Date.now(), null);
      advance(LATE_MS);
      expect(await claim()).toEqual([]);
      expect(await stateOf('a')).toBe('unknown');
    });

    test('of a message that its worker is sending runs on, whatever the clock says', async () => {
      await putAll(entry('held'), entry('other'));
      const claims = await claim();
      for (const one of claims) expect(await outbox.mark(one)).toBe(true);
      advance(HOUR);
      const held = new Set(['held']);
      expect(await outbox.claim({ count: 100, leaseMs: LEASE_MS, except: NONE, held })).toEqual([]);
      expect(await stateOf('held')).toBe('sending');
      expect(await stateOf('other')).toBe('unknown');
      await outbox.settle(claims.find(({ id }) => id === 'held') as Claim, ACCEPTED);
      expect(await stateOf('held')).toBe('accepted');
    });

    test('is nothing to its former owner', async () => {
      await putAll(entry('a'));
      const first = await claimOne();
      advance(LEASE_MS + LATE_MS);
      const second = await claimOne();
      expect(await outbox.mark(first)).toBe(false);
      await outbox.settle(first, REFUSED);
      await outbox.postpone(first, Date.now() + HOUR, { at: Date.now(), ...BUSY });
      expect(await read('a')).toMatchObject({ state: 'sending', attempts: [] });
      expect(await outbox.mark(second)).toBe(true);
      await outbox.settle(second, ACCEPTED);
      await outbox.settle(first, REFUSED);
      await outbox.postpone(first, Date.now(), null);
      expect(await read('a')).toMatchObject({ state: 'accepted', outcome: ACCEPTED });
    });

    test('ends with the message', async () => {
      await putAll(entry('a'), entry('b'));
      const [one, other] = (await claim()) as [Claim, Claim];
      await outbox.settle(one, ACCEPTED);
      await outbox.postpone(other, Date.now() + HOUR, null);
      expect(await outbox.mark(one)).toBe(false);
      expect(await outbox.mark(other)).toBe(false);
      await outbox.settle(one, REFUSED);
      await outbox.settle(other, REFUSED);
      expect(await stateOf(one.id)).toBe('accepted');
      expect(await stateOf(other.id)).toBe('queued');
    });

    test('may be marked twice, and postponed after a mark', async () => {
      await putAll(entry('a'));
      const first = await claimOne();
      expect(await outbox.mark(first)).toBe(true);
      expect(await outbox.mark(first)).toBe(true);
      // Upstream deferred it after the dot.
      await outbox.postpone(first, Date.now() + 1, { at: Date.now(), ...BUSY });
      advance(1 + LATE_MS);
      await claimOne();
      advance(LEASE_MS + LATE_MS);
      expect((await claimOne()).id).toBe('a');
    });

    test('of a message of another api_user is no other’s', async () => {
      await putAll(entry('a'));
      const claimed = await claimOne();
      expect(await outbox.mark({ ...claimed, fence: claimed.fence + 1 })).toBe(false);
      expect(await outbox.mark({ ...claimed, id: 'b' })).toBe(false);
      expect(await outbox.mark(claimed)).toBe(true);
    });
  });

  describe('settle', () => {
    test.each([
      ['accepted', ACCEPTED],
      ['failed', REFUSED],
      ['unknown', failure('outcome-unknown', 'Upstream fell silent after the final dot.')],
      ['unknown', failure('internal', 'A bug.')],
    ] as const)('ends it as %s', async (state, outcome) => {
      await putAll(entry('a'));
      await outbox.settle(await claimOne(), outcome);
      expect(await read('a')).toMatchObject({ state, nextAttemptAt: null });
      expect((await read('a')).outcome).toEqual(outcome);
      advance(LEASE_MS + LATE_MS);
      expect(await claim()).toEqual([]);
    });

    test('twice by its owner is once', async () => {
      await putAll(entry('a'));
      const claimed = await claimOne();
      await outbox.settle(claimed, ACCEPTED);
      await outbox.settle(claimed, ACCEPTED);
      expect((await read('a')).outcome).toEqual(ACCEPTED);
    });
  });

  describe('postpone', () => {
    test('with an attempt keeps what went wrong', async () => {
      await putAll(entry('a'));
      const at = Date.now() + MINUTE;
      const attempt = {
        at: Date.now(),
        code: 'upstream-busy',
        detail: 'Upstream “deferred” it.',
        smtp: { code: 451, enhanced: '4.3.2', phase: 'rcpt', response: '451 4.3.2 later' },
      } as const;
      await outbox.postpone(await claimOne(), at, attempt);
      expect(await read('a')).toMatchObject({ state: 'queued', nextAttemptAt: at, attempts: [attempt] });
      advance(MINUTE - 1);
      expect(await claim()).toEqual([]);
      advance(1 + LATE_MS);
      expect(await claimOne()).toMatchObject({ attempts: 1, firstAttemptAt: attempt.at });
    });

    test('without an attempt is only a wait', async () => {
      await putAll(entry('a'));
      const at = Date.now() + MINUTE;
      await outbox.postpone(await claimOne(), at, null);
      expect(await read('a')).toMatchObject({ state: 'queued', nextAttemptAt: at, attempts: [] });
      advance(MINUTE + LATE_MS);
      expect(await claimOne()).toMatchObject({ attempts: 0, firstAttemptAt: null });
    });

    test('into the past makes it due at once', async () => {
      await putAll(entry('a'));
      await outbox.postpone(await claimOne(), Date.now() - HOUR, null);
      advance(LATE_MS);
      await claimOne();
    });

    test('counts all attempts and keeps the latest', async () => {
      await putAll(entry('a'));
      const first = Date.now();
      const most = MOST_ATTEMPTS_KEPT + 5;
      for (let n = 0; n < most; n++) {
        const attempt = { at: Date.now(), ...BUSY, detail: `number ${n}` };
        await outbox.postpone(await claimOne(), Date.now() + SECOND, attempt);
        advance(SECOND + LATE_MS);
      }
      const { attempts } = await read('a');
      expect(attempts.map(({ detail }) => detail)).toEqual(
        Array.from({ length: MOST_ATTEMPTS_KEPT }, (_, index) => `number ${index + 5}`),
      );
      expect(await claimOne()).toMatchObject({ attempts: most, firstAttemptAt: first });
    });
  });

  describe('cancel', () => {
    test('ends a message that waits', async () => {
      await putAll(entry('now'), entry('later', { sendAt: Date.now() + HOUR }));
      expect(await outbox.cancel('ifaxin', 'now')).toBe('cancelled');
      expect(await outbox.cancel('ifaxin', 'later')).toBe('cancelled');
      expect(await read('now')).toMatchObject({ state: 'cancelled', outcome: null, nextAttemptAt: null });
      advance(HOUR + LATE_MS);
      expect(await claim()).toEqual([]);
    });

    test('ends one that waits for its next attempt', async () => {
      await putAll(entry('a'));
      await outbox.postpone(await claimOne(), Date.now() + MINUTE, { at: Date.now(), ...BUSY });
      expect(await outbox.cancel('ifaxin', 'a')).toBe('cancelled');
      advance(MINUTE + LATE_MS);
      expect(await claim()).toEqual([]);
      expect((await read('a')).attempts).toHaveLength(1);
    });

    test('comes too late while it is being sent, and after its end', async () => {
      await putAll(entry('a'));
      const claimed = await claimOne();
      expect(await outbox.cancel('ifaxin', 'a')).toBe('not-cancellable');
      expect(await outbox.mark(claimed)).toBe(true);
      expect(await outbox.cancel('ifaxin', 'a')).toBe('not-cancellable');
      await outbox.settle(claimed, ACCEPTED);
      expect(await outbox.cancel('ifaxin', 'a')).toBe('not-cancellable');
      expect(await stateOf('a')).toBe('accepted');
      await putAll(entry('b'));
      await outbox.cancel('ifaxin', 'b');
      expect(await outbox.cancel('ifaxin', 'b')).toBe('not-cancellable');
    });

    test('and claim at once: one of them wins', async () => {
      const ids = Array.from({ length: 10 }, (_, index) => `m${index}`);
      await putAll(...ids.map((id) => entry(id)));
      const [claims, ...cancelled] = await Promise.all([
        claim(),
        ...ids.map((id) => outbox.cancel('ifaxin', id)),
      ]);
      const claimed = new Set(idsOf(claims));
      expect(cancelled).toEqual(ids.map((id) => (claimed.has(id) ? 'not-cancellable' : 'cancelled')));
    });

    test('knows no message of another api_user', async () => {
      await putAll(entry('a'));
      expect(await outbox.cancel('other', 'a')).toBeNull();
      expect(await outbox.cancel('ifaxin', 'b')).toBeNull();
      expect(await stateOf('a')).toBe('queued');
    });
  });

  describe('read and list', () => {
    test('show an api_user its own messages', async () => {
      await putAll(entry('a'), entry('b', { apiUser: 'other' }));
      expect(await outbox.read('other', 'a')).toBeNull();
      expect(await outbox.read('ifaxin', 'b')).toBeNull();
      expect(await outbox.read('ifaxin', 'no such')).toBeNull();
      expect(idsOf((await list()).records)).toEqual(['a']);
      expect(idsOf((await list({}, 'other')).records)).toEqual(['b']);
      expect(await list({}, 'third')).toEqual({ records: [], cursor: null });
      // No part of a name stands for another api_user.
      for (const apiUser of ['', 'ifax', 'ifaxin/', 'ifaxin%', 'ifaxin_', "'", '*']) {
        expect((await list({}, apiUser)).records).toEqual([]);
      }
    });

    test('list shows what read does, newest first', async () => {
      for (const id of ['a', 'b', 'c']) {
        await putAll(entry(id, { sendAt: id === 'a' ? Date.now() + HOUR : null }));
        advance(1);
      }
      await outbox.cancel('ifaxin', 'b');
      const { records, cursor } = await list();
      expect(records).toEqual([await read('c'), await read('b'), await read('a')]);
      expect(cursor).toBeNull();
    });

    test('list goes page by page, whatever is put meanwhile', async () => {
      const ids = Array.from({ length: 7 }, (_, index) => `m${index}`);
      for (const id of ids) await putAll(entry(id));
      const seen: string[] = [];
      let cursor: string | null = null;
      let pages = 0;
      do {
        const page = await list({ limit: 3, cursor });
        seen.push(...idsOf(page.records));
        cursor = page.cursor;
        await putAll(entry(`new${pages}`));
        pages++;
      } while (cursor !== null);
      expect(seen).toEqual(ids.reverse());
      expect(pages).toBe(3);
    });

    test('a page that is the last has no cursor, a full one too', async () => {
      await putAll(entry('a'), entry('b'));
      expect((await list({ limit: 2 })).cursor).toBeNull();
      expect((await list({ limit: 1 })).cursor).not.toBeNull();
    });

    test('list of one state', async () => {
      for (const id of ['a', 'b', 'c', 'd', 'e']) await putAll(entry(id));
      const claims = new Map((await claim()).map((one) => [one.id, one]));
      await outbox.settle(claims.get('a') as Claim, ACCEPTED);
      await outbox.settle(claims.get('b') as Claim, REFUSED);
      await outbox.settle(claims.get('c') as Claim, ACCEPTED);
      await outbox.postpone(claims.get('d') as Claim, Date.now() + HOUR, null);
      const idsIn = async (state: OutboxState) => idsOf((await list({ state })).records);
      expect(await idsIn('accepted')).toEqual(['c', 'a']);
      expect(await idsIn('failed')).toEqual(['b']);
      expect(await idsIn('queued')).toEqual(['d']);
      expect(await idsIn('sending')).toEqual(['e']);
      expect(await idsIn('unknown')).toEqual([]);
      const page = await list({ state: 'accepted', limit: 1 });
      expect(idsOf(page.records)).toEqual(['c']);
      expect(idsOf((await list({ state: 'accepted', limit: 1, cursor: page.cursor })).records)).toEqual([
        'a',
      ]);
    });

    test.each(['', 'x', '-1', '1e9', '9'.repeat(40), "';--", 'é'])(
      'a cursor %j that was never given is told as such',
      async (cursor) => {
        await putAll(entry('a', { apiUser: 'other' }));
        expect(await outbox.list('ifaxin', { state: null, limit: 100, cursor })).toBeNull();
      },
    );
  });

  describe('what waits', () => {
    test('nextDueAt is null where nothing waits, and never later than what is due next', async () => {
      expect(await outbox.nextDueAt()).toBeNull();
      const sendAt = Date.now() + HOUR;
      await putAll(entry('a', { sendAt }));
      expect(await outbox.nextDueAt()).toBeLessThanOrEqual(sendAt);
      advance(HOUR + LATE_MS);
      await outbox.settle(await claimOne(), ACCEPTED);
      expect(await outbox.nextDueAt()).toBeNull();
    });

    test.skipIf(lacking.counts)('nextDueAt is the next due time or the end of a lease', async () => {
      const start = Date.now();
      await putAll(entry('a', { sendAt: start + HOUR }), entry('b', { sendAt: start + MINUTE }));
      expect(await outbox.nextDueAt()).toBe(start + MINUTE);
      await outbox.cancel('ifaxin', 'b');
      expect(await outbox.nextDueAt()).toBe(start + HOUR);
      await putAll(entry('c', { apiUser: 'other' }));
      expect(await outbox.nextDueAt()).toBe(start);
      const claimed = await claimOne();
      expect(await outbox.nextDueAt()).toBe(claimed.leasedUntil);
      await outbox.postpone(claimed, start + 5, null);
      expect(await outbox.nextDueAt()).toBe(start + 5);
    });

    test.skipIf(lacking.counts)('depth is what waits and since when it has been due', async () => {
      expect(await outbox.depth()).toEqual({ waiting: 0, oldestDueAt: null });
      const start = Date.now();
      await putAll(entry('a', { sendAt: start + HOUR }));
      expect(await outbox.depth()).toEqual({ waiting: 1, oldestDueAt: null });
      await putAll(entry('b'), entry('c', { apiUser: 'other' }));
      advance(10);
      expect(await outbox.depth()).toEqual({ waiting: 3, oldestDueAt: start });
      const claims = await claim();
      expect(await outbox.depth()).toEqual({ waiting: 3, oldestDueAt: null });
      for (const one of claims) await outbox.settle(one, ACCEPTED);
      expect(await outbox.depth()).toEqual({ waiting: 1, oldestDueAt: null });
      await outbox.cancel('ifaxin', 'a');
      expect(await outbox.depth()).toEqual({ waiting: 0, oldestDueAt: null });
    });

    test('ping answers', async () => {
      await outbox.ping();
    });
  });

  describe('the bound', () => {
    const large = (id: string, more: Partial<NewEntry> = {}) =>
      entry(id, { content: new Uint8Array(60_000), ...more });

    test.skipIf(lacking.bound)('refuses what does not fit until something has ended', async () => {
      await made.close();
      await open({ maxBytes: 100_000 });
      await putAll(large('a', { key: { key: 'k', fingerprint: 'print' } }));
      const full = { state: 'full', retryAfterMs: expect.any(Number) };
      expect(await outbox.put(large('b', { key: { key: 'l', fingerprint: 'print' } }))).toEqual(full);
      expect(await outbox.read('ifaxin', 'b')).toBeNull();
      expect(await outbox.find('ifaxin', 'l')).toBeNull();
      // What is known needs no room.
      expect(await outbox.put(large('c', { key: { key: 'k', fingerprint: 'print' } }))).toEqual({
        state: 'known',
        id: 'a',
      });
      const claimed = await claimOne();
      expect(await outbox.put(large('b'))).toEqual(full);
      await outbox.settle(claimed, ACCEPTED);
      await putAll(large('b'));
      expect(await outbox.put(large('c'))).toEqual(full);
      await outbox.cancel('ifaxin', 'b');
      await putAll(large('c'));
    });

    test.skipIf(lacking.bound)('holds for messages put at once', async () => {
      await made.close();
      await open({ maxBytes: 200_000 });
      const puts = await Promise.all(
        Array.from({ length: 10 }, (_, index) => outbox.put(large(`m${index}`))),
      );
      expect(puts.filter(({ state }) => state === 'put')).toHaveLength(3);
    });
  });

  describe('sweep', () => {
    test('forgets what ended long ago and nothing else', async () => {
      await putAll(entry('accepted'), entry('cancelled', { sendAt: Date.now() + HOUR }));
      await outbox.settle(await claimOne(), ACCEPTED);
      await outbox.cancel('ifaxin', 'cancelled');
      await putAll(entry('waiting', { sendAt: Date.now() + 2 * KEEP_MS }));
      advance(KEEP_MS - MINUTE);
      await outbox.sweep();
      expect(idsOf((await list()).records)).toEqual(['waiting', 'cancelled', 'accepted']);
      advance(2 * MINUTE);
      await outbox.sweep();
      expect(idsOf((await list()).records)).toEqual(['waiting']);
      expect(await outbox.read('ifaxin', 'accepted')).toBeNull();
      expect(await outbox.cancel('ifaxin', 'cancelled')).toBeNull();
    });
  });

  describe('a clock that is set', () => {
    test.each([-HOUR, HOUR, -2 * KEEP_MS, 2 * KEEP_MS])(
      'by %i ms loses and doubles nothing',
      async (step) => {
        await putAll(entry('leased'), entry('marked'));
        const claims = await claim();
        for (const one of claims) if (one.id === 'marked') expect(await outbox.mark(one)).toBe(true);
        await putAll(entry('before'));
        advance(step);
        await outbox.sweep();
        await putAll(entry('after'));
        const seen: string[] = [];
        const send = async () => {
          for (const one of await claim()) {
            expect(await outbox.mark(one)).toBe(true);
            await outbox.settle(one, ACCEPTED);
            seen.push(one.id);
          }
        };
        await send();
        advance(LATE_MS - step);
        await send();
        advance(LEASE_MS + LATE_MS);
        await send();
        expect(seen.sort()).toEqual(['after', 'before', 'leased']);
        expect(await stateOf('marked')).toBe('unknown');
      },
    );
  });

  describe('a crash', () => {
    test('loses nothing that was put, and no key', async (context) => {
      if (!made.reopen) return context.skip();
      const key = { key: 'k', fingerprint: 'print' };
      await putAll(entry('a', { key }), entry('b', { sendAt: Date.now() + HOUR }));
      await reopen();
      expect(await outbox.put(entry('c', { key }))).toEqual({ state: 'known', id: 'a' });
      expect((await claimOne()).id).toBe('a');
      expect(await outbox.depth()).toMatchObject({ waiting: 2 });
      advance(HOUR);
      expect((await claim()).map(({ id }) => id)).toContain('b');
    });

    test('while it was sent: without a mark it is due at once, with one it is unknown', async (context) => {
      if (!made.reopen) return context.skip();
      await putAll(entry('a'), entry('b'));
      const claims = await claim();
      const first = claims.find(({ id }) => id === 'a') as Claim;
      expect(await outbox.mark(claims.find(({ id }) => id === 'b') as Claim)).toBe(true);
      await reopen();
      const second = await claimOne();
      expect(second.id).toBe('a');
      expect(second.fence).toBeGreaterThan(first.fence);
      expect(await read('b')).toMatchObject({ state: 'unknown', outcome: { code: 'outcome-unknown' } });
      expect(await outbox.mark(first)).toBe(false);
    });

    test('keeps the count of what waits', async (context) => {
      if (!made.reopen) return context.skip();
      await made.close();
      await open({ maxBytes: 100_000 });
      await putAll(entry('a', { content: new Uint8Array(60_000) }));
      await reopen();
      expect(await outbox.put(entry('b', { content: new Uint8Array(60_000) }))).toMatchObject({
        state: 'full',
      });
    });
  });
}
