/** Upstream's words and ways, in terms of the failure table. */

import { describe, expect, it } from 'vitest';
import type { Failure, FailureCode, Phase, Rejection } from '../../src/outcome.ts';
import {
  handshakeFailed,
  insecure,
  loginLost,
  loginRefused,
  notSent,
  openingLost,
  outcomeUnknown,
  outOfStep,
  refusal,
  sessionRefused,
  unreachable,
} from '../../src/relay/failures.ts';
import type { Ending } from '../../src/relay/session.ts';

const AT = 'smtp.example:587';
const LOGIN = { apiUser: 'ifaxin', apiKey: 'the-key', label: null };

const said = (response: string, phase: Phase) => ({
  code: Number(response.slice(0, 3)),
  enhanced: null,
  phase,
  response,
});
const reply = (response: string) => ({ code: Number(response.slice(0, 3)), texts: [], response });

/** What matters of a failure besides its words. */
const short = ({ code, again, retryAfterMs }: Failure) =>
  [code, ...(again ? ['again'] : []), ...(retryAfterMs === undefined ? [] : [retryAfterMs])].join(' ');

const lost = (code?: string): Ending => (code === undefined ? { why: 'lost' } : { why: 'lost', code });
const SILENT: Ending = { why: 'silent' };
const OUT_OF_STEP: Ending = { why: 'out-of-step' };

describe('a session that ended', () => {
  it.each<[string, Failure, string, RegExp]>([
    [
      'no connection',
      unreachable(AT, 'ECONNREFUSED'),
      'upstream-unreachable again',
      /:587 .*\(ECONNREFUSED\)/,
    ],
    ['no connection and no code', unreachable(AT), 'upstream-unreachable again', /\(closed\)/],
    ['opening: silent', openingLost(SILENT, AT), 'upstream-timeout again', /:587 did not answer in time/],
    ['opening: lost', openingLost(lost('ECONNRESET'), AT), 'upstream-unreachable again', /\(ECONNRESET\)/],
    ['opening: out of step', openingLost(OUT_OF_STEP, AT), 'upstream-unreachable again', /no command/],
    ['handshake: silent', handshakeFailed(SILENT, AT), 'upstream-timeout again', /in time/],
    ['handshake: lost', handshakeFailed(lost(), AT), 'upstream-unreachable again', /\(closed\)/],
    ['handshake: reset', handshakeFailed(lost('ECONNRESET'), AT), 'upstream-unreachable again', /ECONNRESET/],
    ['handshake: empty code', handshakeFailed(lost(''), AT), 'upstream-unreachable again', /587/],
    [
      'handshake: of trust',
      handshakeFailed(lost('DEPTH_ZERO_SELF_SIGNED_CERT'), AT),
      'upstream-insecure',
      /:587 .*\(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
    ],
    [
      'handshake: of its own',
      handshakeFailed(lost('ERR_TLS_CERT_ALTNAME_INVALID'), AT),
      'upstream-insecure',
      /ALTNAME/,
    ],
    ['handshake: of a name with E in it', handshakeFailed(lost('TLS_E1'), AT), 'upstream-insecure', /TLS_E1/],
    ['handshake: text in the clear', handshakeFailed(OUT_OF_STEP, AT), 'upstream-insecure', /in the clear/],
    ['no STARTTLS', insecure(AT, 'no STARTTLS'), 'upstream-insecure', /:587 .*\(no STARTTLS\)/],
    ['login: silent', loginLost(SILENT), 'upstream-timeout again', /did not answer the login/],
    ['login: lost', loginLost(lost()), 'upstream-unreachable again', /closed the connection at the login/],
    ['login: out of step', loginLost(OUT_OF_STEP), 'upstream-unreachable again', /no command/],
    ['message: silent', notSent(SILENT, {}), 'upstream-timeout', /deadline passed/],
    ['message: lost', notSent(lost(), {}), 'upstream-unreachable', /within the transaction/],
    ['message: out of step', notSent(OUT_OF_STEP, {}), 'upstream-unreachable', /no command/],
    ['MAIL: lost', notSent(lost(), { again: true }), 'upstream-unreachable again', /before it answered MAIL/],
    ['MAIL: silent', notSent(SILENT, { again: true }), 'upstream-timeout again', /deadline passed/],
    ['MAIL: out of step', notSent(OUT_OF_STEP, { again: true }), 'upstream-unreachable again', /no command/],
    ['out of step', outOfStep(), 'upstream-unreachable', /no command/],
    ['dot: lost', outcomeUnknown(lost(), {}), 'outcome-unknown', /was lost after the final dot/],
    ['dot: silent', outcomeUnknown(SILENT, {}), 'outcome-unknown', /fell silent after/],
    ['dot: out of step', outcomeUnknown(OUT_OF_STEP, {}), 'outcome-unknown', /sent an invalid reply after/],
    ['dot: no answer to it', outcomeUnknown(null, {}), 'outcome-unknown', /sent an invalid reply after/],
  ])('%s', (_, failed, expected, words) => {
    expect(short(failed)).toBe(expected);
    expect(failed.detail).toMatch(words);
    expect(failed.delivery).toBe(failed.code === 'outcome-unknown' ? 'unknown' : 'not-sent');
  });

  it('tells what upstream said before', () => {
    const more = {
      smtp: said('550 no', 'rcpt'),
      rejected: [{ address: 'a', code: 550, response: '550 no' }],
    };
    for (const failed of [
      ...[SILENT, lost(), OUT_OF_STEP].map((ending) => notSent(ending, more)),
      outcomeUnknown(lost(), more),
    ])
      expect(failed).toMatchObject(more);
  });
});

describe('a session that upstream refuses', () => {
  it.each<[string, Phase, string]>([
    ['536 frequency limited', 'greeting', 'quota-exceeded'],
    ['536 frequency limited', 'starttls', 'quota-exceeded'],
    ['454 no TLS now', 'starttls', 'upstream-insecure'],
    ['502 what', 'starttls', 'upstream-insecure'],
    ['554 closed', 'greeting', 'upstream-unreachable'],
    ['500 what', 'ehlo', 'upstream-unreachable'],
    ['421 busy', 'greeting', 'upstream-busy 30000'],
    ['400 busy', 'ehlo', 'upstream-busy 30000'],
    ['399 what', 'ehlo', 'upstream-unreachable'],
    ['250 what', 'greeting', 'upstream-unreachable'],
  ])('%j at %s: %s', (response, phase, expected) => {
    const failed = sessionRefused(AT, said(response, phase));
    expect(short(failed)).toBe(expected);
    expect(failed.smtp).toEqual(said(response, phase));
    const isSmtp = !/^[23]/.test(response);
    expect(failed.detail).toBe(
      isSmtp ? `${AT} refused the session.` : `${AT} does not speak SMTP as it should.`,
    );
  });

  it.each([
    ['536 frequency limited', 'quota-exceeded', /quota is spent/],
    ['535 no', 'upstream-credentials', /the login ifaxin: the api_key is wrong\.$/],
    ['500 what', 'upstream-credentials', /the api_key is wrong/],
    ['454 later', 'upstream-busy 30000', /cannot take the login now/],
    ['400 later', 'upstream-busy 30000', /cannot take the login now/],
    ['399 what', 'upstream-unreachable', /no command/],
    ['235 welcome', 'upstream-unreachable', /no command/],
  ])('%j to the login: %s', (response, expected, words) => {
    const failed = loginRefused(reply(response), LOGIN);
    expect(short(failed)).toBe(expected);
    expect(failed.detail).toMatch(words);
    expect(failed.smtp).toEqual(said(response, 'auth'));
  });

  it('names the label, which may be what is wrong', () => {
    expect(loginRefused(reply('535 no'), { ...LOGIN, label: 7 }).detail).toBe(
      'Upstream refused the login ifaxin#7: the api_key is wrong, or the label 7 does not exist.',
    );
  });
});

describe('a refusal within a transaction', () => {
  it.each<[string, Phase, FailureCode]>([
    ['536 frequency limited', 'mail', 'quota-exceeded'],
    ['536 frequency limited', 'dot', 'quota-exceeded'],
    ['499 later', 'mail', 'upstream-busy'],
    ['451 later', 'rcpt', 'upstream-busy'],
    ['452 later', 'dot', 'upstream-busy'],
    ['500 what', 'mail', 'message-refused'],
    ['530 log in', 'mail', 'upstream-credentials'],
    ['535 log in', 'mail', 'upstream-credentials'],
    ['530 log in', 'rcpt', 'recipients-refused'],
    ['535 log in', 'data', 'message-refused'],
    ['552 too large', 'mail', 'message-too-large'],
    ['552 too large', 'dot', 'message-too-large'],
    ['552 mailbox full', 'rcpt', 'recipients-refused'],
    ['550 Message too big!', 'mail', 'message-too-large'],
    ['550-5.3.4 the MESSAGE TOO BIG', 'dot', 'message-too-large'],
    ['550 message too big', 'rcpt', 'recipients-refused'],
    ['554 message too big', 'mail', 'message-refused'],
    ['5501 message too big', 'mail', 'message-refused'],
    ['554 not 550 message too big', 'mail', 'message-refused'],
    ['550 no', 'rcpt', 'recipients-refused'],
    ['550 no', 'data', 'message-refused'],
  ])('%j at %s: %s', (response, phase, code) => {
    const failed = refusal(said(response, phase), []);
    expect(failed).toEqual({
      delivery: 'not-sent',
      code,
      detail: expect.stringMatching(/^Upstream .+\.$/),
      smtp: said(response, phase),
      ...(code === 'upstream-busy' && { retryAfterMs: 30_000 }),
    });
  });

  it('names the recipients that were refused, of which one may tell of the quota', () => {
    const rejected: Rejection[] = [{ address: 'a@ifaxin.com', code: 550, response: '550 no' }];
    expect(refusal(said('554 no', 'data'), rejected)).toMatchObject({ code: 'message-refused', rejected });
    const limited = [...rejected, { address: 'b@ifaxin.com', code: 536, response: '536 frequency limited' }];
    expect(refusal(said('554 no', 'data'), limited)).toMatchObject({
      code: 'quota-exceeded',
      smtp: { code: 554 },
      rejected: limited,
    });
  });
});
