/** `GET /llms.txt`: the interface in a page, for language models that write an app against it (llmstxt.org). */

import { EXAMPLE } from '../message/example.ts';
import { FAILURES } from '../outcome.ts';

interface LlmsOptions {
  readonly maxMessageBytes: number;
  /** The path that is the gateway's root for its clients. */
  readonly prefix: string;
}

export const llmsText = ({ maxMessageBytes, prefix }: LlmsOptions): string => `# Postern

> HTTP to SMTP for SendCloud: POST JSON, get a receipt; all apps of an api_user share one quota of calls.

Never put the token into code that runs in a browser: call from a backend.

## Send

POST ${prefix}/v1/messages
Authorization: Bearer <token>
Content-Type: application/json
Idempotency-Key: order-4711

${JSON.stringify(EXAMPLE)}

- Required: from, to (one address or up to 100), subject, and text or html or both. An address is a@b.c or "Name <a@b.c>".
- Optional: cc, bcc, replyTo, label (a number made in SendCloud's console), inlineImages, attachments [{filename, contentType,
  content (base64)}], headers {name: value}, calendar {method, content}, sendAt, returnPath, messageId. Others are refused.
- A body has at most ${maxMessageBytes} bytes. <img src="data:…"> becomes an inline picture.
- Idempotency-Key, if wanted: one for each message. Within 24 hours a repeated request gets the first answer and sends nothing.
- 200 is the receipt: {id, messageId, queueId, label, accepted, rejected, emailIds, size, embedded, response, warnings}.
  SendCloud took the message for accepted; rejected has the recipients that it refused.

## Send later

With "Prefer: respond-async" or sendAt (RFC 3339, at most 30 days ahead) the answer is 202 with Location and {id, state, …}.
GET ${prefix}/v1/messages/{id} reads the state: queued, sending, accepted, failed, unknown, cancelled. DELETE cancels.

## Other ways in

- POST ${prefix}/v1/messages/batch: an array of messages; each has its {status, receipt | message | problem}.
- Content-Type: message/rfc822: a whole message, as it is.
- POST ${prefix}/v1/hooks/{name}: webhooks and browser forms that the operator has set up; no token.
- Resend's SDK: new Resend(token, {baseUrl: '<this host>${prefix}/resend'}).
- GET ${prefix}/v1/quota: {limit, remaining, windowSeconds, reset}.

## Errors

application/problem+json: {type, title, status, detail, code, delivery, retryable, smtp?, rejected?, errors?}.

- Decide by code and retryable. errors lists each wrong field: [{pointer, message}].
- retryable true: wait for Retry-After, then repeat the same request with the same Idempotency-Key.
- delivery "unknown": SendCloud may have the message. Do not send it again; let a person decide.
- Codes: ${Object.keys(FAILURES).join(', ')}.

## Links

- [OpenAPI](${prefix}/openapi.json): every field and answer
- [Errors](${prefix}/docs/errors): what to do about each
- [Reference](${prefix}/docs): for people
`;
