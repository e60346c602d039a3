import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gatewayContract } from '../contract/gateway.ts';
import { authority, MESSAGE, TOKEN } from '../support/postern.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';
import { bundleWorker, type RunningWorker, startWorker } from '../support/worker.ts';

describe('workerd', () => {
  let folder: string;
  let bundle: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-bundle-'));
    bundle = await bundleWorker(folder);
  });
  afterAll(() => rm(folder, { recursive: true }));

  gatewayContract({
    start: (settings, ca) => startWorker(bundle, settings, ca),
    attachmentBytes: 5_000_000,
    takesBytes: true,
    refusesToStart: false,
    keepsOutbox: true,
    codes: {
      // workerd says of a handshake only that it failed, so what may be a bad certificate counts as one.
      'closed at tls': 'upstream-insecure',
      'reset at tls': 'upstream-insecure',
    },
  });

  const settingsFor = (upstream: Upstream) => ({
    SENDCLOUD_API_USER: 'ifaxin',
    SENDCLOUD_API_KEY: 'the-key',
    GATEWAY_TOKENS: TOKEN,
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(upstream.port),
  });

  const post = (worker: RunningWorker, { headers, signal }: RequestInit = {}) =>
    fetch(`${worker.url}/v1/messages`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(MESSAGE),
      ...(signal && { signal }),
    });

  /** Sends `count` messages at once, and gives their statuses and what upstream saw of them. */
  async function sendAtOnce(count: number, more: Record<string, string>, config?: string) {
    const certificate = await authority.issue();
    const upstream = await startUpstream({ certificate, faults: [{ at: 'dot', delayMs: 300 }] });
    const worker = await startWorker(bundle, { ...settingsFor(upstream), ...more }, authority.cert, config);
    const sent = await Promise.all(Array.from({ length: count }, () => post(worker)));
    return { statuses: sent.map(({ status }) => status), upstream, worker };
  }

  test('messages at once are spread over the shards of their login', async () => {
    const { statuses, upstream, worker } = await sendAtOnce(6, {
      DELIVERY_SHARDS: '3',
      SMTP_CONNECTIONS: '2',
    });
    expect(statuses).toEqual(Array(6).fill(200));
    // Two connections each; one shard alone would have made four messages wait for its two.
    expect(upstream.sessions).toHaveLength(6);
    await Promise.all([worker.close(), upstream.close()]);
  });

  test('a client that hangs up does not end its delivery', async () => {
    const upstream = await startUpstream({
      certificate: await authority.issue(),
      faults: [{ at: 'dot', delayMs: 500 }],
    });
    const worker = await startWorker(bundle, settingsFor(upstream), authority.cert);
    const hangUp = new AbortController();
    const headers = { 'Idempotency-Key': 'order-4' };
    const cut = post(worker, { headers, signal: hangUp.signal }).catch((error: Error) => error.name);
    await expect.poll(() => upstream.transactions.length).toBe(1);
    hangUp.abort();
    expect(await cut).toBe('AbortError');

    const statusOfRetry = async () => (await post(worker, { headers })).status;
    await expect.poll(statusOfRetry, { timeout: 5000 }).toBe(200);
    expect(upstream.transactions).toHaveLength(1);
    await Promise.all([worker.close(), upstream.close()]);
  });

  test('without Durable Objects every message opens its connection, and says QUIT', async () => {
    const config = join(folder, 'without-objects.toml');
    const toml = await readFile('wrangler.toml', 'utf8');
    await writeFile(config, toml.slice(0, toml.indexOf('# Warm SMTP connections')));
    const { statuses, upstream, worker } = await sendAtOnce(3, {}, config);
    expect(statuses).toEqual([200, 200, 200]);
    expect(upstream.sessions).toHaveLength(3);
    await expect.poll(() => upstream.sessions.some(({ open }) => open)).toBe(false);
    for (const { dialogue } of upstream.sessions) {
      expect(dialogue.map(({ text }) => text)).toContain('C: QUIT');
    }
    expect(worker.output()).toContain('quota and idempotency hold for this process alone');
    await Promise.all([worker.close(), upstream.close()]);
  });
});
