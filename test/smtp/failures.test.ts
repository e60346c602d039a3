/**
 * The failure table's SMTP column, walked: each code produced at the door, by a real SMTP server that misbehaves
 * where upstream causes it. For each: the reply, what was drawn, and what upstream really took.
 */

import { describe, expect, it } from 'vitest';
import { FAILURES, type FailureCode, kindOf } from '../../src/outcome.ts';
import { accountWith, fault, INSECURE, says } from '../support/faults.ts';
import type { Step, UpstreamOptions } from '../support/upstream.ts';
import { Client, type Delivery, MESSAGE, openDoor, type RunningDoor, startDoor, until } from './door.ts';

interface Case {
  readonly name: string;
  readonly code: FailureCode;
  /** The table's reply, if absent. */
  readonly reply?: string;
  readonly upstream?: UpstreamOptions;
  readonly settings?: Record<string, string>;
  readonly delivery?: Delivery;
  /** What others do first. */
  readonly before?: (door: RunningDoor) => Promise<unknown>;
  /** Calls drawn; none where it is absent. */
  readonly draws?: number;
  /** Messages that upstream took; none where it is absent. */
  readonly takes?: number;
}

/** Short, so that a silent upstream is a deadline that passes and not a test that waits. */
const IMPATIENT = { DEADLINE_MS: '1500' };
const BASIC = { BASIC_AUTH: 'on' };
const OWN_KEY: Delivery = { user: 'own', password: 'own-key' };

/** More than fits into buffers on the way. */
const LONG: Delivery = { body: MESSAGE + 'Lorem ipsum dolor sit amet.\r\n'.repeat(300_000) };
const bodyFor = (at: Step): Delivery => (at === 'body' ? LONG : {});

const keyed = (subject: string): Delivery => ({
  body: `Subject: ${subject}\r\nIdempotency-Key: order-4711\r\n\r\nSome text.\r\n`,
});

const CASES: Case[] = [
  // The login.
  { name: 'a wrong token', code: 'unauthorized', delivery: { password: 'not-the-token-we-know' } },
  { name: 'the token of another api_user', code: 'unauthorized', delivery: { user: 'somebody' } },
  { name: 'an api_key where Basic is off', code: 'unauthorized', delivery: { password: 'the-key' } },
  { name: 'a label of 0', code: 'unauthorized', delivery: { user: 'ifaxin#0' } },
  {
    name: 'a label beyond a safe integer',
    code: 'unauthorized',
    delivery: { user: 'ifaxin#9007199254740993' },
  },
  { name: 'an api_user with a #', code: 'unauthorized', delivery: { user: 'ifaxin#1#x' }, settings: BASIC },
  {
    name: 'an api_key that upstream refuses',
    code: 'unauthorized',
    settings: BASIC,
    upstream: { accounts: { own: 'another-key' } },
    delivery: OWN_KEY,
  },
  ...(['greeting', 'ehlo2', 'auth-key'] as const).map(
    (at): Case => ({
      name: `an api_key to prove, and upstream closed at ${at}`,
      code: 'upstream-unreachable',
      settings: BASIC,
      upstream: fault(at, 'close'),
      delivery: OWN_KEY,
    }),
  ),
  {
    name: 'an api_key to prove, and no STARTTLS upstream',
    code: 'upstream-insecure',
    settings: BASIC,
    upstream: { starttls: 'missing' },
    delivery: OWN_KEY,
  },
  {
    name: 'an api_key to prove, and upstream silent',
    code: 'upstream-timeout',
    settings: { ...BASIC, ...IMPATIENT },
    upstream: fault('auth-key', 'silent'),
    delivery: OWN_KEY,
  },
  {
    name: 'an api_key to prove, and 536 at the login',
    code: 'quota-exceeded',
    settings: BASIC,
    upstream: says('auth-key', '536 frequency limited'),
    delivery: OWN_KEY,
  },

  {
    name: 'another wrong token after ten wrong ones',
    code: 'too-many-failed-logins',
    delivery: { password: 'another-guess' },
    before: async (door) => {
      for (let i = 0; i < 10; i++) await new Client(door.smtpPort).deliver({ password: `guess-${i}` });
    },
  },
  {
    name: 'an api_key to prove while ten others are being proven',
    code: 'overloaded',
    settings: BASIC,
    upstream: fault('auth-key', 'silent'),
    delivery: OWN_KEY,
    before: async (door) => {
      for (let i = 0; i < 10; i++) {
        const client = new Client(door.smtpPort);
        await client.secure();
        client.auth(`other${i}`, 'key').catch(() => {});
      }
      await until(() => door.upstream.logins.length === 10);
    },
  },

  // An Idempotency-Key.
  {
    name: 'a key whose message is on its way',
    code: 'request-in-progress',
    upstream: { faults: [{ at: 'dot', delayMs: 1000, times: 1 }] },
    delivery: keyed('Order'),
    before: async (door) => {
      new Client(door.smtpPort).deliver(keyed('Order')).catch(() => {});
      await until(() => door.upstream.taken.length === 1);
    },
    draws: 1,
    takes: 1,
  },
  {
    name: 'a key that was used for another message',
    code: 'idempotency-key-reused',
    delivery: keyed('Another'),
    before: (door) => new Client(door.smtpPort).deliver(keyed('Order')),
    draws: 1,
    takes: 1,
  },

  // The message and what the account may.
  {
    name: 'a sender that is not among those allowed',
    code: 'forbidden-sender',
    settings: accountWith({ from: ['example.com', 'ben@ifaxin.com'] }),
  },
  {
    name: 'a label that is not among those allowed',
    code: 'forbidden-label',
    settings: accountWith({ labels: [1, 2] }),
    delivery: { user: 'ifaxin#3' },
  },
  {
    name: 'a message over the limit, its size not declared',
    code: 'message-too-large',
    settings: { MAX_MESSAGE_BYTES: '1024' },
    delivery: { body: 'x'.repeat(78).concat('\r\n').repeat(100) },
  },
  {
    name: 'a message far over the limit',
    code: 'message-too-large',
    settings: { MAX_MESSAGE_BYTES: '1000000' },
    delivery: LONG,
    draws: 1,
  },
  {
    name: "a declared size over upstream's own limit",
    code: 'message-too-large',
    upstream: { features: ['PIPELINING', 'SIZE 500', 'STARTTLS', 'AUTH LOGIN'] },
    delivery: { mail: '<support@ifaxin.com> SIZE=501' },
  },
  {
    name: "Haraka's 550 for the size after the dot",
    code: 'message-too-large',
    upstream: says('dot', '550 Message too big!'),
    draws: 1,
  },
  {
    name: 'a CR alone',
    code: 'invalid-message',
    delivery: { body: `${MESSAGE}a\rb\r\n` },
    reply: '554 5.6.0 Bare CR (RFC 5321 section 2.3.8): lines end in CRLF',
  },

  // Credentials and security of upstream.
  {
    name: 'a wrong api_key in the settings',
    code: 'upstream-credentials',
    upstream: { accounts: { ifaxin: 'another-key' } },
  },
  ...INSECURE.map((one): Case => ({ ...one, code: 'upstream-insecure' })),

  // Lost on the way.
  ...(['connect', 'greeting', 'tls', 'auth-key'] as const).flatMap((at): Case[] => [
    { name: `closed at ${at}`, code: 'upstream-unreachable', upstream: fault(at, 'close') },
    { name: `silent at ${at}`, code: 'upstream-timeout', upstream: fault(at, 'silent'), settings: IMPATIENT },
  ]),
  { name: 'closed at mail', code: 'upstream-unreachable', upstream: fault('mail', 'close'), draws: 3 },
  ...(['rcpt', 'data', 'body'] as const).flatMap((at): Case[] => [
    {
      name: `closed at ${at}`,
      code: 'upstream-unreachable',
      upstream: fault(at, 'close'),
      delivery: bodyFor(at),
      draws: 1,
    },
    {
      name: `reset at ${at}`,
      code: 'upstream-unreachable',
      upstream: fault(at, 'reset'),
      delivery: bodyFor(at),
      draws: 1,
    },
    {
      name: `silent at ${at}`,
      code: 'upstream-timeout',
      upstream: fault(at, 'silent'),
      delivery: bodyFor(at),
      settings: at === 'body' ? { DEADLINE_MS: '8000' } : IMPATIENT,
      draws: 1,
    },
  ]),
  ...(['close', 'reset', 'silent'] as const).map(
    (action): Case => ({
      name: `${action} after the dot, taken`,
      code: 'outcome-unknown',
      upstream: fault('dot', action, { taken: true }),
      settings: IMPATIENT,
      draws: 1,
      takes: 1,
    }),
  ),

  // Upstream says no: its own words.
  ...(['mail', 'data', 'dot'] as const).flatMap((at): Case[] => [
    {
      name: `5xx at ${at}`,
      code: 'message-refused',
      upstream: says(at, '553 template_validate not match'),
      reply: '553 template_validate not match',
      draws: 1,
    },
    {
      name: `4xx at ${at}`,
      code: 'upstream-busy',
      upstream: says(at, '451 4.3.0 try again later'),
      reply: '451 4.3.0 try again later',
      draws: 1,
    },
  ]),
  {
    name: '5xx for every recipient',
    code: 'recipients-refused',
    upstream: says('rcpt', '550 I cannot deliver mail for <ben@ifaxin.com>'),
    reply: '550 I cannot deliver mail for <ben@ifaxin.com>',
    draws: 1,
  },
  {
    name: '4xx for every recipient',
    code: 'upstream-busy',
    upstream: says('rcpt', '450 4.2.0 greylisted'),
    reply: '450 4.2.0 greylisted',
    draws: 1,
  },
  {
    name: '421 after the dot',
    code: 'upstream-busy',
    upstream: says('dot', '421 4.3.2 going down'),
    reply: '421 4.3.2 going down',
    draws: 1,
  },
  {
    name: 'several lines, not all of them ASCII',
    code: 'message-refused',
    upstream: says('dot', '554-5.7.1 R\u00e9fus\u00e9\r\n554 5.7.1 for good'),
    reply: '554 5.7.1 R?fus? 5.7.1 for good',
    draws: 1,
  },
  {
    name: 'a reply that is too long for one line',
    code: 'message-refused',
    upstream: says('dot', `554 ${'no '.repeat(300)}`),
    reply: `554 ${'no '.repeat(300).slice(0, 497)}...`,
    draws: 1,
  },

  // The quota.
  {
    name: 'the quota cannot be read, and it must not be guessed',
    code: 'quota-unavailable',
    settings: {
      UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:9',
      UPSTASH_REDIS_REST_TOKEN: 'none',
      QUOTA_ON_ERROR: 'refuse',
    },
  },
  {
    name: 'the keys cannot be read, and must not be guessed',
    code: 'store-unavailable',
    settings: {
      UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:9',
      UPSTASH_REDIS_REST_TOKEN: 'none',
      QUOTA_ON_ERROR: 'refuse',
    },
    delivery: { body: `Idempotency-Key: order-1\r\n${MESSAGE}` },
  },
  // Over it, at whatever stage it comes.
  ...(['greeting', 'ehlo', 'ehlo2', 'auth', 'auth-key'] as const).map(
    (at): Case => ({
      name: `536 at ${at}`,
      code: 'quota-exceeded',
      upstream: says(at, '536 frequency limited'),
    }),
  ),
  ...(['mail', 'rcpt', 'data', 'dot'] as const).map(
    (at): Case => ({
      name: `536 at ${at}, worded otherwise`,
      code: 'quota-exceeded',
      upstream: says(at, '536 5.7.1 slow down'),
    }),
  ),
];

const atThisDoor = (Object.keys(FAILURES) as FailureCode[]).filter((code) => kindOf(code).smtp !== null);

const tableReply = (code: FailureCode): string => `${kindOf(code).smtp?.code} ${kindOf(code).smtp?.text}`;

describe.concurrent('a failure at the SMTP door', { timeout: 60_000 }, () => {
  it('has a case for each code', () => {
    // An internal error takes a bug: below.
    expect(new Set([...CASES.map(({ code }) => code), 'internal'])).toEqual(new Set(atThisDoor));
  });

  for (const { name, code, draws = 0, takes = 0, ...given } of CASES) {
    it(`${name}: ${code}`, async () => {
      await using door = await startDoor(given.settings, given.upstream);
      await given.before?.(door);
      const client = new Client(door.smtpPort);
      expect(await client.deliver(given.delivery)).toBe(given.reply ?? tableReply(code));
      expect(door.upstream.taken).toHaveLength(takes);
      if (!code.startsWith('quota-')) expect(await door.drawn()).toBe(draws);
      // What the log says of a message, it says by the table's code.
      const facts = door.logged('message').at(-1);
      if (facts) expect(facts).toMatchObject({ code, queueId: null });
      client.destroy();
    });
  }

  it('an exception: logged, and 451', async () => {
    await using door = await openDoor({
      submit: () => Promise.reject(new Error('a bug in the use case')),
    });
    const client = new Client(door.port);
    expect(await client.deliver()).toBe('451 4.3.0 Internal error');
    expect(door.logLines.join()).toContain('a bug in the use case');
    expect(await client.ask('NOOP')).toMatch(/^250 /);
    client.destroy();
  });

  it('an exception at the login: logged, and 451', async () => {
    await using door = await openDoor({
      authenticator: { login: () => Promise.reject(new Error('a bug at the login')) },
    });
    const client = new Client(door.port);
    expect(await client.deliver()).toBe('451 4.3.0 Internal error');
    expect(door.logLines.join()).toContain('a bug at the login');
    client.destroy();
  });

  it('our own window is spent: 536, until it is open again', async () => {
    await using door = await startDoor({ QUOTA_LIMIT: '2' });
    const client = new Client(door.smtpPort);
    expect(await client.deliver()).toMatch(/^250 /);
    const next = async () => {
      await client.ask('MAIL FROM:<support@ifaxin.com>');
      await client.ask('RCPT TO:<ben@ifaxin.com>');
      await client.ask('DATA');
      return client.ask(`${MESSAGE}.`);
    };
    expect(await next()).toMatch(/^250 /);
    expect(await next()).toBe('536 frequency limited');
    expect(door.upstream.transactions).toHaveLength(2);
    // The two doors have one window.
    expect((await door.send()).status).toBe(429);
    client.destroy();
  });

  it("upstream's own 536 closes the window for both doors", async () => {
    await using door = await startDoor({}, says('dot', '536 frequency limited'));
    expect(await new Client(door.smtpPort).deliver()).toBe('536 frequency limited');
    door.upstream.faults = [];
    expect(await new Client(door.smtpPort).deliver()).toBe('536 frequency limited');
    expect((await door.send()).status).toBe(429);
    expect(door.upstream.transactions).toHaveLength(1);
  });

  it('a label that upstream does not know, with an own api_key: 535 after the message', async () => {
    await using door = await startDoor(BASIC, { accounts: { own: 'own-key' } });
    const labelled = new Client(door.smtpPort);
    await labelled.secure();
    expect(await labelled.auth('own#7', 'own-key')).toMatch(/^235 /);
    door.upstream.faults = [{ at: 'auth-key', do: { reply: '535 Authentication failed' } }];
    await labelled.ask('MAIL FROM:<support@ifaxin.com>');
    await labelled.ask('RCPT TO:<ben@ifaxin.com>');
    await labelled.ask('DATA');
    expect(await labelled.ask(`${MESSAGE}.`)).toBe('535 5.7.8 Authentication failed');
    expect(door.upstream.taken).toHaveLength(0);
    labelled.destroy();
  });

  it('some recipients refused: 250 that says which, and a warning', async () => {
    const refused = {
      at: 'rcpt',
      do: { reply: '550 5.1.1 no such user' },
      address: 'nobody@ifaxin.com',
    } as const;
    await using door = await startDoor({}, { faults: [refused] });
    const client = new Client(door.smtpPort);
    const recipients = ['ben@ifaxin.com', 'nobody@ifaxin.com', 'ann@ifaxin.com'];
    expect(await client.deliver({ recipients })).toBe(
      '250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued; refused: <nobody@ifaxin.com> (550 5.1.1 no such user)',
    );
    expect(door.upstream.taken).toMatchObject([{ recipients: ['ben@ifaxin.com', 'ann@ifaxin.com'] }]);
    expect(door.logged('message')).toMatchObject([
      { outcome: 'accepted', rejected: [{ address: 'nobody@ifaxin.com', code: 550 }] },
    ]);
    client.destroy();
  });

  it('many recipients refused: still one line of at most 512 octets', async () => {
    const refused = Array.from({ length: 40 }, (_, at) => `nobody${at}@ifaxin.com`);
    const faults = refused.map((address) => ({ at: 'rcpt', do: { reply: '550 no' }, address }) as const);
    await using door = await startDoor({}, { faults });
    const client = new Client(door.smtpPort);
    const reply = await client.deliver({ recipients: ['ben@ifaxin.com', ...refused] });
    expect(reply).toMatch(/^250 #.*#Queued; refused: <nobody0@ifaxin.com> \(550 no\), .*\.\.\.$/);
    expect(reply?.length).toBeLessThanOrEqual(510);
    client.destroy();
  });
});
