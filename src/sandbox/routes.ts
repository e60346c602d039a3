/** The inbox over HTTP, to be mounted at `/sandbox`. */
import { createHash } from 'node:crypto';
import { type Context, Hono } from 'hono';
import type { Attachment } from 'postal-mime';
import { FAULTS, type Faults, isFault } from './faults.ts';
import type { Inbox, ReceivedMessage } from './inbox.ts';
import { bytesOf, glanceAt, parse } from './mail.ts';
import { problem } from './problem.ts';

const MOST_WAIT_SECONDS = 60;
const MOST_FAULTS = 1_000;

/**
 * - `GET /messages?to=&label=&wait=`: a summary of each, newest first; with `wait`, it takes up to so many seconds
 *   until there is one
 * - `DELETE /messages?to=&label=`: deletes them
 * - `GET /messages/{n}`: with the parts, parsed by a library that did not make them; `DELETE` deletes it
 * - `GET /messages/{n}/raw`: the bytes as received
 * - `PUT /fault` with `{"fault": "busy", "times": 3}`: what upstream gets wrong for the next messages; `GET` reads it
 * - `GET /ca.pem`: the authority that an SMTP client has to trust
 */
export function sandboxRoutes({
  inbox,
  faults,
  ca,
  ending,
}: {
  readonly inbox: Inbox;
  readonly faults: Faults;
  readonly ca: string;
  /** Aborts when the sandbox ends: nothing is waited for then. */
  readonly ending: AbortSignal;
}): Hono {
  const find = (n: string) => (/^\d{1,15}$/.test(n) ? inbox.find(Number(n)) : null);

  return (
    new Hono()
      .get('/messages', async (c) => {
        const query = readQuery(c.req.query());
        if (typeof query === 'string') return problem(c, 'invalid-request', query);
        const { isWanted, waitMs } = query;
        const signal = AbortSignal.any([c.req.raw.signal, ending, AbortSignal.timeout(waitMs)]);
        const found = waitMs > 0 ? await inbox.waitFor(1, isWanted, signal) : inbox.messages.filter(isWanted);
        return c.json(await Promise.all(found.toReversed().map(summary)));
      })
      .delete('/messages', (c) => {
        const query = readQuery(c.req.query());
        if (typeof query === 'string') return problem(c, 'invalid-request', query);
        inbox.remove(query.isWanted);
        return c.body(null, 204);
      })
      .get('/messages/:n', async (c) => {
        const message = find(c.req.param('n'));
        return message ? c.json(await parsed(message)) : notFound(c);
      })
      .delete('/messages/:n', (c) => {
        const message = find(c.req.param('n'));
        if (!message) return notFound(c);
        inbox.remove(({ n }) => n === message.n);
        return c.body(null, 204);
      })
      .get('/messages/:n/raw', (c) => {
        const message = find(c.req.param('n'));
        if (!message) return notFound(c);
        return c.body(new Uint8Array(message.raw), 200, { 'Content-Type': 'message/rfc822' });
      })
      .get('/fault', (c) => c.json(faults.next))
      .put('/fault', async (c) => {
        const { fault, times } = (await c.req.json().catch(() => null)) ?? {};
        if (!isFault(fault) || !Number.isInteger(times) || times < 0 || times > MOST_FAULTS) {
          const names = Object.keys(FAULTS).join(', ');
          return problem(
            c,
            'invalid-request',
            `Give {"fault", "times"}: one of ${names}, for 0 to ${MOST_FAULTS} messages.`,
          );
        }
        faults.play(fault, times);
        return c.json(faults.next);
      })
      // RFC 8555 section 9.1.
      .get('/ca.pem', (c) => c.body(ca, 200, { 'Content-Type': 'application/pem-certificate-chain' }))
  );
}

/** Which messages are meant, and how long one is waited for; or what is wrong with the query. */
function readQuery(
  query: Record<string, string>,
): { readonly isWanted: (message: ReceivedMessage) => boolean; readonly waitMs: number } | string {
  const { to, label, wait = '0', ...rest } = query;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) return `There is no "${unknown}" here: give "to", "label" or "wait".`;
  if (label !== undefined && !/^\d{1,15}$/.test(label)) return '"label" is a label id, a whole number.';
  if (!/^\d{1,2}$/.test(wait) || Number(wait) > MOST_WAIT_SECONDS) {
    return `"wait" is a whole number of seconds, at most ${MOST_WAIT_SECONDS}.`;
  }
  return {
    isWanted: (message) =>
      isFor(message, { to: to ?? null, label: label === undefined ? null : Number(label) }),
    waitMs: Number(wait) * 1000,
  };
}

/** By a recipient of the envelope and by label; null is any. */
export const isFor = (
  { envelope, login }: ReceivedMessage,
  { to, label }: { readonly to: string | null; readonly label: number | null },
): boolean =>
  (to === null || envelope.to.some((address) => address.toLowerCase() === to.toLowerCase())) &&
  (label === null || login.label === label);

async function summary(message: ReceivedMessage) {
  const { raw, login, ...facts } = message;
  const { subject } = await glanceAt(message);
  return { ...facts, login: { apiUser: login.apiUser, label: login.label }, subject, size: raw.length };
}

async function parsed(message: ReceivedMessage) {
  const { headers, text = null, html = null, attachments } = await parse(message);
  return {
    ...(await summary(message)),
    headers: headers.map(({ originalKey, value }) => ({ name: originalKey, value })),
    text,
    html,
    attachments: attachments.map(part),
  };
}

/** Attachments and inline images alike, in the order of the message; `contentId` with its angle brackets. */
function part(attachment: Attachment) {
  const { mimeType, filename, disposition, contentId } = attachment;
  const bytes = bytesOf(attachment);
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

const notFound = (c: Context): Response =>
  problem(c, 'not-found', `The sandbox has no message ${c.req.param('n')}: it keeps the last 100.`);
