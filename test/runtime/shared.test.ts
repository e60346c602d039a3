/** One quota and one set of keys for several Postern processes on one Redis, through both doors. */

import { createTransport } from 'nodemailer';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { caFile, certificateFiles } from '../smtp/door.ts';
import { type Child, startChild } from '../support/child.ts';
import { authority, MESSAGE, TOKEN } from '../support/postern.ts';
import {
  type Bridge,
  connectRedis,
  describeWithRedis,
  startBridge,
  startRedis,
  type TestRedis,
} from '../support/redis.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

interface Instance extends Child {
  readonly url: string;
  readonly smtpPort: number;
}

type Json = Record<string, unknown>;

describeWithRedis('two processes on one Redis', () => {
  let redis: TestRedis;
  let bridge: Bridge;
  let upstream: Upstream;
  let instances: Instance[] = [];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.close());
  beforeEach(async () => {
    bridge = await startBridge(redis);
    upstream = await startUpstream({ certificate: await authority.issue() });
  });
  afterEach(async () => {
    redis.thaw();
    await Promise.all(instances.map((instance) => instance.close()));
    instances = [];
    await upstream.close();
    await bridge.close();
  });

  /** Each test has an api_user of its own: what one draws is nothing to the next. */
  async function start(apiUser: string, settings: Record<string, string> = {}): Promise<Instance> {
    const child = await startChild({
      command: ['bin/postern.mjs'],
      environment: {
        NODE_EXTRA_CA_CERTS: caFile,
        SENDCLOUD_API_USER: apiUser,
        SENDCLOUD_API_KEY: 'the-key',
        GATEWAY_TOKENS: TOKEN,
        SMTP_HOST: 'localhost',
        SMTP_PORTS: String(upstream.port),
        PORT: '0',
        SMTP_DOOR_PORT: '0',
        OUTBOX: ':memory:',
        ...certificateFiles,
        UPSTASH_REDIS_REST_URL: bridge.url,
        UPSTASH_REDIS_REST_TOKEN: bridge.token,
        ...settings,
      },
      ready: /"event":"listening".*"port":(\d+)/,
    });
    const smtpPort = Number(/"smtpPort":(\d+)/.exec(child.output())?.[1]);
    const instance = { ...child, url: `http://127.0.0.1:${child.announced}`, smtpPort };
    instances.push(instance);
    return instance;
  }

  const request = (instance: Instance, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    fetch(instance.url + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const send = (instance: Instance, headers?: Record<string, string>) =>
    request(instance, '/v1/messages', MESSAGE, headers);

  it('lets exactly the limit through, by HTTP, by SMTP and by reported calls at once', async () => {
    const settings = { QUOTA_LIMIT: '300' };
    const both = await Promise.all([start('shared', settings), start('shared', settings)]);
    let granted = 0;
    const refusals = { http: new Set<unknown>(), smtp: new Set<unknown>(), reported: new Set<unknown>() };

    const byHttp = async (instance: Instance) => {
      for (let refused = 0; refused < 3; ) {
        const response = await send(instance);
        if (response.status === 200) {
          granted++;
          continue;
        }
        refused++;
        refusals.http.add(`${response.status} ${((await response.json()) as Json).code}`);
      }
    };
    const bySmtp = async (instance: Instance) => {
      const transport = createTransport({
        host: 'localhost',
        port: instance.smtpPort,
        requireTLS: true,
        tls: { ca: authority.cert },
        pool: true,
        maxConnections: 1,
        maxRequeues: 0,
        auth: { user: 'shared#7', pass: TOKEN },
      });
      for (let refused = 0; refused < 3; ) {
        try {
          await transport.sendMail({ from: 'support@ifaxin.com', to: 'ben@ifaxin.com', text: 'By SMTP.' });
          granted++;
        } catch (error) {
          refused++;
          refusals.smtp.add((error as { response?: string }).response);
        }
      }
      transport.close();
    };
    const byReport = async (instance: Instance) => {
      for (let refused = 0; refused < 3; ) {
        const response = await request(instance, '/v1/quota/calls', { count: 3 });
        if (response.status === 200) {
          granted += 3;
          continue;
        }
        refused++;
        refusals.reported.add(`${response.status} ${((await response.json()) as Json).code}`);
      }
    };

    await Promise.all(both.flatMap((instance) => [byHttp(instance), bySmtp(instance), byReport(instance)]));
    // A report is all or none, so that up to two calls may be left for a draw of one.
    while ((await send(both[0])).status === 200) granted++;

    expect(granted).toBe(300);
    expect([...refusals.http]).toEqual(['429 quota-exceeded']);
    expect([...refusals.smtp]).toEqual(['536 frequency limited']);
    expect([...refusals.reported]).toEqual(['429 quota-exceeded']);
    for (const instance of both) {
      const quota = (await (await request(instance, '/v1/quota')).json()) as Json;
      expect(quota).toMatchObject({ apiUser: 'shared', limit: 300, remaining: 0 });
    }
  });

  it("closes the window for every process where upstream's 536 came to one", async () => {
    upstream.faults = [{ at: 'mail', do: { reply: '536 frequency limited' }, times: 1 }];
    const [one, other] = await Promise.all([start('closed'), start('closed')]);
    expect((await send(one)).status).toBe(429);
    const refused = await send(other);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ code: 'quota-exceeded' });
    expect(upstream.taken).toHaveLength(0);
  });

  it('sends one message where both get the same key at the same time', async () => {
    upstream.faults = [{ at: 'dot', delayMs: 300 }];
    const both = await Promise.all([start('keys'), start('keys')]);
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        send(both[index % 2] as Instance, { 'Idempotency-Key': 'order-1' }),
      ),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array(9).fill(409)]);
    expect(upstream.taken).toHaveLength(1);
    const first = await answers.find(({ status }) => status === 200)?.json();
    for (const instance of both) {
      const replay = await send(instance, { 'Idempotency-Key': 'order-1' });
      expect(replay.headers.get('Idempotent-Replayed')).toBe('true');
      expect(await replay.json()).toEqual(first);
    }
    expect(upstream.taken).toHaveLength(1);
  });

  it('answers a damaged record as an unknown outcome, and shows it nowhere', async () => {
    const [one, other] = await Promise.all([start('damaged'), start('damaged')]);
    const key = { 'Idempotency-Key': 'order-1' };
    expect((await send(one, key)).status).toBe(200);
    const client = await connectRedis(redis);
    const [name = ''] = await client.keys('postern:idempotency:*damaged*');
    for (const record of ['{"v":1,"secret', '{"delivery":"secret"}', '{"v":0,"secret":true}']) {
      await client.hSet(name, 'record', record);
      const response = await send(other, key);
      const body = await response.text();
      expect(response.status).toBe(504);
      expect(JSON.parse(body)).toMatchObject({ code: 'outcome-unknown', delivery: 'unknown' });
      expect(body).not.toContain('secret');
    }
    client.destroy();
    expect(upstream.taken).toHaveLength(1);
    expect(other.output()).toContain('cannot be read');
    expect(other.output()).not.toContain('secret');
  });

  it('asks Redis for a message with a key to begin, to draw and to end it', async () => {
    const instance = await start('keyed');
    await send(instance, { 'Idempotency-Key': 'first' });
    const before = bridge.requests();
    for (const key of ['a', 'b', 'c', 'a', 'b', 'c']) {
      expect((await send(instance, { 'Idempotency-Key': key })).status).toBe(200);
    }
    // To begin the key, to draw, to end it; and the window for each replay's header.
    expect(bridge.requests() - before).toBe(3 * 3 + 3);
  });

  it('asks Redis once for a message', async () => {
    const instance = await start('once');
    await send(instance);
    const before = bridge.requests();
    for (let message = 0; message < 10; message++) expect((await send(instance)).status).toBe(200);
    expect(bridge.requests() - before).toBe(10);
  });

  it('goes on without Redis under load, loses nothing, and finds it again', async () => {
    const instance = await start('away', { DEADLINE_MS: '8000' });
    const counts = { accepted: 0, other: [] as unknown[] };
    let over = false;
    const load = Array.from({ length: 8 }, async () => {
      while (!over) {
        const response = await send(instance);
        if (response.status === 200) counts.accepted++;
        else counts.other.push(await response.json());
      }
    });
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const ready = async () => (await (await fetch(`${instance.url}/readyz`)).json()) as { parts: Json };
    const until = async (problem: unknown) => {
      while ((await ready()).parts.store !== problem) await pause(100);
    };
    const away = 'The store does not answer: quota and idempotency hold for this process alone.';
    await pause(500);
    redis.freeze();
    await until(away);
    await pause(1000);
    redis.thaw();
    await until(null);
    await redis.stop();
    await until(away);
    await redis.restart();
    await until(null);
    over = true;
    await Promise.all(load);

    expect(counts.other).toEqual([]);
    expect(upstream.taken).toHaveLength(counts.accepted);
    expect(instance.output()).toContain('"event":"store away"');
    expect(instance.output()).toContain('"event":"store back"');
  });

  it.each(['local', 'refuse'])('sends a key once, whenever Redis goes and comes: %s', async (onError) => {
    const key = { 'Idempotency-Key': 'order-1' };
    const instance = await start(`once-${onError}`, { QUOTA_ON_ERROR: onError });
    const ready = () => fetch(`${instance.url}/readyz`);
    const back = async () => {
      await redis.restart();
      while (!(await ready()).ok) await new Promise((resolve) => setTimeout(resolve, 100));
    };

    await redis.stop();
    const without = await send(instance, key);
    expect(without.status).toBe(onError === 'local' ? 200 : 503);
    await back();
    // Kept here alone in the one case, not even begun in the other.
    const first = await send(instance, key);
    expect(first.status).toBe(200);
    expect(first.headers.get('Idempotent-Replayed')).toBe(onError === 'local' ? 'true' : null);
    expect(upstream.taken).toHaveLength(1);

    // Redis has forgotten everything, this instance has not.
    await back();
    const second = await send(instance, key);
    expect(second.headers.get('Idempotent-Replayed')).toBe('true');
    expect(await second.json()).toEqual(await first.json());
    expect(upstream.taken).toHaveLength(1);
  });

  it('refuses while Redis is away, where the setting says so', async () => {
    const instance = await start('refusing', { QUOTA_ON_ERROR: 'refuse' });
    expect((await send(instance)).status).toBe(200);
    redis.freeze();
    for (const [code, headers] of [
      ['quota-unavailable', {}],
      ['store-unavailable', { 'Idempotency-Key': 'k' }],
    ] as const) {
      const response = await send(instance, headers);
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({ code, delivery: 'not-sent', retryable: true });
    }
    expect((await request(instance, '/v1/quota')).status).toBe(503);
    expect((await request(instance, '/v1/quota/calls', { count: 1 })).status).toBe(503);
    expect(upstream.taken).toHaveLength(1);
    redis.thaw();
    let status = 503;
    while (status === 503) status = (await send(instance)).status;
    expect(status).toBe(200);
  });
});
