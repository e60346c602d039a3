/** What went wrong with upstream: how its session ended, and its own words, in terms of the failure table. */

import type { Login } from '../account.ts';
import { type Failure, failure, type Rejection, type SmtpReply } from '../outcome.ts';
import { FREQUENCY_LIMITED, formatLoginName } from '../sendcloud.ts';
import { type Reply, smtpReply } from './reply.ts';
import type { Ending } from './session.ts';

/** What a failure may tell besides its code. */
type Facts = Partial<Pick<Failure, 'smtp' | 'rejected' | 'again'>>;

const OUT_OF_STEP = 'Upstream sent a reply to no command; nothing was sent.';

/** @param code - Node's, of the socket's error */
export const unreachable = (at: string, code = 'closed'): Failure =>
  failure('upstream-unreachable', `${at} cannot be reached (${code}).`, { again: true });

/** Ended before there was a session to log in to. */
export function openingLost(ending: Ending, at: string): Failure {
  if (ending.why === 'silent') {
    return failure('upstream-timeout', `${at} did not answer in time.`, { again: true });
  }
  return ending.why === 'lost' ? unreachable(at, ending.code) : outOfStep({ again: true });
}

/** Ended amid the TLS handshake: a lost connection has one of the system's codes, all else is about trust. */
export function handshakeFailed(ending: Ending, at: string): Failure {
  const { why, code } = ending;
  if (why === 'silent' || (why === 'lost' && /^(?:E[A-Z0-9]+)?$/.test(code ?? '')))
    return openingLost(ending, at);
  return insecure(at, code ?? 'text in the clear behind STARTTLS');
}

export const insecure = (at: string, why: string): Failure =>
  failure('upstream-insecure', `${at} offers no trustworthy TLS (${why}).`);

/** Upstream will not have this session, or not securely. */
export function sessionRefused(at: string, smtp: SmtpReply): Failure {
  const detail = `${at} refused the session.`;
  if (smtp.code === FREQUENCY_LIMITED.code) return failure('quota-exceeded', detail, { smtp });
  if (smtp.phase === 'starttls') return failure('upstream-insecure', detail, { smtp });
  if (smtp.code >= 500) return failure('upstream-unreachable', detail, { smtp });
  if (smtp.code >= 400) return busy(detail, { smtp });
  return failure('upstream-unreachable', `${at} does not speak SMTP as it should.`, { smtp });
}

/** Ended amid AUTH. */
export function loginLost({ why }: Ending): Failure {
  if (why === 'out-of-step') return outOfStep({ again: true });
  return why === 'silent'
    ? failure('upstream-timeout', 'Upstream did not answer the login in time.', { again: true })
    : failure('upstream-unreachable', 'Upstream closed the connection at the login.', { again: true });
}

export function loginRefused(reply: Reply, login: Login): Failure {
  const smtp = smtpReply(reply, 'auth');
  if (smtp.code === FREQUENCY_LIMITED.code) {
    return failure('quota-exceeded', 'Upstream says that the quota is spent.', { smtp });
  }
  if (smtp.code < 400) return outOfStep({ smtp });
  if (smtp.code < 500) return busy('Upstream cannot take the login now.', { smtp });
  const label = login.label === null ? '' : `, or the label ${login.label} does not exist`;
  const detail = `Upstream refused the login ${formatLoginName(login)}: the api_key is wrong${label}.`;
  return failure('upstream-credentials', detail, { smtp });
}

/** Upstream's 4xx or 5xx within a transaction, by its code. */
export function refusal(smtp: SmtpReply, rejected: readonly Rejection[]): Failure {
  const { code, phase, response } = smtp;
  const more = { smtp, ...(rejected.length > 0 && { rejected }) };
  if ([code, ...rejected.map((one) => one.code)].includes(FREQUENCY_LIMITED.code)) {
    return failure('quota-exceeded', 'Upstream says that the quota is spent.', more);
  }
  if (code < 500) return busy('Upstream deferred the message; it was not sent.', more);
  if (phase === 'mail' && (code === 530 || code === 535)) {
    return failure('upstream-credentials', 'Upstream no longer knows the login of this session.', more);
  }
  // At RCPT a 552 is about the mailbox. By its text as well: Haraka says 550 for what RFC 1870 has 552.
  if (phase !== 'rcpt' && (code === 552 || /^550[ -].*message too big/i.test(response))) {
    return failure('message-too-large', 'Upstream says that the message is too large.', more);
  }
  if (phase === 'rcpt') return failure('recipients-refused', 'Upstream refused every recipient.', more);
  return failure('message-refused', 'Upstream refused the message; it was not sent.', more);
}

/** Ended within a transaction, and before the final dot. */
export function notSent({ why }: Ending, more: Facts): Failure {
  if (why === 'out-of-step') return outOfStep(more);
  if (why === 'silent') {
    const detail = 'The deadline passed before the message was complete; it was not sent.';
    return failure('upstream-timeout', detail, more);
  }
  const when = more.again ? 'before it answered MAIL' : 'within the transaction';
  return failure('upstream-unreachable', `Upstream closed the connection ${when}.`, more);
}

/** Whatever ended the session or came in place of an answer: the dot was written. */
export function outcomeUnknown(ending: Ending | null, more: Facts): Failure {
  const what = { lost: 'was lost', silent: 'fell silent', 'out-of-step': 'sent an invalid reply' };
  const detail = `Upstream ${what[ending?.why ?? 'out-of-step']} after the final dot: it may have the message.`;
  return failure('outcome-unknown', detail, more);
}

export const outOfStep = (more: Facts = {}): Failure => failure('upstream-unreachable', OUT_OF_STEP, more);

/** Upstream's 4xx says no time; half a minute is what its own deferrals take at least. */
const busy = (detail: string, more: Facts): Failure =>
  failure('upstream-busy', detail, { retryAfterMs: 30_000, ...more });
