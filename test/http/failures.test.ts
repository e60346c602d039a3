/**
 * The failure table, walked: each code produced by a real request. And, by a real SMTP server that misbehaves, the
 * cases beside those that the contract of every runtime (contract/gateway.ts) has: the answer, what was drawn, and
 * what upstream really took.
 */

import { createServer } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { ConfigError } from '../../src/config.ts';
import { createApp } from '../../src/http/app.ts';
import { requestBody } from '../../src/http/body.ts';
import { createLog } from '../../src/log.ts';
import { FAILURES, type FailureCode } from '../../src/outcome.ts';
import type { Problem } from '../../src/responses.ts';
import { unconfigured } from '../../src/runtime/unconfigured.ts';
import { createMemoryQuota } from '../../src/stores/memory/quota.ts';
import { accountWith, fault, INSECURE, says } from '../support/faults.ts';
import { MESSAGE, type RequestOptions, startPostern, TOKEN } from '../support/postern.ts';
import type { Step, UpstreamOptions } from '../support/upstream.ts';

interface Case {
  readonly name: string;
  readonly code: FailureCode;
  readonly upstream?: UpstreamOptions;
  readonly settings?: Record<string, string>;
  readonly message?: unknown;
  readonly headers?: Record<string, string>;
  /** Calls drawn; none where it is absent. */
  readonly draws?: number;
  /** Messages that upstream took; none where it is absent. */
  readonly takes?: number;
  /** What the answer says of upstream's reply. */
  readonly smtp?: { readonly code: number; readonly phase: string };
  readonly retryAfter?: true;
}

/** Short, so that a silent upstream is a deadline that passes and not a test that waits. */
const IMPATIENT = { DEADLINE_MS: '2500' };

/** For a message of megabytes, which takes its time on a busy machine. */
const PATIENT = { DEADLINE_MS: '8000' };

const CASES: Case[] = [
  // The request itself.
  { name: 'an empty Idempotency-Key', code: 'invalid-request', headers: { 'Idempotency-Key': '""' } },
  {
    name: 'an api_key where Basic is off',
    code: 'unauthorized',
    headers: { Authorization: `Basic ${btoa('ifaxin:the-key')}` },
  },
  {
    name: 'a message that is composed over the limit',
    code: 'message-too-large',
    settings: { MAX_MESSAGE_BYTES: '1024' },
    message: { ...MESSAGE, text: '\u{1f600}'.repeat(100) },
  },
  {
    name: "a message over upstream's SIZE",
    code: 'message-too-large',
    upstream: { features: ['PIPELINING', 'SIZE 500', 'STARTTLS', 'AUTH LOGIN'] },
  },
  {
    name: "Haraka's 550 for the size at MAIL",
    code: 'message-too-large',
    upstream: says('mail', '550 Message too big!'),
    draws: 1,
    smtp: { code: 550, phase: 'mail' },
  },

  // Credentials of upstream.
  {
    name: '535 to the user name',
    code: 'upstream-credentials',
    upstream: says('auth', '535 5.7.8 Authentication failed'),
    smtp: { code: 535, phase: 'auth' },
  },

  // Lost before MAIL was answered: tried three times, and then unreachable.
  ...(['connect', 'greeting', 'ehlo', 'starttls', 'ehlo2', 'auth', 'auth-key'] as const).map(
    (at): Case => ({ name: `reset at ${at}`, code: 'upstream-unreachable', upstream: fault(at, 'reset') }),
  ),
  ...(['connect', 'ehlo', 'starttls', 'tls', 'ehlo2', 'auth-key'] as const).map(
    (at): Case => ({
      name: `silent at ${at}`,
      code: 'upstream-timeout',
      upstream: fault(at, 'silent'),
      settings: IMPATIENT,
    }),
  ),
  { name: 'reset at mail', code: 'upstream-unreachable', upstream: fault('mail', 'reset'), draws: 3 },
  {
    name: 'silent at mail',
    code: 'upstream-timeout',
    upstream: fault('mail', 'silent'),
    settings: IMPATIENT,
    draws: 1,
  },

  // Lost within the transaction, before the dot: proven not sent, and not tried again.
  ...(['rcpt', 'data', 'body'] as const).flatMap((at): Case[] => [
    {
      name: `closed at ${at}`,
      code: 'upstream-unreachable',
      upstream: fault(at, 'close'),
      message: long(at),
      draws: 1,
    },
    {
      name: `reset at ${at}`,
      code: 'upstream-unreachable',
      upstream: fault(at, 'reset'),
      message: long(at),
      draws: 1,
    },
    {
      name: `silent at ${at}`,
      code: 'upstream-timeout',
      upstream: fault(at, 'silent'),
      message: long(at),
      settings: at === 'body' ? PATIENT : IMPATIENT,
      draws: 1,
    },
  ]),

  // After the dot nobody knows.
  {
    name: 'nonsense after the dot, taken',
    code: 'outcome-unknown',
    upstream: fault('dot', { reply: 'what?' }, { taken: true }),
    settings: IMPATIENT,
    draws: 1,
    takes: 1,
  },
  ...[
    '221 closing, message discarded',
    '252 maybe',
    '2 garbage',
    '250-hi\r\n550 no',
    '550-no\r\n250 yes',
    '999 no',
  ].map(
    (text): Case => ({
      name: `${JSON.stringify(text)} after the dot, taken`,
      code: 'outcome-unknown',
      upstream: fault('dot', { reply: text }, { taken: true }),
      draws: 1,
      takes: 1,
    }),
  ),

  // Answers that belong to no command: whatever they say, the message is not sent, or the answer is not believed.
  {
    name: 'DATA answered with 250',
    code: 'upstream-unreachable',
    upstream: says('data', '250 ok'),
    message: { ...MESSAGE, text: 'MAIL FROM:<evil@example.com>\nRCPT TO:<victim@example.com>\nDATA\n' },
    draws: 1,
  },
  {
    name: 'a 250 in one packet with the 354',
    code: 'upstream-unreachable',
    upstream: says('data', '354 go\r\n250 #early#Queued'),
    draws: 1,
  },
  {
    name: 'a 250 in one packet with the 354, and a long message',
    code: 'upstream-unreachable',
    upstream: says('data', '354 go\r\n250 #early#Queued'),
    message: long('body'),
    draws: 1,
  },
  {
    name: 'two stray answers after MAIL',
    code: 'upstream-unreachable',
    upstream: says('mail', '250 OK\r\n250 stray\r\n250 stray'),
    draws: 1,
  },
  { name: 'garbage for a greeting', code: 'upstream-unreachable', upstream: says('greeting', 'hello?') },
  { name: 'garbage to EHLO', code: 'upstream-unreachable', upstream: says('ehlo', 'what?') },
  { name: '250 to AUTH', code: 'upstream-unreachable', upstream: says('auth', '250 ok') },
  {
    name: '530 at MAIL: the session lost its login',
    code: 'upstream-credentials',
    upstream: says('mail', '530 5.7.0 Authentication required'),
    draws: 1,
    smtp: { code: 530, phase: 'mail' },
  },
  {
    name: '552 at RCPT: a full mailbox',
    code: 'recipients-refused',
    upstream: says('rcpt', '552 5.2.2 mailbox full'),
    draws: 1,
    smtp: { code: 552, phase: 'rcpt' },
  },

  // Upstream says no.
  {
    name: '4xx for every recipient',
    code: 'upstream-busy',
    upstream: says('rcpt', '450 4.2.0 greylisted'),
    draws: 1,
    smtp: { code: 450, phase: 'rcpt' },
    retryAfter: true,
  },
  ...(['greeting', 'ehlo', 'ehlo2', 'auth-key'] as const).map(
    (at): Case => ({
      name: `421 at ${at}`,
      code: 'upstream-busy',
      upstream: says(at, '421 4.3.2 going down'),
      smtp: { code: 421, phase: at === 'ehlo2' ? 'ehlo' : at === 'auth-key' ? 'auth' : at },
      retryAfter: true,
    }),
  ),
  ...(['mail', 'data', 'dot'] as const).map(
    (at): Case => ({
      name: `421 at ${at}`,
      code: 'upstream-busy',
      upstream: says(at, '421 4.3.2 going down'),
      draws: 1,
      retryAfter: true,
    }),
  ),
  {
    name: '554 for a greeting',
    code: 'upstream-unreachable',
    upstream: says('greeting', '554 5.3.2 no service'),
    smtp: { code: 554, phase: 'greeting' },
  },
];

/** A message that cannot fit into buffers where the connection is lost while its body is on the way. */
function long(at: Step): unknown {
  return at === 'body' ? { ...MESSAGE, text: 'Lorem ipsum dolor sit amet.\n'.repeat(300_000) } : MESSAGE;
}

describe.concurrent('a failure', { timeout: 60_000 }, () => {
  for (const { name, code, draws = 0, takes = 0, ...given } of CASES) {
    it(`${name}: ${code}`, async () => {
      await using postern = await startPostern(given.settings, given.upstream);
      const response = await postern.send(given.message ?? MESSAGE, given.headers);
      const problem = (await response.json()) as Record<string, unknown>;

      expect(problem).toMatchObject({
        code,
        status: FAILURES[code].status,
        retryable: FAILURES[code].retryable,
      });
      expect(response.status).toBe(FAILURES[code].status);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
      expect(problem.delivery).toBe(code === 'outcome-unknown' ? 'unknown' : 'not-sent');
      expect(problem.instance).toBe(`/v1/messages#${response.headers.get('Request-Id')}`);
      if (given.smtp) expect(problem.smtp).toMatchObject(given.smtp);
      if (given.retryAfter) expect(Number(response.headers.get('Retry-After'))).toBeGreaterThan(0);
      expect(await postern.drawn()).toBe(draws);
      expect(postern.upstream.taken).toHaveLength(takes);
      // Whatever happens: never a key or a message in the clear.
      for (const session of postern.upstream.sessions) {
        const clear = session.dialogue.filter((line) => !line.secured).map((line) => line.text);
        expect(clear.filter((text) => /^C: (?:AUTH|MAIL|RCPT|DATA)/i.test(text))).toEqual([]);
      }
    });
  }

  for (const at of ['greeting', 'ehlo', 'auth', 'auth-key', 'mail', 'rcpt', 'data', 'dot'] as const) {
    it(`536 at ${at} closes the window for every request`, async () => {
      await using postern = await startPostern({}, says(at, '536 frequency limited'));
      const response = await postern.send();
      expect(await response.json()).toMatchObject({
        code: 'quota-exceeded',
        delivery: 'not-sent',
        smtp: { code: 536, response: '536 frequency limited' },
      });
      expect(response.status).toBe(429);
      expect(response.headers.get('Retry-After')).toBe('10');
      expect(response.headers.get('RateLimit')).toMatch(/^"apiuser";r=0;/);
      postern.upstream.faults = [];
      const next = await postern.send();
      expect(next.status).toBe(429);
      expect(postern.upstream.taken).toHaveLength(0);
    });
  }

  it('536 for one recipient and 550 for the other is the quota, and no verdict on the message', async () => {
    const faults = [
      { at: 'rcpt', address: 'a@ifaxin.com', do: { reply: '536 frequency limited' } },
      { at: 'rcpt', address: 'b@ifaxin.com', do: { reply: '550 no' } },
    ] as const;
    await using postern = await startPostern({}, { faults });
    const response = await postern.send({ ...MESSAGE, to: ['a@ifaxin.com', 'b@ifaxin.com'] });
    expect(await response.json()).toMatchObject({
      code: 'quota-exceeded',
      rejected: [{ code: 536 }, { code: 550 }],
    });
  });

  it('nothing listens: upstream-unreachable', async () => {
    const vacant = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => vacant.once('listening', resolve));
    const { port } = vacant.address() as { port: number };
    await new Promise((resolve) => vacant.close(resolve));
    await using postern = await startPostern({ SMTP_PORTS: String(port) });
    expect(await (await postern.send()).json()).toMatchObject({ code: 'upstream-unreachable' });
  });

  it('a host that does not exist: upstream-unreachable', async () => {
    await using postern = await startPostern({ SMTP_HOST: 'smtp.invalid' });
    expect(await (await postern.send()).json()).toMatchObject({ code: 'upstream-unreachable' });
  });
});

describe.concurrent('the table', { timeout: 60_000 }, () => {
  /** Produces a code by real requests; the last one's response. */
  type Produce = () => Promise<Response>;

  const sending =
    (settings: Record<string, string>, upstream: UpstreamOptions = {}, message: unknown = MESSAGE): Produce =>
    async () => {
      await using postern = await startPostern(settings, upstream);
      return await postern.send(message);
    };
  const asking =
    (path: string, options?: RequestOptions): Produce =>
    async () => {
      await using postern = await startPostern();
      return await postern.request(path, options);
    };
  const hooking =
    (path: string, headers: Record<string, string> = {}): Produce =>
    async () => {
      const hook = { from: 'a@ifaxin.com', to: 'b@ifaxin.com' };
      const hooks = [
        { ...hook, name: 'ci', scheme: 'bearer', secret: 'a-secret-of-ci' },
        { ...hook, name: 'contact', preset: 'form', scheme: 'none', origins: ['https://shop.example'] },
      ];
      await using postern = await startPostern({ HOOKS: JSON.stringify(hooks) });
      return await postern.request(path, { body: {}, headers });
    };
  const STORE_AWAY = {
    UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1',
    UPSTASH_REDIS_REST_TOKEN: 'token',
    QUOTA_ON_ERROR: 'refuse',
  };

  /** Every code, what a caller sees of it, and how it comes about. A new row of the table does not compile here. */
  const WALK: Record<FailureCode, readonly [number, Problem['delivery'], boolean, Produce]> = {
    'invalid-request': [400, 'not-sent', false, asking('/v1/messages', { body: '{"from":' })],
    unauthorized: [
      401,
      'not-sent',
      false,
      asking('/v1/quota', { headers: { Authorization: 'Bearer wrong' } }),
    ],
    'forbidden-sender': [403, 'not-sent', false, sending(accountWith({ from: ['example.com'] }))],
    'forbidden-label': [403, 'not-sent', false, sending(accountWith({ labels: [1, 2] }))],
    'bad-signature': [401, 'not-sent', false, hooking('/v1/hooks/ci', { Authorization: 'Bearer wrong' })],
    'forbidden-origin': [
      403,
      'not-sent',
      false,
      hooking('/v1/hooks/contact', { Origin: 'https://a.example' }),
    ],
    'unknown-hook': [404, 'not-sent', false, hooking('/v1/hooks/none')],
    'not-found': [404, 'not-sent', false, asking('/v2/messages')],
    'method-not-allowed': [405, 'not-sent', false, asking('/v1/quota', { method: 'DELETE' })],
    'request-in-progress': [
      409,
      'not-sent',
      true,
      async () => {
        await using postern = await startPostern({ DEADLINE_MS: '6000' }, fault('dot', 'silent'));
        const key = { 'Idempotency-Key': 'the-same' };
        const first = postern.send(MESSAGE, key);
        await vi.waitFor(() => expect(postern.upstream.transactions).toHaveLength(1), 10_000);
        const second = await postern.send(MESSAGE, key);
        await first;
        return second;
      },
    ],
    'not-cancellable': [
      409,
      'unknown',
      false,
      async () => {
        await using postern = await startPostern();
        const queued = await postern.send(MESSAGE, { Prefer: 'respond-async' });
        await vi.waitFor(() => expect(postern.upstream.taken).toHaveLength(1), 10_000);
        const path = queued.headers.get('Location') as string;
        return await postern.request(path, { method: 'DELETE' });
      },
    ],
    'message-too-large': [
      413,
      'not-sent',
      false,
      sending({ MAX_MESSAGE_BYTES: '1024' }, {}, { ...MESSAGE, text: 'x'.repeat(2000) }),
    ],
    'unsupported-media-type': [
      415,
      'not-sent',
      false,
      asking('/v1/messages', { body: 'a=b', headers: { 'Content-Type': 'text/plain' } }),
    ],
    'invalid-message': [422, 'not-sent', false, asking('/v1/messages', { body: {} })],
    'unsupported-field': [
      422,
      'not-sent',
      false,
      // The doors that have fields of another service answer in its shape.
      asking('/resend/emails', {
        body: { from: 'a@ifaxin.com', to: 'b@ifaxin.com', subject: 'S', text: 'T', topic_id: '1' },
      }),
    ],
    'idempotency-key-reused': [
      422,
      'not-sent',
      false,
      async () => {
        await using postern = await startPostern();
        const key = { 'Idempotency-Key': 'the-same' };
        await postern.send(MESSAGE, key);
        return await postern.send({ ...MESSAGE, subject: 'Another' }, key);
      },
    ],
    'message-refused': [422, 'not-sent', false, sending({}, says('dot', '554 no'))],
    'recipients-refused': [422, 'not-sent', false, sending({}, says('rcpt', '550 no'))],
    'quota-exceeded': [
      429,
      'not-sent',
      true,
      async () => {
        await using postern = await startPostern({ QUOTA_LIMIT: '1' });
        await postern.send();
        return await postern.send();
      },
    ],
    'too-many-forms': [
      429,
      'not-sent',
      true,
      async () => {
        const hook = {
          name: 'contact',
          preset: 'form',
          scheme: 'none',
          from: 'a@ifaxin.com',
          to: 'b@ifaxin.com',
        };
        await using postern = await startPostern({ HOOKS: JSON.stringify([{ ...hook, perMinute: 1 }]) });
        const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
        await postern.request('/v1/hooks/contact', { body: 'message=a', headers });
        return await postern.request('/v1/hooks/contact', { body: 'message=b', headers });
      },
    ],
    'too-many-failed-logins': [
      429,
      'not-sent',
      true,
      async () => {
        await using postern = await startPostern();
        const headers = { Authorization: `Basic ${btoa('ifaxin:a-wrong-password')}` };
        for (let guess = 0; guess < 10; guess++) await postern.request('/v1/quota', { headers });
        return await postern.request('/v1/quota', { headers });
      },
    ],
    misconfigured: [
      500,
      'not-sent',
      false,
      async () => unconfigured(new ConfigError(['PORT: wrong']), () => {}).request('/v1/quota'),
    ],
    internal: [500, 'unknown', false, async () => (await bug()).response],
    'outbox-off': [
      501,
      'not-sent',
      false,
      sending({ OUTBOX: 'off' }, {}, { ...MESSAGE, sendAt: '2026-01-01T00:00:00Z' }),
    ],
    'upstream-credentials': [502, 'not-sent', false, sending({}, { accounts: { ifaxin: 'another-key' } })],
    'upstream-insecure': [502, 'not-sent', false, sending({}, INSECURE[0]?.upstream)],
    'upstream-unreachable': [502, 'not-sent', true, sending({}, fault('greeting', 'close'))],
    'upstream-busy': [503, 'not-sent', true, sending({}, says('mail', '451 4.3.0 later'))],
    overloaded: [
      503,
      'not-sent',
      true,
      async () => {
        await using postern = await startPostern(
          { ...IMPATIENT, BASIC_AUTH: 'on' },
          fault('auth-key', 'silent'),
        );
        // Ten api_keys of one address are proven at a time.
        const all = await Promise.all(
          Array.from({ length: 11 }, (_, i) =>
            postern.request('/v1/quota', { headers: { Authorization: `Basic ${btoa(`own-${i}:key`)}` } }),
          ),
        );
        return all.find(({ status }) => status === 503) as Response;
      },
    ],
    'quota-unavailable': [503, 'not-sent', true, sending(STORE_AWAY)],
    'store-unavailable': [
      503,
      'not-sent',
      true,
      async () => {
        await using postern = await startPostern(STORE_AWAY);
        return await postern.send(MESSAGE, { 'Idempotency-Key': 'order-1' });
      },
    ],
    'upstream-timeout': [504, 'not-sent', true, sending(IMPATIENT, fault('mail', 'silent'))],
    'outcome-unknown': [504, 'unknown', false, sending({}, fault('dot', 'close'))],
  };

  it('unsupported-field is for doors of other shapes, each of which answers in its own', async () => {
    const body = `apiUser=ifaxin&apiKey=${TOKEN}&labelName=spring`;
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const response = await asking('/apiv2/mail/send', { body, headers })();
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ statusCode: 422, info: { code: 'unsupported-field' } });
  });

  it.each(Object.entries(WALK))('%s is what a real request gets', async (code, expected) => {
    const [status, delivery, retryable, produce] = expected;
    const response = await produce();
    expect(response.status).toBe(status);
    if (code === 'unsupported-field') {
      expect(await response.json()).toMatchObject({ statusCode: status, code });
      return;
    }
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    const { title } = FAILURES[code as FailureCode];
    expect(await response.json()).toMatchObject({ code, status, delivery, retryable, title });
  });

  it('a bug tells the caller nothing of itself, and the log all of it', async () => {
    const { response, logLines } = await bug();
    expect(await response.text()).not.toContain('line of fire');
    expect(logLines.join()).toContain('line of fire');
  });

  /** A request to a door whose use case throws. */
  async function bug() {
    const logLines: string[] = [];
    const account = { apiUser: 'ifaxin', apiKey: 'the-key', from: null, labels: null, quota: 10 };
    const login = async () => ({ account, ownKey: false });
    const app = createApp({
      authenticator: { token: login, login, wrongSecret: () => null },
      send: async () => {
        throw new Error('a bug in the line of fire');
      },
      quota: createMemoryQuota({ windowMs: 60_000, guardMs: 0 }),
      outbox: null,
      windowMs: 60_000,
      corsOrigins: [],
      adapters: [],
      deadlineMs: () => 1000,
      maxMessageBytes: 1_000_000,
      ready: async () => ({}),
      bodyReader: requestBody,
      clientAddress: () => '',
      prefix: () => '',
      referenceUi: 'docs/',
      log: createLog('info', (line) => logLines.push(line)),
    });
    const response = await app.request('/v1/messages', {
      method: 'POST',
      headers: { Authorization: 'Bearer any', 'Content-Type': 'application/json' },
      body: JSON.stringify(MESSAGE),
    });
    return { response, logLines };
  }
});
