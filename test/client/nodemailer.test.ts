/** nodemailer, unmodified and in its major versions, with the gateway as its transport. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createTransport, type SendMailOptions } from 'nodemailer';
import PostalMime from 'postal-mime';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PosternError } from '../../src/client/client.ts';
import { type PosternMail, type PosternOptions, postern } from '../../src/client/nodemailer.ts';
import { says } from '../support/faults.ts';
import { PICTURE, type Running, startPostern, TOKEN } from '../support/postern.ts';
import type { UpstreamOptions } from '../support/upstream.ts';

async function open(upstream: UpstreamOptions = {}): Promise<Running> {
  const running = await startPostern({}, upstream);
  onTestFinished(() => running[Symbol.asyncDispose]());
  return running;
}

const transport = ({ url }: Running, options: Partial<PosternOptions> = {}) =>
  postern({ url, token: TOKEN, ...options });

const MAIL = {
  from: 'Support <support@ifaxin.com>',
  to: 'ben@ifaxin.com',
  subject: 'Your order: Grüße',
  text: 'It is on its way.',
};

const withPostern = (options: PosternMail['postern']): SendMailOptions & PosternMail => ({
  ...MAIL,
  ...(options && { postern: options }),
});

// They have no types of their own.
const require = createRequire(import.meta.url);
const nodemailer6: typeof import('nodemailer') = require('nodemailer-6');
const nodemailer7: typeof import('nodemailer') = require('nodemailer-7');

const VERSIONS = { 10: createTransport, 7: nodemailer7.createTransport, 6: nodemailer6.createTransport };

describe.each(Object.entries(VERSIONS))('nodemailer %s', (_, create) => {
  test('sends what it wrote, Bcc in the envelope alone', async () => {
    const running = await open();
    const sent = await create(transport(running)).sendMail({
      ...MAIL,
      cc: ['Cy <cy@ifaxin.com>'],
      bcc: 'dee@ifaxin.com',
      html: '<p>See <img src="cid:logo"></p>',
      attachments: [{ filename: 'a.png', content: Buffer.from(PICTURE, 'base64'), cid: 'logo' }],
    });
    const recipients = ['ben@ifaxin.com', 'cy@ifaxin.com', 'dee@ifaxin.com'];
    expect(sent).toMatchObject({
      envelope: { from: 'support@ifaxin.com', to: recipients },
      accepted: recipients,
      rejected: [],
      receipt: { label: null },
    });
    expect(sent.response).toMatch(/^250 #.*#Queued$/);
    const [taken] = running.upstream.taken;
    expect(taken).toMatchObject({ from: 'support@ifaxin.com', recipients });
    const mail = await PostalMime.parse(taken?.message as Buffer);
    expect(mail).toMatchObject({ subject: MAIL.subject, cc: [{ name: 'Cy' }], messageId: sent.messageId });
    expect(mail.bcc).toBeUndefined();
    expect(mail.attachments.map(({ content }) => Buffer.from(content as ArrayBuffer))).toEqual([
      Buffer.from(PICTURE, 'base64'),
    ]);
  });

  test('gives a message its label and key, or the label of the transport', async () => {
    const running = await open();
    const mailer = create(transport(running, { label: 7 }));
    const first = await mailer.sendMail(withPostern({ idempotencyKey: 'order-17', label: 31337 }));
    // A second message of the same key: nodemailer writes its Date and Message-ID anew.
    const second = mailer.sendMail(withPostern({ idempotencyKey: 'order-17', label: 31337 }));
    await expect(second).rejects.toMatchObject({ code: 'idempotency-key-reused' });
    await mailer.sendMail(MAIL);
    expect(first.receipt.label).toBe(31337);
    expect(running.upstream.logins.map(({ user }) => user)).toEqual(['ifaxin#31337', 'ifaxin#7']);
    expect(running.upstream.taken).toHaveLength(2);
  });

  test('sends by the envelope and the raw message that are given', async () => {
    const running = await open();
    const raw =
      'From: support@ifaxin.com\r\nBcc: cy@ifaxin.com\r\nMessage-ID: <1@a.example>\r\n\r\nHello\r\n';
    const envelope = { from: 'bounces@ifaxin.com', to: ['a+b@ifaxin.com'] };
    const sent = await create(transport(running)).sendMail({ raw, envelope });
    expect(sent.messageId).toBe('<1@a.example>');
    expect(running.upstream.taken).toMatchObject([{ from: envelope.from, recipients: envelope.to }]);
    expect(running.upstream.taken[0]?.message?.toString()).toBe(raw.replace(/Bcc.*\r\n/, ''));
  });

  test('tells a refusal as it is, and sends nothing where it has no recipients or no file', async () => {
    const running = await open(says('rcpt', '550 5.1.1 no'));
    const mailer = create(transport(running));
    const refused = mailer.sendMail(MAIL);
    await expect(refused).rejects.toThrow(PosternError);
    await expect(refused).rejects.toMatchObject({ code: 'recipients-refused', delivery: 'not-sent' });
    await expect(mailer.sendMail({ ...MAIL, envelope: { from: 'a@b.example', to: [] } })).rejects.toThrow(
      'no recipients',
    );
    const missing = { ...MAIL, attachments: [{ path: '/no/such/file' }] };
    await expect(mailer.sendMail(missing)).rejects.toThrow('ENOENT');
    expect(running.upstream.taken).toHaveLength(0);
  });

  test('verifies the token by promise and by callback, and draws nothing', async () => {
    const running = await open();
    expect(await create(transport(running)).verify()).toBe(true);
    const wrong = create(transport(running, { token: 'wrong' }));
    await expect(wrong.verify()).rejects.toMatchObject({ code: 'unauthorized' });
    const told = await new Promise((resolve) => wrong.verify(resolve));
    expect(told).toMatchObject({ code: 'unauthorized' });
    expect(await running.drawn()).toBe(0);
  });
});

test('a message is aborted by its signal', async () => {
  const running = await open({ faults: [{ at: 'mail', do: 'silent' }] });
  const abort = new AbortController();
  const sending = createTransport(transport(running)).sendMail({ ...MAIL, signal: abort.signal });
  setTimeout(() => abort.abort(), 100);
  await expect(sending).rejects.toMatchObject({ name: 'AbortError' });
});

test('names its version', async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8'));
  expect(postern({ url: 'https://postern.example.com', token: TOKEN }).version).toBe(version);
});
