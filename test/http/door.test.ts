/** What every request meets: credentials, problem documents, headers, the quota, idempotency, the description. */

import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { describe, expect, it } from 'vitest';
import { FAILURES } from '../../src/outcome.ts';
import { MESSAGE, startPostern, TOKEN } from '../support/postern.ts';

type Json = Record<string, unknown>;
const json = async (response: Response) => (await response.json()) as Json;
const basic = (user: string, key: string) => ({
  // RFC 7617 section 2.1: what is not ASCII goes as UTF-8.
  Authorization: `Basic ${Buffer.from(`${user}:${key}`).toString('base64')}`,
});

describe.concurrent('the door', () => {
  it('answers problem documents to unmatched requests', async () => {
    await using postern = await startPostern();
    const lost = await postern.request('/v2/messages');
    expect(lost.status).toBe(404);
    expect(lost.headers.get('Content-Type')).toBe('application/problem+json');
    expect(await json(lost)).toMatchObject({ code: 'not-found', status: 404 });
    for (const [path, method, allow] of [
      ['/v1/messages', 'PUT', 'POST, GET, HEAD'],
      ['/v1/messages/batch', 'PUT', 'POST, GET, HEAD, DELETE'],
      ['/v1/quota', 'PUT', 'GET, HEAD'],
      ['/healthz', 'POST', 'GET, HEAD'],
    ] as const) {
      const response = await postern.request(path, { method });
      expect(response.status).toBe(405);
      expect(response.headers.get('Allow')).toBe(allow);
      expect(await json(response)).toMatchObject({ code: 'method-not-allowed' });
    }
  });

  it.each(['GET', 'POST'])('leads %s to the path without a last slash', async (method) => {
    await using postern = await startPostern();
    const response = await postern.request('/v1/messages/', { method });
    expect(response.status).toBe(404);
    const detail = 'There is nothing at /v1/messages/. Leave out the last slash.';
    expect(await json(response)).toMatchObject({ code: 'not-found', detail });
  });

  it('says where broken JSON breaks, and nothing of what it says', async () => {
    await using postern = await startPostern();
    const problem = await json(await postern.send('{"subject":"secret",,}'));
    expect(problem.detail).toMatch(/^The body is not JSON at position 20/);
    expect(JSON.stringify(problem)).not.toContain('secret');
    const notUtf8 = await fetch(`${postern.url}/v1/messages`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
      body: new Uint8Array([0x7b, 0xff, 0x7d]),
    });
    expect(await json(notUtf8)).toMatchObject({ code: 'invalid-request', detail: 'The body is not UTF-8.' });
  });

  it('says that a body is empty', async () => {
    await using postern = await startPostern();
    expect(await json(await postern.send(''))).toMatchObject({
      code: 'invalid-request',
      detail: 'The body is empty.',
    });
  });

  it('passes over no parameter of a message in JSON', async () => {
    await using postern = await startPostern();
    const response = await postern.request('/v1/messages?label=7', { body: MESSAGE });
    expect(response.status).toBe(400);
    expect(await json(response)).toMatchObject({
      code: 'invalid-request',
      detail: expect.stringContaining('"label"'),
    });
    expect(postern.upstream.taken).toHaveLength(0);
  });

  it('counts a body that comes without its length', async () => {
    await using postern = await startPostern({ MAX_MESSAGE_BYTES: '2000' });
    const chunks = Array.from({ length: 30 }, () => new TextEncoder().encode('x'.repeat(100)));
    const response = await fetch(`${postern.url}/v1/messages`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
      body: new Blob(chunks).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(413);
  });

  it.each([
    ['a header', ''],
    ['a body', 'Content-Length: 100\r\n\r\n{'],
    ['a body in chunks', 'Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n'],
  ])('waits for %s no longer than a submission may last', async (_, begin) => {
    await using postern = await startPostern({ DEADLINE_MS: '500' });
    const socket = connect(postern.port, '127.0.0.1');
    socket.write(`POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n`);
    socket.write(`Content-Type: application/json\r\n${begin}`);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 /);
    // A body that breaks off is the client's affair, and no bug.
    expect(postern.logLines.join('\n')).not.toContain('"internal"');
  });

  it('takes a token by its digest, and says which schemes it takes', async () => {
    const digest = Buffer.from(
      await crypto.subtle.digest('SHA-256', Buffer.from('the-digested-token')),
    ).toString('hex');
    await using postern = await startPostern({ GATEWAY_TOKENS: `sha256:${digest},${TOKEN}` });
    for (let repeat = 0; repeat < 2; repeat++) {
      expect((await postern.send(MESSAGE, { Authorization: 'Bearer the-digested-token' })).status).toBe(200);
    }
    expect((await postern.send()).status).toBe(200);
    for (const Authorization of [
      `Bearer sha256:${digest}`,
      `Bearer ${digest}`,
      `Bearer ${TOKEN}x`,
      'Bearer',
      'Digest x',
    ]) {
      const response = await postern.send(MESSAGE, { Authorization });
      expect(response.status).toBe(401);
      expect(response.headers.get('WWW-Authenticate')).toBe(
        'Basic realm="postern", charset="UTF-8", Bearer realm="postern"',
      );
      expect(response.headers.get('RateLimit')).toBeNull();
    }
  });

  it('takes a token as the password of its api_user, and of no other', async () => {
    await using postern = await startPostern();
    expect((await postern.send(MESSAGE, basic('IFAXIN', TOKEN))).status).toBe(200);
    expect((await postern.send(MESSAGE, basic('other', TOKEN))).status).toBe(401);
    const wrong = await json(await postern.send(MESSAGE, basic('ifaxin', 'the-key')));
    expect(wrong).toMatchObject({
      code: 'unauthorized',
      detail: expect.stringContaining('BASIC_AUTH is off'),
    });
  });

  it("takes a caller's own api_key where upstream's login proves it, and draws on its own quota", async () => {
    await using postern = await startPostern(
      { BASIC_AUTH: 'on', QUOTA_LIMIT: '50' },
      { accounts: { ifaxin: 'the-key', other: 'other-key' } },
    );
    const response = await postern.send(MESSAGE, basic('other', 'other-key'));
    expect(response.status).toBe(200);
    expect(response.headers.get('RateLimit')).toBe('"apiuser";r=49;t=60');
    expect(await postern.drawn()).toBe(0);
    // A warm connection of the right key serves nobody with a wrong one, nor does a quota show itself.
    const wrong = await postern.request('/v1/quota', { headers: basic('other', 'wrong') });
    expect(wrong.status).toBe(401);
    expect(wrong.headers.get('WWW-Authenticate')).toContain('Basic');
    expect(wrong.headers.get('RateLimit')).toBeNull();
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('limits failed logins by api_user and address', async () => {
    await using postern = await startPostern({ BASIC_AUTH: 'on' }, { accounts: { ifaxin: 'the-key' } });
    const statuses = await Promise.all(
      Array.from(
        { length: 25 },
        async (_, index) => (await postern.send(MESSAGE, basic('ifaxin', `k${index}`))).status,
      ),
    );
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(15);
    expect(postern.upstream.logins.filter(({ accepted }) => !accepted)).toHaveLength(10);
    const response = await postern.send(MESSAGE, basic('ifaxin', 'the-key'));
    expect(await json(response)).toMatchObject({ code: 'too-many-failed-logins', retryable: true });
    expect(Number(response.headers.get('Retry-After'))).toBeGreaterThan(50);
    expect((await postern.send()).status).toBe(200);
  });

  it('lets pages of the named origins read its headers, and no others', async () => {
    await using postern = await startPostern({ CORS_ORIGINS: 'https://app.example.com' });
    const preflight = await fetch(`${postern.url}/v1/messages`, {
      method: 'OPTIONS',
      headers: {
        Origin: 'https://app.example.com',
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type,idempotency-key',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('Access-Control-Allow-Origin')).toBe('https://app.example.com');
    const response = await postern.send(MESSAGE, { Origin: 'https://app.example.com' });
    expect(response.headers.get('Access-Control-Expose-Headers')).toBe(
      'Idempotent-Replayed,Location,Preference-Applied,RateLimit,RateLimit-Policy,Request-Id,Retry-After,Server-Timing',
    );
    const foreign = await postern.send(MESSAGE, { Origin: 'https://evil.example.com' });
    expect(foreign.headers.get('Access-Control-Allow-Origin')).toBeNull();
  });

  it('answers a preflight without allowing it where no origin is allowed', async () => {
    await using postern = await startPostern();
    const answer = await postern.request('/v1/messages', {
      method: 'OPTIONS',
      headers: { Authorization: '', Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' },
    });
    expect(answer.status).toBe(204);
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('is ready while upstream greets', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'greeting', do: { reply: '554 no' }, times: 1 }] },
    );
    const first = await fetch(`${postern.url}/readyz`);
    expect(first.status).toBe(503);
    expect(await json(first)).toMatchObject({ status: 'not ready', parts: { upstream: expect.any(String) } });
    expect((await fetch(`${postern.url}/healthz`)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect(await json(await fetch(`${postern.url}/readyz`))).toEqual({
      status: 'ready',
      parts: { upstream: null, credentials: null, outbox: null },
    });
  });
});

describe.concurrent('the quota', () => {
  it('shows the window and draws nothing', async () => {
    await using postern = await startPostern({ QUOTA_LIMIT: '5' });
    await postern.send();
    const response = await postern.request('/v1/quota');
    expect(await json(response)).toEqual({
      apiUser: 'ifaxin',
      limit: 5,
      remaining: 4,
      windowSeconds: 60,
      reset: 60,
    });
    expect(response.headers.get('RateLimit')).toBe('"apiuser";r=4;t=60');
  });

  it('is drawn by labels together, refused with a time, and shared with reported calls', async () => {
    await using postern = await startPostern({ QUOTA_LIMIT: '5' });
    const draw = (count: unknown) => postern.request('/v1/quota/calls', { body: { count } });
    expect((await postern.send()).status).toBe(200);
    expect((await postern.send({ ...MESSAGE, label: 2 })).status).toBe(200);
    expect((await draw(4)).status).toBe(429);
    expect(await json(await draw(2))).toMatchObject({ remaining: 1 });
    expect((await postern.send()).status).toBe(200);
    const refused = await postern.send();
    expect(refused.status).toBe(429);
    expect(await json(refused)).toMatchObject({
      code: 'quota-exceeded',
      delivery: 'not-sent',
      retryable: true,
    });
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThanOrEqual(59);
    expect(refused.headers.get('RateLimit')).toBe('"apiuser";r=0;t=60');
    expect(postern.upstream.transactions).toHaveLength(3);
  });

  it('lets calls go when their window has passed', async () => {
    await using postern = await startPostern({
      QUOTA_LIMIT: '1',
      QUOTA_WINDOW_MS: '1000',
      QUOTA_GUARD_MS: '0',
    });
    expect((await postern.send()).status).toBe(200);
    const refused = await postern.send();
    expect(refused.status).toBe(429);
    await new Promise((resolve) =>
      setTimeout(resolve, Number(refused.headers.get('Retry-After')) * 1000 + 300),
    );
    expect((await postern.send()).status).toBe(200);
  });

  it.each([
    [{}, '/count'],
    [{ count: 0 }, '/count'],
    [{ count: 1.5 }, '/count'],
    [{ count: '3' }, '/count'],
    [{ count: 6 }, '/count'],
    [{ count: 1, more: 1 }, '/more'],
    [[1], ''],
    [7, ''],
  ])('refuses calls of %j', async (body, pointer) => {
    await using postern = await startPostern({ QUOTA_LIMIT: '5' });
    const response = await postern.request('/v1/quota/calls', { body });
    expect(response.status).toBe(422);
    expect(await json(response)).toMatchObject({
      code: 'invalid-message',
      errors: [{ pointer, message: expect.stringMatching(/^(?:Give|Remove|Use|This field) /) }],
    });
    expect(await postern.drawn()).toBe(0);
  });
});

describe.concurrent('the Idempotency-Key', () => {
  const key = (value: string) => ({ 'Idempotency-Key': value });

  it('replays a finished request, quoted or bare', async () => {
    await using postern = await startPostern();
    const first = await postern.send(MESSAGE, key('order-1'));
    expect(first.headers.get('Idempotent-Replayed')).toBeNull();
    const receipt = await json(first);
    expect(receipt.messageId).toMatch(/^<[0-9a-f]{32}@ifaxin\.com>$/);
    const second = await postern.send(MESSAGE, key('"order-1"'));
    expect(second.status).toBe(200);
    expect(second.headers.get('Idempotent-Replayed')).toBe('true');
    expect(await json(second)).toEqual(receipt);
    expect(postern.upstream.taken).toHaveLength(1);
    expect(await postern.drawn()).toBe(1);
  });

  it('answers 422 to the same key with another message', async () => {
    await using postern = await startPostern();
    await postern.send(MESSAGE, key('k'));
    const response = await postern.send({ ...MESSAGE, subject: 'Another' }, key('k'));
    expect(response.status).toBe(422);
    expect(await json(response)).toMatchObject({ code: 'idempotency-key-reused', delivery: 'not-sent' });
  });

  const withEmoji = (emoji: string) => `${'x'.repeat(256 * 1024 - 1)}${emoji}${'x'.repeat(200_000)}`;
  const html = 'y'.repeat(300_000);
  it.each<[string, object]>([
    ['its last letter', { html: `${html.slice(1)}x` }],
    ['one emoji', { text: withEmoji('🎉') }],
    ['the places of its texts', { text: html, html: withEmoji('😀') }],
  ])('knows a large message again, and another one by %s', async (_, other) => {
    await using postern = await startPostern();
    const large = { ...MESSAGE, text: withEmoji('😀'), html, inlineImages: [] };
    expect((await postern.send(large, key('k'))).status).toBe(200);
    expect((await postern.send(large, key('k'))).headers.get('Idempotent-Replayed')).toBe('true');
    expect((await postern.send({ ...large, ...other }, key('k'))).status).toBe(422);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('answers 409 while the first request is in flight', async () => {
    await using postern = await startPostern({}, { faults: [{ at: 'dot', delayMs: 500 }] });
    const responses = await Promise.all(Array.from({ length: 5 }, () => postern.send(MESSAGE, key('k'))));
    const statuses = responses.map((response) => response.status).sort();
    expect(statuses).toEqual([200, 409, 409, 409, 409]);
    const busy = responses.find(({ status }) => status === 409) as Response;
    expect(await json(busy)).toMatchObject({
      code: 'request-in-progress',
      delivery: 'not-sent',
      retryable: true,
    });
    expect(Number(busy.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('replays an unknown outcome: the message is not sent again', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'dot', do: 'close', taken: true, times: 1 }] },
    );
    for (const replayed of [null, 'true']) {
      const response = await postern.send(MESSAGE, key('k'));
      expect(response.status).toBe(504);
      expect(response.headers.get('Idempotent-Replayed')).toBe(replayed);
      expect(await json(response)).toMatchObject({
        code: 'outcome-unknown',
        delivery: 'unknown',
        retryable: false,
      });
    }
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('is free again where nothing was sent, and keeps the Message-ID', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'data', do: { reply: '451 later' }, times: 1 }] },
    );
    expect((await postern.send(MESSAGE, key('k'))).status).toBe(503);
    const response = await postern.send(MESSAGE, key('k'));
    expect(response.status).toBe(200);
    const again = await json(await postern.send(MESSAGE, key('k')));
    expect(again.messageId).toBe((await json(response)).messageId);
  });

  it("keeps upstream's refusal of the message", async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'rcpt', do: { reply: '550 no' }, times: 1 }] },
    );
    expect((await postern.send(MESSAGE, key('k'))).status).toBe(422);
    const replay = await postern.send(MESSAGE, key('k'));
    expect(await json(replay)).toMatchObject({ code: 'recipients-refused', smtp: { code: 550 } });
    expect(replay.headers.get('Idempotent-Replayed')).toBe('true');
  });

  it('belongs to its api_user', async () => {
    const account = (apiUser: string) => ({ apiUser, apiKey: 'k', tokens: [`the-token-of-${apiUser}-0000`] });
    await using postern = await startPostern({
      ACCOUNTS: JSON.stringify([account('a'), account('b')]),
      SENDCLOUD_API_USER: '',
      SENDCLOUD_API_KEY: '',
      GATEWAY_TOKENS: '',
    });
    for (const user of ['a', 'b']) {
      const response = await postern.send(MESSAGE, {
        ...key('k'),
        Authorization: `Bearer the-token-of-${user}-0000`,
      });
      expect(response.status).toBe(200);
      expect(response.headers.get('Idempotent-Replayed')).toBeNull();
    }
    expect(postern.upstream.taken).toHaveLength(2);
  });

  it('of a batch is none that a caller can write for a single message', async () => {
    await using postern = await startPostern();
    const batch = await postern.request('/v1/messages/batch', { body: [MESSAGE], headers: key('a') });
    const [item] = (await batch.json()) as [{ receipt: Json }];
    const single = await postern.send(MESSAGE, key('"[\\"a\\",0]"'));
    expect(single.headers.get('Idempotent-Replayed')).toBeNull();
    expect(postern.upstream.taken).toHaveLength(2);
    expect((await json(single)).messageId).not.toBe(item.receipt.messageId);
  });

  it('is refused where it may be two headers joined into one, unless it is quoted', async () => {
    await using postern = await startPostern();
    const twice = new Headers({ Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' });
    twice.append('Idempotency-Key', 'a');
    twice.append('Idempotency-Key', 'b');
    const init = { method: 'POST', headers: twice, body: JSON.stringify(MESSAGE) };
    const response = await fetch(`${postern.url}/v1/messages`, init);
    expect(response.status).toBe(400);
    expect(await json(response)).toMatchObject({
      code: 'invalid-request',
      detail: expect.stringContaining('in quotes'),
    });
    expect((await postern.send(MESSAGE, key('"a, b"'))).status).toBe(200);
  });

  it.each(['', ' ', '"open', 'ü', 'x'.repeat(256)])('refuses %j', async (value) => {
    await using postern = await startPostern();
    const response = await postern.send(MESSAGE, {
      'Idempotency-Key': value && Buffer.from(value).toString('latin1'),
    });
    expect(response.status).toBe(400);
    expect(await json(response)).toMatchObject({ code: 'invalid-request' });
  });
});

describe('the API description', () => {
  it('is valid OpenAPI 3.1 by an independent linter, and names every failure', async () => {
    await using postern = await startPostern({ BASIC_AUTH: 'on' });
    const source = await (await fetch(`${postern.url}/openapi.json`)).text();
    const problems = await lintFromString({
      source,
      config: await createConfig({ extends: ['recommended-strict'] }),
    });
    expect(problems.map(({ message, location }) => `${message} ${location[0]?.pointer}`)).toEqual([]);
    // Those of no operation, and that of doors in another service's shape.
    const elsewhere = ['not-found', 'method-not-allowed', 'unsupported-field'];
    const codes = Object.keys(FAILURES).filter((code) => !elsewhere.includes(code));
    for (const code of codes) expect(source).toContain(`/docs/errors/${code}`);
    // Of an Idempotency-Key whose message is no longer kept.
    expect(JSON.parse(source).paths['/v1/messages'].post.responses).toHaveProperty('404');
  });

  it('has the headers of an answer, those of problems too', async () => {
    await using postern = await startPostern({ QUOTA_LIMIT: '1' });
    const { paths } = await (await fetch(`${postern.url}/openapi.json`)).json();
    const batch = { path: '/v1/messages/batch', body: [MESSAGE] };
    for (const { path, body, ...headers } of [
      { path: '/v1/messages', body: MESSAGE },
      { path: '/v1/messages', body: MESSAGE },
      { path: '/v1/messages', body: {} },
      { path: '/v1/messages', body: MESSAGE, Authorization: 'Bearer wrong' },
      { ...batch, Prefer: 'respond-async' },
      { ...batch, body: [] },
    ]) {
      const response = await postern.request(path, { body, headers });
      const { headers: described } = paths[path].post.responses[response.status];
      const names = Object.keys(described).map((name) => name.toLowerCase());
      const told = /^(?:ratelimit.*|retry-after|www-authenticate|preference-applied|location)$/;
      const sent = [...response.headers.keys()].filter((name) => told.test(name));
      expect(sent).not.toEqual([]);
      expect([response.status, names]).toEqual([response.status, expect.arrayContaining(sent)]);
    }
  });

  it('tells the answers of a batch by their status', async () => {
    await using postern = await startPostern();
    const { components } = await (await fetch(`${postern.url}/openapi.json`)).json();
    const statuses = new Set(Object.values(FAILURES).map(({ status }) => status));
    const answers = components.schemas.BatchAnswer.items.anyOf as {
      readonly properties: { readonly status: object };
    }[];
    expect(answers.map(({ properties }) => properties.status)).toEqual([
      { const: 200 },
      { const: 202 },
      { type: 'number', enum: [...statuses] },
    ]);
  });
});

// The clock is the whole process's: not beside other tests.
describe('a revoked api_key', () => {
  it('is not proven by a connection that is warm from before', async () => {
    const accounts = { other: 'other-key' };
    await using postern = await startPostern({ BASIC_AUTH: 'on' }, { accounts });
    expect((await postern.send(MESSAGE, basic('other', 'other-key'))).status).toBe(200);
    Object.assign(accounts, { other: 'a-new-key' });
    const wallClock = Date.now;
    try {
      // The proof is five minutes old, and so are the connections.
      Date.now = () => wallClock() + 5 * 60_000 + 1;
      expect((await postern.send(MESSAGE, basic('other', 'other-key'))).status).toBe(401);
    } finally {
      Date.now = wallClock;
    }
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it.each(['', 'ifaxin ', 'ifaxin\0', 'ifaxin\t', 'a\r\nb', 'ifaxin#1', 'ifäxin'])(
    'asks upstream nothing about the api_user %j',
    async (name) => {
      await using postern = await startPostern({ BASIC_AUTH: 'on' });
      expect((await postern.send(MESSAGE, basic(name, 'the-key'))).status).toBe(401);
      expect(postern.upstream.sessions).toHaveLength(0);
    },
  );

  it('holds a configured api_user to its policy and its quota, in whatever case it is written', async () => {
    const account = { apiUser: 'ifaxin', apiKey: 'the-key', tokens: [TOKEN], labels: [1], quota: 7 };
    await using postern = await startPostern({
      BASIC_AUTH: 'on',
      ACCOUNTS: JSON.stringify([account]),
      SENDCLOUD_API_USER: '',
      SENDCLOUD_API_KEY: '',
      GATEWAY_TOKENS: '',
    });
    const other = basic('IFaxin', 'the-key');
    expect((await postern.send({ ...MESSAGE, label: 2 }, other)).status).toBe(403);
    expect((await postern.send({ ...MESSAGE, label: 1 }, other)).status).toBe(200);
    expect(await postern.drawn()).toBe(1);
    expect(postern.upstream.logins.map(({ user }) => user)).toEqual(['ifaxin', 'ifaxin#1']);
  });
});
