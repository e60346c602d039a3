/** The window as it is: what is left, the last minute by second and door, and when room comes back. */

import { html } from 'hono/html';
import type { QuotaState } from '../../quota.ts';
import type { CallDoor, Calls } from '../calls.ts';
import { badge, distance, number, plural } from './format.ts';
import type { Html, Page } from './layout.ts';
import type { Surroundings } from './surroundings.ts';

const DOORS: readonly { readonly door: CallDoor; readonly name: string }[] = [
  { door: 'http', name: 'HTTP' },
  { door: 'smtp', name: 'SMTP' },
  { door: 'outbox', name: 'Outbox' },
  { door: 'reported', name: 'Reported' },
];

const SECONDS = 60;
const WIDTH = 720;
const HEIGHT = 160;
const STEP = WIDTH / SECONDS;

export async function quotaPage({ apiUser, quota }: Surroundings, calls: Calls): Promise<Page> {
  const state = await quota.peek();
  const now = Date.now();
  const closedMs = Math.max(0, calls.closedUntil - now);
  const main = html`
    <div class="head"><h1>Quota</h1></div>
    <div data-live="quota" data-every="1000">
      ${closedMs > 0 ? closed(closedMs) : ''}
      <section class="window" aria-label="The window of ${apiUser}">
        ${figures(state, closedMs > 0)}
        ${gauge(state, quota.reserve)}
        <dl class="table">
          <div><dt>Window</dt><dd>${closedMs > 0 ? html`${badge('bad', 'closed by 536')} opens ${distance(calls.closedUntil, now)}` : html`${badge('good', 'open')}`}</dd></div>
          <div><dt>Room comes back</dt><dd>${roomBack(state, calls, quota.spanMs, now)}</dd></div>
          <div><dt>Kept for messages sent at once</dt><dd>${number(state.limit - queuedLimit(state, quota.reserve))} of ${number(state.limit)}: queued messages stop before them</dd></div>
          <div><dt>api_user</dt><dd>${apiUser}, all labels and doors together</dd></div>
        </dl>
      </section>
      <section aria-labelledby="minute"><h2 id="minute">The last minute</h2>${chart(calls, now)}</section>
    </div>`;
  return { name: 'Quota', title: 'Quota', main };
}

const closed = (ms: number): Html =>
  html`<p class="note bad"><b>Upstream said 536.</b> Every draw is refused for another ${Math.ceil(ms / 1000)} s, at every door and instance: sending on would only bring more refusals.</p>`;

/** What is used is what is drawn; a closed window has nothing left and may have nothing used. */
function figures({ limit, remaining }: QuotaState, isClosed: boolean): Html {
  return html`<div class="figures">
    <p><b>${number(remaining)}</b><span>left</span></p>
    <p><b>${isClosed ? '–' : number(limit - remaining)}</b><span>used</span></p>
    <p><b>${number(limit)}</b><span>calls in a minute</span></p>
  </div>`;
}

const queuedLimit = ({ limit }: QuotaState, reserve: number): number =>
  Math.max(1, Math.floor(limit * (1 - reserve)));

function gauge(state: QuotaState, reserve: number): Html {
  const { limit, remaining } = state;
  const width = (value: number) => ((value / limit) * WIDTH).toFixed(1);
  return html`<svg class="gauge" viewBox="0 0 ${WIDTH} 12" preserveAspectRatio="none" role="img" aria-label="${number(remaining)} of ${number(limit)} calls left">
    <rect class="track" width="${WIDTH}" height="12" />
    <rect class="used" width="${width(limit - remaining)}" height="12" />
    <rect class="reserve" x="${width(queuedLimit(state, reserve))}" width="2" height="12" />
  </svg>`;
}

function roomBack(
  { remaining, limit, resetMs }: QuotaState,
  { seconds, closedUntil }: Calls,
  spanMs: number,
  now: number,
): string {
  if (remaining === limit) return 'all of it is there';
  if (closedUntil > now) return `${distance(closedUntil, now)}, when the window opens`;
  const oldest = seconds.find(({ at }) => (at + 1) * 1000 + spanMs > now);
  const first = oldest ? `the first ${distance((oldest.at + 1) * 1000 + spanMs, now)}, ` : '';
  return `${first}all of it ${distance(now + resetMs, now)}`;
}

function chart({ seconds }: Calls, now: number): Html {
  const from = Math.floor(now / 1000) - SECONDS + 1;
  const shown = seconds.filter(({ at }) => at >= from);
  const most = Math.max(
    4,
    ...shown.map(({ calls }) => Object.values(calls).reduce((sum, count) => sum + count, 0)),
  );
  const totals = DOORS.map(({ door, name }) => ({
    door,
    name,
    count: shown.reduce((sum, { calls }) => sum + calls[door], 0),
  }));
  const bars = shown.flatMap(({ at, calls }) => {
    let top = HEIGHT;
    return DOORS.map(({ door }) => {
      const height = (calls[door] / most) * (HEIGHT - 4);
      top -= height;
      if (height === 0) return '';
      return html`<rect class="${door}" x="${((at - from) * STEP + 1.5).toFixed(1)}" y="${top.toFixed(1)}" width="${STEP - 3}" height="${height.toFixed(1)}" rx="1.5" />`;
    });
  });
  const words = totals
    .filter(({ count }) => count > 0)
    .map(({ name, count }) => `${number(count)} by ${name}`);
  return html`
    <figure class="chart">
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Calls by second. ${words.join(', ') || 'None in the last minute'}">
        ${[0.25, 0.5, 0.75, 1].map((part) => html`<line x1="0" x2="${WIDTH}" y1="${HEIGHT - part * (HEIGHT - 4)}" y2="${HEIGHT - part * (HEIGHT - 4)}" />`)}
        <line class="base" x1="0" x2="${WIDTH}" y1="${HEIGHT - 0.5}" y2="${HEIGHT - 0.5}" />
        ${bars}
      </svg>
      <p class="axis" aria-hidden="true"><span>60 s ago</span><span>up to ${plural(most, 'call')} a second</span><span>now</span></p>
      <figcaption><ul class="legend">${totals.map(({ door, name, count }) => html`<li><i class="${door}"></i>${name} <b>${number(count)}</b></li>`)}</ul></figcaption>
    </figure>`;
}
