import { expect, test, vi } from 'vitest';
import { ConfigError } from '../../src/config.ts';
import { readSettings } from '../../src/runtime/cloudflare/settings.ts';

vi.mock('cloudflare:workers', () => ({ DurableObject: class {}, waitUntil: () => {} }));

const problemsOf = (environment: Record<string, unknown>): readonly string[] => {
  try {
    readSettings(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

test('the defaults leave port 25 out', () => {
  expect(readSettings({ BASIC_AUTH: 'on' })).toMatchObject({ smtp: { ports: [587, 2525] }, shards: 4 });
});

test('port 25 is refused, told beside everything else that is wrong', () => {
  expect(problemsOf({ SMTP_PORTS: '587, 25', DELIVERY_SHARDS: '0', QUOTA_LIMIT: 'many' })).toEqual([
    expect.stringMatching(/^QUOTA_LIMIT: /),
    expect.stringMatching(/^SENDCLOUD_API_USER: missing/),
    expect.stringMatching(/^DELIVERY_SHARDS: /),
    expect.stringMatching(/^SMTP_PORTS: Workers cannot connect to port 25/),
  ]);
});

test('a message that no call to a Durable Object takes is refused', () => {
  expect(readSettings({ BASIC_AUTH: 'on', MAX_MESSAGE_BYTES: 30_000_000 }).maxMessageBytes).toBe(30_000_000);
  expect(problemsOf({ BASIC_AUTH: 'on', MAX_MESSAGE_BYTES: '30000001' })).toEqual([
    'MAX_MESSAGE_BYTES: at most 30000000 on Workers, since a call to a Durable Object takes 32 MiB',
  ]);
});

test('variables of wrangler.toml may be numbers and arrays, and bindings are no settings', () => {
  const accounts = [{ apiUser: 'u', apiKey: 'k', tokens: ['a-token-of-sixteen-characters'] }];
  const config = readSettings({
    ACCOUNTS: accounts,
    QUOTA_LIMIT: 7,
    DELIVERY: {} as never,
    PORT: { get: 1 },
  });
  expect(config.accounts).toMatchObject([{ apiUser: 'u', quota: 7 }]);
});

test('a request is kept running until it is answered, whether its client waits or not', async () => {
  const { default: worker } = await import('../../src/runtime/worker.ts');
  const kept: Promise<unknown>[] = [];
  const ctx = {
    waitUntil: (promise: Promise<unknown>) => void kept.push(promise),
    passThroughOnException: () => {},
    props: {},
  };
  const answer = await worker.fetch(
    new Request('https://postern.example/healthz'),
    { BASIC_AUTH: 'on' },
    ctx,
  );
  expect(await Promise.all(kept)).toEqual([answer]);
});
