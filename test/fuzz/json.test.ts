/** Any value at any field of any JSON door: an answer that names the fault, or one mail; never an error of ours. */

import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PICTURE, type Running, startPostern, TOKEN } from '../support/postern.ts';
import { HOSTILE_VALUES, RUNS } from './corpus.ts';

const SECRET = 'the-secret-of-this-hook';

const FULL = {
  from: { name: 'Support', address: 'support@ifaxin.com' },
  to: ['ben@ifaxin.com', { name: 'Ann', address: 'ann@ifaxin.com' }],
  cc: ['cc@ifaxin.com'],
  bcc: ['bcc@ifaxin.com'],
  replyTo: ['reply@ifaxin.com'],
  subject: 'Hello',
  text: 'Hello',
  html: '<p style="background:url(cid:b)">Hello <img src="cid:a"></p>',
  label: 31337,
  inlineImages: [
    { cid: 'a', contentType: 'image/png', content: PICTURE, filename: 'a.png' },
    { cid: 'b', contentType: 'image/png', content: PICTURE, filename: 'b.png' },
  ],
  attachments: [{ filename: 'a.txt', contentType: 'text/plain', content: 'QUJD', cid: 'c' }],
  headers: { 'X-Campaign': 'spring', References: ['<a@b.c>'] },
  calendar: { method: 'REQUEST', content: 'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n' },
  returnPath: 'bounce@ifaxin.com',
  messageId: '<order-17@ifaxin.com>',
};

const RESEND = {
  from: 'Support <support@ifaxin.com>',
  to: ['ben@ifaxin.com'],
  subject: 'Hello',
  html: '<p>Hello</p>',
  text: 'Hello',
  cc: ['cc@ifaxin.com'],
  reply_to: ['reply@ifaxin.com'],
  headers: { 'X-Campaign': 'spring' },
  tags: [{ name: 'label', value: '31337' }],
  attachments: [{ filename: 'a.txt', content: 'QUJD', content_id: 'a', content_type: 'text/plain' }],
};

const EVENT = {
  status: 'firing',
  groupKey: '{}:{alertname="Disk"}',
  groupLabels: { alertname: 'Disk' },
  commonLabels: { severity: 'page' },
  alerts: [
    { status: 'firing', labels: { alertname: 'Disk' }, annotations: { summary: 'Full' }, fingerprint: 'a' },
  ],
};

/** Where a value stands: the path of each member and each element, those of the containers included. */
function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by;
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) };
  const container = copy as Record<string, unknown>;
  container[key] = replaced(container[key], rest, by);
  return copy;
}

const hostile = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE_VALUES) },
  {
    weight: 1,
    arbitrary: fc.anything({ maxDepth: 2 }).filter((value) => JSON.stringify(value) !== undefined),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
);

/** Some fields of a JSON replaced, or one added. */
const damaged = (json: object) =>
  fc
    .array(fc.tuple(fc.constantFrom(...pathsOf(json).slice(1), ['unknown'], ['__proto__']), hostile), {
      minLength: 1,
      maxLength: 3,
    })
    .map((changes) => changes.reduce<unknown>((made, [path, by]) => replaced(made, path, by), json));

interface Door {
  readonly path: string;
  readonly json: object;
  readonly wrap?: (json: unknown) => unknown;
  readonly headers?: (body: string) => Record<string, string>;
  /** Answered before the mail is on its way. */
  readonly queued?: true;
}

const bearer = () => ({ Authorization: `Bearer ${TOKEN}` });
const signed = (body: string) => ({
  'X-Hub-Signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
});

const DOORS: readonly Door[] = [
  { path: '/v1/messages', json: FULL },
  { path: '/v1/messages/batch', json: FULL, wrap: (json) => [json, RESEND] },
  { path: '/resend/emails', json: RESEND, queued: true },
  { path: '/v1/hooks/alerts', json: EVENT, headers: signed },
];

describe('any value at any field', () => {
  let postern: Running;
  beforeAll(async () => {
    const hook = { scheme: 'github', secret: SECRET, from: 'a@ifaxin.com', to: 'b@ifaxin.com', mode: 'now' };
    postern = await startPostern({
      HOOKS: JSON.stringify([{ ...hook, name: 'alerts', preset: 'alertmanager' }]),
      QUOTA_LIMIT: '1000000',
    });
  });
  afterAll(() => postern[Symbol.asyncDispose]());

  test.each(DOORS)(
    'of $path',
    { timeout: 600_000 },
    async ({ path, json, wrap = (it) => it, headers = bearer, queued }) => {
      const start = postern.upstream.taken.length;
      let sent = 0;
      await fc.assert(
        fc.asyncProperty(damaged(json), async (value) => {
          const body = JSON.stringify(wrap(value));
          const before = postern.upstream.taken.length;
          const response = await fetch(postern.url + path, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', ...headers(body) },
            body,
          });
          const answer = (await response.json()) as Record<string, unknown>;
          expect(response.status, JSON.stringify(answer).slice(0, 500)).toBeLessThan(500);
          if (queued) {
            if (response.status < 300) sent += 1;
            return;
          }
          const taken = postern.upstream.taken.slice(before);
          // The second of a batch is whole, and so is every event.
          const most = path.endsWith('batch') ? 2 : 1;
          expect(taken.length).toBeLessThanOrEqual(most);
          if (path.includes('hooks')) expect(response.status).toBeLessThan(300);
          if (response.status >= 400) expect(taken.length, JSON.stringify(answer).slice(0, 500)).toBe(0);
          for (const { message, recipients } of taken) {
            expect(recipients).not.toContain('evil@example.com');
            await PostalMime.parse(message ?? expect.fail());
          }
        }),
        { numRuns: RUNS },
      );
      if (queued)
        await expect.poll(() => postern.upstream.taken.length, { timeout: 30_000 }).toBe(start + sent);
      expect(postern.logLines.filter((line) => line.includes('"event":"internal"'))).toEqual([]);
    },
  );

  test('any bytes as a body, of any type', { timeout: 600_000 }, async () => {
    const types = ['application/json', 'message/rfc822', 'text/plain', 'multipart/form-data; boundary=a', ''];
    const paths = [
      '/v1/messages',
      '/v1/messages/batch',
      '/resend/emails',
      '/apiv2/mail/send',
      '/v1/hooks/alerts',
    ];
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0e1-+. \r\n--a=&%') }).map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(
        bytes,
        fc.constantFrom(...types),
        fc.constantFrom(...paths),
        async (body, type, path) => {
          const response = await fetch(postern.url + path, {
            method: 'POST',
            headers: { ...bearer(), ...(type && { 'Content-Type': type }) },
            body: new Uint8Array(body),
          });
          await response.text();
          expect(response.status).toBeLessThan(500);
        },
      ),
      { numRuns: RUNS },
    );
    expect(postern.logLines.filter((line) => line.includes('"event":"internal"'))).toEqual([]);
  });
});
