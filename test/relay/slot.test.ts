/** The connections of one login: counted, cleaned up and let go. */

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { isFailure } from '../../src/outcome.ts';
import type { Lease } from '../../src/transaction.ts';
import { ASKED, ENVELOPE, LOGIN, MESSAGE, once, type RunningRelay, soon, startRelay } from './relay.ts';

/** Of these, four are for logins that are accepted. */
const SOCKETS = 5;

const send = (lease: Lease) => lease.send(ENVELOPE, MESSAGE, soon());

/** Other api_users take all connections but one. */
async function takeAllButOne(relay: RunningRelay): Promise<Lease[]> {
  const held: Lease[] = [];
  for (const apiUser of ['a', 'b', 'c']) held.push(await relay.lease({ ...LOGIN, apiUser }));
  return held;
}

describe.concurrent('behind a refused message', { timeout: 30_000 }, () => {
  it('a connection counts while it is cleaned up, and is idle again', async () => {
    await using relay = await startRelay({ connections: 1 });
    relay.upstream.faults = [once('rcpt', { reply: '550 no' })];
    await relay.send();
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 0 });
    while (relay.pool.stats().idle === 0) await pause(5);
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 1 });
    const held = await relay.lease();
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 0 });
    held.release();
    expect(relay.upstream.sessions).toHaveLength(1);
  });

  it('it counts beside the one that took its place, and says QUIT', async () => {
    await using relay = await startRelay({ connections: 1 });
    relay.upstream.faults = [once('rcpt', { reply: '550 no' }), { at: 'rset', delayMs: 1000 }];
    await relay.send();
    const next = await relay.lease();
    expect(relay.pool.stats()).toMatchObject({ open: 2, idle: 0 });
    while (relay.open() > 1) await pause(5);
    expect(relay.said(0).slice(-4)).toMatchObject(['C: RSET', 'S: 250 OK', 'C: QUIT', expect.anything()]);
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 0 });
    next.release();
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 1 });
  });

  it('a message that waits gets a connection beside it', async () => {
    await using relay = await startRelay({ connections: 1 });
    relay.upstream.faults = [once('rcpt', { reply: '550 no' }), { at: 'rset', do: 'silent' }];
    const held = await relay.lease();
    const waiting = relay.lease();
    await send(held);
    const next = await waiting;
    expect(relay.open()).toBe(2);
    expect(relay.said(0)).toContain('C: RSET');
    next.release();
  });

  it('it is closed for a message that waits where there is no room beside it', async () => {
    await using relay = await startRelay({ connections: 1, sockets: SOCKETS });
    await takeAllButOne(relay);
    relay.upstream.faults = [once('rcpt', { reply: '550 no' })];
    const held = await relay.lease();
    const waiting = relay.lease();
    await send(held);
    (await waiting).release();
    expect(relay.said(3)).toContain('C: QUIT');
    expect(relay.said(3)).not.toContain('C: RSET');
    expect(relay.pool.stats()).toMatchObject({ open: 4, idle: 1 });
  });

  it('it is cleaned up where there is no room, and no message waits', async () => {
    await using relay = await startRelay({ connections: 1, sockets: SOCKETS });
    await takeAllButOne(relay);
    relay.upstream.faults = [once('rcpt', { reply: '550 no' })];
    await relay.send();
    while (relay.pool.stats().idle === 0) await pause(5);
    expect(relay.said(3).slice(-2)).toEqual(['C: RSET', 'S: 250 OK']);
  });

  it('one that has ended takes no room from others', async () => {
    await using relay = await startRelay({ connections: 1, sockets: SOCKETS });
    for (const lease of await takeAllButOne(relay)) lease.release();
    relay.upstream.faults = [once('mail', { reply: '421 closing' })];
    const held = await relay.lease();
    const waiting = relay.lease();
    expect(await send(held)).toMatchObject({ code: 'upstream-busy' });
    (await waiting).release();
    expect(relay.pool.stats()).toMatchObject({ open: 4, idle: 4 });
    expect(relay.upstream.sessions).toHaveLength(5);
  });
});

describe.concurrent('a connection that upstream ends', { timeout: 30_000 }, () => {
  it.each([
    ['the older', 0],
    ['the younger', 1],
  ])('while it is idle, %s of two, leaves the other', async (_, lost) => {
    await using relay = await startRelay();
    relay.upstream.faults = [once('idle', 'close', { delayMs: 200 })];
    for (const [index, lease] of [await relay.lease(), await relay.lease()].entries()) {
      if (index === lost) await send(lease);
      else lease.release();
    }
    expect(relay.pool.stats()).toMatchObject({ open: 2, idle: 2 });
    while (relay.pool.stats().idle > 1) await pause(5);
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 1 });
    expect(await relay.send()).toMatchObject({ delivery: 'accepted' });
    expect(relay.upstream.sessions).toHaveLength(2);
  });

  it('while it is in use leaves those that are idle', async () => {
    await using relay = await startRelay();
    for (const lease of [await relay.lease(), await relay.lease()]) lease.release();
    const held = await relay.lease();
    relay.upstream.faults = [once('mail', 'close')];
    expect(await send(held)).toMatchObject({ again: true });
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 1 });
    expect(await relay.send()).toMatchObject({ delivery: 'accepted' });
    expect(relay.upstream.sessions).toHaveLength(2);
  });
});

describe.concurrent('a connection that a login was proven by', { timeout: 30_000 }, () => {
  it('is one of its login', async () => {
    await using relay = await startRelay({ connections: 1 });
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 1, waiting: 0, logins: 1 });
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 1, waiting: 0, logins: 2 });
  });

  it('says QUIT where its login has enough', async () => {
    await using relay = await startRelay({ connections: 1 });
    const proven = await Promise.all([relay.pool.prove(LOGIN, soon()), relay.pool.prove(LOGIN, soon())]);
    expect(proven).toEqual([null, null]);
    while (relay.open() > 1) await pause(5);
    expect([0, 1].filter((session) => relay.said(session).includes('C: QUIT'))).toHaveLength(1);
    expect(relay.pool.stats()).toEqual({ open: 1, idle: 1, waiting: 0, logins: 2 });
  });

  it('says QUIT where all are in use', async () => {
    await using relay = await startRelay({ connections: 1, sockets: SOCKETS });
    await takeAllButOne(relay);
    await relay.lease({ ...LOGIN, apiUser: 'd' });
    expect(await relay.pool.prove(LOGIN, soon())).toBeNull();
    while (relay.open() > 4) await pause(5);
    expect(relay.said(4)).toContain('C: QUIT');
    expect(relay.pool.stats()).toEqual({ open: 4, idle: 0, waiting: 0, logins: 5 });
  });
});

it('a message that has its connection does not wait any more', async () => {
  await using relay = await startRelay({ connections: 1 });
  const held = await relay.lease();
  const over = new AbortController();
  const first = relay.pool.lease(LOGIN, ASKED, over.signal);
  const second = relay.pool.lease(LOGIN, ASKED, AbortSignal.timeout(3000));
  held.release();
  const lease = await first;
  // Its deadline takes no other out of the row.
  over.abort();
  expect(relay.pool.stats()).toMatchObject({ waiting: 1 });
  if (!isFailure(lease)) lease.release();
  expect(isFailure(await second)).toBe(false);
});

// The clock is the whole process's, and so are its timers: one after the other.
it.each([
  ['of one login', [null, null]],
  ['of two', [1, 2]],
])('closes what is idle for too long, and nothing younger, %s', async (_, labels) => {
  const idleMs = 200;
  await using relay = await startRelay({ idleMs });
  const leases: Lease[] = [];
  for (const label of labels) leases.push(await relay.lease({ ...LOGIN, label }));
  const wallClock = Date.now;
  const started = wallClock();
  try {
    for (const [index, lease] of leases.entries()) {
      Date.now = () => started + index;
      lease.release();
    }
    Date.now = () => started + idleMs;
    while (relay.pool.stats().idle > 1) await pause(5);
    expect(relay.pool.stats()).toMatchObject({ open: 1, idle: 1 });
    while (relay.open() > 1) await pause(5);
    expect(relay.said(0)).toContain('C: QUIT');
    expect(relay.said(1)).not.toContain('C: QUIT');
    Date.now = () => started + 2 * idleMs;
    while (relay.open() > 0) await pause(5);
    expect(relay.pool.stats()).toMatchObject({ open: 0, idle: 0 });
  } finally {
    Date.now = wallClock;
  }
});

it('keeps no process alive by its timer', async () => {
  await using relay = await startRelay();
  const timers = () => process.getActiveResourcesInfo().filter((what) => what === 'Timeout').length;
  const held = await relay.lease();
  const before = timers();
  held.release();
  expect(timers()).toBe(before);
});
