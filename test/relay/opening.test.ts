/** The way to a session: what upstream may say up to its login. */

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createAuthority, selfSigned } from '../../src/sandbox/certificate.ts';
import type { UpstreamOptions, Words } from '../support/upstream.ts';
import { ASKED, authority, LOGIN, once, soon, startRelay } from './relay.ts';

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

describe.concurrent('without trustworthy TLS', { timeout: 30_000 }, () => {
  it.each<[string, UpstreamOptions]>([
    ['no STARTTLS', { starttls: 'missing' }],
    ['STARTTLS refused', { starttls: 'refused' }],
    ['nonsense behind STARTTLS', { faults: [{ at: 'tls', do: { reply: 'no TLS, but text' } }] }],
    [
      'TLS 1.1 at the most',
      { tls: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } },
    ],
  ])('%s: insecure, and the connection is closed', async (_, options) => {
    await using relay = await startRelay({}, options);
    expect(await relay.deliver()).toMatchObject({ code: 'upstream-insecure', delivery: 'not-sent' });
    while (relay.open() > 0) await pause(5);
    expect(relay.upstream.logins).toEqual([]);
    expect(relay.upstream.sessions).toHaveLength(1);
  });

  it.each([
    ['signed by itself', () => selfSigned(), /SELF_SIGNED/],
    ['of an unknown authority', async () => (await createAuthority()).issue(), /ISSUER|VERIFY|SIGNATURE/],
    ['expired', () => authority.issue({ notAfter: new Date(Date.now() - 60_000) }), /EXPIRED/],
    ['for another name', () => authority.issue({ names: ['mail.example.com'] }), /ALTNAME/],
  ] as const)('a certificate that is %s', async (_, issue, reason) => {
    await using relay = await startRelay({}, { certificate: await issue() });
    expect(await relay.deliver()).toMatchObject({
      code: 'upstream-insecure',
      detail: expect.stringMatching(reason),
    });
    while (relay.open() > 0) await pause(5);
    expect(relay.upstream.logins).toEqual([]);
  });
});

describe.concurrent('what EHLO announces', { timeout: 30_000 }, () => {
  it.each([
    ['SIZE 1000', 1000],
    ['size  1000', 1000],
    ['SIZE', null],
    ['SIZE 0', null],
    ['SIZE many', null],
    ['SIZES 1000', null],
    [' SIZE 1000 ', 1000],
    ['SIZE 1000 2000', null],
  ])('%j: messages of at most %j bytes', async (feature, maxSize) => {
    await using relay = await startRelay({}, { features: [feature, 'STARTTLS', 'AUTH LOGIN'] });
    const lease = await relay.lease();
    expect(lease.maxSize).toBe(maxSize);
    lease.release();
  });
});

describe.concurrent('an opening that fails', { timeout: 30_000 }, () => {
  it('says where, and closes the connection', async () => {
    for (const [options, words] of [
      [{ starttls: 'missing' }, 'offers no trustworthy TLS (no STARTTLS).'],
      [{ faults: [{ at: 'greeting', do: { reply: '554 closed' } }] }, 'refused the session.'],
      [{ faults: [{ at: 'ehlo', do: { reply: '554 closed' } }] }, 'refused the session.'],
      // The first line is a greeting, whatever stands there.
      [
        { faults: [{ at: 'ehlo', do: { reply: '250-STARTTLS\r\n250 SIZE 1' } }] },
        'offers no trustworthy TLS (no STARTTLS).',
      ],
    ] as const) {
      await using relay = await startRelay({}, options);
      expect(await relay.deliver()).toMatchObject({ detail: `localhost:${relay.upstream.port} ${words}` });
      while (relay.open() > 0) await pause(5);
      expect(relay.said(0)).not.toContain('C: STARTTLS');
    }
  });

  it('because there is no server, or no time', async () => {
    await using relay = await startRelay();
    const { port } = relay.upstream;
    expect(await relay.pool.lease(LOGIN, ASKED, AbortSignal.abort())).toMatchObject({
      code: 'upstream-timeout',
      detail: `localhost:${port} did not answer in time.`,
    });
    await relay.upstream.close();
    expect(await relay.pool.lease(LOGIN, ASKED, soon())).toEqual({
      delivery: 'not-sent',
      code: 'upstream-unreachable',
      detail: `localhost:${port} cannot be reached (ECONNREFUSED).`,
      again: true,
    });
  });
});

describe.concurrent('the login', { timeout: 30_000 }, () => {
  it.each([
    ['Username:', 'aWZheGlu'],
    ['username', 'aWZheGlu'],
    ['Password:', 'dGhlLWtleQ=='],
    ['Your username:', 'dGhlLWtleQ=='],
    ['Username: and key', 'dGhlLWtleQ=='],
  ])('a server that asks %j hears %s', async (text, answer) => {
    const reply = `334 ${Buffer.from(text).toString('base64')}`;
    await using relay = await startRelay({}, { faults: [once('auth', { reply, meant: 334 })] });
    await relay.pool.lease(LOGIN, ASKED, AbortSignal.timeout(500));
    const heard = relay.said(0).filter((line) => line.startsWith('C: '));
    const from = heard.indexOf('C: AUTH LOGIN aWZheGlu');
    expect(heard[from + 1]).toBe(`C: ${answer}`);
  });

  it('takes nothing but 334 for a question', async () => {
    await using relay = await startRelay({}, { faults: [{ at: 'auth', do: { reply: '250 VXNlcm5hbWU6' } }] });
    expect(await relay.pool.lease(LOGIN, ASKED, soon())).toMatchObject({ code: 'upstream-unreachable' });
    expect(relay.said(0).at(-1)).toBe('S: 250 VXNlcm5hbWU6');
  });

  it.each([
    [null, '[127.0.0.1]'],
    ['ifaxin.com', 'ifaxin.com'],
  ])('behind EHLO %j, before and inside TLS', async (helo, said) => {
    await using relay = await startRelay();
    (await relay.lease(LOGIN, { ...ASKED, helo })).release();
    expect(relay.said(0).filter((line) => line.startsWith('C: EHLO'))).toEqual([
      `C: EHLO ${said}`,
      `C: EHLO ${said}`,
    ]);
  });

  it('that is refused ends the connection', async () => {
    await using relay = await startRelay({}, { faults: [{ at: 'auth-key', do: { reply: '535 no' } }] });
    expect(await relay.deliver()).toMatchObject({ code: 'upstream-credentials' });
    while (relay.open() > 0) await pause(5);
  });

  it('with a label says so', async () => {
    await using relay = await startRelay();
    (await relay.lease({ ...LOGIN, label: 7 })).release();
    expect(relay.upstream.logins).toMatchObject([{ user: 'ifaxin#7', key: 'the-key', secured: true }]);
  });
});
