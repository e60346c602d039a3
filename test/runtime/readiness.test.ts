import { afterEach, describe, expect, it, vi } from 'vitest';
import { MESSAGE, type Running, startPostern } from '../support/postern.ts';

/** Real sockets take real time; what a probe remembers is by the clock alone. */
const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);
afterEach(() => {
  vi.useRealTimers();
});

async function probe({ url }: Running) {
  const answer = await fetch(`${url}/readyz`);
  const { parts } = (await answer.json()) as { parts: Record<string, string | null> };
  return { status: answer.status, parts };
}

const logged = ({ logLines }: Running, event: string) =>
  logLines.map((line) => JSON.parse(line)).filter((facts) => facts.event === event);

describe('readiness', () => {
  it('is a login that upstream accepts, made once', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await using postern = await startPostern();
    for (let i = 0; i < 3; i++) {
      expect(await probe(postern)).toMatchObject({
        status: 200,
        parts: { upstream: null, credentials: null },
      });
      pass(120_000);
    }
    expect(postern.upstream.logins).toHaveLength(1);
    expect(await postern.drawn()).toBe(0);
  });

  it('tells a refused login in the log and without a name, and tries again after a minute', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const accounts: Record<string, string> = { ifaxin: 'another-key' };
    await using postern = await startPostern({}, { accounts });
    const refused = {
      status: 503,
      parts: { upstream: null, credentials: expect.stringMatching(/refused.*1 of 1/) },
    };
    for (let i = 0; i < 4; i++) {
      const found = await probe(postern);
      expect(found).toMatchObject(refused);
      expect(JSON.stringify(found)).not.toContain('ifaxin');
      pass(15_000);
    }
    expect(postern.upstream.logins).toHaveLength(1);
    expect(logged(postern, 'upstream login failed')).toMatchObject([
      { apiUser: 'ifaxin', code: 'upstream-credentials' },
    ]);

    accounts.ifaxin = 'the-key';
    expect(await probe(postern)).toMatchObject({ status: 200 });
    expect(postern.upstream.logins).toHaveLength(2);
    expect(logged(postern, 'upstream login accepted again')).toHaveLength(1);
  });

  it('hears of a key that was reset from the message that fails by it', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const accounts: Record<string, string> = { ifaxin: 'the-key' };
    await using postern = await startPostern({}, { accounts });
    expect(await probe(postern)).toMatchObject({ status: 200 });
    accounts.ifaxin = 'another-key';
    pass(2_000);
    // A label that has no connection yet.
    expect((await postern.send({ ...MESSAGE, label: 7 })).status).toBe(502);
    expect(await probe(postern)).toMatchObject({ status: 503 });
    expect(postern.upstream.logins).toHaveLength(2);
  });

  it('hears of it from queued messages, which wait and have no event', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const accounts: Record<string, string> = { ifaxin: 'the-key' };
    await using postern = await startPostern({}, { accounts });
    expect(await probe(postern)).toMatchObject({ status: 200 });
    accounts.ifaxin = 'another-key';
    pass(2_000);
    for (let n = 0; n < 2; n++) await postern.send(MESSAGE, { Prefer: 'respond-async' });
    await vi.waitFor(() => expect(logged(postern, 'upstream login failed')).not.toEqual([]), 5_000);
    expect(await probe(postern)).toMatchObject({ status: 503, parts: { credentials: expect.any(String) } });
    expect(logged(postern, 'upstream login failed')).toMatchObject([
      { apiUser: 'ifaxin', code: 'upstream-credentials' },
    ]);
  });

  it('makes no login where upstream does not even greet, and one as soon as it does', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'greeting', do: { reply: '421 busy' }, times: 1 }] },
    );
    expect(await probe(postern)).toMatchObject({ status: 503, parts: { credentials: null } });
    expect(postern.upstream.logins).toHaveLength(0);
    pass(2_000);
    expect(await probe(postern)).toMatchObject({ status: 200 });
    expect(postern.upstream.logins).toHaveLength(1);
  });

  it('has no such part where no account is configured', async () => {
    await using postern = await startPostern({
      SENDCLOUD_API_USER: '',
      SENDCLOUD_API_KEY: '',
      GATEWAY_TOKENS: '',
      BASIC_AUTH: 'on',
    });
    expect(await probe(postern)).toEqual({ status: 200, parts: { upstream: null, outbox: null } });
  });

  it('asks for every account', async () => {
    const accounts = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const given = accounts.map((apiUser) => ({
      apiUser,
      apiKey: 'k',
      tokens: [`token-of-${apiUser}-0000000`],
    }));
    await using postern = await startPostern(
      { SENDCLOUD_API_USER: '', SENDCLOUD_API_KEY: '', GATEWAY_TOKENS: '', ACCOUNTS: JSON.stringify(given) },
      { accounts: Object.fromEntries(accounts.map((name) => [name, name === 'c' ? 'x' : 'k'])) },
    );
    expect((await probe(postern)).parts.credentials).toMatch(/1 of 7/);
    expect(postern.upstream.logins.map(({ user }) => user).toSorted()).toEqual(accounts);
  });
});
