/** Batches of which one message meets an exception, or a store that goes away: the others are answered as they ended. */

import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import type { Deliverer } from '../../src/deliver.ts';
import { requestBody } from '../../src/http/body.ts';
import { createLog } from '../../src/log.ts';
import type { OutboxDoor } from '../../src/outbox.ts';
import { createGateway, type Edges } from '../../src/runtime/gateway.ts';
import { StoreUnavailable } from '../../src/store.ts';
import { createMemoryIdempotency } from '../../src/stores/memory/idempotency.ts';
import { createMemoryQuota } from '../../src/stores/memory/quota.ts';
import { openSqliteOutbox } from '../../src/stores/sqlite/outbox.ts';
import { TOKEN } from '../support/postern.ts';

const CONFIG = parseConfig(
  { SENDCLOUD_API_USER: 'ifaxin', SENDCLOUD_API_KEY: 'the-key', GATEWAY_TOKENS: TOKEN },
  { connections: 1, ports: '587', outbox: 'off' },
);

const lines: string[] = [];
const log = createLog('info', (line) => lines.push(line));

const BROKEN = 'broken@ifaxin.com';

/** Upstream, as far as these tests ask it. */
const deliverer: Deliverer = {
  verify: async () => null,
  async deliver({ envelope }) {
    if (envelope.to.includes(BROKEN)) throw new Error('a bug');
    const reply = { code: 250, enhanced: null, phase: 'dot', response: '250 OK' } as const;
    return {
      outcome: {
        delivery: 'accepted',
        reply,
        queueId: null,
        emailIds: {},
        accepted: envelope.to,
        rejected: [],
      },
      quota: null,
      timing: { lease: 0, draw: 0, send: 0 },
      attempts: 1,
    };
  },
};

async function gateway(outbox: Edges['outbox'] = null) {
  const { app } = await createGateway(CONFIG, {
    deliverer,
    quota: createMemoryQuota({ windowMs: 60_000, guardMs: 0 }),
    idempotency: createMemoryIdempotency(),
    greeting: async () => null,
    outbox,
    ready: async () => ({}),
    bodyReader: requestBody,
    clientAddress: () => '192.0.2.1',
    prefix: () => '',
    referenceUi: '',
    deadlineMs: () => 10_000,
    log,
  });
  return async (path: string, body: object, headers: Record<string, string> = {}) => {
    const isForm = body instanceof URLSearchParams;
    const response = await app.request(path, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${TOKEN}`,
        'Content-Type': isForm ? 'application/x-www-form-urlencoded' : 'application/json',
        ...headers,
      },
      body: isForm ? body.toString() : JSON.stringify(body),
    });
    return { status: response.status, answer: (await response.json()) as never };
  };
}

const RECIPIENTS = ['ann@ifaxin.com', BROKEN, 'ben@ifaxin.com'];
const MESSAGES = RECIPIENTS.map((to) => ({
  from: 'support@ifaxin.com',
  to: [to],
  subject: 'Hi',
  text: 'Hi',
}));

const INTERNAL = 'An error in the gateway; its log has it under this request id.';

test('an exception is the failure of its own message, and in the log', async () => {
  const ask = await gateway();
  const { status, answer } = await ask('/v1/messages/batch', MESSAGES);
  expect(status).toBe(200);
  expect(answer).toMatchObject([
    { status: 200, receipt: { accepted: ['ann@ifaxin.com'] } },
    { status: 500, problem: { code: 'internal', delivery: 'unknown', detail: INTERNAL } },
    { status: 200, receipt: { accepted: ['ben@ifaxin.com'] } },
  ]);
  const line = lines.find((line) => line.includes('"event":"internal"'));
  expect(line).toContain('Error: a bug');
});

test('an exception is the failure of its own email', async () => {
  const ask = await gateway();
  const { status, answer } = await ask('/resend/emails/batch', MESSAGES);
  expect(status).toBe(200);
  expect(answer).toMatchObject({
    data: [{ id: expect.any(String) }, { id: expect.any(String) }],
    errors: [{ index: 1, message: INTERNAL }],
  });
});

test('an exception does not hide that other mails of the form went out', async () => {
  const ask = await gateway();
  const form = new URLSearchParams({
    apiUser: 'ifaxin',
    apiKey: TOKEN,
    from: 'support@ifaxin.com',
    to: RECIPIENTS.join(';'),
    subject: 'Hi',
    plain: 'Hi',
  });
  const { answer } = await ask('/apiv2/mail/send', form);
  expect(answer).toMatchObject({ message: `${INTERNAL} Of 3 mails 2 went out.` });
});

test('a state that cannot be read is the failure of its own message', async () => {
  const kept = openSqliteOutbox({ path: ':memory:', maxBytes: 1e9, keepMs: 1e9, log });
  let unreadable: string | undefined;
  const outbox: OutboxDoor = {
    put: (entry) => kept.put(entry),
    cancel: (...message) => kept.cancel(...message),
    find: (...key) => kept.find(...key),
    list: (...page) => kept.list(...page),
    async read(apiUser, id) {
      if (id === unreadable) throw new StoreUnavailable('away');
      return kept.read(apiUser, id);
    },
  };
  const ask = await gateway({ outbox, wake: () => {} });
  const headers = { 'Idempotency-Key': 'a-batch', Prefer: 'respond-async' };
  const { answer: queued } = await ask('/v1/messages/batch', MESSAGES, headers);
  unreadable = (queued as { message: { id: string } }[])[1]?.message.id;
  const { status, answer } = await ask('/v1/messages/batch', MESSAGES, headers);
  expect(status).toBe(200);
  expect(answer).toMatchObject([
    { status: 202 },
    { status: 503, problem: { code: 'store-unavailable', delivery: 'not-sent' } },
    { status: 202 },
  ]);
  await kept.close();
});
