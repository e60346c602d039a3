/** The typed client in workerd. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import { expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../support/child.ts';
import type { ClientReport } from '../support/client-worker.ts';
import { startPostern, TOKEN } from '../support/postern.ts';
import { bundleWorker, startWorker } from '../support/worker.ts';

test('the client sends, queues, reads and refuses from a Worker', { timeout: 120_000 }, async () => {
  await using postern = await startPostern();
  const folder = await mkdtemp(join(tmpdir(), 'postern-client-worker-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const config = join(folder, 'wrangler.toml');
  // Without nodejs_compat: the client uses what every runtime has.
  await writeFile(
    config,
    `name = "client"\nmain = "${join(ROOT, 'test/support/client-worker.ts')}"\ncompatibility_date = "2026-11-01"\n`,
  );
  const worker = await startWorker(await bundleWorker(folder, config, 'client-worker'), {}, '', config);
  onTestFinished(() => worker.close());

  const body = JSON.stringify({ url: postern.url, token: TOKEN });
  const response = await fetch(worker.url, { method: 'POST', body });
  const report = (await response.json()) as ClientReport;
  expect(report).toMatchObject({
    receipt: { accepted: ['ben@ifaxin.com'] },
    raw: { accepted: ['cy@ifaxin.com'] },
    batch: [{ status: 200 }],
    queued: { state: 'queued' },
    cancelled: { state: 'cancelled' },
    listed: 1,
    quota: { limit: 20000, remaining: 19997 },
    refused: { code: 'invalid-message', errors: [{ pointer: '/to' }] },
    aborted: 'Error: gone',
  });
  const [{ message } = { message: null }] = postern.upstream.taken;
  const { attachments } = await PostalMime.parse(message as Buffer);
  expect(attachments.map(({ content }) => Buffer.from(content as ArrayBuffer))).toEqual([
    Buffer.from([0, 128, 255]),
  ]);
});
