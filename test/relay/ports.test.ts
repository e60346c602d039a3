/** Several ports of one upstream: which is tried when. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Failure, failure, isFailure } from '../../src/outcome.ts';
import { Ports } from '../../src/relay/ports.ts';
import { startUpstream, type UpstreamOptions } from '../support/upstream.ts';
import { ASKED, CERTIFICATE, LOGIN, soon, startRelay } from './relay.ts';

describe('attempts', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  const lost = failure('upstream-unreachable', 'Lost.', { again: true });
  const refused = failure('upstream-unreachable', 'Refused.');

  const openSession = () => ({ close: vi.fn() });
  type Session = ReturnType<typeof openSession>;

  /** Begins to open one; the test says how each attempt ends. */
  function begin(ports: Ports) {
    const started: number[] = [];
    const attempts = new Map<number, (result: Session | Failure) => void>();
    const open = (port: number) =>
      new Promise<Session | Failure>((resolve) => {
        started.push(port);
        attempts.set(port, resolve);
      });
    const opened = ports.open(open, soon());
    const end = async (port: number, result: Session | Failure) => {
      attempts.get(port)?.(result);
      await vi.advanceTimersByTimeAsync(0);
    };
    return { started, opened, end };
  }

  it('begin two seconds apart', async () => {
    const { started } = begin(new Ports([1, 2, 3]));
    const seen: number[][] = [];
    for (const ms of [0, 1999, 1, 1999, 1, 60_000]) {
      await vi.advanceTimersByTimeAsync(ms);
      seen.push([...started]);
    }
    expect(seen).toEqual([[1], [1], [1, 2], [1, 2], [1, 2, 3], [1, 2, 3]]);
  });

  it('that end make way for the next at once, which has its own two seconds', async () => {
    const { started, end } = begin(new Ports([1, 2, 3, 4]));
    await vi.advanceTimersByTimeAsync(2000);
    expect(started).toEqual([1, 2]);
    await vi.advanceTimersByTimeAsync(1500);
    await end(2, lost);
    expect(started).toEqual([1, 2, 3]);
    await vi.advanceTimersByTimeAsync(1999);
    expect(started).toEqual([1, 2, 3]);
    await vi.advanceTimersByTimeAsync(1);
    expect(started).toEqual([1, 2, 3, 4]);
  });

  it('end with the first session, and one that comes later is closed', async () => {
    const { started, opened, end } = begin(new Ports([1, 2, 3]));
    await vi.advanceTimersByTimeAsync(2000);
    const [first, second] = [openSession(), openSession()];
    await end(2, first);
    await end(1, second);
    expect(await opened).toBe(first);
    expect(first.close).not.toHaveBeenCalled();
    expect(second.close).toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2000);
    expect(started).toEqual([1, 2]);
  });

  it.each([
    ['lost and refused', lost, refused, refused],
    ['refused and lost', refused, lost, refused],
    ['refused twice', refused, { ...refused, detail: 'Again.' }, refused],
    ['lost twice', lost, { ...lost, detail: 'Again.' }, lost],
  ])('%s: the first that upstream refused counts, or the first', async (_, first, second, told) => {
    const { opened, end } = begin(new Ports([1, 2]));
    await vi.advanceTimersByTimeAsync(2000);
    await end(1, first);
    await end(2, second);
    expect(await opened).toBe(told);
  });

  it('end with one that throws, and one that comes later is closed', async () => {
    const later = Promise.withResolvers<Session>();
    const signals: AbortSignal[] = [];
    const opened = new Ports([1, 2, 3]).open<Session>((port, signal) => {
      signals.push(signal);
      return port === 1 ? later.promise : Promise.reject(new Error('a bug'));
    }, soon());
    const failed = expect(opened).rejects.toThrow('a bug');
    await vi.advanceTimersByTimeAsync(2000);
    await failed;
    const session = openSession();
    later.resolve(session);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(session.close).toHaveBeenCalled();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  it('begin where it worked last, end where it failed last, and try each port once', async () => {
    const ports = new Ports([1, 2, 3]);
    /** In the order they are tried; `working` opens a session, and all the others fail. */
    const tried = async (working: number) => {
      const { started, opened, end } = begin(ports);
      await vi.advanceTimersByTimeAsync(10_000);
      for (const port of started) if (port !== working) await end(port, refused);
      await end(working, openSession());
      await opened;
      return started;
    };
    expect(await tried(2)).toEqual([1, 2, 3]);
    expect(await tried(3)).toEqual([2, 1, 3]);
    ports.failed(3);
    expect(await tried(1)).toEqual([2, 1, 3]);
    expect(await tried(1)).toEqual([1, 2, 3]);
  });
});

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

  it('one that refuses connections is left for the next', async () => {
    const gone = await startUpstream({ certificate: CERTIFICATE });
    await gone.close();
    await using relay = await startRelay();
    await using both = await startRelay({ ports: [gone.port, relay.upstream.port] });
    expect(await both.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(await both.deliver({ login: { ...LOGIN, label: 7 } })).toMatchObject({ delivery: 'accepted' });
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
