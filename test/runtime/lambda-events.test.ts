/** Every kind of event that carries a request to a function, with its body plain and in base64. */

import { gzipSync } from 'node:zlib';
import type { LambdaContext, LambdaEvent } from 'hono/aws-lambda';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createHandler } from '../../src/runtime/lambda.ts';
import { authority, MESSAGE, TOKEN } from '../support/postern.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const SECONDS_LEFT = 29;

let upstream: Upstream;
let settings: Record<string, string>;
let handler: ReturnType<typeof createHandler>;

beforeAll(async () => {
  upstream = await startUpstream({ certificate: await authority.issue(), accounts: { ifaxin: 'the-key' } });
  settings = {
    SENDCLOUD_API_USER: 'ifaxin',
    SENDCLOUD_API_KEY: 'the-key',
    GATEWAY_TOKENS: TOKEN,
    BASIC_AUTH: 'on',
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(upstream.port),
    LOG_LEVEL: 'silent',
  };
  handler = createHandler(settings);
});
afterAll(() => upstream.close());

interface Result {
  readonly statusCode: number;
  readonly body: string;
  readonly isBase64Encoded: boolean;
  readonly headers?: Record<string, string>;
  readonly multiValueHeaders?: Record<string, string[]>;
}

const invoke = async (event: object, secondsLeft = SECONDS_LEFT, by = handler) => {
  const context = { getRemainingTimeInMillis: () => secondsLeft * 1000 } as LambdaContext;
  return (await by(event as LambdaEvent, context)) as unknown as Result;
};

type Headers = Readonly<Record<string, string>>;
const HEADERS: Headers = {
  Authorization: `Bearer ${TOKEN}`,
  'Content-Type': 'application/json',
  Host: 'gateway.example',
};

/** What each source makes of one request from `address`. */
const EVENTS: Readonly<Record<string, (headers: Headers, address: string) => object>> = {
  'HTTP API and function URL (2.0)': (headers, address) => ({
    version: '2.0',
    rawPath: '/v1/messages',
    rawQueryString: '',
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    requestContext: { domainName: 'gateway.example', http: { method: 'POST', sourceIp: address } },
  }),
  'REST API (1.0)': (headers, address) => ({
    httpMethod: 'POST',
    path: '/v1/messages',
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    requestContext: { domainName: 'gateway.example', identity: { sourceIp: address } },
  }),
  'load balancer': (headers, address) => ({
    httpMethod: 'POST',
    path: '/v1/messages',
    // The balancer appends the address that it saw to what the caller claims.
    headers: { ...headers, 'x-forwarded-for': `203.0.113.7, ${address}` },
    requestContext: { elb: { targetGroupArn: 'arn:aws:elasticloadbalancing:…' } },
  }),
  'load balancer with multi-value headers': (headers, address) => ({
    httpMethod: 'POST',
    path: '/v1/messages',
    multiValueHeaders: Object.fromEntries(
      Object.entries({ ...headers, 'x-forwarded-for': address }).map(([name, value]) => [name, [value]]),
    ),
    requestContext: { elb: { targetGroupArn: 'arn:aws:elasticloadbalancing:…' } },
  }),
};

const BODY = JSON.stringify({ ...MESSAGE, subject: 'Grüße' });
const headerOf = ({ headers, multiValueHeaders }: Result, name: string) =>
  headers?.[name] ?? multiValueHeaders?.[name]?.[0];

test.for(Object.entries(EVENTS))('%s: a message goes, plain, in base64 and in gzip', async ([, eventOf]) => {
  const sent = upstream.taken.length;
  for (const { headers, ...body } of [
    { body: BODY, isBase64Encoded: false },
    { body: Buffer.from(BODY).toString('base64'), isBase64Encoded: true },
    {
      headers: { 'Content-Encoding': 'gzip' },
      body: gzipSync(BODY).toString('base64'),
      isBase64Encoded: true,
    },
  ]) {
    const result = await invoke({ ...eventOf({ ...HEADERS, ...headers }, '198.51.100.1'), ...body });
    expect(result).toMatchObject({ statusCode: 200, isBase64Encoded: false });
    expect(JSON.parse(result.body)).toMatchObject({ accepted: ['ben@ifaxin.com'], label: 31337 });
    expect(headerOf(result, 'ratelimit')).toMatch(/^"apiuser";/);
  }
  expect(upstream.taken).toHaveLength(sent + 3);
});

test.for(Object.entries(EVENTS))(
  '%s: failed logins count by the caller’s address',
  async ([, eventOf], { task }) => {
    const headers = { ...HEADERS, Authorization: `Basic ${btoa(`user-${task.id}:wrong`)}` };
    const codeFrom = async (address: string) => {
      const { body } = await invoke({ ...eventOf(headers, address), body: BODY, isBase64Encoded: false });
      return (JSON.parse(body) as { code: string }).code;
    };
    for (let tried = 0; tried < 10; tried++) expect(await codeFrom('198.51.100.2')).toBe('unauthorized');
    expect(await codeFrom('198.51.100.2')).toBe('too-many-failed-logins');
    expect(await codeFrom('198.51.100.3')).toBe('unauthorized');
  },
);

test.for([
  [
    'a REST API',
    { httpMethod: 'GET', path: '/v1/nothing', requestContext: { path: '/prod/v1/nothing', identity: {} } },
    '/prod',
  ],
  [
    'a REST API at its own domain',
    { httpMethod: 'GET', path: '/v1/nothing', requestContext: { path: '/v1/nothing', identity: {} } },
    '',
  ],
  ['an HTTP API', httpApi('/prod/v1/nothing', 'prod'), '/prod'],
  ['an HTTP API without a stage', httpApi('/v1/nothing', '$default'), ''],
  ['an HTTP API at its own domain', httpApi('/v1/nothing', 'v1', 'mail'), ''],
] as const)('%s: the path of the stage is found, and links begin with it', async ([, event, prefix]) => {
  const { statusCode, body } = await invoke({ headers: HEADERS, ...event });
  expect(statusCode).toBe(404);
  expect(JSON.parse(body)).toMatchObject({
    type: `${prefix}/docs/errors/not-found`,
    instance: expect.stringContaining(`${prefix}/v1/nothing#`),
  });
});

/** What an HTTP API makes of a GET. */
function httpApi(rawPath: string, stage: string, domainPrefix = 'a1b2c3') {
  const http = { method: 'GET', path: rawPath, sourceIp: '198.51.100.7' };
  const requestContext = {
    apiId: 'a1b2c3',
    domainName: `${domainPrefix}.example`,
    domainPrefix,
    stage,
    http,
  };
  return { version: '2.0', rawPath, rawQueryString: '', requestContext };
}

test('an invocation that is almost over gives up in time to say so', async () => {
  upstream.faults = [{ at: 'mail', do: 'silent' }];
  const event = EVENTS['REST API (1.0)']?.(HEADERS, '198.51.100.4');
  // Of itself it would wait for longer than this test may last.
  const patient = createHandler({ ...settings, DEADLINE_MS: '60000' });
  const result = await invoke({ ...event, body: BODY, isBase64Encoded: false }, 1.2, patient);
  upstream.faults = [];
  expect(JSON.parse(result.body)).toMatchObject({ code: 'upstream-timeout', delivery: 'not-sent' });
});

test('a connection that slept through a freeze is not used again', async () => {
  const event = {
    ...EVENTS['REST API (1.0)']?.(HEADERS, '198.51.100.6'),
    body: BODY,
    isBase64Encoded: false,
  };
  const connectionsFor = async () => {
    const before = upstream.sessions.length;
    expect(await invoke(event)).toMatchObject({ statusCode: 200 });
    return upstream.sessions.length - before;
  };
  await connectionsFor();
  expect(await connectionsFor()).toBe(0);

  // Frozen, no timer runs; only the wall clock has moved on when the next event comes.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 19_000 });
  expect(await connectionsFor()).toBe(0);
  vi.setSystemTime(Date.now() + 21_000);
  expect(await connectionsFor()).toBe(1);
  vi.useRealTimers();
});

test('wrong settings: a problem for the caller, the list for the log', async () => {
  const log = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const unconfigured = createHandler({ SMTP_PORTS: 'none' });
  const event = EVENTS['REST API (1.0)']?.(HEADERS, '198.51.100.5');
  const result = (await unconfigured(event as LambdaEvent, {} as LambdaContext)) as unknown as Result;
  const line = String(log.mock.lastCall?.[0]);
  log.mockRestore();
  expect(result.statusCode).toBe(500);
  expect(JSON.parse(line)).toMatchObject({ level: 'error', event: 'unconfigured' });
  expect(line).toContain('SMTP_PORTS');
  expect(JSON.parse(result.body)).toMatchObject({ code: 'misconfigured', delivery: 'not-sent' });
  expect(result.body).not.toContain('SMTP_PORTS');
});
