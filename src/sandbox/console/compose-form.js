/** Compose: makes a request of the form, sends it through the HTTP door, and shows both it and its answer. */

import { say } from './script.js';

const form = document.querySelector('#compose');
const answer = document.querySelector('#answer');
const picked = document.querySelector('#picked');
const sample = document.querySelector('#sample pre');

/** `{cid, filename, contentType, content, url}`; a cid where it is a picture within the HTML. */
let files = [];

const ADDRESSES = ['to', 'cc', 'bcc', 'replyTo'];

/** The addresses of a list: a comma within quotes is none. */
const addresses = (text) => (text.match(/(?:"(?:\\.|[^"\\])*"|[^,"])+/g) ?? []).map((one) => one.trim()).filter(Boolean);

function messageOf(given = {}) {
  const value = (name) => given[name] ?? form.elements[name].value.trim();
  const message = { from: value('from') };
  for (const name of ADDRESSES) if (addresses(value(name)).length > 0) message[name] = addresses(value(name));
  for (const name of ['subject', 'text', 'html']) if (value(name)) message[name] = value(name);
  const label = value('label');
  if (label) message.label = /^\d+$/.test(label) ? Number(label) : label;
  const sendAt = value('sendAt');
  if (sendAt) message.sendAt = new Date(sendAt).toISOString();
  const inline = files.filter(({ cid }) => cid);
  const attached = files.filter(({ cid }) => !cid);
  if (inline.length > 0) message.inlineImages = inline.map(({ cid, contentType, content, filename }) => ({ cid, contentType, content, filename }));
  if (attached.length > 0) message.attachments = attached.map(({ filename, contentType, content }) => ({ filename, contentType, content }));
  return message;
}

const headersOf = (token, isQueued) => ({
  Authorization: `Bearer ${token}`,
  'Content-Type': 'application/json',
  ...(isQueued && { Prefer: 'respond-async' }),
});

/** The same request as code. */
const url = `${location.origin}/v1/messages`;
const pairs = (headers, write) => Object.entries(headers).map(([name, value]) => write(name, value));
const shell = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
const php = (text) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const SAMPLES = {
  curl: (headers, json) =>
    [`curl -sS ${url}`, ...pairs(headers, (name, value) => `-H ${shell(`${name}: ${value}`)}`), `-d ${shell(json)}`].join(' \\\n  '),
  fetch: (headers, json) =>
    `const response = await fetch('${url}', {\n  method: 'POST',\n  headers: ${JSON.stringify(headers)},\n  body: JSON.stringify(${json}),\n});\nconsole.log(response.status, await response.json());`,
  Python: (headers, json) =>
    `import json, urllib.request\n\nmessage = json.loads(r'''${json.replaceAll("'", '\\u0027')}''')\nrequest = urllib.request.Request('${url}', json.dumps(message).encode(), {\n${pairs(headers, (name, value) => `    '${name}': '${value}',\n`).join('')}})\nprint(urllib.request.urlopen(request).read().decode())`,
  PHP: (headers, json) =>
    `<?php\n$message = ${php(json)};\n$context = stream_context_create(['http' => [\n  'method' => 'POST',\n  'header' => [${pairs(headers, (name, value) => `'${name}: ${value}'`).join(', ')}],\n  'content' => $message,\n  'ignore_errors' => true,\n]]);\necho file_get_contents('${url}', false, $context);`,
  Go: (headers, json) =>
    `package main\n\nimport (\n\t"io"\n\t"net/http"\n\t"os"\n\t"strings"\n)\n\nfunc main() {\n\tmessage := ${JSON.stringify(json)}\n\trequest, _ := http.NewRequest("POST", "${url}", strings.NewReader(message))\n${pairs(headers, (name, value) => `\trequest.Header.Set("${name}", "${value}")\n`).join('')}\tresponse, err := http.DefaultClient.Do(request)\n\tif err != nil {\n\t\tpanic(err)\n\t}\n\tio.Copy(os.Stdout, response.Body)\n}`,
};

/** On the page a file is shown by its beginning; what is copied has all of it. */
const brief = (text) => text.replace(/[A-Za-z0-9+/]{80,}={0,2}/g, (base64) => `${base64.slice(0, 24)}…`);

function showSample() {
  const language = document.querySelector('[role="tab"][aria-selected="true"]').dataset.language;
  try {
    const json = JSON.stringify(messageOf(), null, 2);
    sample.dataset.whole = SAMPLES[language](headersOf(form.dataset.token, form.elements.queue.checked), json);
    sample.textContent = brief(sample.dataset.whole);
  } catch {
    // A time that is being typed.
  }
}

/* Pictures and files */

async function add(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let binary = '';
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  const isPicture = /^image\/(?:png|jpeg|gif|webp)$/.test(file.type);
  const taken = new Set(files.map(({ cid }) => cid));
  let number = 1;
  while (taken.has(`image${number}`)) number += 1;
  const cid = isPicture ? `image${number}` : null;
  const contentType = file.type || 'application/octet-stream';
  const content = btoa(binary);
  files = [...files, { cid, contentType, content, filename: file.name || `${cid}.png`, url: isPicture ? `data:${contentType};base64,${content}` : null }];
  if (cid) {
    const { html } = form.elements;
    html.setRangeText(`<img src="cid:${cid}" alt="">`, html.selectionStart, html.selectionEnd, 'end');
  }
  changeFiles();
  say(`${file.name} added`);
}

function remove(file) {
  files = files.filter((one) => one !== file);
  if (file.cid) {
    const tag = new RegExp(`<img src="cid:${file.cid}"[^>]*>`, 'g');
    form.elements.html.value = form.elements.html.value.replace(tag, '');
  }
  changeFiles();
}

function changeFiles() {
  showFiles();
  keep(DRAFT_FILES, files);
  keepDraft();
}

function showFiles() {
  picked.replaceChildren(
    ...files.map((file) => {
      const item = document.createElement('li');
      if (file.url) item.append(Object.assign(new Image(), { src: file.url, alt: '' }));
      item.append(Object.assign(document.createElement('span'), { textContent: file.filename }));
      const button = Object.assign(document.createElement('button'), { type: 'button', className: 'quiet', textContent: '×' });
      button.setAttribute('aria-label', `Remove ${file.filename}`);
      button.addEventListener('click', () => remove(file));
      item.append(button);
      return item;
    }),
  );
  showSample();
}

const addAll = async (list) => {
  for (const file of list) await add(file);
};

/* The draft: kept while the tab is open, until it is sent */

const DRAFT = 'draft';
const DRAFT_FILES = 'draft-files';

function keep(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // The browser keeps some megabytes: what is larger has to be picked again.
    sessionStorage.removeItem(name);
  }
}

const written = () => [...form.elements].filter(({ name, type }) => name && type !== 'file');

const keepDraft = () => keep(DRAFT, Object.fromEntries(written().map((control) => [control.name, control[valueOf(control)]])));

const valueOf = ({ type }) => (type === 'checkbox' ? 'checked' : 'value');

function restoreDraft() {
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? '{}');
  for (const control of written()) if (control.name in draft) control[valueOf(control)] = draft[control.name];
  if (draft.cc || draft.bcc || draft.replyTo) form.querySelector('.more').open = true;
  files = JSON.parse(sessionStorage.getItem(DRAFT_FILES) ?? '[]');
  showFiles();
}

function dropDraft() {
  sessionStorage.removeItem(DRAFT);
  sessionStorage.removeItem(DRAFT_FILES);
}

/* Sending */

const OUTCOMES = {
  'not-sent': 'Nothing was sent.',
  unknown: 'It may have been sent: do not just send it again.',
};

const element = (name, text, className = '') => Object.assign(document.createElement(name), { textContent: text, className });

function showProblem({ title, detail, delivery, retryable, errors = [] }, retryAfter) {
  const parts = [element('p', detail)];
  if (delivery) {
    const again = retryable ? ` Sending it again may work${retryAfter ? ` in ${retryAfter} s` : ''}.` : delivery === 'unknown' ? '' : ' The same message would fail again.';
    parts.push(element('p', OUTCOMES[delivery] + again));
  }
  const wrong = [];
  for (const { pointer, message } of errors) {
    const name = pointer.split('/')[1] ?? '';
    const field = form?.querySelector(`.field[data-for~="${CSS.escape(name)}"]`);
    if (!field) {
      parts.push(element('p', `${pointer}: ${message}`));
      continue;
    }
    const control = field.querySelector('input, textarea');
    const error = field.querySelector('.error');
    error.textContent = [error.textContent, message].filter(Boolean).join(' ');
    control.setAttribute('aria-invalid', 'true');
    control.setAttribute('aria-describedby', error.id);
    field.closest('details')?.setAttribute('open', '');
    wrong.push(control);
  }
  [...(form?.elements ?? [])].find((control) => wrong.includes(control))?.focus();
  return [title, 'bad', parts];
}

function showReceipt({ id, queueId, warnings }) {
  const parts = [element('p', queueId ? `Upstream keeps it as ${queueId}.` : `Its id is ${id}.`)];
  for (const { message } of warnings) parts.push(element('p', message, 'note warn'));
  return ['Accepted', warnings.length > 0 ? 'warn' : 'good', parts, { 'See it in the inbox': '/' }];
}

const showQueued = ({ id }) => ['Queued', 'plain', [element('p', `It waits as ${id}.`)], { 'Watch it in the outbox': '/sandbox/outbox' }];

function show(status, body, retryAfter) {
  const [title, kind, parts, links = {}] =
    status === 200 ? showReceipt(body) : status === 202 ? showQueued(body) : showProblem(body, retryAfter);
  const heading = element('h2', title);
  heading.append(element('span', String(status), `badge ${kind}`));
  const tools = element('div', '', 'tools');
  for (const [text, href] of Object.entries(links)) tools.append(Object.assign(element('a', text, 'quiet'), { href }));
  const details = document.createElement('details');
  details.append(element('summary', 'The whole answer'), element('pre', JSON.stringify(body, null, 2)));
  answer.replaceChildren(heading, ...parts, ...(tools.childElementCount > 0 ? [tools] : []), details);
}

async function post(token, message, isQueued) {
  const response = await fetch('/v1/messages', {
    method: 'POST',
    headers: headersOf(token, isQueued),
    body: JSON.stringify(message),
  });
  return { status: response.status, body: await response.json(), retryAfter: response.headers.get('Retry-After') };
}

async function send(given) {
  for (const error of form.querySelectorAll('.error')) error.textContent = '';
  for (const control of form.querySelectorAll('[aria-invalid]')) control.removeAttribute('aria-invalid');
  answer.replaceChildren(element('p', 'Sending…', 'empty'));
  answer.scrollIntoView({ block: 'nearest' });
  await alone(async () => {
    try {
      const { status, body, retryAfter } = await post(form.dataset.token, messageOf(given), form.elements.queue.checked);
      show(status, body, retryAfter);
      if (!given && status < 300) dropDraft();
    } catch (error) {
      answer.replaceChildren(element('h2', 'No answer'), element('p', unanswered(error)));
    }
  });
  // It has grown; where a field is wrong, the reader is led to that one.
  if (!form.querySelector('[aria-invalid]')) answer.scrollIntoView({ block: 'nearest' });
}

/** Nothing else can be sent meanwhile. */
async function alone(sending) {
  const buttons = document.querySelectorAll('#compose [type="submit"], #send-mail button, [data-fault]');
  const focused = document.activeElement;
  for (const button of buttons) button.disabled = true;
  await sending();
  for (const button of buttons) button.disabled = false;
  // A button that cannot be pressed has no focus.
  if (document.activeElement === document.body) focused.focus({ preventScroll: true });
}

const unanswered = ({ message }) => `The gateway did not answer: ${message}`;

if (form) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  form.addEventListener('input', () => {
    showSample();
    keepDraft();
  });
  restoreDraft();
  form.querySelector('#files').addEventListener('change', async ({ target }) => {
    await addAll(target.files);
    target.value = '';
  });
  const { html } = form.elements;
  // A picture goes where the cursor is, and to the end before there is one.
  html.setSelectionRange(html.value.length, html.value.length);
  html.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    addAll([...event.clipboardData.files]);
  });
  for (const type of ['dragover', 'dragleave', 'drop']) {
    form.addEventListener(type, (event) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      html.classList.toggle('dropping', type === 'dragover');
      if (type === 'drop') addAll([...event.dataTransfer.files]);
    });
  }
  for (const button of document.querySelectorAll('[data-fault]')) {
    button.addEventListener('click', () => send({ to: `${button.dataset.fault}@example.com` }));
  }
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute('aria-selected', String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
    }
    document.querySelector('#sample').setAttribute('aria-labelledby', chosen.id);
    showSample();
  };
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener('click', () => choose(tab));
    tab.addEventListener('keydown', ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  }
}

/** The mail of a hook's preview. */
document.querySelector('#send-mail')?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { token, mail } = event.target.dataset;
  const state = event.target.querySelector('[role="status"]');
  state.textContent = 'Sending…';
  await alone(async () => {
    try {
      const { status, body } = await post(token, JSON.parse(mail), false);
      if (status !== 200) state.textContent = body.detail;
      else state.replaceChildren('Sent. ', Object.assign(element('a', 'See it in the inbox'), { href: '/' }));
    } catch (error) {
      state.textContent = unanswered(error);
    }
  });
});
