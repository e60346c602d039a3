/** Resend's own client, unmodified, against the door of its shape. */

import PostalMime from 'postal-mime';
import { type CreateEmailOptions, Resend } from 'resend';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { says } from '../support/faults.ts';
import { PICTURE, type Running, startPostern, TOKEN } from '../support/postern.ts';

const running: Running[] = [];
afterEach(() => Promise.all(running.splice(0).map((postern) => postern[Symbol.asyncDispose]())));

async function open(...given: Parameters<typeof startPostern>) {
  const postern = await startPostern(...given);
  running.push(postern);
  const client = (key: string) => new Resend(key, { baseUrl: `${postern.url}/resend` });
  return { postern, resend: client(TOKEN), client };
}

const NO_OUTBOX = { OUTBOX: 'off' };

const EMAIL = {
  from: 'Support <support@ifaxin.com>',
  to: ['ben@ifaxin.com'],
  subject: 'Your order',
  text: 'It is on its way.',
};

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

/** What upstream has taken, once there are so many. */
async function taken({ upstream }: Running, count: number) {
  await vi.waitFor(() => expect(upstream.taken).toHaveLength(count), 10_000);
  return Promise.all(upstream.taken.map(({ message }) => PostalMime.parse(message as Buffer)));
}

const header = (email: Awaited<ReturnType<typeof PostalMime.parse>>, name: string) =>
  email.headers.find(({ key }) => key === name)?.value;

describe('emails.send', () => {
  test('every field arrives', async () => {
    const { postern, resend } = await open();
    const { data, error } = await resend.emails.send({
      ...EMAIL,
      cc: 'Cy <cy@ifaxin.com>',
      bcc: ['dee@ifaxin.com'],
      replyTo: ['help@ifaxin.com', 'desk@ifaxin.com'],
      html: '<p>On its way <img src="cid:logo"></p>',
      headers: { 'X-Campaign': 'spring' },
      tags: [
        { name: 'order', value: '17' },
        { name: 'kind', value: 'shipped' },
      ],
      attachments: [
        { filename: 'invoice.pdf', content: Buffer.from('%PDF-1.7\n\0\xff', 'latin1') },
        { filename: 'data.bin', content: btoa('1;2'), contentType: 'text/csv' },
        { filename: 'logo.png', content: PICTURE, contentId: 'logo' },
      ],
    });
    expect(error).toBeNull();
    expect(data?.id).toMatch(/^[0-9a-f-]{36}$/);
    const [email] = await taken(postern, 1);
    if (!email) throw new Error('nothing arrived');
    expect(email).toMatchObject({
      from: { name: 'Support', address: 'support@ifaxin.com' },
      to: [{ address: 'ben@ifaxin.com' }],
      cc: [{ name: 'Cy', address: 'cy@ifaxin.com' }],
      replyTo: [{ address: 'help@ifaxin.com' }, { address: 'desk@ifaxin.com' }],
      subject: 'Your order',
      messageId: `<${data?.id}@ifaxin.com>`,
    });
    expect(email.bcc).toBeUndefined();
    expect(email.text?.trim()).toBe('It is on its way.');
    expect(email.html?.trim()).toBe('<p>On its way <img src="cid:logo"></p>');
    expect(header(email, 'x-campaign')).toBe('spring');
    expect(header(email, 'sc-custom-order')).toBe('17');
    expect(header(email, 'sc-custom-kind')).toBe('shipped');
    const files = Object.fromEntries(
      email.attachments.map(({ filename, mimeType, contentId, content }) => [
        filename,
        { mimeType, contentId, content: Buffer.from(content as ArrayBuffer).toString('latin1') },
      ]),
    );
    expect(files).toEqual({
      'invoice.pdf': { mimeType: 'application/pdf', contentId: undefined, content: '%PDF-1.7\n\0\xff' },
      'data.bin': { mimeType: 'text/csv', contentId: undefined, content: '1;2' },
      'logo.png': {
        mimeType: 'image/png',
        contentId: '<logo>',
        content: Buffer.from(PICTURE, 'base64').toString('latin1'),
      },
    });
    expect(postern.upstream.taken[0]?.recipients).toEqual([
      'ben@ifaxin.com',
      'cy@ifaxin.com',
      'dee@ifaxin.com',
    ]);
  });

  test('a file may be a Buffer in JSON, as older SDKs write it', async () => {
    const { postern } = await open(NO_OUTBOX);
    const bytes = Buffer.from([0, 13, 10, 128, 255]);
    const response = await postern.request('/resend/emails', {
      body: { ...EMAIL, attachments: [{ filename: 'data.bin', content: bytes }] },
    });
    expect(response.status).toBe(200);
    const [email] = await taken(postern, 1);
    expect(Buffer.from(email?.attachments[0]?.content as ArrayBuffer)).toEqual(bytes);
    const noBytes = { type: 'Buffer', data: [256] };
    const refused = await postern.request('/resend/emails', {
      body: { ...EMAIL, attachments: [{ filename: 'data.bin', content: noBytes }] },
    });
    expect(refused.status).toBe(422);
  });

  test.each(['content_id', 'inline_content_id', 'inlineContentId'])(
    'a picture is shown by %s',
    async (name) => {
      const { postern } = await open(NO_OUTBOX);
      const attachments = [{ filename: 'logo.png', content: PICTURE, [name]: 'logo' }];
      const body = { ...EMAIL, html: '<img src="cid:logo">', attachments };
      expect((await postern.request('/resend/emails', { body })).status).toBe(200);
      const [email] = await taken(postern, 1);
      expect(email?.attachments).toMatchObject([{ contentId: '<logo>', disposition: 'inline' }]);
    },
  );

  test('without an outbox it is sent before it is answered, and a failure is one', async () => {
    const { postern, resend } = await open(NO_OUTBOX);
    const { data } = await resend.emails.send(EMAIL);
    expect(data?.id).toBeTypeOf('string');
    expect(postern.upstream.taken).toHaveLength(1);
    postern.upstream.faults = [{ at: 'dot', do: { reply: '421 4.3.2 later' } }];
    const { error, headers } = await resend.emails.send(EMAIL);
    expect(error).toMatchObject({ name: 'application_error', statusCode: 503, code: 'upstream-busy' });
    expect(Number(headers?.['retry-after'])).toBeGreaterThan(0);
  });

  test.each([{}, NO_OUTBOX])('an idempotency key sends once (%o)', async (settings) => {
    const { postern, resend } = await open(settings);
    const send = (email: CreateEmailOptions, idempotencyKey: string) =>
      resend.emails.send(email, { idempotencyKey });
    const first = await send(EMAIL, 'order/17');
    const second = await send(EMAIL, 'order/17');
    expect(first.data?.id).toBeTypeOf('string');
    expect(second.data).toEqual(first.data);
    await taken(postern, 1);
    const other = await send({ ...EMAIL, subject: 'Another' }, 'order/17');
    expect(other.error).toMatchObject({ name: 'invalid_idempotent_request', statusCode: 409 });
    const long = await send(EMAIL, 'k'.repeat(257));
    expect(long.error).toMatchObject({ name: 'invalid_idempotency_key', statusCode: 400 });
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test.each<[field: string, more: object]>([
    ['topic_id', { topicId: 'news' }],
    ['template', { template: { id: 'welcome' } }],
    ['scheduled_at', { scheduledAt: 'in 1 hour' }],
    ['attachments[0].path', { attachments: [{ filename: 'a.pdf', path: 'https://ifaxin.com/a.pdf' }] }],
  ])('%s is refused by name', async (field, more) => {
    const { postern, resend } = await open();
    const { error } = await resend.emails.send({ ...EMAIL, ...more } as CreateEmailOptions);
    expect(error).toMatchObject({ name: 'validation_error', statusCode: 422, code: 'unsupported-field' });
    expect(error?.message).toContain(`\`${field}\``);
    expect(postern.upstream.taken).toHaveLength(0);
  });

  test.each<[name: string, field: string, more: object]>([
    ['missing_required_field', 'subject', { subject: undefined }],
    ['missing_required_field', 'to', { to: undefined }],
    ['missing_required_field', 'attachments[0].content', { attachments: [{ filename: 'a.pdf' }] }],
    ['invalid_from_address', 'from', { from: 'no address' }],
    ['validation_error', 'to[1]', { to: ['a@ifaxin.com', 'nobody'] }],
    ['validation_error', 'reply_to', { replyTo: 'nobody' }],
    ['validation_error', 'scheduled_at', { scheduledAt: '2026-02-30T10:00:00Z' }],
    ['validation_error', 'headers.Bcc', { headers: { Bcc: 'x@ifaxin.com' } }],
    ['validation_error', 'tags[0]', { tags: [{ name: 'a b', value: 'c' }] }],
    ['validation_error', 'tags[0]', { tags: [{ name: 'a', value: 'c\r\nBcc: x@ifaxin.com' }] }],
    [
      'validation_error',
      'tags[1].name',
      {
        tags: [
          { name: 'a', value: '1' },
          { name: 'A', value: '2' },
        ],
      },
    ],
    ['invalid_attachment', 'attachments[0].content', { attachments: [{ filename: 'a', content: '%' }] }],
    [
      'invalid_attachment',
      'attachments[0].filename',
      { attachments: [{ filename: { toString: 'x' }, content: 'YQ==' }] },
    ],
    [
      'invalid_attachment',
      'attachments[0].content_id',
      { attachments: [{ filename: 'a', content: 'YQ==', contentId: '<a b>' }] },
    ],
  ])('%s tells of %s', async (name, field, more) => {
    const { resend } = await open();
    const { error } = await resend.emails.send({ ...EMAIL, ...more } as CreateEmailOptions);
    expect(error).toMatchObject({ name, statusCode: 422 });
    expect(error?.message.startsWith(`${field}: `)).toBe(true);
  });

  test.each([
    ['Reply-To', /"reply_to"/],
    ['Message-ID', /Remove this header/],
    ['Return-Path', /Remove this header/],
  ])('a header %s leads to what this door has', async (name, advice) => {
    const { resend } = await open();
    const { error } = await resend.emails.send({ ...EMAIL, headers: { [name]: '<a@ifaxin.com>' } });
    expect(error?.message).toMatch(advice);
    expect(error?.message).not.toMatch(/replyTo|messageId|returnPath/);
  });

  test('headers that some languages write as an empty list cost no tag', async () => {
    const { postern } = await open(NO_OUTBOX);
    const body = { ...EMAIL, headers: [], tags: [{ name: 'order', value: '17' }] };
    expect((await postern.request('/resend/emails', { body })).status).toBe(200);
    const [email] = await taken(postern, 1);
    expect(email && header(email, 'sc-custom-order')).toBe('17');
  });

  test('an unknown field is refused, and one that is null is none', async () => {
    const { postern } = await open();
    const unknown = await postern.request('/resend/emails', { body: { ...EMAIL, priority: 'high' } });
    expect(await unknown.json()).toEqual({
      name: 'validation_error',
      message: 'The field `priority` is not supported. Remove it: this gateway has no equivalent.',
      statusCode: 422,
      code: 'unsupported-field',
    });
    const empty = { cc: null, topic_id: null, tags: null, headers: null, attachments: null };
    const sent = await postern.request('/resend/emails', { body: { ...EMAIL, ...empty } });
    expect(sent.status).toBe(200);
  });
});

describe('errors before the door', () => {
  test('a wrong key, none, and what is no JSON', async () => {
    const { postern, client } = await open();
    const { error } = await client('re_wrong').emails.send(EMAIL);
    expect(error).toMatchObject({ name: 'invalid_api_key', statusCode: 403 });
    const bare = await fetch(`${postern.url}/resend/emails`, { method: 'POST', body: '{}' });
    expect(bare.status).toBe(401);
    expect(await bare.json()).toMatchObject({ name: 'missing_api_key', statusCode: 401 });
    const broken = await postern.request('/resend/emails', { body: '{"from":' });
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({ name: 'validation_error', statusCode: 400 });
  });

  test('a slash too many in the base URL', async () => {
    const { postern } = await open();
    const resend = new Resend(TOKEN, { baseUrl: `${postern.url}/resend/` });
    const { data } = await resend.emails.send(EMAIL);
    expect((await resend.emails.get(data?.id ?? '')).data?.id).toBe(data?.id);
    const slashed = await postern.request('/resend/emails/', { body: EMAIL });
    expect(slashed.status).toBe(200);
  });

  test('a path and a method that are not there', async () => {
    const { postern, resend } = await open();
    expect((await resend.domains.list()).error).toMatchObject({ name: 'not_found', statusCode: 404 });
    for (const [method, path, allow] of [
      ['DELETE', '/emails/17', 'GET'],
      ['GET', '/emails', 'POST'],
      ['GET', '/emails/batch', 'POST'],
      ['GET', '/emails/17/cancel', 'POST'],
    ] as const) {
      const refused = await postern.request(`/resend${path}`, { method });
      expect(await refused.json()).toMatchObject({ name: 'method_not_allowed', statusCode: 405 });
      expect(refused.headers.get('Allow')).toBe(allow);
    }
  });

  test('the quota', async () => {
    const { resend } = await open({ ...NO_OUTBOX, QUOTA_LIMIT: '1' });
    await resend.emails.send(EMAIL);
    const { error, headers } = await resend.emails.send(EMAIL);
    expect(error).toMatchObject({ name: 'rate_limit_exceeded', statusCode: 429 });
    expect(Number(headers?.['retry-after'])).toBeGreaterThan(0);
  });
});

describe('an email later', () => {
  test('is scheduled, read, and canceled once', async () => {
    const { postern, resend } = await open();
    const scheduledAt = inAnHour();
    const { data } = await resend.emails.send({ ...EMAIL, bcc: 'dee@ifaxin.com', scheduledAt });
    const id = data?.id as string;
    const read = await resend.emails.get(id);
    expect(read.data).toMatchObject({
      object: 'email',
      id,
      from: 'Support <support@ifaxin.com>',
      to: ['ben@ifaxin.com'],
      cc: [],
      bcc: ['dee@ifaxin.com'],
      subject: 'Your order',
      message_id: `<${id}@ifaxin.com>`,
      scheduled_at: scheduledAt,
      last_event: 'scheduled',
    });
    expect(Date.parse(read.data?.created_at as string)).toBeLessThanOrEqual(Date.now());
    const moved = await resend.emails.update({ id, scheduledAt: inAnHour() });
    expect(moved.error).toMatchObject({ statusCode: 422, code: 'unsupported-field' });
    expect(moved.error?.message).toContain('`scheduled_at`');
    expect((await resend.emails.cancel(id)).data).toEqual({ object: 'email', id });
    expect((await resend.emails.get(id)).data?.last_event).toBe('canceled');
    const again = await resend.emails.cancel(id);
    expect(again.error).toMatchObject({ name: 'validation_error', statusCode: 409 });
    expect(postern.upstream.taken).toHaveLength(0);
  });

  test('is sent, failed, or not there', async () => {
    const { postern, resend } = await open();
    const lastEvent = async (id: string) => (await resend.emails.get(id)).data?.last_event;
    const sent = await resend.emails.send(EMAIL);
    await vi.waitFor(async () => expect(await lastEvent(sent.data?.id as string)).toBe('sent'), 10_000);
    postern.upstream.faults = says('dot', '554 5.7.1 no').faults ?? [];
    const failed = await resend.emails.send(EMAIL);
    await vi.waitFor(async () => expect(await lastEvent(failed.data?.id as string)).toBe('failed'), 10_000);
    const missing = { name: 'not_found', statusCode: 404 };
    expect((await resend.emails.get('17')).error).toMatchObject(missing);
    expect((await resend.emails.cancel('17')).error).toMatchObject(missing);
  });

  test('needs an outbox', async () => {
    const { postern, resend } = await open(NO_OUTBOX);
    const later = { ...EMAIL, scheduledAt: inAnHour() };
    expect((await resend.emails.send(later)).error).toMatchObject({ statusCode: 501, code: 'outbox-off' });
    expect((await resend.batch.send([EMAIL, later])).error).toMatchObject({ code: 'outbox-off' });
    expect((await resend.emails.get('17')).error).toMatchObject({ code: 'outbox-off' });
    expect(postern.upstream.taken).toHaveLength(0);
  });
});

describe('batch.send', () => {
  const named = (subject: string) => ({ ...EMAIL, subject });
  const WRONG = { ...EMAIL, to: 'nobody' };

  test.each([{}, NO_OUTBOX])('sends each as a message of its own, once (%o)', async (settings) => {
    const { postern, resend } = await open(settings);
    const send = () => resend.batch.send([named('A'), named('B')], { idempotencyKey: 'batch/1' });
    const first = await send();
    expect(first.error).toBeNull();
    expect(new Set(first.data?.data.map(({ id }) => id)).size).toBe(2);
    expect((await send()).data).toEqual(first.data);
    const emails = await taken(postern, 2);
    expect(emails.map(({ subject }) => subject).sort()).toEqual(['A', 'B']);
  });

  test('strict sends none where one is wrong', async () => {
    const { postern, resend } = await open(NO_OUTBOX);
    const wrong = await resend.batch.send([named('A'), WRONG]);
    expect(wrong.error).toMatchObject({ name: 'validation_error', statusCode: 422 });
    expect(wrong.error?.message).toMatch(/^emails\[1\]: to: /);
    const unsupported = await resend.batch.send([named('A'), { ...EMAIL, topicId: 'news' }]);
    expect(unsupported.error?.message).toMatch(/^emails\[1\]: .*`topic_id`/);
    expect(postern.upstream.taken).toHaveLength(0);
  });

  test('permissive sends the others and tells which are wrong', async () => {
    const { postern, resend } = await open();
    const { data } = await resend.batch.send([named('A'), WRONG, named('C')], {
      batchValidation: 'permissive',
    });
    expect(data?.data).toHaveLength(2);
    expect(data?.errors).toMatchObject([{ index: 1, message: expect.stringMatching(/^to: /) }]);
    const emails = await taken(postern, 2);
    expect(emails.map(({ subject }) => subject).sort()).toEqual(['A', 'C']);
  });

  test.each([[[]], [Array(101).fill(EMAIL)], [{}]])('is an array of 1 to 100 emails', async (body) => {
    const { postern } = await open();
    const response = await postern.request('/resend/emails/batch', { body });
    expect(await response.json()).toMatchObject({ name: 'validation_error', statusCode: 422 });
  });
});
