import { createHash, randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import { requestId } from 'hono/request-id';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts';

const picture = randomBytes(3_000);
const pdf = randomBytes(500);
let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await startSandbox();
  const transport = createTransport({
    host: sandbox.host,
    port: sandbox.port,
    requireTLS: true,
    tls: { ca: sandbox.ca, servername: sandbox.servername },
    auth: { user: 'sandbox#31337', pass: 'sandbox' },
  });
  await transport.sendMail({ from: 'a@ifaxin.com', to: 'b@ifaxin.com', subject: 'first', text: 'x' });
  await transport.sendMail({
    from: 'Support <support@ifaxin.com>',
    to: 'ben@ifaxin.com',
    bcc: 'hidden@ifaxin.com',
    subject: 'Grüße 你好',
    text: 'plain',
    html: '<img src="cid:image1">',
    attachments: [
      { cid: 'image1', filename: 'test.png', contentType: 'image/png', content: picture },
      { filename: 'a.pdf', contentType: 'application/pdf', content: pdf },
    ],
  });
});
afterAll(() => sandbox.close());

const get = (path: string) => sandbox.routes.request(path);

it('lists the messages, newest first', async () => {
  const list = await (await get('/messages')).json();
  expect(list).toEqual([
    {
      n: 2,
      queueId: expect.stringContaining('inbound'),
      receivedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      login: { apiUser: 'sandbox', label: 31337 },
      envelope: { from: 'support@ifaxin.com', to: ['ben@ifaxin.com', 'hidden@ifaxin.com'] },
      subject: 'Grüße 你好',
      size: sandbox.inbox.messages[1]?.raw.length,
    },
    expect.objectContaining({ n: 1, subject: 'first' }),
  ]);
});

it('shows one message with its parts', async () => {
  const message = await (await get('/messages/2')).json();
  expect(message).toMatchObject({
    n: 2,
    subject: 'Grüße 你好',
    text: expect.stringMatching(/^plain\s*$/),
    html: expect.stringContaining('<img src="cid:image1">'),
  });
  expect(message.headers).toContainEqual({ name: 'From', value: 'Support <support@ifaxin.com>' });
  const facts = (content: Buffer) => ({
    size: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    content: content.toString('base64'),
  });
  expect(message.attachments).toEqual([
    {
      contentType: 'image/png',
      filename: 'test.png',
      disposition: 'inline',
      contentId: '<image1>',
      ...facts(picture),
    },
    {
      contentType: 'application/pdf',
      filename: 'a.pdf',
      disposition: 'attachment',
      contentId: null,
      ...facts(pdf),
    },
  ]);
});

it('gives the bytes as received', async () => {
  const answer = await get('/messages/2/raw');
  expect(answer.headers.get('content-type')).toBe('message/rfc822');
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(sandbox.inbox.messages[1]?.raw);
});

it.each(['/messages/3', '/messages/0', '/messages/2x', '/messages/3/raw'])('knows no %s', async (path) => {
  const gateway = new Hono().use(requestId({ headerName: 'Request-Id' })).route('/', sandbox.routes);
  const answer = await gateway.request(path, { headers: { 'Request-Id': 'its-id' } });
  expect(answer.status).toBe(404);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(await answer.json()).toEqual({
    type: '/docs/errors/not-found',
    title: 'No such resource',
    status: 404,
    detail: expect.stringContaining('it keeps the last 100'),
    instance: `${path}#its-id`,
    code: 'not-found',
    delivery: 'not-sent',
    retryable: false,
  });
});

describe('for test suites', () => {
  let own: Sandbox;
  beforeAll(async () => {
    own = await startSandbox();
  });
  afterAll(() => own.close());
  beforeEach(() => own.inbox.clear());

  const ask = async (path: string, init: RequestInit = {}) => own.routes.request(path, init);
  const list = async (query: string) => {
    const messages = (await (await ask(`/messages${query}`)).json()) as { subject: string }[];
    return messages.map(({ subject }) => subject);
  };
  const send = (subject: string, to: string, label = 1) =>
    createTransport({
      host: own.host,
      port: own.port,
      requireTLS: true,
      tls: { ca: own.ca, servername: own.servername },
      auth: { user: `sandbox#${label}`, pass: 'sandbox' },
    }).sendMail({ from: 'a@ifaxin.com', to, subject, text: 'x' });

  it('picks by recipient and label', async () => {
    await send('one', 'ben@ifaxin.com, ada@ifaxin.com', 7);
    await send('two', 'ben@ifaxin.com', 8);
    expect(await list('?to=BEN@ifaxin.com')).toEqual(['two', 'one']);
    expect(await list('?to=ada@ifaxin.com')).toEqual(['one']);
    expect(await list('?label=8')).toEqual(['two']);
    expect(await list('?to=ada@ifaxin.com&label=8')).toEqual([]);
    expect(await list('?to=ben')).toEqual([]);
  });

  it('waits for the mail that is meant', async () => {
    const waiting = list('?to=ben@ifaxin.com&wait=20');
    await send('for another', 'ada@ifaxin.com');
    await send('for Ben', 'ben@ifaxin.com');
    expect(await waiting).toEqual(['for Ben']);
    expect(await list('?to=ben@ifaxin.com&wait=20')).toEqual(['for Ben']);
  });

  it('answers an empty list when the time is up, or the sandbox ends', async () => {
    expect(await list('?to=nobody@ifaxin.com&wait=1')).toEqual([]);
    const other = await startSandbox();
    const waiting = other.routes.request('/messages?wait=60');
    other.hangUp();
    expect(await (await waiting).json()).toEqual([]);
    await other.close();
  });

  it.each(['?wait=61', '?wait=-1', '?wait=1.5', '?wait=soon', '?label=x', '?label=-1', '?too=a@b.example'])(
    'refuses %s',
    async (query) => {
      for (const method of ['GET', 'DELETE']) {
        const answer = await ask(`/messages${query}`, { method });
        expect(answer.status).toBe(400);
        expect(await answer.json()).toMatchObject({ code: 'invalid-request' });
      }
    },
  );

  it('deletes one, those that are meant, and all', async () => {
    for (const [subject, label] of [
      ['one', 7],
      ['two', 8],
      ['three', 7],
      ['four', 9],
    ] as const) {
      await send(subject, 'ben@ifaxin.com', label);
    }
    const [newest] = own.inbox.messages.toReversed();
    expect((await ask(`/messages/${newest?.n}`, { method: 'DELETE' })).status).toBe(204);
    expect((await ask(`/messages/${newest?.n}`, { method: 'DELETE' })).status).toBe(404);
    expect(await list('')).toEqual(['three', 'two', 'one']);
    expect((await ask('/messages?label=7', { method: 'DELETE' })).status).toBe(204);
    expect(await list('')).toEqual(['two']);
    expect((await ask('/messages', { method: 'DELETE' })).status).toBe(204);
    expect(await list('')).toEqual([]);
  });

  it('plays a fault for the next messages, and then no more', async () => {
    const put = (body: unknown) => ask('/fault', { method: 'PUT', body: JSON.stringify(body) });
    expect(await (await ask('/fault')).json()).toBeNull();
    expect(await (await put({ fault: 'refused', times: 2 })).json()).toEqual({ fault: 'refused', times: 2 });
    await expect(send('x', 'ben@ifaxin.com')).rejects.toThrow('550');
    expect(await (await ask('/fault')).json()).toEqual({ fault: 'refused', times: 1 });
    await expect(send('x', 'ben@ifaxin.com')).rejects.toThrow('550');
    await send('through', 'ben@ifaxin.com');
    expect(await list('')).toEqual(['through']);
    for (const wrong of [
      {},
      null,
      [],
      { fault: 'x', times: 1 },
      { fault: 'busy', times: -1 },
      { fault: 'busy', times: 1.5 },
      { fault: 'toString', times: 1 },
    ]) {
      expect((await put(wrong)).status).toBe(400);
    }
    expect((await ask('/fault', { method: 'PUT', body: 'x' })).status).toBe(400);
    expect(await (await put({ fault: 'busy', times: 5 })).json()).not.toBeNull();
    expect(await (await put({ fault: 'busy', times: 0 })).json()).toBeNull();
  });
});
