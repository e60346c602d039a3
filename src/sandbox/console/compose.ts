/** Compose: a message through the real HTTP door, sent by the page itself. */

import { html } from 'hono/html';
import { FAULTS, type Faults } from '../faults.ts';
import type { Html, Page } from './layout.ts';

const LANGUAGES = ['curl', 'fetch', 'Python', 'PHP', 'Go'] as const;

const TITLES = {
  refused: '550 refused',
  busy: '450 busy',
  'frequency-limited': '536 quota',
  slow: 'Slow reply',
  dropped: 'Lost reply',
} as const satisfies Record<keyof typeof FAULTS, string>;

export function composePage(token: string, faults: Faults): Page {
  const main = html`
    <div class="head"><h1>Compose</h1></div>
    <noscript><p class="note">Compose sends from this page, by JavaScript.</p></noscript>
    <div class="columns">
      <form id="compose" novalidate data-token="${token}">
        ${field('from', 'From', html`<input id="from" name="from" value="Postern <hello@example.com>" autocomplete="off" required />`)}
        ${field('to', 'To', html`<input id="to" name="to" value="ben@example.com" autocomplete="off" required />`, 'several with commas')}
        <details class="more"><summary>Cc, Bcc, Reply-To</summary>
          ${field('cc', 'Cc', html`<input id="cc" name="cc" autocomplete="off" />`)}
          ${field('bcc', 'Bcc', html`<input id="bcc" name="bcc" autocomplete="off" />`)}
          ${field('replyTo', 'Reply-To', html`<input id="replyTo" name="replyTo" autocomplete="off" />`)}
        </details>
        ${field('subject', 'Subject', html`<input id="subject" name="subject" value="Hello from Postern" autocomplete="off" />`)}
        ${field(
          'html',
          'HTML',
          html`<textarea id="html" name="html" rows="7" spellcheck="false"><h1>Hello</h1>
<p>This is a message with a label.</p></textarea>`,
          'drop or paste a picture here',
        )}
        ${field('text', 'Text', html`<textarea id="text" name="text" rows="3">Hello. This is a message with a label.</textarea>`)}
        <div class="field" data-for="inlineImages attachments">
          <label class="pick"><span>Pictures and files</span><input id="files" type="file" multiple /></label>
          <ul id="picked" class="picked" aria-label="Pictures and files"></ul>
          <p class="error" id="files-error"></p>
        </div>
        <div class="pairs">
          ${field('label', 'Label', html`<input id="label" name="label" inputmode="numeric" value="31337" autocomplete="off" />`, 'a number')}
          ${field('sendAt', 'Send later', html`<input id="sendAt" name="sendAt" type="datetime-local" step="1" />`, 'empty: now')}
        </div>
        <label class="check"><input type="checkbox" id="queue" name="queue" /> <span>Through the outbox <small>Prefer: respond-async</small></span></label>
        <div class="actions"><button class="button" type="submit">Send</button></div>
      </form>
      <div class="beside">
        <section id="answer" class="answer" aria-label="The answer" aria-live="polite" tabindex="-1"><p class="empty">The answer shows up here.</p></section>
        <section aria-labelledby="request">
          <h2 id="request">The request</h2>
          <div class="tabs" role="tablist" aria-label="Language">${LANGUAGES.map(
            (language, index) =>
              html`<button role="tab" id="tab-${language}" aria-controls="sample" aria-selected="${String(index === 0)}" tabindex="${index === 0 ? 0 : -1}" data-language="${language}">${language}</button>`,
          )}</div>
          <div class="code" role="tabpanel" id="sample" aria-labelledby="tab-curl"><button class="quiet" data-copy type="button">Copy</button><pre tabindex="0" aria-label="The request as code"></pre></div>
        </section>
        <section aria-labelledby="faults"><h2 id="faults">When it goes wrong</h2>${faultPanel(faults)}</section>
      </div>
    </div>`;
  return { name: 'Compose', title: 'Compose', main, scripts: ['compose-form.js'] };
}

const field = (
  name: string,
  title: string,
  control: Html,
  hint = '',
): Html => html`<div class="field" data-for="${name}">
  <label for="${name}">${title}${hint ? html` <small>${hint}</small>` : ''}</label>
  ${control}
  <p class="error" id="${name}-error"></p>
</div>`;

function faultPanel({ next }: Faults): Html {
  return html`
    <p>Send the message to the recipient for whom it happens:</p>
    <div class="buttons">${Object.entries(TITLES).map(
      ([fault, title]) =>
        html`<button type="button" class="quiet" data-fault="${fault}" title="${FAULTS[fault as keyof typeof FAULTS]}">${title}</button>`,
    )}</div>
    <form id="fault" class="fault" data-changes="fault" method="post" action="/sandbox/compose/fault">
      <label>or have the next <input name="times" type="number" min="1" max="1000" value="${next?.times ?? 3}" aria-label="How many messages" /> messages meet</label>
      <select name="fault" aria-label="What they meet">${Object.entries(TITLES).map(
        ([fault, title]) =>
          html`<option value="${fault}"${next?.fault === fault ? html` selected` : ''}>${title}</option>`,
      )}</select>
      <button class="quiet" name="on" value="yes">Switch on</button>
    </form>
    <p data-live="fault" data-every="1000" class="state">${
      next === null
        ? 'Upstream behaves.'
        : html`<b>${TITLES[next.fault]}</b> for the next ${next.times === 1 ? 'message' : `${next.times} messages`}, to any recipient. <button class="quiet" form="fault" name="on" value="no" id="fault-off">Switch off</button>`
    }</p>`;
}
