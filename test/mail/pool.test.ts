/** Warm connections: how many, how old, and whose. */

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Login } from '../../src/account.ts';
import { isFault, type Lease } from '../../src/deliver.ts';
import { createPool, type PoolOptions } from '../../src/mail/relay/pool.ts';
import { startUpstream } from '../support/upstream.ts';

const LOGIN: Login = { apiUser: 'ifaxin', apiKey: 'the-key', label: null };
const ENVELOPE = { from: 'support@ifaxin.com', to: ['ben@ifaxin.com'], size: null };
const MESSAGE = Buffer.from('Subject: Hello\r\n\r\nHello\r\n');

async function startPool(options: Partial<PoolOptions> = {}) {
  const upstream = await startUpstream();
  const pool = createPool({
    upstream: { host: 'localhost', servername: 'localhost', ca: upstream.ca },
    ports: [upstream.port],
    connections: 2,
    idleMs: 60_000,
    ...options,
  });
  const soon = () => AbortSignal.timeout(10_000);
  const lease = async (login = LOGIN): Promise<Lease> => {
    const leased = await pool.lease(login, null, 0, soon());
    if (isFault(leased)) throw new Error(leased.failure.detail);
    return leased;
  };
  return {
    upstream,
    pool,
    lease,
    send: async (login = LOGIN) => (await lease(login)).send(ENVELOPE, MESSAGE, soon()),
    open: () => upstream.sessions.filter((session) => session.open).length,
    said: (session: number) => upstream.sessions[session]?.dialogue.map((line) => line.text) ?? [],
    async [Symbol.asyncDispose]() {
      await pool.close();
      await upstream.close();
    },
  };
}

describe.concurrent('the pool', () => {
  it('says QUIT on a connection that was idle for too long, and opens another', async () => {
    await using pool = await startPool({ idleMs: 100 });
    await pool.send();
    while (pool.open() > 0) await pause(10);
    expect(pool.said(0)).toContain('C: QUIT');
    await pool.send();
    expect(pool.upstream.sessions).toHaveLength(2);
  });

  it('does not trust a connection by a clock that stood still', async () => {
    await using pool = await startPool({ idleMs: 60_000 });
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

  it('never opens more connections than it may, and hands them on in turn', async () => {
    await using pool = await startPool({ connections: 2 });
    await Promise.all(Array.from({ length: 20 }, () => pool.send()));
    expect(pool.upstream.sessions).toHaveLength(2);
    expect(pool.upstream.taken).toHaveLength(20);
  });

  it('lets the next one open its own where a connection is lost', async () => {
    await using pool = await startPool({ connections: 1 });
    pool.upstream.faults = [{ at: 'dot', do: 'close', times: 1 }];
    const results = await Promise.all(Array.from({ length: 3 }, () => pool.send()));
    expect(results.filter(isFault)).toHaveLength(1);
    expect(pool.upstream.sessions).toHaveLength(2);
  });

  it('does not wait where the deadline has passed already', async () => {
    await using pool = await startPool({ connections: 1 });
    const held = await pool.lease();
    const late = await pool.pool.lease(LOGIN, null, 0, AbortSignal.abort());
    expect(late).toMatchObject({ failure: { code: 'upstream-timeout' }, again: false });
    held.release();
    await pool.send();
    expect(pool.upstream.sessions).toHaveLength(1);
  });

  it('keeps the key apart: a wrong one never gets a warm connection of the right one', async () => {
    await using pool = await startPool();
    await pool.send();
    await pool.send({ ...LOGIN, apiKey: 'another' });
    expect(pool.upstream.logins.map(({ key }) => key)).toEqual(['the-key', 'another']);
  });

  it('drops the login that was used least recently beyond a hundred', { timeout: 60_000 }, async () => {
    await using pool = await startPool();
    for (let label = 1; label <= 103; label++) await pool.send({ ...LOGIN, label: label });
    while (pool.open() > 100) await pause(10);
    expect(pool.said(0)).toContain('C: QUIT');
    expect(pool.said(3)).not.toContain('C: QUIT');
    await pool.send({ ...LOGIN, label: 103 });
    expect(pool.upstream.sessions).toHaveLength(103);
  });

  it('says QUIT to all when it closes, also to those given back later', async () => {
    await using pool = await startPool();
    await pool.send();
    const held = await pool.lease({ ...LOGIN, label: 7 });
    await pool.pool.close();
    expect(pool.said(0)).toContain('C: QUIT');
    held.release();
    while (pool.open() > 0) await pause(10);
    expect(pool.said(1)).toContain('C: QUIT');
  });
});
