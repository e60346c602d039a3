/** `npm run crash` runs this with CRASH=full: as many kills and messages as promised, and workerd besides. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startChild } from '../support/child.ts';
import { type CrashingGateway, crash, type Ledger } from '../support/outbox-crash.ts';
import { authority, TOKEN } from '../support/postern.ts';
import type { Upstream } from '../support/upstream.ts';
import { bundleWorker, startWorker } from '../support/worker.ts';

const isFull = process.env.CRASH === 'full';
const HOUR = 3_600_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-crash-'));
  await writeFile(join(folder, 'ca.pem'), authority.cert);
});
afterAll(() => rm(folder, { recursive: true }));

const settingsFor = (upstream: Upstream) => ({
  SENDCLOUD_API_USER: 'ifaxin',
  SENDCLOUD_API_KEY: 'the-key',
  GATEWAY_TOKENS: TOKEN,
  SMTP_HOST: 'localhost',
  SMTP_PORTS: String(upstream.port),
});

async function startNode(upstream: Upstream): Promise<CrashingGateway> {
  const child = await startChild({
    command: ['bin/postern.mjs'],
    environment: {
      ...settingsFor(upstream),
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      OUTBOX: join(folder, 'outbox.db'),
      PORT: '0',
      LOG_LEVEL: 'info',
    },
    ready: /"event":"listening".*"port":(\d+)/,
  });
  return {
    url: `http://127.0.0.1:${child.announced}`,
    async kill() {
      child.kill();
      await child.close();
    },
  };
}

/** Every message has ended, in one of three ways, and none of them is wrong. */
function check(ledger: Ledger): void {
  console.table(ledger);
  const { put, accepted, failed, unknown } = ledger;
  expect(accepted + failed + unknown).toBe(put);
  expect(ledger).toMatchObject({ lost: 0, doubled: 0, renamed: 0 });
  expect(accepted).toBeGreaterThan(put / 2);
}

describe('killed at random moments, a gateway loses and doubles nothing', () => {
  test(
    'on Node',
    async () => {
      const amount = isFull ? { messages: 3000, kills: 300 } : { messages: 60, kills: 6 };
      check(await crash({ ...amount, start: startNode }));
    },
    isFull ? HOUR : 180_000,
  );

  test.runIf(isFull)(
    'on workerd',
    async () => {
      // By itself: wrangler starts the Worker anew whenever anything beside its bundle is written.
      const bundle = await bundleWorker(join(folder, 'bundle'));
      const storage = join(folder, 'storage');
      const start = async (upstream: Upstream) => {
        const worker = await startWorker(
          bundle,
          settingsFor(upstream),
          authority.cert,
          'wrangler.toml',
          storage,
        );
        return { url: worker.url, kill: worker.kill };
      };
      check(await crash({ messages: 300, kills: 20, start }));
    },
    HOUR,
  );
});
