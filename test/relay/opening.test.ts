/** The way to a session: what upstream may say up to its login. */

import { describe, expect, it } from 'vitest';
import type { UpstreamOptions, Words } from '../support/upstream.ts';
import { ASKED, LOGIN, once, soon, startRelay } from './relay.ts';

describe.concurrent('legal replies (RFC 5321 section 4.2.1)', { timeout: 30_000 }, () => {
  const cases: [string, UpstreamOptions][] = [
    ['a bare 220', { faults: [once('greeting', { reply: '220' })] }],
    ['a greeting of three lines', { faults: [once('greeting', { reply: '220-a\r\n220-\r\n220 c' })] }],
    ['a bare 220 to STARTTLS', { faults: [once('starttls', { reply: '220' })] }],
    ['a 220 of two lines to STARTTLS', { faults: [once('starttls', { reply: '220-go\r\n220 ahead' })] }],
    ['a bare 334', { faults: [once('auth', { reply: '334' })] }],
    ['a 334 with a space alone', { faults: [once('auth', { reply: '334 ' })] }],
    ['a bare 235', { faults: [once('auth-key', { reply: '235' })] }],
    ['a 235 of two lines', { faults: [once('auth-key', { reply: '235-welcome\r\n235 back' })] }],
    ['a 235 of bare lines', { faults: [once('auth-key', { reply: '235-\r\n235' })] }],
    [
      'bare codes in the transaction',
      { faults: [once('mail', { reply: '250' }), once('rcpt', { reply: '250' })] },
    ],
    ['251 to RCPT', { faults: [once('rcpt', { reply: '251 will forward', meant: 250 })] }],
    ['a bare 354', { faults: [once('data', { reply: '354' })] }],
    ['a 354 of two lines', { faults: [once('data', { reply: '354-go\r\n354 ahead' })] }],
    ['a greeting a byte at a time', { faults: [once('greeting', { reply: '220 hello', drip: true })] }],
    ['a 235 a byte at a time', { faults: [once('auth-key', { reply: '235 welcome', drip: true })] }],
    ['a server that is deaf to the initial response', { auth: 'asks-user' }],
    ['keywords in lower case', { features: ['pipelining', 'size 16000000', 'STARTTLS', 'AUTH LOGIN'] }],
  ];
  it.each(cases)('%s: accepted', async (_, options) => {
    await using relay = await startRelay({}, options);
    expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(relay.upstream.sessions).toHaveLength(1);
  });
});

describe.concurrent('before the login', { timeout: 30_000 }, () => {
  it.each<[string, Words]>([
    ['a reply', { reply: '220 go ahead\r\n250 injected' }],
    ['half a reply', { reply: '220 go ahead\r\n250-inj', cut: true }],
  ])('%s in the clear behind STARTTLS: insecure, and nothing is sent', async (_, words) => {
    await using relay = await startRelay({}, { faults: [{ at: 'starttls', do: words }] });
    expect(await relay.deliver()).toMatchObject({ code: 'upstream-insecure', delivery: 'not-sent' });
    expect(relay.upstream.logins).toEqual([]);
  });

  it('only what was announced inside TLS counts', async () => {
    const features = '250-me\r\n250-PIPELINING\r\n250-SIZE 10\r\n250 STARTTLS';
    await using relay = await startRelay({}, { faults: [once('ehlo', { reply: features })] });
    const lease = await relay.lease();
    expect(lease.maxSize).toBe(16_000_000);
    lease.release();
  });

  it('a 235 to a login without its key proves nothing', async () => {
    await using relay = await startRelay({}, { faults: [{ at: 'auth', do: { reply: '235 welcome' } }] });
    const leased = await relay.pool.lease(LOGIN, { ...ASKED, fresh: true }, soon());
    expect(leased).toMatchObject({ code: 'upstream-unreachable', smtp: { code: 235, phase: 'auth' } });
  });

  it.each([
    ['greeting', '536 frequency limited', 'quota-exceeded', 'greeting'],
    ['ehlo', '536 frequency limited', 'quota-exceeded', 'ehlo'],
    ['ehlo2', '421 busy', 'upstream-busy', 'ehlo'],
    ['auth-key', '535 no', 'upstream-credentials', 'auth'],
    ['auth-key', '536 frequency limited', 'quota-exceeded', 'auth'],
  ] as const)('%s answered %j and then hung up: said as it was', async (at, reply, code, phase) => {
    // A reset right behind the greeting can overtake even the end of TCP's handshake.
    for (const after of [
      'close',
      'half-close',
      ...(at === 'greeting' ? [] : (['reset'] as const)),
    ] as const) {
      await using relay = await startRelay({}, { faults: [{ at, do: { reply, after } }] });
      expect(await relay.deliver()).toMatchObject({ code, smtp: { phase, response: reply } });
      expect(relay.upstream.sessions).toHaveLength(1);
    }
  });

  it.each(['greeting', 'ehlo', 'ehlo2', 'auth', 'auth-key'] as const)(
    'a reply too many at %s: another connection in silence',
    async (at) => {
      const usual = {
        greeting: '220 a',
        ehlo: '250-a\r\n250 STARTTLS',
        ehlo2: '250 a',
        auth: '334 ',
        'auth-key': '235 a',
      };
      await using relay = await startRelay(
        {},
        { faults: [once(at, { reply: `${usual[at]}\r\n250 stray` })] },
      );
      expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
      expect(relay.upstream.sessions).toHaveLength(2);
      expect(await relay.drawn()).toBe(1);
    },
  );
});
