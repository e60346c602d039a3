/** Who is asking, where upstream is asked about it: what the doors' own tests cannot bring about. */

import { createHash } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { createAuthenticator } from '../src/authenticate.ts';
import type { Deliverer } from '../src/deliver.ts';
import { failure, isFailure } from '../src/outcome.ts';
import { StoreUnavailable } from '../src/store.ts';
import { createMemoryQuota } from '../src/stores/memory/quota.ts';

const TOKEN = 'a-token-for-the-tests';
const ACCOUNT = {
  apiUser: 'ifaxin',
  apiKey: 'the-key',
  tokens: [TOKEN],
  from: null,
  labels: null,
  quota: 20_000,
};

const ACCOUNT_OF_ANOTHER = { ...ACCOUNT, apiUser: 'another', tokens: ['the-token-of-another'] };

function authenticator(
  answer: Deliverer['verify'],
  accounts = [ACCOUNT],
  quota = createMemoryQuota({ windowMs: 60_000, guardMs: 0 }),
) {
  const verify = vi.fn(answer);
  const options = { accounts, basicAuth: true, quotaLimit: 20_000, quota, verify };
  const { token, login } = createAuthenticator(options);
  const signal = AbortSignal.timeout(60_000);
  return {
    token: (presented: string) => token(presented, '192.0.2.1'),
    login: (apiUser: string, password: string, address: string) => login(apiUser, password, address, signal),
    verify,
  };
}

const refusing = () => authenticator(async () => failure('upstream-credentials', 'Upstream refused it.'));

const codeOf = async (asked: Promise<unknown>) => {
  const found = await asked;
  return isFailure(found) ? found.code : null;
};

describe('an own api_key', () => {
  it('is asked about again after an exception, and that is no failed login', async () => {
    let broken = true;
    const { login } = authenticator(async () => {
      if (broken) throw new Error('a bug');
      return null;
    });
    for (let i = 0; i < 12; i++) await expect(login('own', 'key', '192.0.2.1')).rejects.toThrow('a bug');
    broken = false;
    expect(await login('own', 'key', '192.0.2.1')).toMatchObject({ ownKey: true });
  });
});

describe('a gateway token', () => {
  const digest = createHash('sha256').update(TOKEN).digest('hex');

  it.each([
    [[TOKEN], [`sha256:${digest}`]],
    [[`sha256:${digest}`], [TOKEN]],
  ])('of two accounts is accepted for neither: %j, %j', async (...tokens) => {
    const accounts = tokens.map((tokens, i) => ({ ...ACCOUNT, apiUser: `own-${i}`, tokens }));
    const { token } = authenticator(async () => null, [...accounts, ACCOUNT_OF_ANOTHER]);
    for (let i = 0; i < 2; i++) {
      expect(await token(TOKEN)).toMatchObject({
        code: 'unauthorized',
        detail: expect.stringContaining('two accounts'),
      });
    }
    expect(await token('the-token-of-another')).toMatchObject({ account: { apiUser: 'another' } });
  });
});

describe('a guesser', () => {
  it('has no more upstream logins by more invented api_users at once', async () => {
    const { promise, resolve } = Promise.withResolvers<null>();
    const { login, verify } = authenticator(() => promise);
    const invented = Array.from({ length: 400 }, (_, i) => codeOf(login(`own-${i}`, 'key', '192.0.2.1')));
    const refused = Promise.all(invented).then((codes) => codes.filter((code) => code === 'overloaded'));
    await vi.waitFor(() => expect(verify).toHaveBeenCalledTimes(10));
    expect(await codeOf(login('own', 'key', '192.0.2.1'))).toBe('overloaded');
    resolve(null);
    expect(await refused).toHaveLength(390);
  });

  it('has a hundred failed logins, and does not get its ten for one api_user back by them', async () => {
    const { login, verify } = refusing();
    for (let i = 0; i < 10; i++) await login('own', `guess-${i}`, '192.0.2.1');
    for (let i = 0; i < 11_000; i++) await login(`filler-${i}`, 'key', '192.0.2.1');
    expect(verify).toHaveBeenCalledTimes(100);
    expect(await login('own', 'guess', '192.0.2.1')).toMatchObject({
      code: 'too-many-failed-logins',
      retryAfterMs: expect.toSatisfy((ms: number) => ms > 50_000 && ms <= 60_000),
    });
    expect(await codeOf(login('own', 'guess', '192.0.2.2'))).toBe('unauthorized');
  });

  it('has sixty guesses of one api_user from any number of addresses, and does not lock its owner out', async () => {
    const { login, verify } = authenticator(async ({ apiKey }) =>
      apiKey === 'right' ? null : failure('upstream-credentials', 'Upstream refused it.'),
    );
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      expect(await login('own', 'right', '198.51.100.1')).toMatchObject({ ownKey: true });
      // The proof is old by now, and upstream is asked again.
      vi.setSystemTime(Date.now() + 10 * 60_000);
      for (let i = 0; i < 300; i++) await login('own', `guess-${i}`, `192.0.2.${i % 100}`);
      expect(verify.mock.calls.filter(([{ apiKey }]) => apiKey !== 'right')).toHaveLength(60);
      expect(await codeOf(login('own', 'another', '203.0.113.1'))).toBe('too-many-failed-logins');
      expect(await login('own', 'right', '198.51.100.1')).toMatchObject({ ownKey: true });
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(['peek', 'draw'] as const)(
    'passes where the store is away, and not where it is broken: %s',
    async (method) => {
      let error: Error = new StoreUnavailable('away');
      const quota = {
        ...createMemoryQuota({ windowMs: 60_000, guardMs: 0 }),
        [method]: () => Promise.reject(error),
      };
      const { login } = authenticator(
        async () => failure('upstream-credentials', 'Refused.'),
        [ACCOUNT],
        quota,
      );
      expect(await codeOf(login('own', 'guess', '192.0.2.1'))).toBe('unauthorized');
      error = new TypeError('a bug');
      await expect(login('own', 'another', '192.0.2.1')).rejects.toThrow('a bug');
    },
  );

  it('with wrong tokens is stopped after a hundred, and locks no right one out', async () => {
    const { token } = refusing();
    for (let i = 0; i < 100; i++) expect(await codeOf(token(`a-wrong-token-${i}`))).toBe('unauthorized');
    expect(await codeOf(token('another-wrong-token'))).toBe('too-many-failed-logins');
    expect(await codeOf(token(TOKEN))).toBeNull();
  });

  it('behind the address of a right token does not lock it out', async () => {
    const { login } = refusing();
    for (let i = 0; i < 10; i++) await login('ifaxin', `guess-${i}`, '192.0.2.1');
    expect(await codeOf(login('ifaxin', 'guess', '192.0.2.1'))).toBe('too-many-failed-logins');
    expect(await codeOf(login('ifaxin', TOKEN, '192.0.2.1'))).toBeNull();
  });

  it.each([
    ['the case of the api_user', 'OWN', '192.0.2.1'],
    ['the form of its IPv4 address', 'own', '::ffff:192.0.2.1'],
    ['the hexadecimal form of its IPv4 address', 'own', '::ffff:c000:201'],
  ])('gains nothing by %s', async (_, apiUser, address) => {
    const { login } = refusing();
    for (let i = 0; i < 10; i++) await login('own', `guess-${i}`, '192.0.2.1');
    expect(await codeOf(login(apiUser, 'guess', address))).toBe('too-many-failed-logins');
  });

  it.each([
    ['2001:db8:0:1:ffff::9', true],
    ['2001:db8::1:0:0:0:1', true],
    ['2001:DB8:0:1::1', true],
    ['2001:0db8:0000:1::1', true],
    ['2001:db8:0:1::1%eth0', true],
    ['2001:db8:0:2::1', false],
    ['2001:db8::1', false],
    ['::1', false],
  ])('with an IPv6 network has one count for it: %s', async (address, same) => {
    const { login } = refusing();
    for (let i = 0; i < 10; i++) await login('own', `guess-${i}`, '2001:db8:0:1::1');
    expect(await codeOf(login('own', 'guess', address))).toBe(
      same ? 'too-many-failed-logins' : 'unauthorized',
    );
  });

  it('with slow logins leaves room for another address, and for a key that was right lately', async () => {
    const { promise, resolve } = Promise.withResolvers<null>();
    const { login } = authenticator(({ apiUser }) => (apiUser === 'own' ? Promise.resolve(null) : promise));
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      expect(await login('own', 'lately', '198.51.100.1')).toMatchObject({ ownKey: true });
      vi.setSystemTime(Date.now() + 10 * 60_000);
      const slow = (addresses: number, each: number) =>
        Array.from({ length: addresses * each }, (_, i) =>
          codeOf(login(`slow-${addresses}-${i}`, 'key', `192.0.2.${addresses + (i % addresses)}`)),
        );
      const few = slow(6, 10);
      expect(await login('own', 'key', '198.51.100.2')).toMatchObject({ ownKey: true });
      const many = slow(100, 1);
      expect(await codeOf(login('own', 'another-key', '198.51.100.2'))).toBe('overloaded');
      expect(await login('own', 'lately', '198.51.100.1')).toMatchObject({ ownKey: true });
      resolve(null);
      await Promise.all([...few, ...many]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('with many addresses has fifty logins under way, and stops nobody with a token', async () => {
    const { promise, resolve } = Promise.withResolvers<null>();
    const { login, verify } = authenticator(() => promise);
    const guesses = Array.from({ length: 60 }, (_, i) => codeOf(login('own', `guess-${i}`, `192.0.2.${i}`)));
    await vi.waitFor(() => expect(verify).toHaveBeenCalledTimes(50));
    expect(await login('own', 'key', '198.51.100.1')).toMatchObject({
      code: 'overloaded',
      retryAfterMs: 1000,
    });
    expect(await codeOf(login('ifaxin', TOKEN, '192.0.2.1'))).toBeNull();
    resolve(null);
    expect((await Promise.all(guesses)).filter((code) => code === 'overloaded')).toHaveLength(10);
    expect(await codeOf(login('own', 'key', '198.51.100.1'))).toBeNull();
  });
});
