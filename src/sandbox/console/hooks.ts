/** Hooks: the configured ones, and the mail that one makes of a payload. */

import { html } from 'hono/html';
import { badge, labelBadge } from './format.ts';
import type { Html, Page } from './layout.ts';
import { sampleOf } from './samples.ts';
import type { HookFacts, Surroundings } from './surroundings.ts';

/** What was tried last with a hook. */
export interface Trial {
  readonly payload: string;
  /** `name: value`, a line each. */
  readonly headers: string;
  /** Null where the hook skips it. */
  readonly mail: Readonly<Record<string, unknown>> | null;
}

const signature = (scheme: string): string => (scheme === 'none' ? 'not signed' : `signed by ${scheme}`);

export function hooksPage({ hooks }: Surroundings): Page {
  const main = html`
    <div class="head"><h1>Hooks</h1></div>
    <p class="lead">What a service or a form sends to <code>/v1/hooks/{name}</code> becomes a mail. Set <code>HOOKS</code> to configure your own.</p>
    ${hooks.length === 0 ? html`<div class="empty"><h2>No hook is configured</h2><p>Set <code>HOOKS</code> to a JSON array, or unset it for examples.</p></div>` : ''}
    <ul class="hooks">${hooks.map(
      ({ name, preset, scheme, to, label }) => html`<li><a href="/sandbox/hooks/${name}">
        <b>${name}</b> <span class="marks">${badge('plain', preset)} ${labelBadge(label)}</span>
        <span class="to">to ${to.join(', ')}</span><code>POST /v1/hooks/${name}</code><small>${signature(scheme)}</small>
      </a></li>`,
    )}</ul>`;
  return { name: 'Hooks', title: 'Hooks', main };
}

export function hookPage(hook: HookFacts, trial: Trial | null, token: string): Page {
  const sample = sampleOf(hook.preset);
  const main = html`
    <div class="head"><p class="crumbs"><a href="/sandbox/hooks">Hooks</a></p></div>
    <h1>${hook.name}</h1>
    <dl class="facts">
      <div><dt>Address</dt><dd><code>POST /v1/hooks/${hook.name}</code></dd></div>
      <div><dt>Preset</dt><dd>${hook.preset}, ${signature(hook.scheme)}, ${hook.mode}</dd></div>
      <div><dt>From</dt><dd>${hook.from}</dd></div>
      <div><dt>To</dt><dd>${hook.to.join(', ')} ${labelBadge(hook.label)}</dd></div>
    </dl>
    <div class="columns">
      <form method="post" action="/sandbox/hooks/${hook.name}" class="try">
        <div class="field"><label for="headers">Headers <small>those that tell the event’s kind</small></label>
          <textarea id="headers" name="headers" rows="2" spellcheck="false">${trial?.headers ?? sample.headers}</textarea></div>
        <div class="field"><label for="payload">Payload</label>
          <textarea id="payload" name="payload" rows="18" spellcheck="false">${trial?.payload ?? sample.payload}</textarea></div>
        <div class="actions"><button class="button">Preview the mail</button></div>
      </form>
      <section class="beside" aria-label="The mail" id="mail">${trial === null ? html`<p class="empty">The mail shows up here. Nothing is sent.</p>` : preview(hook, trial, token)}</section>
    </div>`;
  return { name: 'Hooks', title: hook.name, main, scripts: ['compose-form.js'] };
}

const list = (value: unknown): string => (Array.isArray(value) ? value.join(', ') : String(value ?? ''));

function preview({ name }: HookFacts, { mail }: Trial, token: string): Html {
  if (mail === null) return html`<p class="note">This payload makes no mail: the hook skips it.</p>`;
  return html`
    <h2 dir="auto">${list(mail.subject)}</h2>
    <p class="to">to ${list(mail.to)}</p>
    ${mail.html === undefined || mail.html === null ? html`<pre class="text" tabindex="0" aria-label="The text">${list(mail.text)}</pre>` : html`<iframe class="mail" sandbox="allow-popups allow-popups-to-escape-sandbox" src="/sandbox/hooks/${name}/frame" title="The mail as HTML"></iframe>`}
    <form id="send-mail" data-token="${token}" data-mail="${JSON.stringify(mail)}"><div class="actions"><button class="button">Send it to the inbox</button><span role="status"></span></div></form>`;
}
