/** The inbox over HTTP, to be mounted at `/sandbox`. */
import { createHash } from 'node:crypto';
import { type Context, Hono } from 'hono';
import PostalMime, { type Attachment } from 'postal-mime';
import { kindOf } from '../outcome.ts';
import type { Inbox, ReceivedMessage } from './inbox.ts';

/**
 * - `GET /messages`: a summary of each, newest first
 * - `GET /messages/{n}`: with the parts, parsed by a library that did not make them
 * - `GET /messages/{n}/raw`: the bytes as received
 * - `GET /ca.pem`: the authority that an SMTP client has to trust
 */
export function sandboxRoutes(inbox: Inbox, ca: string): Hono {
  const find = (n: string) => inbox.messages.find((message) => String(message.n) === n);
  return (
    new Hono()
      .get('/messages', async (c) => c.json(await Promise.all(inbox.messages.toReversed().map(summary))))
      .get('/messages/:n', async (c) => {
        const message = find(c.req.param('n'));
        return message ? c.json(await parsed(message)) : notFound(c);
      })
      .get('/messages/:n/raw', (c) => {
        const message = find(c.req.param('n'));
        if (!message) return notFound(c);
        return c.body(new Uint8Array(message.raw), 200, { 'Content-Type': 'message/rfc822' });
      })
      // RFC 8555 section 9.1.
      .get('/ca.pem', (c) => c.body(ca, 200, { 'Content-Type': 'application/pem-certificate-chain' }))
  );
}

async function summary(message: ReceivedMessage) {
  const { raw, login, ...facts } = message;
  // The header is enough for a list, and a message may have megabytes.
  const end = raw.indexOf('\r\n\r\n');
  const { subject = '' } = await PostalMime.parse(raw.subarray(0, end < 0 ? raw.length : end + 4));
  return { ...facts, login: { apiUser: login.apiUser, label: login.label }, subject, size: raw.length };
}

async function parsed(message: ReceivedMessage) {
  const { headers, text = null, html = null, attachments } = await PostalMime.parse(message.raw);
  return {
    ...(await summary(message)),
    headers: headers.map(({ originalKey, value }) => ({ name: originalKey, value })),
    text,
    html,
    attachments: attachments.map(part),
  };
}

/** Attachments and inline images alike, in the order of the message; `contentId` with its angle brackets. */
function part({ content, mimeType, filename, disposition, contentId }: Attachment) {
  const bytes = typeof content === 'string' ? Buffer.from(content) : Buffer.from(new Uint8Array(content));
  return {
    contentType: mimeType,
    filename,
    disposition,
    contentId: contentId ?? null,
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    content: bytes.toString('base64'),
  };
}

/** A problem document (RFC 9457). */
function notFound(c: Context): Response {
  const { status, title } = kindOf('not-found');
  const problem = {
    type: 'about:blank',
    title,
    status,
    detail: `The sandbox has no message ${c.req.param('n')}: it keeps the last 100`,
    instance: c.req.path,
    code: 'not-found',
  };
  return c.body(JSON.stringify(problem), 404, { 'Content-Type': 'application/problem+json' });
}
