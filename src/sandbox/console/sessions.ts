/** The SMTP dialogues: what was said, how often it was waited, and what went through TLS. */

import { html } from 'hono/html';
import type { Dialogue, Line, Transcripts } from '../transcript.ts';
import { addressList, badge, plural, time } from './format.ts';
import type { Html, Page } from './layout.ts';

export function sessionsPage({ dialogues }: Transcripts): Page {
  const main = html`
    <div class="head"><h1>Sessions</h1></div>
    <p class="lead">What the gateway and upstream said, one transaction a line, newest first.</p>
    <div data-live="sessions" data-every="2000">${
      dialogues.length === 0
        ? html`<div class="empty"><h2>No session yet</h2><p>The first message opens one. <a href="/sandbox/compose">Compose a message</a></p></div>`
        : html`<ol class="mails sessions">${dialogues.toReversed().map(row)}</ol>`
    }</div>`;
  return { name: 'Sessions', title: 'Sessions', main };
}

const row = (dialogue: Dialogue): Html => html`<li>
  <a href="/sandbox/sessions/${dialogue.id}" id="session-${dialogue.id}">
    <span class="from">${dialogue.from}</span>
    <span class="to">to ${dialogue.to.join(', ') || 'no one yet'}</span>
    <span class="subject reply ${severity(dialogue.reply)}">${dialogue.reply ?? 'no reply'}</span>
    <span class="marks">${warmth(dialogue)} ${badge('plain', plural(dialogue.trips, 'round trip'))}</span>
    <span class="when">${time(dialogue.startedAt)}</span>
  </a>
</li>`;

/** @param isKept - whether the inbox still has its message */
export function sessionPage(dialogue: Dialogue, isKept: boolean): Page {
  const main = html`
    <div class="head"><p class="crumbs"><a href="/sandbox/sessions">Sessions</a></p></div>
    <article class="message">
      <h1>${dialogue.from} to ${dialogue.to.length > 1 ? plural(dialogue.to.length, 'recipient') : (dialogue.to[0] ?? 'no one yet')}</h1>
      ${dialogue.to.length > 1 ? html`<div class="to">${addressList(dialogue.to)}</div>` : ''}
      ${dialogueView(dialogue)}
      ${dialogue.n === null ? '' : html`<p class="after">${isKept ? html`<a class="quiet" href="/sandbox/inbox/${dialogue.n}">See its message</a>` : 'Its message is no longer kept.'}</p>`}
    </article>`;
  return { name: 'Sessions', title: 'Session', main };
}

/** 4xx and no reply may be no end, 5xx is one: RFC 5321 section 4.2.1. */
const severity = (reply: string | null): '' | 'warn' | 'bad' =>
  reply === null || reply.startsWith('4') ? 'warn' : reply.startsWith('5') ? 'bad' : '';

/** Whether the connection was open before. */
const warmth = ({ warm }: Dialogue): Html => (warm ? badge('good', 'warm') : badge('plain', 'cold'));

export function dialogueView(dialogue: Dialogue): Html {
  const { lines, trips, warm, startedAt, user, n, reply } = dialogue;
  const took = lines.at(-1)?.at ?? 0;
  return html`
    <p class="summary">
      ${warmth(dialogue)} ${badge(isSecure(lines) ? 'good' : 'bad', isSecure(lines) ? 'TLS' : 'in the clear')}
      <span>${plural(trips, 'round trip')}, ${took.toFixed(took < 10 ? 1 : 0)} ms, at ${time(startedAt)}${user ? ` as ${user}` : ''}.</span>
      <span>${warm ? 'The connection was open and logged in, so only the message had to be said.' : 'The connection was new: TCP, TLS and the login come before the first message, and not before the next.'}</span>
      ${n === null ? html`<span>${reply === null ? 'It has not ended.' : 'It left nothing in the inbox.'}</span>` : ''}
    </p>
    <div class="scroll" tabindex="0" role="group" aria-label="The dialogue">
      <ol class="dialogue">${lines.map((line, index) => spoken(line, lines[index - 1]?.trip ?? 0))}</ol>
    </div>`;
}

const isSecure = (lines: readonly Line[]): boolean =>
  lines.filter(({ by, text }) => by === 'C' && /^(?:MAIL|AUTH)/i.test(text)).every(({ secure }) => secure);

/** @param before - the trip of the line before */
const spoken = ({ by, text, at, trip, secure }: Line, before: number): Html => {
  const isFirst = trip !== before;
  const trips = trip - before > 1 ? `${before + 1}–${trip}` : trip;
  const kind = (by === 'S' && severity(text)) || by.toLowerCase();
  return html`<li class="${kind}${isFirst ? ' first' : ''}">
    <span class="trip">${isFirst ? html`<span class="unseen">round trip </span>${trips}` : ''}</span>
    <span class="lock" title="${secure ? 'Through TLS' : 'In the clear'}">${secure ? html`<span class="unseen">TLS</span>` : ''}</span>
    <code><b>${by}:</b> ${text}</code>
    <span class="at">${at.toFixed(at < 10 ? 1 : 0)}<span class="unit"> ms</span></span>
  </li>`;
};
