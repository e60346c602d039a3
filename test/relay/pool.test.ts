/** Warm connections: how many, how old, and whose. */

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { isFailure } from '../../src/outcome.ts';
import { type Fault, startUpstream } from '../support/upstream.ts';
import { ASKED, CERTIFICATE, ENVELOPE, LOGIN, MESSAGE, once, soon, startRelay } from './relay.ts';

describe.concurrent('the pool', () => {
  it('says QUIT on a connection that was idle for too long, and opens another', async () => {
    await using pool = await startRelay({ idleMs: 100 });
    await pool.send();
    while (pool.open() > 0) await pause(10);
    expect(pool.said(0)).toContain('C: QUIT');
    await pool.send();
    expect(pool.upstream.sessions).toHaveLength(2);
  });

  it('does not wait for the goodbye of a connection that was idle for too long', async () => {
    await using pool = await startRelay({ connections: 1, idleMs: 100 });
    pool.upstream.faults = [{ at: 'quit', do: 'silent' }];
    await pool.send();
    while (!pool.said(0).includes('C: QUIT')) await pause(10);
    // Less than the two seconds that QUIT may take.
    const leased = await pool.pool.lease(LOGIN, ASKED, AbortSignal.timeout(1500));
    expect(isFailure(leased)).toBe(false);
    pool.upstream.faults = [];
    if (!isFailure(leased)) leased.release();
  });

  it('never opens more connections than it may, and hands them on in turn', async () => {
    await using pool = await startRelay({ connections: 2 });
    await Promise.all(Array.from({ length: 20 }, () => pool.send()));
    expect(pool.upstream.sessions).toHaveLength(2);
    expect(pool.upstream.taken).toHaveLength(20);
  });

  it('lets the next one open its own where a connection is lost', async () => {
    await using pool = await startRelay({ connections: 1 });
    pool.upstream.faults = [{ at: 'dot', do: 'close', times: 1 }];
    const results = await Promise.all(Array.from({ length: 3 }, () => pool.send()));
    expect(results.filter(isFailure)).toHaveLength(1);
    expect(pool.upstream.sessions).toHaveLength(2);
  });

  it('does not let the next one wait for the clean-up behind a refused message', async () => {
    await using pool = await startRelay({ connections: 1 });
    pool.upstream.faults = [once('rcpt', { reply: '550 no' }), { at: 'rset', do: 'silent' }];
    expect(await pool.send()).toMatchObject({ code: 'recipients-refused' });
    // Less than the clean-up may take.
    const lease = await pool.pool.lease(LOGIN, ASKED, AbortSignal.timeout(1500));
    if (isFailure(lease)) throw new Error(lease.detail);
    expect(await lease.send(ENVELOPE, MESSAGE, soon())).toMatchObject({ delivery: 'accepted' });
    expect(pool.said(0)).toContain('C: RSET');
    // It goes by itself.
    while (pool.open() > 1) await pause(10);
  });

  it('uses a connection again when a refused message is cleaned up', async () => {
    await using pool = await startRelay({ connections: 1 });
    pool.upstream.faults = [once('rcpt', { reply: '550 no' })];
    await pool.send();
    while (!pool.said(0).includes('S: 250 OK')) await pause(10);
    await pause(10);
    expect(await pool.send()).toMatchObject({ delivery: 'accepted' });
    expect(pool.upstream.sessions).toHaveLength(1);
  });

  it('uses a connection again at once when a message was refused at its dot', async () => {
    await using pool = await startRelay({ connections: 1 });
    pool.upstream.faults = [once('dot', { reply: '550 no' })];
    expect(await pool.send()).toMatchObject({ code: 'message-refused' });
    expect(await pool.send()).toMatchObject({ delivery: 'accepted' });
    expect(pool.upstream.sessions).toHaveLength(1);
    expect(pool.said(0)).not.toContain('C: RSET');
  });

  it('closes a connection whose DATA stays open behind a refusal', async () => {
    await using pool = await startRelay({ connections: 1 });
    pool.upstream.faults = [
      once('rcpt', { reply: '550 no', meant: 250 }),
      once('data', { reply: '354 go on' }),
    ];
    expect(await pool.send()).toMatchObject({ code: 'recipients-refused' });
    expect(await pool.send()).toMatchObject({ delivery: 'accepted' });
    expect(pool.upstream.taken).toHaveLength(1);
    expect(pool.said(0)).not.toContain('C: RSET');
  });

  it('does not wait where the deadline has passed already', async () => {
    await using pool = await startRelay({ connections: 1 });
    const held = await pool.lease();
    const late = await pool.pool.lease(LOGIN, ASKED, AbortSignal.abort());
    expect(late).toMatchObject({
      code: 'upstream-timeout',
      detail: 'The deadline passed while all 1 connections of this login were busy.',
    });
    held.release();
    await pool.send();
    expect(pool.upstream.sessions).toHaveLength(1);
  });

  it('lets five hundred messages of a login wait, and no more', async () => {
    await using relay = await startRelay({ connections: 1 });
    const held = await relay.lease();
    const over = new AbortController();
    const waiting = Array.from({ length: 500 }, () => relay.pool.lease(LOGIN, ASKED, over.signal));
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 0, waiting: 500, logins: 1 });
    expect(await relay.pool.lease(LOGIN, ASKED, soon())).toMatchObject({
      code: 'overloaded',
      retryAfterMs: 1000,
      detail: '500 messages wait for one of the 1 connections of this login.',
    });
    over.abort();
    for (const one of await Promise.all(waiting)) expect(one).toMatchObject({ code: 'upstream-timeout' });
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 0, waiting: 0, logins: 1 });
    held.release();
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 1, waiting: 0, logins: 1 });
  });

  it('takes out of the row whose deadline has passed, and no other', async () => {
    await using relay = await startRelay({ connections: 1 });
    const held = await relay.lease();
    const over = new AbortController();
    const got: string[] = [];
    const waitAs = async (name: string, signal: AbortSignal) => {
      const leased = await relay.pool.lease(LOGIN, ASKED, signal);
      got.push(isFailure(leased) ? `${name}: ${leased.code}` : name);
      return leased;
    };
    const first = waitAs('first', soon());
    const second = waitAs('second', over.signal);
    const third = waitAs('third', soon());
    over.abort();
    await second;
    held.release();
    const lease = await first;
    if (!isFailure(lease)) lease.release();
    await third;
    expect(got).toEqual(['second: upstream-timeout', 'first', 'third']);
  });

  it('closes a connection that a login was proven by where there is no room for it', async () => {
    await using relay = await startRelay({ connections: 0 });
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    while (relay.open() > 0) await pause(10);
    expect(relay.said(0)).toContain('C: QUIT');
    expect(relay.pool.stats()).toEqual({ open: 0, idle: 0, waiting: 0, logins: 1 });
  });

  it('says QUIT where only the greeting was asked for', async () => {
    await using relay = await startRelay();
    expect(await relay.pool.greeting(soon())).toBeNull();
    while (relay.open() > 0) await pause(10);
    expect(relay.said(0)).toContain('C: QUIT');
    expect(relay.pool.stats()).toEqual({ open: 0, idle: 0, waiting: 0, logins: 0 });
    relay.upstream.faults = [{ at: 'greeting', do: { reply: '554 no' } }];
    expect(await relay.pool.greeting(soon())).toMatchObject({ smtp: { code: 554, phase: 'greeting' } });
  });

  it('keeps the key apart: a wrong one never gets a warm connection of the right one', async () => {
    await using pool = await startRelay();
    await pool.send();
    await pool.send({ ...LOGIN, apiKey: 'another' });
    expect(pool.upstream.logins.map(({ key }) => key)).toEqual(['the-key', 'another']);
  });

  it('logs in anew where that is asked for, and keeps to its number', async () => {
    await using pool = await startRelay({ connections: 1 });
    await pool.send();
    (await pool.lease(LOGIN, { ...ASKED, fresh: true })).release();
    expect(pool.upstream.logins).toHaveLength(2);
    expect(pool.said(0)).toContain('C: QUIT');
    const held = await pool.lease();
    const waiting = pool.lease(LOGIN, { ...ASKED, fresh: true });
    held.release();
    (await waiting).release();
    expect(pool.upstream.logins).toHaveLength(3);
    expect(pool.open()).toBe(1);
  });

  it('counts a connection until upstream has answered its QUIT', async () => {
    await using pool = await startRelay({ connections: 1 });
    await pool.send();
    pool.upstream.faults = [{ at: 'quit', do: 'silent' }];
    const held = await pool.lease(LOGIN, { ...ASKED, fresh: true });
    expect(pool.open()).toBe(1);
    pool.upstream.faults = [];
    held.release();
  });

  it('says QUIT to all when it closes, also to those given back later', async () => {
    await using pool = await startRelay();
    await pool.send();
    const held = await pool.lease({ ...LOGIN, label: 7 });
    await pool.pool.close();
    expect(pool.said(0)).toContain('C: QUIT');
    held.release();
    while (pool.open() > 0) await pause(10);
    expect(pool.said(1)).toContain('C: QUIT');
  });
});

describe.concurrent('a connection that fails', () => {
  /** The relay tries `first` before its own upstream. */
  async function startBehind(faults: Fault[]) {
    const first = await startUpstream({ certificate: CERTIFICATE, faults });
    const second = await startUpstream({ certificate: CERTIFICATE });
    const relay = await startRelay({ ports: [first.port, second.port], connections: 1 });
    return {
      first,
      relay,
      sessions: () => [first.sessions.length, second.sessions.length],
      async [Symbol.asyncDispose]() {
        await relay.pool.close();
        await Promise.all([relay.upstream.close(), first.close(), second.close()]);
      },
    };
  }

  it.each(['auth', 'auth-key', 'mail'] as const)(
    'because it is lost at %s: its port is left for the next',
    async (at) => {
      await using both = await startBehind([{ at, do: 'close' }]);
      expect(await both.relay.deliver()).toMatchObject({ delivery: 'accepted' });
      expect(await both.relay.deliver({ login: { ...LOGIN, label: 7 } })).toMatchObject({
        delivery: 'accepted',
      });
      expect(both.sessions()).toEqual([1, 2]);
    },
  );

  it.each([
    ['greeting', '554 no', 'upstream-unreachable', 2],
    ['auth-key', '535 no', 'upstream-credentials', 2],
    ['mail', '550 no', 'message-refused', 1],
  ] as const)('because %s was refused: its port is not left', async (at, reply, code, sessions) => {
    await using both = await startBehind([once(at, { reply })]);
    expect(await both.relay.deliver()).toMatchObject({ code });
    while (both.relay.pool.stats().open > both.relay.pool.stats().idle) await pause(5);
    expect(await both.relay.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(both.sessions()).toEqual([sessions, 0]);
  });

  it('because it is lost behind a message that went: its port is not left', async () => {
    await using both = await startBehind([]);
    expect(await both.relay.deliver()).toMatchObject({ delivery: 'accepted' });
    both.first.faults = [once('mail', 'close')];
    expect(await both.relay.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(both.sessions()).toEqual([2, 0]);
  });

  it('by a bug as it opens: its place is free again', async () => {
    await using relay = await startRelay({ connections: 1 });
    await expect(relay.lease(LOGIN, { ...ASKED, helo: 'a\r\nb' })).rejects.toThrow('line break');
    expect(relay.pool.stats()).toMatchObject({ open: 0, idle: 0 });
    expect(await relay.send()).toMatchObject({ delivery: 'accepted' });
  });

  it('by a bug amid a message: it is closed', async () => {
    await using relay = await startRelay({ connections: 1 });
    const lease = await relay.lease();
    const envelope = { ...ENVELOPE, from: 'a\r\nb' };
    await expect(lease.send(envelope, MESSAGE, soon())).rejects.toThrow('line break');
    expect(relay.pool.stats()).toMatchObject({ open: 0, idle: 0 });
    while (relay.open() > 0) await pause(5);
    expect(relay.said(0)).not.toContain('C: QUIT');
  });
});

// The clock is the whole process's: one after the other.
describe('the pool by the wall clock', () => {
  it('does not trust a connection by a clock that stood still', async () => {
    await using pool = await startRelay({ idleMs: 60_000 });
    await pool.send();
    const wallClock = Date.now;
    // A frozen container: no timer has run, and the wall clock is a minute on.
    Date.now = () => wallClock() + 61_000;
    try {
      await pool.send();
    } finally {
      Date.now = wallClock;
    }
    expect(pool.upstream.sessions).toHaveLength(2);
  });

  it.each([
    ['idle', 60_000, 59_999, 1],
    ['idle', 60_000, 60_000, 2],
    ['open', 3_600_000, 300_000, 1],
    ['open', 3_600_000, 300_001, 2],
  ])('a connection may be %s up to its time, to the millisecond', async (what, idleMs, age, sessions) => {
    await using pool = await startRelay({ idleMs, connections: 1 });
    const wallClock = Date.now;
    const started = wallClock();
    try {
      Date.now = () => started;
      const held = await pool.lease();
      if (what === 'idle') held.release();
      Date.now = () => started + age;
      if (what === 'open') held.release();
      await pool.send();
    } finally {
      Date.now = wallClock;
    }
    expect(pool.upstream.sessions).toHaveLength(sessions);
  });

  it.each([
    [19_999, 'is kept', 1],
    [20_000, 'is closed', 0],
  ])('a connection that slept for %i ms while its RSET was under way %s', async (slept, _, kept) => {
    await using relay = await startRelay({ connections: 1, idleMs: 20_000 });
    relay.upstream.faults = [once('rcpt', { reply: '550 no' }), { at: 'rset', delayMs: 100 }];
    const wallClock = Date.now;
    const started = wallClock();
    try {
      Date.now = () => started;
      expect(await relay.send()).toMatchObject({ code: 'recipients-refused' });
      Date.now = () => started + slept;
      while (relay.pool.stats().open > relay.pool.stats().idle) await pause(5);
      expect(relay.pool.stats().idle).toBe(kept);
    } finally {
      Date.now = wallClock;
    }
  });

  it('does not use a connection for ever: a revoked key ends with it', async () => {
    await using pool = await startRelay();
    const wallClock = Date.now;
    try {
      for (let minute = 0; minute < 8; minute++) {
        Date.now = () => wallClock() + minute * 59_000;
        await pool.send();
      }
    } finally {
      Date.now = wallClock;
    }
    expect(pool.upstream.logins).toHaveLength(2);
  });
});
