/** One message's way to upstream: what is drawn, when it is tried again, and what is told besides the outcome. */

import { describe, expect, it } from 'vitest';
import { createDeliverer, type Delivered, type Deliverer, type Delivery } from '../src/deliver.ts';
import type { Quota } from '../src/quota.ts';
import { StoreUnavailable } from '../src/store.ts';
import { createMemoryQuota } from '../src/stores/memory/quota.ts';
import { ENVELOPE, LOGIN, MESSAGE, once, type RunningRelay, soon, startRelay } from './relay/relay.ts';
import type { UpstreamOptions } from './support/upstream.ts';

const LIMIT = 10;

interface Running extends RunningRelay {
  readonly deliverer: Deliverer;
  readonly quota: Quota;
  /** A whole delivery, with what it took. */
  whole(delivery?: Partial<Delivery>, signal?: AbortSignal): Promise<Delivered>;
}

/** With a quota of the test's own, of which some methods may be replaced. */
async function start(
  replaced: Partial<Quota> = {},
  options: UpstreamOptions = {},
  connections = 1,
): Promise<Running> {
  const relay = await startRelay({ connections }, options);
  const quota = { ...createMemoryQuota({ windowMs: 60_000, guardMs: 500 }), ...replaced };
  const deliverer = createDeliverer({ relay: relay.pool, quota });
  return {
    ...relay,
    quota,
    deliverer,
    whole: (delivery = {}, signal = soon()) =>
      deliverer.deliver(
        { login: LOGIN, limit: LIMIT, envelope: ENVELOPE, content: MESSAGE, ...delivery },
        signal,
      ),
  };
}

/** The one connection is free again, and is used for the next message. */
async function expectGivenBack(relay: Running): Promise<void> {
  expect(await relay.send()).toMatchObject({ delivery: 'accepted' });
  expect(relay.upstream.sessions).toHaveLength(1);
}

const away = () => Promise.reject(new StoreUnavailable('away'));

describe.concurrent('a delivery', { timeout: 30_000 }, () => {
  it('tells what is left of the window, the tries, and the time that each step took', async () => {
    await using relay = await start();
    const startedAt = performance.now();
    const { outcome, quota, attempts, timing } = await relay.whole();
    const elapsed = performance.now() - startedAt;
    expect(outcome).toMatchObject({ delivery: 'accepted' });
    expect(quota).toMatchObject({ limit: LIMIT, remaining: LIMIT - 1 });
    expect(attempts).toBe(1);
    expect(Object.keys(timing)).toEqual(['lease', 'draw', 'send']);
    for (const step of Object.values(timing)) expect(step).toBeGreaterThan(0);
    expect(timing.lease + timing.draw + timing.send).toBeLessThanOrEqual(elapsed);
  });

  it.each([
    ['support@ifaxin.com', 'ifaxin.com'],
    ['"a@b"@ifaxin.com', 'ifaxin.com'],
    ['', '[127.0.0.1]'],
  ])('from %j: says EHLO %s', async (from, helo) => {
    await using relay = await start();
    await relay.whole({ envelope: { ...ENVELOPE, from } });
    expect(relay.said(0)).toContain(`C: EHLO ${helo}`);
  });

  it('lost before MAIL was answered: twice more, each on a connection that logs in now', async () => {
    await using relay = await start({}, {}, 3);
    const warm = await Promise.all([relay.lease(), relay.lease(), relay.lease()]);
    for (const lease of warm) lease.release();
    relay.upstream.faults = [{ at: 'mail', do: 'close', times: 2 }];
    const { outcome, attempts, quota } = await relay.whole();
    expect(outcome).toMatchObject({ delivery: 'accepted' });
    expect([attempts, quota?.remaining, relay.upstream.logins.length]).toEqual([3, LIMIT - 3, 5]);
  });

  it('lost three times is a failure, without a mark of its own to try again', async () => {
    await using relay = await start({}, { faults: [{ at: 'mail', do: 'close' }] });
    const { outcome, attempts } = await relay.whole();
    expect(outcome).toEqual({
      delivery: 'not-sent',
      code: 'upstream-unreachable',
      detail: expect.any(String),
    });
    expect(attempts).toBe(3);
    expect(relay.upstream.transactions).toHaveLength(3);
  });

  it('lost when its deadline has passed: not tried again', async () => {
    const over = new AbortController();
    const memory = createMemoryQuota({ windowMs: 60_000, guardMs: 500 });
    const draw: Quota['draw'] = (...asked) => {
      over.abort();
      return memory.draw(...asked);
    };
    await using relay = await start({ draw }, { faults: [{ at: 'mail', do: 'close' }] });
    const { outcome, attempts } = await relay.whole({}, over.signal);
    expect(outcome).toMatchObject({ delivery: 'not-sent' });
    expect(outcome).not.toHaveProperty('again');
    expect(attempts).toBe(1);
  });
});

describe.concurrent('before a call is drawn', { timeout: 30_000 }, () => {
  it.each([
    [100, 'accepted'],
    [101, 'not-sent'],
  ])('upstream takes 100 bytes, and the message has %i: %s', async (size, delivery) => {
    const features = ['8BITMIME', 'SIZE 100', 'PIPELINING', 'STARTTLS', 'AUTH LOGIN'];
    await using relay = await start({}, { features });
    const { outcome, quota } = await relay.whole({ envelope: { ...ENVELOPE, size } });
    expect(outcome).toMatchObject({ delivery });
    if (delivery === 'not-sent') {
      expect(outcome).toMatchObject({
        code: 'message-too-large',
        detail: 'The message has 101 bytes as transferred; upstream takes 100.',
      });
      expect(quota).toBeNull();
    }
    await expectGivenBack(relay);
  });

  it('a size that is not known, or an upstream that names none: sent', async () => {
    await using relay = await start({}, { features: ['STARTTLS', 'AUTH LOGIN'] });
    expect(await relay.deliver({ envelope: { ...ENVELOPE, size: 1e9 } })).toMatchObject({
      delivery: 'accepted',
    });
    await using known = await start();
    expect(await known.deliver({ envelope: { ...ENVELOPE, size: null } })).toMatchObject({
      delivery: 'accepted',
    });
  });

  it('a login that upstream refuses is told, and nothing is drawn', async () => {
    await using relay = await start({}, { faults: [{ at: 'auth-key', do: { reply: '535 no' } }] });
    const { outcome, quota, attempts } = await relay.whole();
    expect(outcome).toMatchObject({ code: 'upstream-credentials', delivery: 'not-sent' });
    expect([quota, attempts]).toEqual([null, 1]);
  });

  it('the deadline has passed: nothing is drawn, and the warm connection stays', async () => {
    await using relay = await start();
    await relay.send();
    const { outcome, quota } = await relay.whole({}, AbortSignal.abort());
    expect(outcome).toMatchObject({ code: 'upstream-timeout', delivery: 'not-sent' });
    expect(quota).toBeNull();
    await expectGivenBack(relay);
    expect(relay.upstream.transactions).toHaveLength(2);
  });
});

describe.concurrent('the draw', { timeout: 30_000 }, () => {
  it('refused: nothing is sent, and when it would fit is told', async () => {
    await using relay = await start();
    await relay.quota.draw(LOGIN.apiUser, LIMIT, LIMIT);
    const { outcome, quota, attempts } = await relay.whole();
    const retryAfterMs = 'retryAfterMs' in outcome ? (outcome.retryAfterMs ?? 0) : 0;
    expect(retryAfterMs).toBeGreaterThan(59_000);
    expect(outcome).toEqual({
      delivery: 'not-sent',
      code: 'quota-exceeded',
      detail: `The window of 10 calls has 0 left; this fits in ${Math.ceil(retryAfterMs / 1000)} s.`,
      retryAfterMs,
    });
    expect(quota).toMatchObject({ limit: LIMIT, remaining: 0 });
    expect(attempts).toBe(1);
    await expectGivenBack(relay);
  });

  it('from a store that is away: nothing is sent', async () => {
    await using relay = await start({ draw: away });
    const { outcome, quota } = await relay.whole();
    expect(outcome).toEqual({
      delivery: 'not-sent',
      code: 'quota-unavailable',
      detail: 'The quota store does not answer; nothing was sent.',
      retryAfterMs: 1000,
    });
    expect(quota).toBeNull();
    await expectGivenBack(relay);
  });

  it('that has a bug throws, and the connection is not lost by it', async () => {
    await using relay = await start({ draw: () => Promise.reject(new RangeError('a bug')) });
    await expect(relay.whole()).rejects.toThrow('a bug');
    await expectGivenBack(relay);
  });
});

describe.concurrent('upstream’s own limit', { timeout: 30_000 }, () => {
  const BOTH = { ...ENVELOPE, to: ['a@ifaxin.com', 'b@ifaxin.com'] };
  const limited = (at: 'mail' | 'rcpt') => [once(at, { reply: '536 frequency limited' })];

  it('closes the window for ten seconds', async () => {
    await using relay = await start({}, { faults: limited('mail') });
    const { outcome, quota } = await relay.whole();
    expect(outcome).toMatchObject({ code: 'quota-exceeded', smtp: { code: 536 }, retryAfterMs: 10_000 });
    expect(quota).toEqual({ limit: LIMIT, remaining: 0, resetMs: 10_000 });
    expect(await relay.quota.peek(LOGIN.apiUser, LIMIT)).toMatchObject({ remaining: 0 });
  });

  it('for one recipient among others: the message is accepted, and the window closed', async () => {
    await using relay = await start({}, { faults: limited('rcpt') });
    const { outcome, quota } = await relay.whole({ envelope: BOTH });
    expect(outcome).toMatchObject({ delivery: 'accepted', accepted: ['b@ifaxin.com'] });
    expect(outcome).not.toHaveProperty('retryAfterMs');
    expect(quota).toEqual({ limit: LIMIT, remaining: 0, resetMs: 10_000 });
    expect(await relay.quota.peek(LOGIN.apiUser, LIMIT)).toMatchObject({ remaining: 0 });
  });

  it('and a store that is away: the outcome stands', async () => {
    await using relay = await start({ close: away }, { faults: limited('rcpt') });
    expect((await relay.whole({ envelope: BOTH })).outcome).toMatchObject({ delivery: 'accepted' });
  });

  it('is no other refusal', async () => {
    await using relay = await start({}, { faults: [once('rcpt', { reply: '550 no' })] });
    expect((await relay.whole({ envelope: BOTH })).quota).toMatchObject({ remaining: LIMIT - 1 });
    relay.upstream.faults = [once('mail', { reply: '550 no' }, { delayMs: 100 })];
    expect((await relay.whole()).quota).toMatchObject({ remaining: LIMIT - 2 });
  });
});

describe.concurrent('the proof of a login', { timeout: 30_000 }, () => {
  it('is upstream’s own 235, and draws nothing', async () => {
    await using relay = await start();
    expect(await relay.deliverer.verify(LOGIN, soon())).toBeNull();
    relay.upstream.faults = [once('auth-key', { reply: '535 no' })];
    expect(await relay.deliverer.verify({ ...LOGIN, apiKey: 'wrong' }, soon())).toMatchObject({
      code: 'upstream-credentials',
    });
    expect(await relay.quota.peek(LOGIN.apiUser, LIMIT)).toMatchObject({ remaining: LIMIT });
  });

  it('is tried again where the connection is lost', async () => {
    await using relay = await start({}, { faults: [{ at: 'auth', do: 'close', times: 2 }] });
    expect(await relay.deliverer.verify(LOGIN, soon())).toBeNull();
    expect(relay.upstream.sessions).toHaveLength(3);
  });
});
