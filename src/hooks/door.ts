/** `POST /v1/hooks/{name}`: a webhook or a form in, a mail out, by that hook's rules. */

import type { Account } from '../account.ts';
import type { AdapterRequest, AdapterResponse, RequestHead, SelfAuthenticatingAdapter } from '../adapter.ts';
import type { Authenticator } from '../authenticate.ts';
import { peerOf } from '../client-address.ts';
import { sha256 } from '../digest.ts';
import { readForm } from '../form.ts';
import { hasAtMost } from '../json.ts';
import type { Log } from '../log.ts';
import type { OutboxRecord } from '../outbox.ts';
import { type Failure, failure, isFailure, kindOf } from '../outcome.ts';
import type { Quota } from '../quota.ts';
import type { Receipt, Send } from '../send.ts';
import { canonicalApiUser } from '../sendcloud.ts';
import { formMail } from './form.ts';
import type { Hook } from './hook.ts';
import { type Rendered, render, type TemplateContext } from './mail.ts';
import { PRESETS } from './presets.ts';
import { type HookRequest, verify } from './schemes.ts';

export interface HooksOptions {
  /** By name. */
  readonly hooks: ReadonlyMap<string, Hook>;
  readonly accounts: () => readonly Account[];
  readonly authenticator: Pick<Authenticator, 'wrongSecret'>;
  readonly quota: Quota;
  /** Null where there is none: what is to be queued is sent at once. */
  readonly outbox: object | null;
  readonly send: Send;
  readonly log: Log;
}

/** JSON values in one event. */
const MOST_VALUES = 100_000;

const FORM_TYPE = /^(?:application\/x-www-form-urlencoded|multipart\/form-data)\s*(?:;|$)/i;

const SKIPPED: AdapterResponse = { status: 202, body: { skipped: true } };

export function createHooks(options: HooksOptions): SelfAuthenticatingAdapter {
  const { authenticator, log, quota, send } = options;
  return { prefix: '/v1/hooks', credentials: 'own', handle, refuse, headers };

  async function handle(request: AdapterRequest): Promise<AdapterResponse | Failure> {
    const rest = request.path.split('/').slice(2);
    const hook = hookAt(request.path);
    if (!hook) return failure('unknown-hook', 'No hook has this name.');
    // A page may send its form by a script too (Fetch, "CORS-preflight fetch").
    if (request.method === 'OPTIONS') return { status: 204, body: null };
    const answer = await answerOf(hook, request, rest.length > 0 ? decoded(rest.join('/')) : null);
    if (hook.preset !== 'slack' || isFailure(answer)) return answer;
    // What posts to Slack takes nothing else for success: Alertmanager, Grafana.
    return { ...answer, body: Object.assign({ ok: true }, answer.body) };
  }

  function hookAt(path: string): Hook | undefined {
    return options.hooks.get(path.split('/')[1] ?? '');
  }

  /** Null: a problem document. */
  function refuse({ code, detail }: Failure, head: RequestHead): AdapterResponse | null {
    const { status, title } = kindOf(code);
    return wantsPage(hookAt(head.path), head) ? page(status, title, detail) : null;
  }

  /** The pages that may post a form may read what it is answered. */
  function headers({ path, header }: RequestHead): Readonly<Record<string, string>> {
    const hook = hookAt(path);
    if (hook?.preset !== 'form') return {};
    const { origins } = hook.form;
    const origin = origins ? header('origin') : '*';
    const allowed = origin !== null && (!origins || origins.includes(origin));
    return {
      Vary: 'Origin',
      ...(allowed && {
        'Access-Control-Allow-Origin': origin,
        'Access-Control-Allow-Headers': 'Content-Type',
      }),
    };
  }

  async function answerOf(
    hook: Hook,
    request: AdapterRequest,
    secretInPath: string | null,
  ): Promise<AdapterResponse | Failure> {
    if (request.method !== 'POST') {
      return failure('method-not-allowed', 'A hook takes POST.');
    }
    const { query, body } = request;
    const asked = { header: request.header, query, body, secretInPath };
    const proof = await prove(hook, asked, request);
    if (isFailure(proof)) return proof;
    const prepared =
      hook.preset === 'form' ? await ofForm(hook, request, proof.id) : await ofEvent(hook, request, proof.id);
    if (isFailure(prepared)) return prepared;
    if ('status' in prepared) return thanks(hook, request) ?? prepared;

    const account = options
      .accounts()
      .find(({ apiUser }) => canonicalApiUser(apiUser) === canonicalApiUser(hook.apiUser));
    if (!account) return failure('misconfigured', `The account of the hook ${hook.name} is gone.`);
    const { result } = await send(
      {
        caller: { account, ownKey: false },
        message: { json: prepared.message },
        key: prepared.key === null ? null : { key: await keyOf(hook, prepared.key), index: null },
        deferred: hook.mode === 'queued',
        origin: request.origin,
      },
      request.signal,
    );
    if (isFailure(result)) {
      // A service tells the same event again with another time or count in it: it was sent once.
      if (result.code === 'idempotency-key-reused') return SKIPPED;
      return hook.preset === 'form' ? untold(result) : result;
    }
    return thanks(hook, request) ?? sent(hook, result);
  }

  /** Whether the request is the service's own; the delivery's id where its scheme has one. */
  async function prove(
    hook: Hook,
    asked: HookRequest,
    request: AdapterRequest,
  ): Promise<{ readonly id: string | null } | Failure> {
    const { requestId, clientAddress } = request.origin;
    if (hook.verifiedBy === null) return { id: null };
    const proof = await verify(hook.verifiedBy.scheme, hook.verifiedBy.secrets, asked);
    if (typeof proof !== 'string') return proof;
    log.info('hook refused', { requestId, hook: hook.name, clientAddress, detail: proof });
    return authenticator.wrongSecret(clientAddress) ?? failure('bad-signature', proof);
  }

  async function ofForm(
    hook: Hook,
    request: AdapterRequest,
    id: string | null,
  ): Promise<Rendered | Failure | AdapterResponse> {
    const { origins, honeypot, perMinute } = hook.form;
    const origin = request.header('origin');
    if (origins && (origin === null || !origins.includes(origin))) {
      return failure('forbidden-origin', 'This form may not be sent from this page.');
    }
    const type = request.header('content-type') ?? '';
    if (!FORM_TYPE.test(type)) return failure('unsupported-media-type', 'This hook takes a form of HTML.');
    const form = readForm(request.body, type);
    if (typeof form === 'string') return failure('invalid-request', form);
    const window = `form:${hook.name}:${peerOf(request.origin.clientAddress)}`;
    const drawn = await quota.draw(window, perMinute);
    if (!drawn.granted) {
      const detail = `At most ${perMinute} forms a minute are taken from one address.`;
      return failure('too-many-forms', detail, { retryAfterMs: drawn.retryAfterMs });
    }
    if (honeypot !== null && (form.fields.get(honeypot) ?? []).some((value) => value !== '')) {
      // Whatever filled it in must not learn that it was noticed.
      log.info('hook skipped', { requestId: request.origin.requestId, hook: hook.name, detail: 'honeypot' });
      const id = crypto.randomUUID();
      return sent(hook, hook.mode === 'queued' && options.outbox ? { id, state: 'queued' } : { id });
    }
    const mail = formMail(form, hook.name, honeypot);
    const payload = Object.fromEntries([...form.fields].map(([field, values]) => [field, values.join(', ')]));
    const rendered = await render(hook, eventOf(request, payload), mail.notice, id);
    if (rendered === null) return SKIPPED;
    const { attachments, replyTo } = mail;
    const message = {
      ...rendered.message,
      ...(attachments.length > 0 && { attachments }),
      ...(replyTo !== null && hook.replyTo.length === 0 && { replyTo: [replyTo] }),
    };
    return { message, key: rendered.key };
  }

  async function ofEvent(
    hook: Hook,
    request: AdapterRequest,
    id: string | null,
  ): Promise<Rendered | AdapterResponse> {
    return (
      (await renderEvent(
        hook,
        eventOf(request, payloadOf(request.body, request.header('content-type') ?? '')),
        id,
      )) ?? SKIPPED
    );
  }
}

/** The JSON of the mail that a hook makes of a payload, for its author; null where it is skipped. */
export async function previewOf(
  hook: Hook,
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Promise<Rendered['message'] | null> {
  const payload = payloadOf(body, headers['content-type'] ?? '');
  const rendered = await renderEvent(hook, { payload, headers, query: {} }, null);
  return rendered?.message ?? null;
}

async function renderEvent(hook: Hook, event: TemplateContext, id: string | null): Promise<Rendered | null> {
  const preset = hook.preset === 'form' ? PRESETS.any : PRESETS[hook.preset];
  // A `skip` of the hook's own has the word on what its preset would pass over.
  const notice = preset(event) ?? (hook.skip === null ? null : PRESETS.any(event));
  return notice === null ? null : render(hook, event, notice, id);
}

/** A path's percent-encoding undone; as it is where it is none. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Who sent a form is not shown its recipients, nor what upstream said of them. */
const untold = ({ code, retryAfterMs }: Failure): Failure =>
  failure(code, "The gateway's log tells why.", retryAfterMs === undefined ? {} : { retryAfterMs });

const sent = (
  hook: Hook,
  result: Pick<OutboxRecord, 'id' | 'state'> | Pick<Receipt, 'id'>,
): AdapterResponse =>
  'state' in result
    ? {
        status: 202,
        headers: { Location: `/v1/messages/${result.id}` },
        body: { id: result.id, state: result.state },
      }
    : { status: 200, body: hook.preset === 'form' ? { id: result.id, state: 'accepted' } : result };

/** A browser that sends a form gets pages, a script JSON. */
const wantsPage = (hook: Hook | undefined, { header }: Pick<RequestHead, 'header'>): boolean =>
  hook?.preset === 'form' && (header('accept') ?? '').includes('text/html');

/** What a person sees who sent a form: the page that is configured, or a plain one. */
function thanks(hook: Hook, request: AdapterRequest): AdapterResponse | null {
  if (!wantsPage(hook, request)) return null;
  return hook.form.redirect === null
    ? page(200, 'Thank you', 'Your message is on its way.')
    : { status: 303, headers: { Location: hook.form.redirect }, body: null };
}

const page = (status: number, title: string, text: string): AdapterResponse => ({
  status,
  headers: { 'Content-Type': 'text/html; charset=utf-8' },
  body: `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>${title}</title>
<body style="font:1.1rem/1.5 system-ui;max-width:30rem;margin:15vh auto;padding:0 1rem"><h1>${title}</h1><p>${text.replaceAll('<', '&lt;')}</p></body></html>`,
});

/** JSON; a form, as GitHub and Slack can send one, with the JSON in `payload`; else the text itself. */
function payloadOf(body: Uint8Array, type: string): unknown {
  if (FORM_TYPE.test(type)) {
    const form = readForm(body, type);
    if (typeof form !== 'string') {
      const [json] = form.fields.get('payload') ?? [];
      if (json !== undefined) return parseOr(json, json);
      return Object.fromEntries([...form.fields].map(([name, values]) => [name, values.join(', ')]));
    }
  }
  const text = textOf(body, /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(type)?.[1]);
  return parseOr(text, text);
}

/** Without its byte order mark; in UTF-8 where the charset is not known. */
function textOf(body: Uint8Array, charset?: string): string {
  try {
    return new TextDecoder(charset).decode(body);
  } catch {
    return new TextDecoder().decode(body);
  }
}

function parseOr(json: string, otherwise: unknown): unknown {
  if (!hasAtMost(MOST_VALUES, json)) return otherwise;
  try {
    return JSON.parse(json, exact) as unknown;
  } catch {
    return otherwise;
  }
}

/** An id of 17 digits is no number of JavaScript: it keeps its digits, where the engine has them (Node 22). */
const exact = (_: string, value: unknown, context?: { source?: string }): unknown =>
  Number.isInteger(value) && !Number.isSafeInteger(value) ? (context?.source ?? value) : value;

/** The headers that tell an event's kind; the rest, with its secrets, is none of a template's business. */
const EVENT_HEADERS = [
  'content-type',
  'x-github-event',
  'x-gitlab-event',
  'x-shopify-topic',
  'sentry-hook-resource',
  'ce-id',
  'ce-source',
  'ce-specversion',
  'ce-subject',
  'ce-time',
  'ce-type',
];

function eventOf({ header, query }: AdapterRequest, payload: unknown): TemplateContext {
  const headers = EVENT_HEADERS.flatMap((name) => {
    const value = header(name);
    return value === null ? [] : [[name, value] as const];
  });
  return { payload, headers: Object.fromEntries(headers), query: Object.fromEntries(query) };
}

/** In the store beside the callers' own keys; hashed, since an id may be of any length. */
const keyOf = async (hook: Hook, id: string): Promise<string> => `hook:${hook.name}:${await sha256(id)}`;
