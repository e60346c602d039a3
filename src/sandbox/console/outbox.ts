/** The outbox: what waits and why, and what became of the rest. */

import { html } from 'hono/html';
import type { OutboxRecord, OutboxState } from '../../outbox.ts';
import { badge, distance, labelBadge, plural, time } from './format.ts';
import type { Html, Page } from './layout.ts';
import type { Surroundings } from './surroundings.ts';

const KINDS = {
  queued: 'plain',
  sending: 'plain',
  accepted: 'good',
  failed: 'bad',
  unknown: 'warn',
  cancelled: 'plain',
} as const satisfies Record<OutboxState, string>;

export async function outboxPage({ outbox }: Surroundings): Promise<Page> {
  const records = (await outbox?.list()) ?? [];
  const waiting = records.filter(isWaiting);
  const ended = records.filter((record) => !isWaiting(record));
  const main = html`
    <div class="head"><h1>Outbox</h1></div>
    <p class="lead">Messages that were answered 202: kept until their outcome is final.</p>
    <div data-live="outbox" data-every="1000">
      ${records.length === 0 ? empty(outbox === null) : ''}
      ${waiting.length > 0 ? html`<section aria-labelledby="waiting"><h2 id="waiting">Waiting <small>${waiting.length}</small></h2><ul class="jobs">${waiting.map(waits)}</ul></section>` : ''}
      ${ended.length > 0 ? html`<section aria-labelledby="ended"><h2 id="ended">Ended <small>${ended.length}</small></h2><ul class="jobs">${ended.map(hasEnded)}</ul></section>` : ''}
    </div>`;
  return { name: 'Outbox', title: 'Outbox', main };
}

const isWaiting = ({ state }: OutboxRecord): boolean => state === 'queued' || state === 'sending';

const empty = (isOff: boolean): Html => html`<div class="empty">
  <h2>${isOff ? 'There is no outbox' : 'Nothing is queued'}</h2>
  <p>${isOff ? 'OUTBOX is off.' : html`Send a message with “Send later”, or to <code>busy@…</code> through the outbox, and watch it go. <a href="/sandbox/compose">Compose a message</a>`}</p>
</div>`;

const about = ({ facts, state, id }: OutboxRecord): Html => html`
  <h3 dir="auto">${facts.headers?.subject || 'No subject'}</h3>
  <p class="to">to ${facts.headers?.to.join(', ') ?? 'its envelope’s recipients'}</p>
  <p class="marks">${badge(KINDS[state], state)} ${labelBadge(facts.label)} <code class="id">${id}</code></p>`;

const waits = (record: OutboxRecord): Html => html`<li id="job-${record.id}">
  ${about(record)}
  <p class="why">${reason(record)}</p>
  ${attempts(record)}
  ${
    record.state === 'queued'
      ? html`<div class="tools">
          <form method="post" action="/sandbox/outbox/${record.id}/hasten"><button class="quiet" id="hasten-${record.id}">Try now</button></form>
          <form method="post" action="/sandbox/outbox/${record.id}/cancel"><button class="quiet" id="cancel-${record.id}">Cancel</button></form>
        </div>`
      : ''
  }
</li>`;

function reason({ state, attempts: tried, nextAttemptAt, sendAt }: OutboxRecord): Html {
  if (state === 'sending') return html`It is being sent.`;
  const next = nextAttemptAt === null ? '' : distance(nextAttemptAt);
  if (tried.length > 0) {
    return html`Tried ${tried.length === 1 ? 'once' : plural(tried.length, 'time')}; the next attempt is <b>${next}</b>.`;
  }
  if (sendAt !== null && sendAt === nextAttemptAt && sendAt > Date.now())
    return html`It waits for its time, <b>${next}</b>.`;
  if (nextAttemptAt !== null && nextAttemptAt > Date.now())
    return html`It waits for room in the quota, <b>${next}</b>. That is no attempt.`;
  return html`It is due.`;
}

const attempts = ({ attempts: tried }: OutboxRecord): Html | '' =>
  tried.length === 0
    ? ''
    : html`<ol class="attempts">${tried.map(({ at, code, detail, smtp }) => html`<li>${time(new Date(at))} ${badge('warn', code)} <code>${smtp?.response ?? detail}</code></li>`)}</ol>`;

const hasEnded = (record: OutboxRecord): Html => {
  const { outcome } = record;
  return html`<li id="job-${record.id}">
    ${about(record)}
    ${outcome === null ? '' : html`<p class="why">${outcome.delivery === 'accepted' ? outcome.reply.response : html`${outcome.detail} ${outcome.smtp?.response ?? ''}`}</p>`}
  </li>`;
};
