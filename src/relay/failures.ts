/** What went wrong with upstream, from SMTPConnection's errors and upstream's own words to the failure table. */

import type { Login } from '../account.ts';
import { type Failure, failure, type Phase, type Rejection, type SmtpReply } from '../outcome.ts';
import { FREQUENCY_LIMITED, formatLoginName } from '../sendcloud.ts';
import type { Progress } from './body.ts';
import { parseReply } from './reply.ts';

/** The fields that nodemailer's errors carry. */
export interface SmtpError extends Error {
  code?: string;
  originalCode?: string;
  command?: string;
  response?: string;
  responseCode?: number;
  rejectedErrors?: readonly RecipientError[];
}
interface RecipientError {
  readonly message: string;
  readonly recipient?: string | undefined;
  readonly response?: string | undefined;
  readonly responseCode?: number | undefined;
}

export const OUT_OF_STEP = 'Upstream answered what belongs to no command; nothing was sent.';

export const rejection = (error: RecipientError) => ({
  address: error.recipient ?? '',
  code: error.responseCode ?? 0,
  response: error.response ?? error.message,
});

/** Where upstream said no, from what was running. */
export function refusalPhase(error: SmtpError, progress: Progress): Phase {
  if (progress === 'ended') return 'dot';
  if (progress === 'reading') return 'data';
  if (error.command === 'MAIL FROM') return 'mail';
  return error.command === 'RCPT TO' ? 'rcpt' : 'data';
}

/** Upstream's 4xx or 5xx within a transaction, by its code. */
export function refusal(smtp: SmtpReply, rejected: readonly Rejection[]): Failure {
  const { code, phase, response } = smtp;
  const more = { smtp, ...(rejected.length > 0 ? { rejected } : {}) };
  if ([code, ...rejected.map((one) => one.code)].includes(FREQUENCY_LIMITED.code)) {
    return failure('quota-exceeded', 'Upstream says that the quota is spent.', more);
  }
  if (code < 500) return busy('Upstream deferred the message; it was not sent.', smtp, more);
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

/** Upstream's 4xx says no time; half a minute is what its own deferrals take at least. */
const busy = (detail: string, smtp: SmtpReply, more: Partial<Failure> = {}): Failure =>
  failure('upstream-busy', detail, { retryAfterMs: 30_000, ...more, smtp });

/** @param at - host and port */
export const unreachable = (at: string, error: SmtpError): Failure =>
  failure(
    'upstream-unreachable',
    `${at} cannot be reached (${error.originalCode ?? error.code ?? 'closed'}).`,
  );

/** Between TCP's connect and a session that is secured and ready for AUTH. */
export function openingFailure(error: SmtpError, at: string, upgrading: boolean): Failure {
  if (error.code === 'ABORT') {
    return failure('upstream-timeout', `${at} did not answer in time.`, { again: true });
  }
  if (error.response) {
    return sessionRefused(at, parseReply(error.response, openingPhase(error)));
  }
  // Closed or reset amid the handshake is a lost connection; whatever else TLS said is about trust.
  const cause = error.originalCode ?? error.code ?? '';
  if (upgrading && !['ETLS', 'ECONNRESET', 'EPIPE', ''].includes(cause)) {
    return failure('upstream-insecure', `${at} offers no trustworthy TLS (${cause}).`);
  }
  return { ...unreachable(at, error), again: true };
}

function openingPhase(error: SmtpError): Phase {
  if (error.command === 'STARTTLS') return 'starttls';
  return error.command === 'EHLO' ? 'ehlo' : 'greeting';
}

/** Upstream will not have this session, or not securely. */
export function sessionRefused(at: string, smtp: SmtpReply): Failure {
  const detail = `${at} refused the session.`;
  if (smtp.code === FREQUENCY_LIMITED.code) return failure('quota-exceeded', detail, { smtp });
  if (smtp.phase === 'starttls') return failure('upstream-insecure', detail, { smtp });
  if (smtp.code >= 500) return failure('upstream-unreachable', detail, { smtp });
  if (smtp.code >= 400) return busy(detail, smtp);
  return failure('upstream-unreachable', `${at} does not speak SMTP as it should.`, { smtp });
}

/** AUTH LOGIN went wrong. */
export function loginFailure(error: SmtpError, login: Login): Failure {
  if (error.code === 'ABORT') {
    return failure('upstream-timeout', 'Upstream did not answer the login in time.', { again: true });
  }
  if (error.response === undefined) {
    return failure('upstream-unreachable', 'Upstream closed the connection at the login.', { again: true });
  }
  const smtp = parseReply(error.response, 'auth');
  if (smtp.code === FREQUENCY_LIMITED.code) {
    return failure('quota-exceeded', 'Upstream says that the quota is spent.', { smtp });
  }
  if (smtp.code < 400) return failure('upstream-unreachable', OUT_OF_STEP, { smtp });
  if (smtp.code < 500) return busy('Upstream cannot take the login now.', smtp);
  const label = login.label === null ? '' : `, or the label ${login.label} does not exist`;
  const detail = `Upstream refused the login ${formatLoginName(login)}: the api_key is wrong${label}.`;
  return failure('upstream-credentials', detail, { smtp });
}
