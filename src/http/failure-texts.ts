/** What each failure means and what to do about it: the source of `/docs/errors/{code}` and of docs/errors.md. */

import { type FailureCode, kindOf } from '../outcome.ts';

interface FailureText {
  readonly means: string;
  readonly todo: string;
}

export const FAILURE_TEXTS: Readonly<Record<FailureCode, FailureText>> = {
  'invalid-request': {
    means: 'The request is not well-formed: no JSON, a header or a parameter with a wrong value.',
    todo: 'Correct what detail names.',
  },
  unauthorized: {
    means: 'There is no Authorization header, or its token or password is wrong.',
    todo: 'Send "Authorization: Bearer <token>" with a token of this gateway. An api_key counts only where BASIC_AUTH is on.',
  },
  'bad-signature': {
    means: 'The webhook has no signature, a wrong one, or a time that is more than five minutes off.',
    todo: "Compare the hook's scheme and secret with those in the service's settings, and look at the clocks.",
  },
  'forbidden-origin': {
    means: "A browser sent the form from a page that is not in the hook's origins.",
    todo: 'Add the origin of the page (scheme, host and port) to the hook.',
  },
  'forbidden-sender': {
    means: 'The account may not send from this address.',
    todo: "Send from an allowed address, or add this one to the account's from.",
  },
  'forbidden-label': {
    means: 'The account may not use this label.',
    todo: "Use an allowed label, or add this one to the account's labels.",
  },
  'not-found': {
    means: 'There is nothing at this path, or no such message: of another account, or no longer kept.',
    todo: 'Check the path against the reference, and the id.',
  },
  'unknown-hook': {
    means: 'No hook has this name.',
    todo: 'Check the address, and the names in HOOKS.',
  },
  'method-not-allowed': {
    means: 'The path exists, but not with this method.',
    todo: 'Use a method that the Allow header names.',
  },
  'request-in-progress': {
    means: 'An earlier request with the same Idempotency-Key has not ended yet.',
    todo: 'Repeat the request after Retry-After, or a second: you get the answer to the first one.',
  },
  'not-cancellable': {
    means: 'The message waits no longer: it is being sent, or has ended.',
    todo: 'Read its state.',
  },
  'message-too-large': {
    means: 'The body, or the message made of it, is over the limit.',
    todo: 'Send smaller files, or links to them. MAX_MESSAGE_BYTES is the limit; SendCloud takes 16,000,000 bytes.',
  },
  'unsupported-media-type': {
    means: 'The Content-Type or Content-Encoding is not one that is read here.',
    todo: 'Send application/json, or message/rfc822 for a whole message; plain, gzip or deflate.',
  },
  'invalid-message': {
    means: 'The message breaks a rule; errors lists every field at fault, by JSON Pointer.',
    todo: 'Correct these fields.',
  },
  'unsupported-field': {
    means: "The other provider's interface has this field, and Postern cannot do what it asks.",
    todo: 'Leave it out, or do it another way: docs/migrating.md.',
  },
  'idempotency-key-reused': {
    means: 'Another request was sent with this Idempotency-Key within 24 hours.',
    todo: 'Use one key for each message; repeat a request unchanged.',
  },
  'message-refused': {
    means: 'SendCloud refused the sender or the message; smtp has its words.',
    todo: 'Do what they ask: often the sender has to be verified in the console, or the content to match a template.',
  },
  'recipients-refused': {
    means: 'SendCloud refused every recipient; rejected has its words for each.',
    todo: 'Correct the addresses.',
  },
  'quota-exceeded': {
    means: 'The api_user has spent its calls of the last minute.',
    todo: 'Repeat after Retry-After, or ask for "Prefer: respond-async": the message then waits by itself.',
  },
  'too-many-failed-logins': {
    means: 'Too many logins failed within a minute, from this address or for this api_user.',
    todo: 'Correct the credentials and wait for Retry-After. Behind a proxy, set TRUSTED_PROXIES.',
  },
  misconfigured: {
    means: "The gateway's settings are wrong.",
    todo: 'Its log lists what is wrong.',
  },
  internal: {
    means: 'A bug in the gateway.',
    todo: 'Look it up in the log by the request id, and report it.',
  },
  'outbox-off': {
    means: 'The message is to be sent later, or the route is of queued messages, and there is no outbox.',
    todo: 'Send it now, or set OUTBOX.',
  },
  'upstream-credentials': {
    means: 'SendCloud refused the api_user and api_key in the settings.',
    todo: 'Correct them. Messages in the outbox wait meanwhile.',
  },
  'upstream-insecure': {
    means: 'SendCloud, or what answered in its place, offered no STARTTLS or no valid certificate.',
    todo: 'Look at SMTP_HOST and SMTP_SERVERNAME, and for something in between that intercepts TLS.',
  },
  'upstream-unreachable': {
    means: 'No connection, or it was lost before the message was handed over.',
    todo: 'Repeat it. If it stays so, open ports 587, 2525 or 25 in the firewall.',
  },
  'upstream-busy': {
    means: 'SendCloud deferred the message; smtp has its words.',
    todo: 'Repeat it later, or leave that to the outbox.',
  },
  overloaded: {
    means: 'More messages are in flight than the gateway has memory or connections for.',
    todo: 'Repeat it later. If it happens often, raise SMTP_CONNECTIONS or run more instances.',
  },
  'quota-unavailable': {
    means: 'The store of the quota does not answer, and QUOTA_ON_ERROR is refuse.',
    todo: 'Repeat it later, and look at Redis.',
  },
  'store-unavailable': {
    means: 'The store of idempotency keys or of queued messages does not answer.',
    todo: 'Repeat it later, and look at the store.',
  },
  'upstream-timeout': {
    means: 'SendCloud did not answer within DEADLINE_MS, before the message was complete.',
    todo: 'Repeat it.',
  },
  'outcome-unknown': {
    means: 'The message was complete, and the answer to it was lost.',
    todo: "Look for it in SendCloud's console or webhooks, then decide. The same Idempotency-Key gets this answer again and sends nothing.",
  },
};

/** Whether the same request may be sent again, by the table of failures. */
export function againOf(code: FailureCode): string {
  const { delivery, retryable } = kindOf(code);
  if (delivery === 'unknown') return 'Not by itself: the message may have been sent.';
  return retryable
    ? 'Yes, later: nothing was sent.'
    : 'Not as it is: nothing was sent, and it would fail again.';
}
