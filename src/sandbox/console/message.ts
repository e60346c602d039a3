/** One message: its HTML in a frame, its text, headers, parts and source, its SMTP session and its receipt. */

import { html } from 'hono/html';
import type { Attachment, Email } from 'postal-mime';
import type { MessageEvent } from '../../message-event.ts';
import { emailIds } from '../../sendcloud.ts';
import type { ReceivedMessage } from '../inbox.ts';
import { bytesOf, framed } from '../mail.ts';
import type { Dialogue } from '../transcript.ts';
import { addressList, badge, labelBadge, number, size, time } from './format.ts';
import { ICONS } from './inbox.ts';
import { type Html, icon, type Page } from './layout.ts';
import { dialogueView } from './sessions.ts';

export const VIEWS = ['html', 'text', 'headers', 'parts', 'source', 'session', 'receipt'] as const;
export type View = (typeof VIEWS)[number];

const TITLES: Readonly<Record<View, string>> = {
  html: 'HTML',
  text: 'Text',
  headers: 'Headers',
  parts: 'Parts',
  source: 'Source',
  session: 'Session',
  receipt: 'Receipt',
};

export interface Shown {
  readonly message: ReceivedMessage;
  readonly email: Email;
  readonly dialogue: Dialogue | null;
  readonly event: MessageEvent | null;
  /** The numbers of the messages beside it. */
  readonly newer: number | null;
  readonly older: number | null;
}

/** What is looked at first. */
export const firstView = ({ html: body }: Email): View => (body ? 'html' : 'text');

export function messagePage(shown: Shown, view: View): Page {
  const { message, email, event, newer, older } = shown;
  const { n, login, receivedAt, envelope } = message;
  const warnings = event?.warnings.length ?? 0;
  const count: Partial<Record<View, number>> = {
    parts: email.attachments.length,
    headers: email.headers.length,
  };
  const main = html`
    <div class="head">
      <p class="crumbs"><a href="/">Inbox</a></p>
      <div class="tools">
        ${stepper('Newer', newer, 'M14 6l-6 6 6 6')}${stepper('Older', older, 'M10 6l6 6-6 6')}
        <form method="post" action="/sandbox/inbox/${n}/delete"><button class="quiet">${icon(ICONS.bin)}Delete</button></form>
      </div>
    </div>
    <article class="message">
      <h1 dir="auto">${email.subject || 'No subject'}</h1>
      <dl class="facts">
        <div><dt>From</dt><dd dir="auto">${mailboxes(email.from ? [email.from] : []).join(', ') || envelope.from}</dd></div>
        ${Object.entries(recipients(email, envelope.to)).map(([name, list]) => (list.length > 0 ? html`<div><dt>${name}</dt><dd dir="auto">${addressList(list)}</dd></div>` : ''))}
        <div><dt>Received</dt><dd>${time(receivedAt)} · ${size(message.raw.length)}</dd></div>
        <div><dt>Login</dt><dd>${login.apiUser} ${labelBadge(login.label)} ${badge('good', login.tls)}</dd></div>
      </dl>
      <nav class="tabs" aria-label="Views of the message">
        <ul>${VIEWS.filter((one) => one !== 'html' || email.html).map(
          (one) =>
            html`<li><a href="/sandbox/inbox/${n}/${one}"${one === view ? html` aria-current="page"` : ''}>${TITLES[one]}${
              count[one] ? html` <small>${count[one]}</small>` : ''
            }${one === 'receipt' && warnings > 0 ? html` ${badge('warn', warnings)}<span class="unseen"> warnings</span>` : ''}</a></li>`,
        )}</ul>
      </nav>
      <section class="view" aria-label="${TITLES[view]}">${SECTIONS[view](shown)}</section>
    </article>`;
  return { name: 'Inbox', title: email.subject || 'No subject', main };
}

const stepper = (name: string, n: number | null, path: string): Html =>
  n === null
    ? html`<span class="step" aria-hidden="true">${icon(path)}</span>`
    : html`<a class="step" href="/sandbox/inbox/${n}" aria-label="${name} message" title="${name}">${icon(path)}</a>`;

type Mailboxes = NonNullable<Email['to']>;

const mailboxes = (list: Mailboxes): string[] =>
  list.map((one) =>
    'address' in one && one.address ? (one.name ? `${one.name} <${one.address}>` : one.address) : one.name,
  );

/** As the header says, and those of the envelope that it does not name. */
function recipients({ to = [], cc = [], replyTo = [] }: Email, envelope: readonly string[]) {
  const named = new Set(
    [...to, ...cc].flatMap((one) => one.group ?? [one]).map(({ address }) => address.toLowerCase()),
  );
  return {
    To: mailboxes(to),
    Cc: mailboxes(cc),
    Bcc: envelope.filter((address) => !named.has(address.toLowerCase())),
    'Reply-To': mailboxes(replyTo),
  };
}

const SECTIONS: Readonly<Record<View, (shown: Shown) => Html>> = {
  html({ message, email }) {
    const { remote } = framed(email);
    return html`
      ${remote > 0 ? html`<p class="note">${remote === 1 ? 'One thing' : `${remote} things`} in this message would be fetched from elsewhere. Here nothing is.</p>` : ''}
      <iframe class="mail" sandbox="allow-popups allow-popups-to-escape-sandbox" src="/sandbox/inbox/${message.n}/frame" title="The message as HTML"></iframe>
      ${email.attachments.length > 0 ? parts(message.n, email.attachments) : ''}`;
  },
  text: ({ message, email: { text } }) =>
    text
      ? html`${text.length > MOST_SHOWN ? html`<p class="bar"><span>The first ${number(MOST_SHOWN)} of ${number(text.length)} characters</span><a class="quiet" href="/sandbox/inbox/${message.n}/text.txt">The whole text</a></p>` : ''}
          <pre class="text" tabindex="0" aria-label="The text">${shortened(text)}</pre>`
      : html`<p class="empty">The message has no text.</p>`,
  headers: ({ email }) =>
    html`<div class="scroll" tabindex="0" role="group" aria-label="Headers"><table class="headers"><thead class="unseen"><tr><th>Header</th><th>Value</th></tr></thead><tbody>${email.headers.map(
      ({ originalKey, value }) => html`<tr><th scope="row">${originalKey}</th><td>${value}</td></tr>`,
    )}</tbody></table></div>`,
  parts: ({ message, email }) =>
    email.attachments.length > 0
      ? parts(message.n, email.attachments)
      : html`<p class="empty">The message has no pictures and no files.</p>`,
  source: ({ message }) => html`
    <p class="bar"><span>As received, ${number(message.raw.length)} bytes</span><a class="quiet" href="/sandbox/inbox/${message.n}/source.eml">Download</a></p>
    <pre class="text source" tabindex="0" aria-label="The source">${shortened(message.raw.subarray(0, 4 * MOST_SHOWN).toString('utf8'))}</pre>`,
  session: ({ dialogue }) =>
    dialogue ? dialogueView(dialogue) : html`<p class="empty">This session is no longer kept.</p>`,
  receipt: (shown) => receipt(shown),
};

/** Characters; a browser takes seconds to lay out megabytes. */
const MOST_SHOWN = 200_000;

const shortened = (text: string): string =>
  text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}\n…` : text;

const parts = (n: number, attachments: readonly Attachment[]): Html =>
  html`<ul class="parts">${attachments.map((part, index) => {
    const bytes = bytesOf(part).length;
    return html`<li><a href="/sandbox/inbox/${n}/parts/${index}" download>
    ${part.mimeType.startsWith('image/') ? html`<img src="/sandbox/inbox/${n}/parts/${index}" alt="" loading="lazy" />` : icon(ICONS.clip)}
    <span><b>${part.filename ?? `part ${index + 1}`}</b><small><span>${part.mimeType}${part.contentId ? html` · cid:${part.contentId.replace(/^<|>$/g, '')}` : ''}</span><span>${size(bytes)}</span></small></span>
  </a></li>`;
  })}</ul>`;

const DOORS = { http: 'HTTP', smtp: 'SMTP', outbox: 'the outbox' } as const;

function receipt({ message, email, event }: Shown): Html {
  const ids = Object.entries(emailIds(message.queueId, message.envelope.to));
  return html`
    ${event && event.warnings.length > 0 ? html`<div class="note warn"><h2>Sent, but not shown everywhere</h2><ul>${event.warnings.map((warning) => html`<li>${warning}</li>`)}</ul></div>` : ''}
    <dl class="table">
      <div><dt>Outcome</dt><dd>${event === null ? 'no event: it came past the gateway, or is being sent' : html`${badge(event.outcome === 'accepted' ? 'good' : 'warn', event.outcome)} ${event.detail ?? ''}`}</dd></div>
      <div><dt>queueId</dt><dd><code>${message.queueId}</code></dd></div>
      <div><dt>emailIds</dt><dd>${ids.map(([address, id]) => html`<span class="pair"><span>${address}</span> <code>${id}</code></span>`)}</dd></div>
      <div><dt>messageId</dt><dd><code>${email.messageId ?? 'none'}</code></dd></div>
      ${event ? facts(event) : ''}
    </dl>`;
}

const facts = ({ id, door, attempts, rejected, smtp, milliseconds }: MessageEvent): Html => html`
  ${id === null ? '' : html`<div><dt>id</dt><dd><code>${id}</code></dd></div>`}
  <div><dt>Door</dt><dd>${DOORS[door]}</dd></div>
  ${smtp ? html`<div><dt>Upstream’s reply</dt><dd><code>${smtp.response}</code></dd></div>` : ''}
  ${rejected.length > 0 ? html`<div><dt>Refused</dt><dd>${rejected.map(({ address, response }) => html`<span class="pair"><span>${address}</span> <code>${response}</code></span>`)}</dd></div>` : ''}
  <div><dt>Attempts</dt><dd>${attempts}</dd></div>
  <div><dt>Time</dt><dd>${milliseconds.total} ms: compose ${milliseconds.compose}, connection ${milliseconds.lease}, quota ${milliseconds.draw}, sending ${milliseconds.send}</dd></div>`;
