import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gatewayContract } from '../contract/gateway.ts';
import { authority, MESSAGE, TOKEN } from '../support/postern.ts';
import { startUpstream } from '../support/upstream.ts';
import { bundleWorker, startWorker } from '../support/worker.ts';

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
    refusesToStart: false,
    codes: {
      // workerd says of a handshake only that it failed, so what may be a bad certificate counts as one.
      'closed at tls': 'upstream-insecure',
      'reset at tls': 'upstream-insecure',
      // The end of the connection overtakes the reply that says why.
      '421 at rcpt': 'upstream-unreachable',
    },
  });

  /** Sends `count` messages at once and gives what upstream saw of it once all is over. */
  async function sendAtOnce(count: number, more: Record<string, string>, config?: string) {
    const upstream = await startUpstream({
      certificate: await authority.issue(),
      faults: [{ at: 'dot', delayMs: 300 }],
    });
    const settings = {
      SENDCLOUD_API_USER: 'ifaxin',
      SENDCLOUD_API_KEY: 'the-key',
      GATEWAY_TOKENS: TOKEN,
      SMTP_HOST: 'localhost',
      SMTP_PORTS: String(upstream.port),
      ...more,
    };
    const worker = await startWorker(bundle, settings, authority.cert, config);
    const send = async () => {
      const response = await fetch(`${worker.url}/v1/messages`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
        body: JSON.stringify(MESSAGE),
      });
      return response.status;
    };
    try {
      const statuses = await Promise.all(Array.from({ length: count }, send));
      return { statuses, upstream, worker, ended: () => upstream.sessions.every(({ open }) => !open) };
    } finally {
      upstream.faults = [];
    }
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

  test('without Durable Objects every message opens its connection, and says QUIT', async () => {
    const config = join(folder, 'without-objects.toml');
    const toml = await readFile('wrangler.toml', 'utf8');
    await writeFile(config, toml.slice(0, toml.indexOf('# Warm SMTP connections')));
    const { statuses, upstream, worker, ended } = await sendAtOnce(3, {}, config);
    expect(statuses).toEqual([200, 200, 200]);
    expect(upstream.sessions).toHaveLength(3);
    await expect.poll(ended).toBe(true);
    for (const { dialogue } of upstream.sessions) {
      expect(dialogue.map(({ text }) => text)).toContain('C: QUIT');
    }
    expect(worker.output()).toContain('quota and idempotency hold for this process alone');
    await Promise.all([worker.close(), upstream.close()]);
  });
});
