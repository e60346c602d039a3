/** What to do about each failure: the source of `/docs/errors/{code}` and of docs/errors.md. */

import { type FailureCode, kindOf } from '../outcome.ts';

interface FailureText {
  /** What the title does not say already. */
  readonly means?: string;
  readonly todo: string;
}

export const FAILURE_TEXTS: Readonly<Record<FailureCode, FailureText>> = {
  'invalid-request': {
    means: 'The body is not JSON, or a header or parameter has a wrong value.',
    todo: 'Correct what detail names.',
  },
  unauthorized: {
    todo: 'Send "Authorization: Bearer <token>". An api_key counts only where BASIC_AUTH is on.',
  },
  'bad-signature': {
    means: "The signature's time may also be more than five minutes off.",
    todo: "Compare the hook's scheme and secret with the service's settings; look at the clocks.",
  },
  'forbidden-origin': { todo: "Add the page's origin (scheme, host, port) to the hook's origins." },
  'forbidden-sender': { todo: "Send from an allowed address, or add this one to the account's from." },
  'forbidden-label': { todo: "Use an allowed label, or add this one to the account's labels." },
  'not-found': {
    means: 'The path is wrong, or the message belongs to another account or is no longer kept.',
    todo: 'Check the path and the id.',
  },
  'unknown-hook': { todo: 'Check the address, and the names in HOOKS.' },
  'method-not-allowed': { todo: 'Use a method that the Allow header names.' },
  'request-in-progress': { todo: 'Repeat it after Retry-After: you get the answer to the first one.' },
  'not-cancellable': { means: 'It is being sent, or has ended.', todo: 'Read its state.' },
  'message-too-large': {
    todo: 'Send smaller files, or links to them. MAX_MESSAGE_BYTES is the limit; SendCloud takes 16,000,000 bytes.',
  },
  'unsupported-media-type': { todo: 'Send application/json or message/rfc822; plain, gzip or deflate.' },
  'invalid-message': { todo: 'Correct the fields that errors lists, by JSON Pointer.' },
  'unsupported-field': {
    means: "The other provider's interface has it, and Postern cannot do what it asks.",
    todo: 'Leave it out.',
  },
  'idempotency-key-reused': { todo: 'Use one key for each message, and repeat a request unchanged.' },
  'message-refused': {
    means: 'The reply in smtp says why.',
    todo: "Verify the sender, or match a template, in SendCloud's console.",
  },
  'recipients-refused': { means: 'The replies in rejected say why.', todo: 'Correct the addresses.' },
  'quota-exceeded': {
    todo: 'Repeat it after Retry-After, or ask for "Prefer: respond-async", and the message waits in the outbox.',
  },
  'too-many-forms': { todo: "Repeat it after Retry-After, or raise the hook's perMinute." },
  'too-many-failed-logins': {
    todo: 'Correct the credentials and wait for Retry-After. Behind a proxy, set TRUSTED_PROXIES.',
  },
  misconfigured: { todo: "Read the gateway's log: it lists the settings that are wrong." },
  internal: { means: 'It is a bug.', todo: 'Look it up in the log by the request id, and report it.' },
  'outbox-off': { todo: 'Send the message now, or set OUTBOX.' },
  'upstream-credentials': { todo: 'Correct the api_key in the settings. Queued messages wait meanwhile.' },
  'upstream-insecure': {
    means: 'There is no STARTTLS, or no valid certificate.',
    todo: 'Check SMTP_HOST and SMTP_SERVERNAME, and whether something intercepts TLS.',
  },
  'upstream-unreachable': { todo: 'Repeat it. If it persists, open port 587, 2525 or 25.' },
  'upstream-busy': { means: 'The reply in smtp says why.', todo: 'Repeat it later, or use the outbox.' },
  overloaded: {
    todo: 'Repeat it later. If it happens often, run more instances; raise SMTP_CONNECTIONS where the detail names connections.',
  },
  'quota-unavailable': { todo: 'Repeat it later; look at Redis.' },
  'store-unavailable': { todo: 'Repeat it later; look at the store.' },
  'upstream-timeout': { means: 'The message was not complete.', todo: 'Repeat it.' },
  'outcome-unknown': {
    means: 'The message was complete, and the reply was lost.',
    todo: "Look for it in SendCloud's console, then decide. The same Idempotency-Key gets this answer again and sends nothing.",
  },
};

/** Whether the same request may be sent again, by the table of failures. */
export function againOf(code: FailureCode): string {
  const { delivery, retryable } = kindOf(code);
  if (delivery === 'unknown') return 'Not automatically: the message may have been sent.';
  return retryable
    ? 'Yes, later: nothing was sent.'
    : 'Not as it is: nothing was sent, and it would fail again.';
}
