import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { gatewayContract } from '../contract/gateway.ts';
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
});
