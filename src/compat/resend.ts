/** Resend's API (resend.com/docs/api-reference/emails) onto `send` and the outbox, at `/resend`. */

import type { AdapterRequest, AdapterResponse, AuthenticatedAdapter } from '../adapter.ts';
import type { Caller } from '../authenticate.ts';
import { BATCH_WORKERS, eachOf, MOST_IN_BATCH } from '../each-of.ts';
import { type MessageKey, parseIdempotencyKey } from '../idempotency.ts';
import { parseJson } from '../json.ts';
import { excerpt } from '../message/characters.ts';
import { pictureType } from '../message/picture.ts';
import type { OutboxDoor, OutboxRecord } from '../outbox.ts';
import { type Failure, type FailureCode, type FieldError, failure, isFailure, kindOf } from '../outcome.ts';
import { checkMessage, type Send, type Sent } from '../send.ts';
import { canonicalApiUser } from '../sendcloud.ts';

type Json = Readonly<Record<string, unknown>>;

interface ResendOptions {
  readonly send: Send;
  /** Null where there is none: then an email is sent before it is answered. */
  readonly outbox: OutboxDoor | null;
  readonly maxMessageBytes: number;
}

export function createResend({ send, outbox, maxMessageBytes }: ResendOptions): AuthenticatedAdapter {
  return { prefix: '/resend', credentials: 'header', handle, refuse };

  async function handle(request: AdapterRequest, caller: Caller): Promise<AdapterResponse | Failure> {
    // A base URL may end in a slash.
    const [resource, id, action, ...rest] = request.path.split('/').filter((segment) => segment !== '');
    const known = resource === 'emails' && [undefined, 'cancel'].includes(action);
    if (!known || rest.length > 0) return failure('not-found', 'There is nothing at this path.');
    const route = `${request.method} ${id === undefined ? '' : id === 'batch' ? 'batch' : (action ?? 'id')}`;
    if (route === 'POST ') return sendOne(request, caller);
    if (route === 'POST batch' && action === undefined) return sendBatch(request, caller);
    if (id !== undefined && route === 'GET id') return read(caller, id);
    if (id !== undefined && route === 'POST cancel') return cancel(caller, id);
    if (route === 'PATCH id') {
      return unsupported('scheduled_at', 'Cancel the email and send it again at the other time.');
    }
    // RFC 9110 section 15.5.6.
    const headers = { Allow: route.endsWith(' id') ? 'GET' : 'POST' };
    const detail = `${request.method} is not available at this path.`;
    return { ...answer(failure('method-not-allowed', detail)), headers };
  }

  async function sendOne(request: AdapterRequest, caller: Caller): Promise<AdapterResponse | Failure> {
    const key = keyOf(request);
    if (isFailure(key)) return answer(key, { name: 'invalid_idempotency_key' });
    const body = await parseJson(request.body);
    if (isFailure(body)) return body;
    const result = await sendEmail(body.json, key === null ? null : { key, index: null }, request, caller);
    return isFailure(result) ? result : { status: 200, body: { id: result.id } };
  }

  /** `strict` (the default) sends nothing where one email is not valid; `permissive` sends the others. */
  async function sendBatch(request: AdapterRequest, caller: Caller): Promise<AdapterResponse | Failure> {
    const key = keyOf(request);
    if (isFailure(key)) return answer(key, { name: 'invalid_idempotency_key' });
    const validation = request.header('x-batch-validation') ?? 'strict';
    if (validation !== 'strict' && validation !== 'permissive') {
      return failure('invalid-request', 'x-batch-validation is "strict" or "permissive".');
    }
    const body = await parseJson(request.body);
    if (isFailure(body)) return body;
    const emails = body.json;
    if (!Array.isArray(emails) || emails.length < 1 || emails.length > MOST_IN_BATCH) {
      return failure('invalid-message', `Send an array of 1 to ${MOST_IN_BATCH} emails.`);
    }
    if (validation === 'strict') {
      const checks = await eachOf(emails, BATCH_WORKERS, (email) => check(email, caller));
      const index = checks.findIndex(isFailure);
      const refused = checks[index];
      if (refused) return answer(refused, { message: `emails[${index}]: ${messageOf(refused)}` });
    }
    const results = await eachOf(emails, BATCH_WORKERS, (email, index) =>
      sendEmail(email, key === null ? null : { key, index }, request, caller),
    );
    const data = results.flatMap((result) => (isFailure(result) ? [] : [{ id: result.id }]));
    const errors = results.flatMap((result, index) =>
      isFailure(result) ? [{ index, message: messageOf(result) }] : [],
    );
    if (validation === 'permissive') return { status: 200, body: { data, errors } };
    const [failed] = results.filter(isFailure);
    // Only without an outbox: what was sent meanwhile must not be sent again.
    if (failed && data.length > 0) return { status: 200, body: { data, errors } };
    return failed ?? { status: 200, body: { data } };
  }

  async function check(email: unknown, caller: Caller): Promise<Failure | null> {
    const message = messageFrom(email);
    if (isFailure(message)) return message;
    // Without an outbox, none can be sent later, and those before it would have gone out.
    if (message.sendAt !== undefined && !outbox) return NO_OUTBOX;
    return checkMessage(message, caller, maxMessageBytes);
  }

  async function sendEmail(
    email: unknown,
    key: MessageKey | null,
    { origin, signal }: AdapterRequest,
    caller: Caller,
  ): Promise<Sent['result']> {
    const message = messageFrom(email);
    if (isFailure(message)) return message;
    // Resend answers before it sends, and its callers read the state later.
    const sent = await send({ caller, message: { json: message }, key, deferred: true, origin }, signal);
    return sent.result;
  }

  async function read(caller: Caller, id: string): Promise<AdapterResponse | Failure> {
    if (!outbox) return NO_OUTBOX;
    const record = await outbox.read(canonicalApiUser(caller.account.apiUser), id);
    return record ? { status: 200, body: emailOf(record) } : NOT_HERE;
  }

  async function cancel(caller: Caller, id: string): Promise<AdapterResponse | Failure> {
    if (!outbox) return NO_OUTBOX;
    const cancelled = await outbox.cancel(canonicalApiUser(caller.account.apiUser), id);
    if (cancelled === null) return NOT_HERE;
    if (cancelled === 'cancelled') return { status: 200, body: { object: 'email', id } };
    return failure('not-cancellable', 'Only a queued email can be canceled.');
  }
}

const NO_OUTBOX = failure('outbox-off', 'This gateway has no outbox (OUTBOX is off).');
const NOT_HERE = failure('not-found', 'No such email was queued by this api_user, or it is no longer kept.');

const unsupported = (field: string, advice: string): Failure =>
  failure('unsupported-field', `The field \`${field}\` is not supported. ${advice}`);

function keyOf(request: AdapterRequest): string | null | Failure {
  const header = request.header('Idempotency-Key');
  if (header === null) return null;
  const detail = 'The Idempotency-Key has 1 to 255 printable ASCII characters.';
  return parseIdempotencyKey(header) ?? failure('invalid-request', detail);
}

// An email.

/** Our names of Resend's fields that are passed on as they are: `parse` says what is wrong with them. */
const FIELDS = new Map([
  ['from', 'from'],
  ['to', 'to'],
  ['cc', 'cc'],
  ['bcc', 'bcc'],
  ['reply_to', 'replyTo'],
  ['subject', 'subject'],
  ['html', 'html'],
  ['text', 'text'],
  ['scheduled_at', 'sendAt'],
]);

const ATTACHMENT_FIELDS = new Map([
  ['filename', 'filename'],
  ['content', 'content'],
  ['content_type', 'contentType'],
  // What older SDKs call it.
  ['inlineContentId', 'cid'],
  ['inline_content_id', 'cid'],
  ['content_id', 'cid'],
]);

const REQUIRED = 'This field is required.';

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

const invalid = (...errors: FieldError[]): Failure =>
  failure('invalid-message', 'The email is not valid.', { errors });

/** The message of an email, in our own JSON and not yet validated, or why it has none. */
function messageFrom(email: unknown): Json | Failure {
  if (!isObject(email)) return invalid({ pointer: '', message: 'An email is a JSON object.' });
  const message: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(email)) {
    if (!isGiven(value)) continue;
    const own = FIELDS.get(field);
    if (own !== undefined) message[own] = value;
    else if (!['headers', 'tags', 'attachments'].includes(field)) {
      return unsupported(excerpt(field), 'Remove it: this gateway has no equivalent.');
    }
  }
  const missing = ['from', 'to', 'subject'].filter((field) => !isGiven(message[field]));
  if (missing.length > 0) {
    return invalid(...missing.map((field) => ({ pointer: `/${field}`, message: REQUIRED })));
  }
  const { sendAt } = message;
  if (typeof sendAt === 'string' && !/^\d{4}-\d\d-\d\d/.test(sendAt)) {
    return unsupported(
      'scheduled_at',
      'Natural language is not supported: use a time such as "2026-12-24T18:00:00Z" (ISO 8601).',
    );
  }
  const headers = headersFrom(email);
  if (isFailure(headers)) return headers;
  const attachments = attachmentsFrom(email.attachments);
  if (isFailure(attachments)) return attachments;
  return {
    ...message,
    ...(isGiven(headers) && { headers }),
    ...(isGiven(attachments) && { attachments }),
  };
}

/** Tags are headers that SendCloud's webhooks bring back (`userHeaders`). */
function headersFrom({ headers, tags }: Json): unknown {
  if (!isGiven(tags)) return headers;
  if (!Array.isArray(tags)) return invalid({ pointer: '/tags', message: 'Use a list of tags.' });
  // Some languages write an empty object as a list.
  const none = !isGiven(headers) || (Array.isArray(headers) && headers.length === 0);
  if (!none && !isObject(headers)) return headers;
  const all: Record<string, unknown> = isObject(headers) ? { ...headers } : {};
  const taken = new Set(Object.keys(all).map((name) => name.toLowerCase()));
  for (const [index, tag] of tags.entries()) {
    const pointer = `/tags/${index}`;
    if (!isTag(tag)) {
      const message = 'Use {"name", "value"} of ASCII letters, digits, "_" and "-", at most 256 of each.';
      return invalid({ pointer, message });
    }
    const name = `SC-Custom-${tag.name}`;
    if (taken.has(name.toLowerCase())) {
      return invalid({ pointer: `${pointer}/name`, message: 'Use another name: this one is taken.' });
    }
    taken.add(name.toLowerCase());
    all[name] = tag.value;
  }
  return all;
}

const TAG = /^[A-Za-z0-9_-]{1,256}$/;

const isTag = (tag: unknown): tag is { readonly name: string; readonly value: string } =>
  isObject(tag) &&
  Object.keys(tag).every((field) => field === 'name' || field === 'value') &&
  [tag.name, tag.value].every((text) => typeof text === 'string' && TAG.test(text));

function attachmentsFrom(attachments: unknown): unknown {
  if (!Array.isArray(attachments)) return attachments;
  const all: unknown[] = [];
  for (const [index, attachment] of attachments.entries()) {
    if (!isObject(attachment)) {
      return invalid({ pointer: `/attachments/${index}`, message: 'An attachment is a JSON object.' });
    }
    const own: Record<string, unknown> = {};
    for (const [field, value] of Object.entries(attachment)) {
      if (!isGiven(value)) continue;
      const name = ATTACHMENT_FIELDS.get(field);
      if (name === undefined) {
        const advice = field === 'path' ? 'Put the file itself into `content`, in base64.' : 'Remove it.';
        return unsupported(`attachments[${index}].${excerpt(field)}`, advice);
      }
      own[name] = name === 'content' ? contentOf(value) : value;
    }
    const missing = ['filename', 'content'].find((field) => own[field] === undefined);
    if (missing !== undefined) {
      return invalid({ pointer: `/attachments/${index}/${missing}`, message: REQUIRED });
    }
    all.push({ contentType: contentTypeOf(own), ...own });
  }
  return all;
}

/** Resend's older SDKs write a Buffer as JSON does. */
const contentOf = (value: unknown): unknown =>
  isObject(value) && Array.isArray(value.data) && value.data.every((byte) => (byte & 255) === byte)
    ? Buffer.from(value.data).toString('base64')
    : value;

/** As Resend does it where none is given: by what the file is called, and for a picture by its bytes. */
function contentTypeOf({ filename, content }: Json): string {
  const picture = typeof content === 'string' ? pictureType(content) : null;
  const [, extension = ''] = /\.([^.]+)$/.exec(typeof filename === 'string' ? filename : '') ?? [];
  return picture ?? TYPES.get(extension.toLowerCase()) ?? 'application/octet-stream';
}

const TYPES = new Map([
  ['csv', 'text/csv'],
  ['docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
  ['html', 'text/html'],
  ['ics', 'text/calendar'],
  ['json', 'application/json'],
  ['pdf', 'application/pdf'],
  ['svg', 'image/svg+xml'],
  ['txt', 'text/plain'],
  ['xlsx', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'],
  ['xml', 'application/xml'],
  ['zip', 'application/zip'],
]);

/** What is known of a queued email. Its bodies are not kept once it has ended, and never shown. */
function emailOf(record: OutboxRecord): object {
  const { id, createdAt, sendAt, facts } = record;
  const { from, to, cc, bcc, replyTo, subject } = facts.headers ?? {};
  return {
    object: 'email',
    id,
    message_id: facts.messageId,
    from: from ?? null,
    to: to ?? [],
    cc: cc ?? [],
    bcc: bcc ?? [],
    reply_to: replyTo ?? [],
    subject: subject ?? null,
    html: null,
    text: null,
    created_at: new Date(createdAt).toISOString(),
    scheduled_at: sendAt === null ? null : new Date(sendAt).toISOString(),
    last_event: lastEventOf(record),
  };
}

function lastEventOf({ state, attempts, sendAt }: OutboxRecord): string {
  switch (state) {
    case 'queued':
      if (attempts.length > 0) return 'delivery_delayed';
      return sendAt !== null && sendAt > Date.now() ? 'scheduled' : 'queued';
    case 'sending':
      return 'queued';
    // Upstream had the last byte of an `unknown` one: `failed` would have the caller send it twice.
    case 'accepted':
    case 'unknown':
      return 'sent';
    case 'failed':
      return 'failed';
    case 'cancelled':
      return 'canceled';
  }
}

// Errors (resend.com/docs/api-reference/errors).

/** Resend's name, and its status where that is another than ours; the others are named after their status. */
const ERRORS: Partial<Record<FailureCode, readonly [name: string, status?: number]>> = {
  unauthorized: ['invalid_api_key', 403],
  'not-found': ['not_found'],
  'method-not-allowed': ['method_not_allowed'],
  'request-in-progress': ['concurrent_idempotent_requests'],
  'idempotency-key-reused': ['invalid_idempotent_request', 409],
  'quota-exceeded': ['rate_limit_exceeded'],
  'too-many-failed-logins': ['rate_limit_exceeded'],
  internal: ['internal_server_error'],
};

function refuse(failed: Failure, { header }: Pick<AdapterRequest, 'header'>): AdapterResponse {
  if (failed.code !== 'unauthorized' || header('Authorization') !== null) return answer(failed);
  return { status: 401, body: { name: 'missing_api_key', message: failed.detail, statusCode: 401 } };
}

/** `code` is ours, which tells more failures apart than Resend's names. */
function answer(
  failed: Failure,
  { name = nameOf(failed), message = messageOf(failed) } = {},
): AdapterResponse {
  const statusCode = ERRORS[failed.code]?.[1] ?? kindOf(failed.code).status;
  return {
    status: statusCode,
    body: { name, message, statusCode, code: failed.code },
  };
}

function nameOf({ code, errors }: Failure): string {
  const [first] = errors ?? [];
  if (code === 'invalid-message' && first) {
    if (first.message === REQUIRED) return 'missing_required_field';
    if (first.pointer.startsWith('/attachments/')) return 'invalid_attachment';
    if (first.pointer.startsWith('/from')) return 'invalid_from_address';
  }
  const byStatus = kindOf(code).status < 500 ? 'validation_error' : 'application_error';
  return ERRORS[code]?.[0] ?? byStatus;
}

const MOST_ERRORS_TOLD = 5;

/** With Resend's own names of the fields. */
function messageOf({ code, detail, errors }: Failure): string {
  if (code !== 'invalid-message' || !errors) return detail;
  const told = errors.slice(0, MOST_ERRORS_TOLD).map(({ pointer, message }) => {
    const field = fieldAt(pointer);
    // This door has no field for some headers that are fields of ours.
    const words = message
      .replace(/^Use the field "(?:messageId|returnPath)".*/, 'Remove this header.')
      .replace('"replyTo"', '"reply_to"');
    return field === '' ? words : `${field}: ${words}`;
  });
  return told.join(' ');
}

const RESEND_NAMES = new Map([...FIELDS, ...ATTACHMENT_FIELDS].map(([theirs, own]) => [own, theirs]));

/** `/attachments/0/contentType` → `attachments[0].content_type` */
function fieldAt(pointer: string): string {
  const [, ...segments] = pointer.split('/');
  const names = segments.map((segment) =>
    /^\d+$/.test(segment) ? `[${segment}]` : `.${RESEND_NAMES.get(segment) ?? segment}`,
  );
  return names.join('').slice(1);
}
