/** Several ports of one upstream: which is tried when. */

import { describe, expect, it } from 'vitest';
import { isFailure } from '../../src/outcome.ts';
import { startUpstream, type UpstreamOptions } from '../support/upstream.ts';
import { ASKED, CERTIFICATE, LOGIN, once, soon, startRelay } from './relay.ts';

describe.concurrent('several ports', { timeout: 60_000 }, () => {
  /** An upstream that takes the connection and says no word, like a firewall; the relay tries its port first. */
  async function startBehind(faults: UpstreamOptions['faults'] = [{ at: 'greeting', do: 'silent' }]) {
    const first = await startUpstream({ certificate: CERTIFICATE, faults });
    const relay = await startRelay();
    return { first, relay, ports: [first.port, relay.upstream.port] };
  }

  it.each(['connect', 'greeting', 'ehlo', 'starttls', 'tls', 'ehlo2'] as const)(
    'one that hangs at %s does not take the deadline, and is not tried first again',
    async (at) => {
      await using relay = await startRelay({}, { faults: [{ at, do: 'silent' }] });
      const second = await startUpstream({ certificate: CERTIFICATE });
      await using both = await startRelay({ ports: [relay.upstream.port, second.port], connections: 1 });
      // Less than one port may take.
      const deadline = AbortSignal.timeout(8000);
      expect(await both.deliver({}, deadline)).toMatchObject({ delivery: 'accepted' });
      expect(second.taken).toHaveLength(1);
      expect(relay.upstream.logins).toEqual([]);
      // The one that hung was let go, and the next connection goes where it worked.
      while (relay.open() > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(await both.deliver({ login: { ...LOGIN, label: 7 } })).toMatchObject({ delivery: 'accepted' });
      expect(relay.upstream.sessions).toHaveLength(1);
      await second.close();
    },
  );

  it('one that is slow meets another, and only one of them logs in', async () => {
    const { first, relay, ports } = await startBehind([{ at: 'greeting', delayMs: 2200 }]);
    relay.upstream.faults = [{ at: 'ehlo', delayMs: 1000 }];
    await using both = await startRelay({ ports });
    expect(await both.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(first.logins).toHaveLength(1);
    expect(relay.upstream.logins).toHaveLength(0);
    expect(relay.upstream.sessions).toHaveLength(1);
    await Promise.all([relay.pool.close(), relay.upstream.close(), first.close()]);
  });

  it('one that refuses connections is left at once, and is not tried first again', async () => {
    const gone = await startUpstream({ certificate: CERTIFICATE });
    await gone.close();
    await using relay = await startRelay();
    await using both = await startRelay({ ports: [gone.port, relay.upstream.port] });
    const before = performance.now();
    expect(await both.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(await both.deliver({ login: { ...LOGIN, label: 7 } })).toMatchObject({ delivery: 'accepted' });
    // The head start that a port has.
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it.each(['auth', 'auth-key', 'mail'] as const)(
    'one that loses its connections at %s is left for the next',
    async (at) => {
      const { first, relay, ports } = await startBehind([{ at, do: 'close' }]);
      await using both = await startRelay({ ports });
      expect(await both.deliver()).toMatchObject({ delivery: 'accepted' });
      expect(await both.deliver({ login: { ...LOGIN, label: 7 } })).toMatchObject({ delivery: 'accepted' });
      expect([first.sessions.length, relay.upstream.sessions.length]).toEqual([1, 2]);
      await Promise.all([relay.pool.close(), relay.upstream.close(), first.close()]);
    },
  );

  it('one that loses a connection behind a message that went is not left', async () => {
    const { first, relay, ports } = await startBehind([]);
    await using both = await startRelay({ ports, connections: 1 });
    expect(await both.deliver()).toMatchObject({ delivery: 'accepted' });
    first.faults = [once('mail', 'close')];
    expect(await both.deliver()).toMatchObject({ delivery: 'accepted' });
    expect([first.sessions.length, relay.upstream.sessions.length]).toEqual([2, 0]);
    await Promise.all([relay.pool.close(), relay.upstream.close(), first.close()]);
  });

  it.each([
    ['insecure', { starttls: 'missing' }, 'upstream-insecure'],
    ['refusing', { faults: [{ at: 'ehlo', do: { reply: '554 closed' } }] }, 'upstream-unreachable'],
  ] as const)('one that is %s is told, and no other is tried', async (_, options, code) => {
    const first = await startUpstream({ certificate: CERTIFICATE, ...options });
    await using relay = await startRelay();
    await using both = await startRelay({ ports: [first.port, relay.upstream.port] });
    expect(await both.deliver()).toMatchObject({ code });
    // It is not taken for lost.
    expect(await both.deliver()).toMatchObject({ code });
    expect([first.sessions.length, relay.upstream.sessions.length]).toEqual([2, 0]);
    await first.close();
  });

  it('one hangs and the other says what is wrong: that is told', async () => {
    const { first, relay, ports } = await startBehind([{ at: 'greeting', do: 'close', delayMs: 2500 }]);
    relay.upstream.faults = [{ at: 'ehlo', do: { reply: '421 busy' }, delayMs: 1500 }];
    await using both = await startRelay({ ports });
    expect(await both.pool.lease(LOGIN, ASKED, soon())).toMatchObject({
      code: 'upstream-busy',
      smtp: { code: 421, phase: 'ehlo' },
    });
    await Promise.all([relay.pool.close(), relay.upstream.close(), first.close()]);
  });

  it('all of them hang: told when the deadline passes', async () => {
    const { first, relay, ports } = await startBehind();
    relay.upstream.faults = first.faults;
    await using both = await startRelay({ ports });
    const told = await both.deliver({}, AbortSignal.timeout(3000));
    expect(told).toMatchObject({ code: 'upstream-timeout', delivery: 'not-sent' });
    expect([first.sessions.length, relay.upstream.sessions.length]).toEqual([1, 1]);
    await Promise.all([relay.pool.close(), relay.upstream.close(), first.close()]);
  });

  it('the readiness probe finds the one that answers', async () => {
    const { first, relay, ports } = await startBehind();
    await using both = await startRelay({ ports });
    expect(await both.pool.greeting(soon())).toBeNull();
    relay.upstream.faults = [{ at: 'greeting', do: { reply: '554 closed' } }];
    const told = await both.pool.greeting(soon());
    expect(isFailure(told) && told).toMatchObject({ smtp: { code: 554, phase: 'greeting' } });
    await Promise.all([relay.pool.close(), relay.upstream.close(), first.close()]);
  });
});
