/** What upstream says, and how it leaves, against what the caller is told: outcome told = outcome real. */

import { describe, expect, it } from 'vitest';
import type { FailureCode } from '../../src/outcome.ts';
import type { Step, UpstreamOptions, Words } from '../support/upstream.ts';
import { ENVELOPE, LONG, once, type RunningRelay, startRelay } from './relay.ts';

const PLAIN: UpstreamOptions = { features: ['8BITMIME', 'SIZE 16000000', 'STARTTLS', 'AUTH LOGIN'] };

/** A relay whose connection is new, or has had a message before. */
async function startCold(isWarm: boolean, options: UpstreamOptions = {}): Promise<RunningRelay> {
  const relay = await startRelay({ connections: 1 }, options);
  if (isWarm) expect(await relay.send()).toMatchObject({ delivery: 'accepted' });
  return relay;
}

/** The next message goes, at once and to its own end. */
async function expectNext(relay: RunningRelay): Promise<void> {
  relay.upstream.faults = [];
  const before = relay.upstream.taken.length;
  const told = await relay.send();
  // Where upstream hung up behind its last word, that may be heard only now.
  const last = 'again' in told ? await relay.send() : told;
  expect(last).toMatchObject({ delivery: 'accepted', reply: { code: 250 } });
  expect(relay.upstream.taken).toHaveLength(before + 1);
}

const PHASES = ['mail', 'rcpt', 'data', 'body', 'dot'] as const;

function codeFor(reply: string, at: (typeof PHASES)[number]): FailureCode {
  if (reply.startsWith('536')) return 'quota-exceeded';
  if (reply.startsWith('4')) return 'upstream-busy';
  return at === 'rcpt' ? 'recipients-refused' : 'message-refused';
}

describe.concurrent('a refusal', { timeout: 60_000 }, () => {
  for (const isWarm of [false, true])
    for (const reply of ['550 no', '536 frequency limited', '451-later\r\n451 perhaps'])
      for (const after of [undefined, 'close', 'half-close', 'reset'] as const)
        for (const at of PHASES) {
          if (at === 'body' && isWarm) continue;
          const how = after === undefined ? '' : `, then ${after}`;
          it(`${JSON.stringify(reply)} at ${at}${how}, on a ${isWarm ? 'used' : 'new'} connection`, async () => {
            await using relay = await startCold(isWarm);
            const words: Words = after === undefined ? { reply } : { reply, after };
            // Refused amid the body, upstream reads no line of it as a command.
            relay.upstream.faults = [
              once(at, at === 'body' && !after ? { ...words, after: 'silent' } : words),
            ];
            const told = await relay.deliver(at === 'body' ? { content: LONG } : {});
            const phase = at === 'body' ? 'data' : at;
            expect(told).toMatchObject({
              delivery: 'not-sent',
              code: codeFor(reply, at),
              smtp: { code: Number(reply.slice(0, 3)), phase, response: reply },
            });
            expect(relay.upstream.taken).toHaveLength(isWarm ? 1 : 0);
            if (reply.startsWith('536'))
              expect(await relay.deliver()).toMatchObject({ code: 'quota-exceeded' });
            else expect(await relay.drawn()).toBe(1);
            await expectNext(relay);
          });
        }

  it.each(['close', 'reset'] as const)(
    'of one recipient of two, and then %s: says what was said, and not that all were refused',
    async (after) => {
      await using relay = await startRelay();
      relay.upstream.faults = [once('rcpt', { reply: '550 no such user', after })];
      const envelope = { ...ENVELOPE, to: ['a@ifaxin.com', 'b@ifaxin.com'] };
      expect(await relay.deliver({ envelope })).toMatchObject({
        delivery: 'not-sent',
        code: 'upstream-unreachable',
        smtp: { code: 550, phase: 'rcpt' },
        rejected: [{ address: 'a@ifaxin.com', code: 550 }],
      });
    },
  );

  it('of the quota for one recipient of two, and then close: closes the window', async () => {
    await using relay = await startRelay();
    relay.upstream.faults = [once('rcpt', { reply: '536 frequency limited', after: 'close' })];
    const envelope = { ...ENVELOPE, to: ['a@ifaxin.com', 'b@ifaxin.com'] };
    expect(await relay.deliver({ envelope })).toMatchObject({ code: 'quota-exceeded' });
    expect(await relay.deliver()).toMatchObject({ code: 'quota-exceeded' });
    expect(relay.upstream.transactions).toHaveLength(1);
  });

  it('421 for one recipient of three: the session is over, whatever else upstream does', async () => {
    await using relay = await startRelay();
    const faults = [once('rcpt', { reply: '421 closing', meant: 250 }, { address: 'b@ifaxin.com' })];
    relay.upstream.faults = [...faults, once('rcpt', 'silent', { address: 'c@ifaxin.com' })];
    const envelope = { ...ENVELOPE, to: ['a@ifaxin.com', 'b@ifaxin.com', 'c@ifaxin.com'] };
    expect(await relay.deliver({ envelope })).toMatchObject({ code: 'upstream-busy', smtp: { code: 421 } });
    await expectNext(relay);
  });

  it('of MAIL, and the rest of the envelope held back: known at once', async () => {
    await using relay = await startRelay();
    relay.upstream.faults = [once('mail', { reply: '550 no', after: 'silent' })];
    expect(await relay.deliver()).toMatchObject({ code: 'message-refused', smtp: { phase: 'mail' } });
    await expectNext(relay);
  });
});

describe.concurrent('without PIPELINING', { timeout: 60_000 }, () => {
  it('each command waits for its reply', async () => {
    await using relay = await startRelay({}, PLAIN);
    const envelope = { ...ENVELOPE, to: ['a@ifaxin.com', 'b@ifaxin.com'] };
    expect(await relay.deliver({ envelope })).toMatchObject({ delivery: 'accepted', accepted: envelope.to });
    // Held back until it is sure that nothing came before.
    relay.upstream.faults = [once('mail', { reply: '550 no' }, { delayMs: 100 })];
    expect(await relay.deliver()).toMatchObject({ code: 'message-refused', smtp: { phase: 'mail' } });
    expect(relay.said(0).slice(-3)).toEqual([
      'S: 550 no',
      'C: RCPT TO:<ben@ifaxin.com>',
      'S: 503 Use MAIL before RCPT',
    ]);
  });

  it('a stray refusal on a used connection is told to no other message', async () => {
    await using relay = await startCold(true, PLAIN);
    relay.upstream.faults = [once('mail', { reply: '550 stray\r\n250 ok', meant: 250, drip: true })];
    expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(relay.upstream.sessions).toHaveLength(2);
  });

  for (const at of ['mail', 'rcpt', 'data', 'dot'] as const)
    it(`536 at ${at}, and then close`, async () => {
      await using relay = await startRelay({}, PLAIN);
      relay.upstream.faults = [once(at, { reply: '536 frequency limited', after: 'close' })];
      expect(await relay.deliver()).toMatchObject({ code: 'quota-exceeded', smtp: { phase: at } });
    });
});

describe.concurrent('what nobody asked for', { timeout: 60_000 }, () => {
  const ACCEPTED = '250 #1426390015358_1#Queued';

  for (const [name, words] of Object.entries<Words>({
    'a refusal': { reply: `${ACCEPTED}\r\n550 no` },
    'a goodbye': { reply: `${ACCEPTED}\r\n421 bye`, after: 'close' },
    'a second 250': { reply: `${ACCEPTED}\r\n250 and again` },
    'half a reply': { reply: `${ACCEPTED}\r\n55`, cut: true },
    'a byte': { reply: `${ACCEPTED}\r\n2`, cut: true },
    'a blank line': { reply: `${ACCEPTED}\r\n` },
  })) {
    it(`${name} behind the reply to a dot is told to no other message`, async () => {
      await using relay = await startRelay({ connections: 1 });
      relay.upstream.faults = [{ at: 'dot', do: words, taken: true }];
      const told = await Promise.all(Array.from({ length: 4 }, () => relay.deliver()));
      for (const one of told) expect(one).toMatchObject({ delivery: 'accepted', queueId: '1426390015358_1' });
      expect(relay.upstream.taken).toHaveLength(4);
      expect(await relay.drawn()).toBe(4);
    });
  }

  for (const [name, words] of Object.entries<Words>({
    'a refusal': { reply: '550 stray\r\n250 ok', meant: 250 },
    'a deferral': { reply: '451 stray\r\n250 ok', meant: 250 },
    'an acceptance': { reply: '250 stray\r\n250 ok' },
    'an invitation': { reply: '354 stray\r\n250 ok', meant: 250 },
    'a goodbye': { reply: '421 idle for too long' },
    'a goodbye without end': { reply: '421 idle for too long', after: 'silent' },
    nonsense: { reply: 'hello?\r\n250 ok', meant: 250 },
  })) {
    it(`${name} that comes with MAIL on its way: tried on a new connection in silence`, async () => {
      await using relay = await startCold(true);
      relay.upstream.faults = [once('mail', words)];
      expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
      expect(relay.upstream.taken).toHaveLength(2);
      expect(relay.upstream.sessions).toHaveLength(2);
    });
  }

  it('silence on a used connection: tried on a new one long before the deadline', async () => {
    await using relay = await startCold(true);
    relay.upstream.faults = [once('mail', 'silent')];
    expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
    expect(relay.upstream.sessions).toHaveLength(2);
    expect(await relay.drawn()).toBe(2);
  });

  it('a refusal that is real on a used connection is not tried again', async () => {
    await using relay = await startCold(true);
    relay.upstream.faults = [{ at: 'mail', do: { reply: '550 not you' } }];
    expect(await relay.deliver()).toMatchObject({ code: 'message-refused' });
    expect(relay.upstream.transactions).toHaveLength(2);
  });

  it.each(['close', 'half-close', 'reset', { reply: '421 bye' }, { reply: 'x', cut: true }] as const)(
    '%j on an idle connection: the next message opens another',
    async (action) => {
      await using relay = await startRelay();
      relay.upstream.faults = [once('idle', action, { delayMs: 1 })];
      expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
      // Ours has heard of it, too: a message on a connection that is about to die is drawn for twice.
      while (relay.open() > 0 || relay.pool.stats().open > 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(await relay.deliver()).toMatchObject({ delivery: 'accepted' });
      expect(await relay.drawn()).toBe(2);
    },
  );

  it.each([
    ['354 and 550 in one packet', { reply: '354 go\r\n550 no' }, 'message-refused'],
    ['354 and 536 in one packet', { reply: '354 go\r\n536 frequency limited' }, 'quota-exceeded'],
    ['354 and 250 in one packet', { reply: '354 go\r\n250 done' }, 'upstream-unreachable'],
    ['354 and half a refusal', { reply: '354 go\r\n550 n', cut: true, after: 'close' }, 'message-refused'],
  ] as const)('%s: no dot is written', async (_, words, code) => {
    await using relay = await startRelay({ connections: 1 });
    relay.upstream.faults = [once('data', words)];
    expect(await relay.deliver()).toMatchObject({ delivery: 'not-sent', code });
    expect(relay.upstream.taken).toHaveLength(0);
    expect(relay.said(0).filter((line) => line === 'C: RSET' || line === 'C: .')).toEqual([]);
    await expectNext(relay);
  });
});

describe.concurrent('the reply to the dot', { timeout: 60_000 }, () => {
  it.each<[string, Words]>([
    ['bare', { reply: '250' }],
    ['of two lines', { reply: '250-queued\r\n250 for good' }],
    ['of two bare lines', { reply: '250-\r\n250' }],
    ['a byte at a time', { reply: '250 #a#Queued', drip: true }],
    ['behind blank lines', { reply: '\r\n\r\n250 ok', meant: 250 }],
    ['and then a reset', { reply: '250 ok', after: 'reset' }],
    ['and then the end', { reply: '250 ok', after: 'half-close' }],
  ])('%s: accepted', async (_, words) => {
    await using relay = await startRelay();
    relay.upstream.faults = [{ at: 'dot', do: words, taken: true }];
    expect(await relay.deliver()).toMatchObject({ delivery: 'accepted', reply: { code: 250 } });
  });

  it.each<[string, Words]>([
    ['a 250 that was cut off', { reply: '250 ok', cut: true, after: 'close' }],
    ['a code that was cut off', { reply: '55', cut: true, after: 'close' }],
    ['a line that was cut off', { reply: '550-no', cut: true, after: 'close' }],
    ['NUL', { reply: '\0\x150 ok' }],
    ['an invitation', { reply: '354 go on' }],
    ['code 000', { reply: '000 what' }],
    ['two codes', { reply: '250-yes\r\n550 no' }],
    ['a refusal and an acceptance', { reply: '550 no\r\n250 yes' }],
    ['blank lines without end', { reply: '\r\n'.repeat(5000), endless: true }],
    ['a reply without end', { reply: '250-yes\r\n'.repeat(5000), endless: true }],
    ['a line without end', { reply: `250 ${'y'.repeat(50_000)}`, cut: true, endless: true }],
  ])('%s: unknown', async (_, words) => {
    await using relay = await startRelay({ connections: 1 });
    relay.upstream.faults = [once('dot', words, { taken: true })];
    expect(await relay.deliver()).toMatchObject({ delivery: 'unknown', code: 'outcome-unknown' });
    await expectNext(relay);
  });

  it('is cleaned of what a terminal would obey, and kept short', async () => {
    await using relay = await startRelay({ connections: 1 });
    const dirty = '250-#1\x1b[31m\u202e_\u2028\0a#Queued\x07\r\r\n250 \u00fcber\ttab\x9b';
    relay.upstream.faults = [
      once('dot', { reply: dirty }),
      once('dot', { reply: `550 ${'n\u00f6 '.repeat(9000)}` }),
    ];
    const told = await relay.deliver();
    expect(told).toMatchObject({
      queueId: '1\ufffd[31m\ufffd_\ufffd\ufffda',
      reply: {
        response: '250-#1\ufffd[31m\ufffd_\ufffd\ufffda#Queued\ufffd\ufffd\r\n250 \u00fcber\ttab\ufffd',
      },
    });
    const refused = await relay.deliver();
    expect(refused).toMatchObject({ code: 'message-refused' });
    const response = 'smtp' in refused ? (refused.smtp?.response ?? '') : '';
    expect(response).toMatch(/^550 (n\u00f6 )+n?/);
    expect(response.length).toBeLessThanOrEqual(4096);
  });
});

describe.concurrent('a reply without end', { timeout: 60_000 }, () => {
  const ENDLESS: [string, Words][] = [
    ['blank lines', { reply: '\r\n'.repeat(5000), endless: true }],
    ['a line', { reply: `250 ${'y'.repeat(50_000)}`, cut: true, endless: true }],
    ['a reply of many lines', { reply: '250-yes\r\n'.repeat(5000), endless: true }],
    ['garbage', { reply: 'garbage\r\n'.repeat(5000), endless: true }],
    ['whole replies', { reply: '250 yes\r\n'.repeat(5000), endless: true }],
  ];
  const steps: Step[] = ['greeting', 'ehlo', 'starttls', 'ehlo2', 'auth', 'auth-key', 'mail', 'rcpt', 'data'];
  for (const at of steps)
    for (const [name, words] of ENDLESS)
      it(`${name} at ${at}: not sent, and not waited for`, async () => {
        await using relay = await startRelay({ connections: 1 });
        relay.upstream.faults = [{ at, do: words }];
        const told = await relay.deliver();
        expect(told).toMatchObject({ delivery: 'not-sent' });
        expect(['upstream-unreachable', 'upstream-insecure']).toContain('code' in told && told.code);
        expect(relay.upstream.taken).toHaveLength(0);
        await expectNext(relay);
      });
});
