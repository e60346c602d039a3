import { createHash, randomBytes } from 'node:crypto';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, it } from 'vitest';
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
  const answer = await get(path);
  expect(answer.status).toBe(404);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(await answer.json()).toMatchObject({ status: 404, code: 'not-found', instance: path });
});
