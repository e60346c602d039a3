/** The inbox: what arrived, newest first. */

import { html } from 'hono/html';
import type { Inbox, ReceivedMessage } from '../inbox.ts';
import { type Glance, glanceAt } from '../mail.ts';
import { isFor } from '../routes.ts';
import { distance, labelBadge, plural, time } from './format.ts';
import { type Html, icon, type Page } from './layout.ts';

export interface Filter {
  /** Words that stand in the subject, an address or the text. */
  readonly search: string;
  readonly to: string;
  readonly label: string;
}

/** Recipients to choose from. */
const MOST_OPTIONS = 200;

export const ICONS = {
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5',
  bin: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5',
  clip: 'M8 12.5 14.5 6a3 3 0 0 1 4.2 4.2l-8.3 8.4a5 5 0 0 1-7-7L11 4',
} as const;

/** The query of a page or of a form that deletes. */
export const readFilter = ({ q, to, label }: Readonly<Record<string, unknown>>): Filter => ({
  search: String(q ?? ''),
  to: String(to ?? ''),
  label: String(label ?? ''),
});

const glancesAt = (messages: readonly ReceivedMessage[]) =>
  Promise.all(messages.map(async (message) => ({ message, glance: await glanceAt(message) })));

/** @param last - a message that came after it has not been seen by the reader */
export async function findShown(inbox: Inbox, filter: Filter, last: number): Promise<Set<ReceivedMessage>> {
  const glances = await glancesAt(inbox.messages.filter(({ n }) => n <= last));
  return new Set(
    glances.filter(({ message, glance }) => isShown(message, glance, filter)).map(({ message }) => message),
  );
}

export async function inboxPage(inbox: Inbox, filter: Filter, origin: string, token: string): Promise<Page> {
  const all = inbox.messages.toReversed();
  const last = inbox.next - 1;
  const glances = await glancesAt(all);
  const shown = glances.filter(({ message, glance }) => isShown(message, glance, filter));
  const recipients = [...new Set(all.flatMap(({ envelope }) => envelope.to))].sort().slice(0, MOST_OPTIONS);
  const labels = [...new Set(all.map(({ login }) => login.label))]
    .filter((label) => label !== null)
    .sort((a, b) => a - b);
  const isFiltered = Object.values(filter).some(Boolean);
  const main = html`
    <div class="head">
      <h1>Inbox</h1>
      <form class="filters" role="search" action="/" autocomplete="off" data-filters="inbox">
        <label class="search">${icon(ICONS.search)}<span class="unseen">Search</span>
          <input type="search" name="q" value="${filter.search}" placeholder="Search" data-key="/" /></label>
        <label><span class="unseen">Recipient</span>
          <select name="to"><option value="">Every recipient</option>${options(recipients, filter.to)}</select></label>
        <label><span class="unseen">Label</span>
          <select name="label"><option value="">Every label</option>${options(labels.map(String), filter.label, '#')}</select></label>
        <button class="scriptless">Filter</button>
      </form>
    </div>
    <div data-live="inbox" data-last="${last}" data-newest="${glances[0]?.glance.subject ?? ''}">
      <div class="bar">
        <p>${isFiltered ? `${shown.length} of ${plural(all.length, 'message')}` : plural(all.length, 'message')}${
          isFiltered ? html` · <a href="/">Show all</a>` : ''
        }</p>
        ${
          shown.length > 0
            ? html`<form method="post" action="/sandbox/delete" data-changes="inbox" data-ask="${askToDelete(shown.length)}" data-done="${plural(shown.length, 'message')} deleted">
                ${deletion(filter, last)}<button class="quiet" id="delete-shown">${icon(ICONS.bin)}${isFiltered ? deleteThese(shown.length) : 'Delete all'}</button></form>`
            : ''
        }
      </div>
      ${shown.length > 0 ? html`<ol class="mails">${shown.map(row)}</ol>` : all.length > 0 ? nothingFound() : welcome(origin, token)}
    </div>`;
  return { name: 'Inbox', title: 'Inbox', main };
}

const deleteThese = (count: number): string => (count === 1 ? 'Delete this one' : `Delete these ${count}`);
const askToDelete = (count: number): string => `Delete ${plural(count, 'message')}?`;

/** What says which messages are deleted: those that the filter shows, up to the last one of the page. */
const deletion = ({ search, to, label }: Filter, last: number): Html =>
  html`${Object.entries({ q: search, to, label, last }).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
  )}`;

/** Asks before messages are deleted, where no script has asked. */
export function deletePage(count: number, filter: Filter, last: number): Page {
  const main = html`
    <div class="head"><h1>${askToDelete(count)}</h1></div>
    <form method="post" action="/sandbox/delete" class="tools">
      ${deletion(filter, last)}<button class="button" name="sure" value="yes">Delete</button> <a class="quiet" href="/">Cancel</a>
    </form>`;
  return { name: 'Inbox', title: 'Delete', main };
}

function isShown(message: ReceivedMessage, { words }: Glance, { search, to, label }: Filter): boolean {
  const wanted = { to: to || null, label: label === '' ? null : Number(label) };
  return (
    isFor(message, wanted) &&
    search
      .toLowerCase()
      .split(/\s+/)
      .every((word) => words.includes(word))
  );
}

const options = (values: readonly string[], chosen: string, mark = ''): Html[] =>
  [...new Set(chosen ? [...values, chosen] : values)].map(
    (value) =>
      html`<option value="${value}"${value === chosen ? html` selected` : ''}>${mark}${value}</option>`,
  );

const row = ({ message, glance }: { message: ReceivedMessage; glance: Glance }): Html => html`<li>
  <a href="/sandbox/inbox/${message.n}" id="mail-${message.n}">
    <span class="initial" aria-hidden="true" data-hue="${hue(glance.from)}">${(glance.from.match(/[\p{L}\p{N}]/u)?.[0] ?? '?').toUpperCase()}</span>
    <span class="from" dir="auto">${glance.from}</span>
    <span class="to">to ${message.envelope.to.join(', ')}</span>
    <span class="subject" dir="auto">${glance.subject || 'No subject'}</span>
    <span class="excerpt" dir="auto">${glance.excerpt}</span>
    <span class="marks">${labelBadge(message.login.label)}${glance.parts > 0 ? html`<span class="clip" title="${plural(glance.parts, 'part')}">${icon(ICONS.clip)}<span class="unseen">${plural(glance.parts, 'part')}</span></span>` : ''}</span>
    <span class="when" title="${distance(message.receivedAt.getTime())}">${time(message.receivedAt)}</span>
  </a>
</li>`;

/** One of five colours, always the same for a sender. */
const hue = (name: string): number =>
  [...name].reduce((sum, char) => (sum * 31 + (char.codePointAt(0) ?? 0)) % 1009, 0) % 5;

const nothingFound = (): Html =>
  html`<div class="empty"><h2>Nothing found</h2><p>No message fits this search. <a href="/">Show all</a></p></div>`;

function welcome(origin: string, token: string): Html {
  const example = `curl -sS ${origin}/v1/messages \\
  -H 'Authorization: Bearer ${token}' \\
  -H 'Content-Type: application/json' \\
  -d '{"from":"me@example.com","to":"you@example.com","subject":"Hello","text":"Hello from Postern"}'`;
  return html`<div class="empty">
    <h2>No mail yet</h2>
    <p>Send one, and it shows up here at once.</p>
    <div class="code"><button class="quiet" data-copy>Copy</button><pre tabindex="0" aria-label="An example with curl">${example}</pre></div>
    <p><a class="button" href="/sandbox/compose">Compose a message</a></p>
  </div>`;
}
