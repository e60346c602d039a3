/** Both functions: the gateway's puts messages into the outbox, the other one is woken by SQS and sends them. */

import type { LambdaContext, LambdaEvent } from 'hono/aws-lambda';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createHandler as createGateway } from '../../src/runtime/lambda.ts';
import { createHandler as createConsumer } from '../../src/runtime/lambda-outbox.ts';
import { REGION, startAws, type TestAws, VISIBILITY_SECONDS } from '../support/aws.ts';
import { authority, MESSAGE, startPostern, TOKEN } from '../support/postern.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const SECOND = 1000;

let aws: TestAws;
let upstream: Upstream;
let settings: Record<string, string>;
beforeEach(async () => {
  aws = await startAws();
  upstream = await startUpstream({ certificate: await authority.issue(), accounts: { ifaxin: 'the-key' } });
  settings = {
    SENDCLOUD_API_USER: 'ifaxin',
    SENDCLOUD_API_KEY: 'the-key',
    GATEWAY_TOKENS: TOKEN,
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(upstream.port),
    LOG_LEVEL: 'silent',
    OUTBOX_BUCKET: aws.bucket,
    OUTBOX_QUEUE_URL: aws.queueUrl,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'the-secret',
    AWS_SESSION_TOKEN: 'the-session',
    AWS_ENDPOINT_URL_S3: aws.endpoint,
    AWS_ENDPOINT_URL_SQS: aws.endpoint,
  };
  vi.spyOn(Math, 'random').mockReturnValue(0);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  await upstream.close();
  await aws.close();
});

/** This process's clock, and the queue's. */
function stopClock(): (ms: number) => void {
  vi.useFakeTimers({ toFake: ['Date'] });
  return (ms) => vi.setSystemTime(Date.now() + ms);
}

const contextOf = (secondsLeft: number) => ({ getRemainingTimeInMillis: () => secondsLeft * SECOND });

/** Requests to a container of the gateway. */
function gateway(more: Record<string, string> = {}) {
  const handler = createGateway({ ...settings, ...more });
  return async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const event = {
      version: '2.0',
      rawPath: path,
      rawQueryString: '',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
      requestContext: { domainName: 'gateway.example', http: { method, sourceIp: '198.51.100.1' } },
      body: body === undefined ? null : JSON.stringify(body),
      isBase64Encoded: false,
    };
    const context = contextOf(29) as LambdaContext;
    const answer = (await handler(event as unknown as LambdaEvent, context)) as unknown as {
      statusCode: number;
      body: string;
    };
    return { status: answer.statusCode, body: JSON.parse(answer.body) as Record<string, unknown> };
  };
}

const QUEUED = { prefer: 'respond-async' };

/** Invocations of a container of the other function, until the queue has nothing for it. */
function consumer(more: Record<string, string> = {}, secondsLeft = 60) {
  const handler = createConsumer({ ...settings, ...more });
  const answers: Awaited<ReturnType<typeof handler>>[] = [];
  const invoke = () =>
    aws.invoke(async (event) => {
      const answer = await handler(event, contextOf(secondsLeft));
      answers.push(answer);
      return answer;
    });
  return {
    answers,
    invoke,
    async run() {
      while ((await invoke()) > 0);
    },
  };
}

const waiting = async () => {
  const { ready, delayed, inflight } = await aws.messages(aws.queueUrl);
  return ready.length + delayed.length + inflight.length;
};

test('a message that is answered 202 is sent by the other function, once', async () => {
  const ask = gateway();
  const put = await ask('POST', '/v1/messages', { ...MESSAGE, subject: 'Grüße' }, QUEUED);
  expect(put).toMatchObject({ status: 202, body: { state: 'queued' } });
  expect(upstream.taken).toHaveLength(0);
  const { id } = put.body;

  const before = aws.requests.length;
  await consumer().run();
  const requests = aws.requests.slice(before).map(({ what }) => what);
  expect(requests.sort()).toEqual(
    ['GET state', 'PUT state', 'GET body', 'PUT state', 'PUT state', 'PUT body'].sort(),
  );
  expect(upstream.taken).toHaveLength(1);
  expect(await ask('GET', `/v1/messages/${id}`)).toMatchObject({
    status: 200,
    body: { state: 'accepted', receipt: { accepted: ['ben@ifaxin.com'], label: 31337 } },
  });
  expect(await waiting()).toBe(0);
});

test('the mark is written before the dot, and the end after it', async () => {
  const { promise: mayMark, resolve: go } = Promise.withResolvers<void>();
  await gateway()('POST', '/v1/messages', MESSAGE, QUEUED);
  aws.hold = (what, body) => (what === 'PUT state' && body.includes('"marked":true') ? mayMark : null);
  const run = consumer().run();
  await vi.waitUntil(() => aws.requests.some(({ body }) => String(body).includes('"marked":true')));
  expect(upstream.transactions).toHaveLength(1);
  expect(upstream.taken).toHaveLength(0);
  go();
  await run;
  expect(upstream.taken).toHaveLength(1);
});

test('a batch is sent at once; what fails of it comes again, and nothing else', async () => {
  const advance = stopClock();
  const ask = gateway();
  const ids: string[] = [];
  for (let n = 0; n < 10; n++) {
    const put = await ask('POST', '/v1/messages', { ...MESSAGE, subject: `number ${n}` }, QUEUED);
    ids.push(String(put.body.id));
  }
  const away = ids.slice(0, 3);
  aws.fault = (what, _index, url) =>
    what === 'GET state' && away.some((id) => url.endsWith(id)) ? 'refuse' : null;
  const { run, answers } = consumer();
  await run();
  expect(answers.map(({ batchItemFailures }) => batchItemFailures.length)).toEqual([3]);
  expect(upstream.taken).toHaveLength(7);
  expect(upstream.sessions.length).toBeGreaterThan(1);
  expect(await waiting()).toBe(3);

  aws.fault = () => null;
  advance((VISIBILITY_SECONDS + 1) * SECOND);
  await run();
  expect(upstream.taken).toHaveLength(10);
  expect(await waiting()).toBe(0);
});

test('a failure that may pass is tried again later, and one that is final ends it', async () => {
  const advance = stopClock();
  vi.mocked(Math.random).mockReturnValue(1);
  const ask = gateway();
  const { body } = await ask('POST', '/v1/messages', MESSAGE, QUEUED);
  upstream.faults = [{ at: 'rcpt', do: { reply: '451 4.3.2 later' } }];
  const { run, answers } = consumer();
  await run();
  const queued = await ask('GET', `/v1/messages/${body.id}`);
  expect(queued.body).toMatchObject({
    state: 'queued',
    attempts: [{ code: 'upstream-busy', smtp: { code: 451 } }],
  });
  upstream.faults = [{ at: 'rcpt', do: { reply: '550 5.1.1 no' } }];
  await run();
  expect(upstream.transactions).toHaveLength(1);
  advance(Date.parse(String(queued.body.nextAttemptAt)) - Date.now() + SECOND);
  await run();
  expect(await ask('GET', `/v1/messages/${body.id}`)).toMatchObject({
    body: { state: 'failed', problem: { code: 'recipients-refused' } },
  });
  expect(answers.flatMap(({ batchItemFailures }) => batchItemFailures)).toEqual([]);
  expect(await waiting()).toBe(0);
});

test('an invocation that is almost over sends nothing, and writes that down', async () => {
  const ask = gateway();
  const { body } = await ask('POST', '/v1/messages', MESSAGE, QUEUED);
  const { invoke, answers } = consumer({}, 10);
  await invoke();
  expect(upstream.transactions).toEqual([]);
  expect(answers).toEqual([{ batchItemFailures: [] }]);
  expect(await ask('GET', `/v1/messages/${body.id}`)).toMatchObject({
    body: { state: 'queued', attempts: [{ code: 'upstream-timeout' }] },
  });
});

test('without quota the messages wait for the window, at one request each', async () => {
  const advance = stopClock();
  vi.spyOn(performance, 'now').mockImplementation(() => Date.now());
  const ask = gateway();
  for (let n = 0; n < 25; n++) await ask('POST', '/v1/messages', MESSAGE, QUEUED);
  // A tenth of the window is for those sent at once.
  const { run } = consumer({ QUOTA_LIMIT: '5', SMTP_CONNECTIONS: '1' });
  const before = aws.requests.length;
  await run();
  expect(upstream.taken).toHaveLength(4);
  const requests = aws.requests.slice(before).map(({ what }) => what);
  // The first batch finds out, the others are sent on.
  expect(requests.filter((what) => what === 'GET state')).toHaveLength(10);
  expect(requests.filter((what) => what === 'SendMessage')).toHaveLength(21);
  expect(await waiting()).toBe(21);

  advance(61 * SECOND);
  await run();
  expect(upstream.taken).toHaveLength(8);
  expect(await waiting()).toBe(17);
});

test('of an invocation that was killed amid its message the mark decides', async () => {
  const advance = stopClock();
  const ask = gateway();
  const idOf = async (subject: string) =>
    String((await ask('POST', '/v1/messages', { ...MESSAGE, subject }, QUEUED)).body.id);
  const before = await idOf('before its mark');
  upstream.faults = [{ at: 'data', do: 'silent' }];
  const killed = consumer();
  void aws.invoke(async (event) => {
    await Promise.race([createConsumer(settings)(event, contextOf(60)), new Promise(() => {})]);
    return { batchItemFailures: [] };
  });
  await vi.waitUntil(() => upstream.transactions.length === 1);
  const after = await idOf('after its mark');
  upstream.faults = [{ at: 'dot', do: 'silent', taken: true }];
  void aws.invoke(async (event) => {
    await Promise.race([createConsumer(settings)(event, contextOf(60)), new Promise(() => {})]);
    return { batchItemFailures: [] };
  });
  await vi.waitUntil(() => upstream.taken.length === 1);
  expect(killed.answers).toEqual([]);

  // Their writes reach nothing any more.
  upstream.faults = [];
  advance((VISIBILITY_SECONDS + 1) * SECOND);
  await consumer().run();
  expect(await ask('GET', `/v1/messages/${before}`)).toMatchObject({ body: { state: 'accepted' } });
  expect(await ask('GET', `/v1/messages/${after}`)).toMatchObject({ body: { state: 'unknown' } });
  expect(upstream.taken).toHaveLength(2);
});

test('an outbox that is away: nothing is answered 202, and nothing kept', async () => {
  const ask = gateway();
  aws.fault = (what) => (what === 'PUT state' ? 'refuse' : null);
  const put = await ask('POST', '/v1/messages', MESSAGE, QUEUED);
  expect(put).toMatchObject({ status: 503, body: { code: 'store-unavailable' } });
  aws.fault = (what) => (what === 'HEAD bucket' ? 'forbidden' : null);
  expect(await gateway()('GET', '/readyz')).toMatchObject({
    status: 503,
    body: { parts: { outbox: expect.stringContaining('does not answer') } },
  });
  aws.fault = () => null;
  expect(await gateway()('GET', '/readyz')).toMatchObject({ status: 200, body: { parts: { outbox: null } } });
  expect(await ask('GET', '/v1/messages')).toMatchObject({ body: { messages: [], cursor: null } });
});

test('several machines on Node share the outbox: each message is sent once', async () => {
  await using first = await startPostern(settings);
  await using second = await startPostern(settings);
  const ids = await Promise.all(
    Array.from({ length: 40 }, async (_, n) => {
      const machine = n % 2 === 0 ? first : second;
      const put = await machine.send({ ...MESSAGE, subject: `number ${n}` }, { Prefer: 'respond-async' });
      expect(put.status).toBe(202);
      return ((await put.json()) as { id: string }).id;
    }),
  );
  const stateOf = async (id: string) => {
    const answer = await first.request(`/v1/messages/${id}`);
    return ((await answer.json()) as { state: string }).state;
  };
  await vi.waitUntil(async () => (await waiting()) === 0, { timeout: 20_000, interval: 200 });
  expect(new Set(await Promise.all(ids.map(stateOf)))).toEqual(new Set(['accepted']));
  const subjects = upstream.taken.map(({ message }) => /^Subject: (.*)\r$/m.exec(String(message))?.[1]);
  expect(subjects.sort()).toEqual(Array.from({ length: 40 }, (_, n) => `number ${n}`).sort());
});

test('settings that name no queue fail the invocation, so that the wakes are kept', async () => {
  const handler = createConsumer({ ...settings, OUTBOX: 'off' });
  await expect(handler({ Records: [] }, contextOf(60))).rejects.toThrow('OUTBOX_BUCKET');
  await expect(createConsumer({})({ Records: [] }, contextOf(60))).rejects.toThrow('SENDCLOUD_API_USER');
});
