/** The connections to upstream, shared out by api_user. */

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { isFailure } from '../../src/outcome.ts';
import type { Pool } from '../../src/relay/pool.ts';
import type { Lease } from '../../src/transaction.ts';
import { ASKED, LOGIN, once, soon, startRelay } from './relay.ts';

describe.concurrent('the shares of the api_users', { timeout: 60_000 }, () => {
  /** Takes connections for ever more labels, and keeps them all. */
  async function hoard(pool: Pool, apiUser: string): Promise<Lease[]> {
    const held: Lease[] = [];
    for (let label = 1; ; label++) {
      for (let i = 0; i < CONNECTIONS; i++) {
        const over = new AbortController();
        const { waiting } = pool.stats();
        const leasing = pool.lease({ ...LOGIN, apiUser, label }, ASKED, over.signal);
        if (pool.stats().waiting > waiting) over.abort();
        const lease = await leasing;
        if (isFailure(lease)) return held;
        held.push(lease);
      }
    }
  }

  /** Takes and keeps a connection for each of ever more labels; how many it gets. */
  async function countLabels(pool: Pool, apiUser: string): Promise<number> {
    for (let label = 1; ; label++) {
      const lease = await pool.lease({ ...LOGIN, apiUser, label }, ASKED, soon());
      if (isFailure(lease)) return label - 1;
    }
  }

  const CONNECTIONS = 5;

  it('one api_user alone takes half of what is common, beside its own', async () => {
    await using relay = await startRelay({ connections: CONNECTIONS });
    const held = await hoard(relay.pool, 'greedy');
    expect(held).toHaveLength(CONNECTIONS + 50);
    expect(await relay.pool.lease({ ...LOGIN, apiUser: 'greedy', label: 500 }, ASKED, soon())).toMatchObject({
      code: 'overloaded',
      detail: 'All connections of this api_user are in use.',
    });
    for (const lease of held) lease.release();
    expect(await relay.send({ ...LOGIN, apiUser: 'greedy', label: 500 })).toMatchObject({
      delivery: 'accepted',
    });
  });

  it('of a small process are as small', async () => {
    await using relay = await startRelay({ connections: CONNECTIONS, sockets: 50 });
    expect(await hoard(relay.pool, 'a')).toHaveLength(CONNECTIONS + 10);
    const others = await Promise.all(
      ['b', 'c', 'd', 'e', 'f', 'g', 'h'].map((user) => hoard(relay.pool, user)),
    );
    expect(others.flat()).toHaveLength(40 - CONNECTIONS - 10);
  });

  it.each([
    [5, 2 + 1],
    [9, 2 + 2],
    [10, 2 + 2],
    [14, 2 + 3],
  ])('of %i sockets, one api_user with two connections alone has %i', async (sockets, most) => {
    await using relay = await startRelay({ sockets });
    expect(await countLabels(relay.pool, 'greedy')).toBe(most);
  });

  it('the last ones are kept for those who have none', async () => {
    await using relay = await startRelay({ connections: 1, sockets: 12 });
    const counts: number[] = [];
    for (const apiUser of ['a', 'b', 'c', 'd', 'e', 'f']) counts.push(await countLabels(relay.pool, apiUser));
    expect(counts).toEqual([4, 2, 2, 1, 1, 0]);
  });

  it('however much some take, each of the others gets its own', async () => {
    await using relay = await startRelay({ connections: CONNECTIONS });
    for (const greedy of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await hoard(relay.pool, greedy);
    for (let user = 0; user < 12; user++) {
      const own = Array.from({ length: CONNECTIONS }, () =>
        relay.lease({ ...LOGIN, apiUser: `user${user}`, label: user + 1 }),
      );
      await Promise.all(own);
    }
  });

  it('letters of another case are the same api_user', async () => {
    await using relay = await startRelay({ connections: CONNECTIONS });
    await hoard(relay.pool, 'greedy');
    expect(await hoard(relay.pool, 'GREEDY')).toHaveLength(0);
  });

  it('an idle connection makes way for another label of the same api_user', async () => {
    await using relay = await startRelay();
    for (let label = 1; label <= 55; label++) await relay.send({ ...LOGIN, label });
    while (relay.open() > 52) await pause(10);
    for (const session of [0, 1, 2]) expect(relay.said(session)).toContain('C: QUIT');
    expect(relay.said(3)).not.toContain('C: QUIT');
  });

  it('an idle connection of another makes no way for one whose share is spent', async () => {
    await using relay = await startRelay({ connections: 1, sockets: 10 });
    await relay.send({ ...LOGIN, apiUser: 'other' });
    for (let label = 1; label <= 4; label++) await relay.send({ ...LOGIN, label });
    while (relay.open() > 4) await pause(10);
    expect(relay.said(0)).not.toContain('C: QUIT');
    expect(relay.said(1)).toContain('C: QUIT');
  });

  it('a login beyond its share waits for a connection of its own', async () => {
    await using relay = await startRelay({ connections: 100 });
    await hoard(relay.pool, 'other');
    const held = await Promise.all(Array.from({ length: 50 }, () => relay.lease()));
    const waiting = relay.lease();
    held[0]?.release();
    (await waiting).release();
  });

  it('logins that prove nothing take no connection of an api_user, nor of its key', async () => {
    await using relay = await startRelay();
    const known = { ...LOGIN, apiUser: 'known' };
    expect(await relay.pool.prove(known, soon())).toBeNull();
    const over = new AbortController();
    relay.upstream.faults = [{ at: 'auth-key', do: 'silent', times: 25 }];
    const guesses = Array.from({ length: 60 }, (_, i) =>
      relay.pool.prove({ ...LOGIN, apiKey: `guess ${i}` }, over.signal),
    );
    while (relay.upstream.logins.length < 26) await pause(10);
    // The owner of that api_user, another that was proven before, and one that is to be proven now.
    expect(await relay.send()).toMatchObject({ delivery: 'accepted' });
    expect(await relay.pool.prove(known, soon())).toBeNull();
    expect(await relay.pool.prove({ ...LOGIN, apiUser: 'new' }, soon())).toBeNull();

    const names = Array.from({ length: 60 }, (_, i) => `name${i}`);
    relay.upstream.faults = [{ at: 'auth-key', do: 'silent', times: 25 }];
    const strangers = names.map((apiUser) => relay.pool.prove({ ...LOGIN, apiUser }, over.signal));
    while (relay.upstream.logins.length < 54) await pause(10);
    expect(await relay.pool.prove({ ...LOGIN, apiUser: 'late' }, soon())).toMatchObject({
      code: 'overloaded',
      detail: 'Too many logins are being proven at the same time.',
    });
    expect(await relay.send()).toMatchObject({ delivery: 'accepted' });
    expect(await relay.pool.prove(known, soon())).toBeNull();

    over.abort();
    const told = await Promise.all([...guesses, ...strangers]);
    expect(new Set(told.map((one) => one?.code))).toEqual(new Set(['overloaded', 'upstream-timeout']));
    expect(told.filter((one) => one?.code === 'upstream-timeout')).toHaveLength(50);
    expect(await relay.pool.prove({ ...LOGIN, apiUser: 'late' }, soon())).toBeNull();
  });

  it('a proven login leaves its connection to the first message', async () => {
    await using relay = await startRelay();
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    await relay.send();
    expect(relay.upstream.logins).toHaveLength(1);
  });

  it('a key that upstream accepted and then refused has to be proven anew', async () => {
    await using relay = await startRelay();
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    relay.upstream.faults = [
      once('auth-key', { reply: '535 no' }),
      { at: 'auth-key', do: 'silent', times: 25 },
    ];
    expect(await relay.pool.prove(LOGIN, soon())).toMatchObject({ code: 'upstream-credentials' });
    const over = new AbortController();
    const proving = Array.from({ length: 26 }, () => relay.pool.prove(LOGIN, over.signal));
    while (relay.upstream.logins.length < 27) await pause(10);
    over.abort();
    const told = await Promise.all(proving);
    expect(told.filter((one) => one?.code === 'overloaded')).toHaveLength(1);
  });

  it('a key that upstream accepted is proven among its own, also when a connection was lost', async () => {
    await using relay = await startRelay({ sockets: 5 });
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    relay.upstream.faults = [
      once('auth-key', 'close', { address: LOGIN.apiUser }),
      { at: 'auth-key', do: 'silent', address: 'stranger' },
    ];
    expect(await relay.pool.prove(LOGIN, soon())).toMatchObject({ code: 'upstream-unreachable' });
    const over = new AbortController();
    const stranger = relay.pool.prove({ ...LOGIN, apiUser: 'stranger' }, over.signal);
    while (relay.upstream.logins.length < 3) await pause(5);
    expect(await relay.pool.prove({ ...LOGIN, apiUser: 'new' }, soon())).toMatchObject({
      code: 'overloaded',
    });
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    over.abort();
    expect(await stranger).toMatchObject({ code: 'upstream-timeout' });
    expect(await relay.pool.prove({ ...LOGIN, apiUser: 'new' }, soon())).toBeNull();
  });

  it('counts the logins that are being proven', async () => {
    await using relay = await startRelay({ sockets: 20 });
    relay.upstream.faults = [
      once('auth-key', 'silent'),
      once('auth-key', { reply: '535 no' }),
      once('auth-key', { reply: '235 yes' }),
    ];
    const over = new AbortController();
    const first = relay.pool.prove(LOGIN, over.signal);
    while (relay.upstream.logins.length < 1) await pause(5);
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 0, waiting: 0, logins: 0 });
    expect(await relay.pool.prove(LOGIN, soon())).toMatchObject({ code: 'upstream-credentials' });
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 0, waiting: 0, logins: 0 });
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    expect(relay.pool.stats()).toEqual({ open: 2, idle: 1, waiting: 0, logins: 1 });
    over.abort();
    await first;
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 1, waiting: 0, logins: 1 });
  });

  it('makes room for a new login by the one that was used least recently', async () => {
    await using relay = await startRelay();
    const login = (user: number) => ({ ...LOGIN, apiUser: `user${user}` });
    for (let user = 1; user <= 203; user++) await relay.send(login(user));
    while (relay.open() > 200) await pause(10);
    for (const session of [0, 1, 2]) expect(relay.said(session)).toContain('C: QUIT');
    expect(relay.said(3)).not.toContain('C: QUIT');
    await relay.send(login(203));
    expect(relay.upstream.sessions).toHaveLength(203);
  });

  it('a login that is used again is no longer the one that was used least recently', async () => {
    await using relay = await startRelay({ connections: 1, sockets: 5 });
    for (const apiUser of ['a', 'b', 'c', 'd', 'a', 'e']) await relay.send({ ...LOGIN, apiUser });
    while (relay.open() > 4) await pause(10);
    expect(relay.said(0)).not.toContain('C: QUIT');
    expect(relay.said(1)).toContain('C: QUIT');
  });

  it('is overloaded where every connection of every login is in use', async () => {
    await using relay = await startRelay();
    const users = Array.from({ length: 200 }, (_, index) => `user${index}`);
    const held = await Promise.all(users.map((apiUser) => relay.lease({ ...LOGIN, apiUser })));
    const refused = await relay.pool.lease(LOGIN, ASKED, AbortSignal.timeout(1000));
    expect(refused).toMatchObject({
      code: 'overloaded',
      retryAfterMs: 1000,
      detail: 'All 200 connections are in use.',
    });
    for (const lease of held) lease.release();
    await relay.send();
  });
});
