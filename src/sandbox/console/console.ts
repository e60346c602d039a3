/** The console's routes: pages for people, over what the sandbox keeps. Mounted at `/`. */

import { readFile } from 'node:fs/promises';
import { type Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { Calls } from '../calls.ts';
import { type Faults, isFault } from '../faults.ts';
import type { Inbox } from '../inbox.ts';
import { bytesOf, framed, parse } from '../mail.ts';
import { problem } from '../problem.ts';
import type { Receipts } from '../receipts.ts';
import type { Transcripts } from '../transcript.ts';
import { composePage } from './compose.ts';
import { hookPage, hooksPage, type Trial } from './hooks.ts';
import { deletePage, findShown, inboxPage, readFilter } from './inbox.ts';
import { respondGone, respondPage } from './layout.ts';
import { firstView, messagePage, type Shown, VIEWS, type View } from './message.ts';
import { outboxPage } from './outbox.ts';
import { quotaPage } from './quota.ts';
import { sessionPage, sessionsPage } from './sessions.ts';
import type { Surroundings } from './surroundings.ts';

export interface ConsoleOptions {
  readonly inbox: Inbox;
  readonly transcripts: Transcripts;
  readonly receipts: Receipts;
  readonly calls: Calls;
  readonly faults: Faults;
  readonly surroundings: Surroundings;
  /** Aborts when the sandbox ends: the pages' event streams end with it. */
  readonly ending: AbortSignal;
}

/** Served from the disk, as they are. */
const FILES: Readonly<Record<string, string>> = {
  'style.css': 'text/css; charset=utf-8',
  'script.js': 'text/javascript; charset=utf-8',
  'compose-form.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};

/** Shown as pictures; anything else is a file to be kept. */
const PICTURE = /^image\/(?:png|jpeg|gif|webp|avif|bmp|svg\+xml)$/;

const KEEP_ALIVE_MS = 15_000;

export function consoleRoutes(options: ConsoleOptions): Hono {
  const { inbox, transcripts, receipts, calls, faults, surroundings, ending } = options;
  const { hooks, outbox, preview, token } = surroundings;
  const trials = new Map<string, Trial>();

  const findMessage = (c: Context) => {
    const n = c.req.param('n') ?? '';
    return /^\d{1,15}$/.test(n) ? inbox.find(Number(n)) : null;
  };
  const findHook = (c: Context) => hooks.find(({ name }) => name === c.req.param('name')) ?? null;
  const gone = (c: Context) =>
    problem(c, 'not-found', `There is nothing at ${c.req.path}: the sandbox keeps the last 100 messages.`);

  const show = async (c: Context, asked: View | null) => {
    const message = findMessage(c);
    if (!message) return respondGone(c, 'Inbox', 'message');
    const email = await parse(message);
    const at = inbox.messages.indexOf(message);
    const shown: Shown = {
      message,
      email,
      dialogue: transcripts.of(message.n),
      event: receipts.of(message, email.messageId ?? ''),
      newer: inbox.messages[at + 1]?.n ?? null,
      older: inbox.messages[at - 1]?.n ?? null,
    };
    return respondPage(c, messagePage(shown, asked ?? firstView(email)));
  };

  const routes = new Hono()
    .get('/', async (c) => {
      const { origin } = new URL(c.req.url);
      return respondPage(c, await inboxPage(inbox, readFilter(c.req.query()), origin, token));
    })
    .get('/sandbox/inbox/:n', (c) => show(c, null))
    .get('/sandbox/inbox/:n/frame', async (c) => {
      const message = findMessage(c);
      return message ? respondFrame(c, framed(await parse(message)).html) : gone(c);
    })
    .get('/sandbox/inbox/:n/source.eml', (c) => {
      const message = findMessage(c);
      if (!message) return gone(c);
      const disposition = `attachment; filename="message-${message.n}.eml"`;
      return c.body(new Uint8Array(message.raw), 200, {
        'Content-Type': 'message/rfc822',
        'Content-Disposition': disposition,
      });
    })
    .get('/sandbox/inbox/:n/text.txt', async (c) => {
      const message = findMessage(c);
      return message ? c.text((await parse(message)).text ?? '') : gone(c);
    })
    .get('/sandbox/inbox/:n/parts/:index', async (c) => {
      const message = findMessage(c);
      const part = message && (await parse(message)).attachments[Number(c.req.param('index'))];
      if (!part) return gone(c);
      const { mimeType, filename } = part;
      return c.body(new Uint8Array(bytesOf(part)), 200, {
        'Content-Type': PICTURE.test(mimeType) ? mimeType : 'application/octet-stream',
        // RFC 8187 section 3.2.
        'Content-Disposition': `attachment; filename*=UTF-8''${encodeName(filename ?? 'part')}`,
        'Content-Security-Policy': FRAME_POLICY,
      });
    })
    .post('/sandbox/delete', async (c) => {
      const { sure, last, ...query } = await c.req.parseBody();
      const filter = readFilter(query);
      const unwanted = await findShown(inbox, filter, Number(last));
      if (sure !== 'yes') return respondPage(c, deletePage(unwanted.size, filter, Number(last)));
      inbox.remove((message) => unwanted.has(message));
      return c.redirect('/', 303);
    })
    .post('/sandbox/inbox/:n/delete', (c) => {
      const message = findMessage(c);
      inbox.remove((one) => one === message);
      return c.redirect('/', 303);
    })
    .get('/sandbox/sessions', (c) => respondPage(c, sessionsPage(transcripts)))
    .get('/sandbox/sessions/:id', (c) => {
      const dialogue = transcripts.find(Number(c.req.param('id')));
      if (!dialogue) return respondGone(c, 'Sessions', 'session');
      return respondPage(c, sessionPage(dialogue, inbox.find(dialogue.n ?? 0) !== null));
    })
    .get('/sandbox/quota', async (c) => respondPage(c, await quotaPage(surroundings, calls)))
    .get('/sandbox/outbox', async (c) => respondPage(c, await outboxPage(surroundings)))
    .post('/sandbox/outbox/:id/:action', async (c) => {
      const { id, action } = c.req.param();
      if (action === 'cancel') await outbox?.cancel(id);
      else if (action === 'hasten') await outbox?.hasten(id);
      else return gone(c);
      return c.redirect('/sandbox/outbox', 303);
    })
    .get('/sandbox/compose', (c) => respondPage(c, composePage(token, faults)))
    .post('/sandbox/compose/fault', async (c) => {
      const { fault, times, on } = await c.req.parseBody();
      const count = on === 'yes' ? Math.min(1000, Math.max(0, Math.floor(Number(times)) || 0)) : 0;
      if (isFault(fault)) faults.play(fault, count);
      return c.redirect('/sandbox/compose#faults', 303);
    })
    .get('/sandbox/hooks', (c) => respondPage(c, hooksPage(surroundings)))
    .get('/sandbox/hooks/:name', (c) => {
      const hook = findHook(c);
      if (!hook) return c.redirect('/sandbox/hooks', 303);
      return respondPage(c, hookPage(hook, trials.get(hook.name) ?? null, token));
    })
    .post('/sandbox/hooks/:name', async (c) => {
      const hook = findHook(c);
      if (!hook) return gone(c);
      const { payload, headers } = await c.req.parseBody();
      const tried = { payload: String(payload ?? ''), headers: String(headers ?? '') };
      const mail = await preview(hook.name, Buffer.from(tried.payload), readHeaders(tried.headers));
      trials.set(hook.name, { ...tried, mail });
      return c.redirect(`/sandbox/hooks/${hook.name}#mail`, 303);
    })
    .get('/sandbox/hooks/:name/frame', (c) => {
      const html = trials.get(c.req.param('name'))?.mail?.html;
      return typeof html === 'string' ? respondFrame(c, html) : gone(c);
    })
    .get('/sandbox/events', (c) =>
      streamSSE(c, async (stream) => {
        const { promise: ended, resolve: end } = Promise.withResolvers<void>();
        const unwatch = inbox.watch(
          () => void stream.writeSSE({ event: 'inbox', data: String(inbox.next - 1) }),
        );
        const alive = setInterval(() => void stream.writeSSE({ event: 'alive', data: '' }), KEEP_ALIVE_MS);
        const onEnding = () => end();
        stream.onAbort(end);
        ending.addEventListener('abort', onEnding);
        if (ending.aborted) end();
        await stream.writeSSE({ event: 'open', data: '' });
        await ended;
        ending.removeEventListener('abort', onEnding);
        clearInterval(alive);
        unwatch();
      }),
    )
    .get('/sandbox/console/:file', async (c) => {
      const type = FILES[c.req.param('file')];
      if (type === undefined) return gone(c);
      const content = await readFile(new URL(c.req.param('file'), import.meta.url));
      return c.body(new Uint8Array(content), 200, { 'Content-Type': type, 'Cache-Control': 'no-cache' });
    });
  // Not as one path with a parameter: the fast router takes no literal, such as `frame`, beside one.
  for (const view of VIEWS) routes.get(`/sandbox/inbox/:n/${view}`, (c) => show(c, view));
  return routes;
}

/** No script, no form, nothing from elsewhere; a link opens a window of its own. */
const FRAME_POLICY = [
  "default-src 'none'",
  'img-src data:',
  "style-src 'unsafe-inline'",
  'font-src data:',
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
  'sandbox allow-popups allow-popups-to-escape-sandbox',
].join('; ');

/** A mail's HTML, which a browser may show and not obey. */
function respondFrame(c: Context, html: string): Response {
  return c.body(html.replace(/^\s*(?:<!doctype[^>]*>)?/i, '$&<base target="_blank">'), 200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': FRAME_POLICY,
    'Cache-Control': 'no-store',
  });
}

/** RFC 8187 section 3.2.1: encodeURIComponent leaves these, which are no attr-char. */
const encodeName = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);

/** `name: value`, a line each. */
const readHeaders = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(/\r?\n/)
      .map((line) => /^\s*([\w-]+)\s*:\s*(.*)$/.exec(line))
      .filter((found) => found !== null)
      .map(([, name = '', value = '']) => [name.toLowerCase(), value.trim()]),
  );
