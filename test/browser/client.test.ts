/** The typed client on a page of another origin: a browser's own fetch, and its rules for what a page may read. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { createClient } from '../../src/client/client.ts';
import { hasBrowser, startBrowser, startSandbox } from './browser.ts';

declare global {
  var posternClient: { readonly createClient: typeof createClient };
}

if (!hasBrowser)
  console.warn('The browser of @sparticuz/chromium is for Linux on x64, its tests are left out.');

describe.skipIf(!hasBrowser)('the client on a page', { timeout: 180_000 }, () => {
  it('sends a file, repeats what is safe, and reads what was refused', async () => {
    const sandbox = await startSandbox();
    onTestFinished(() => sandbox.close());
    const browser = await startBrowser();
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(await startPage());

    const seen = await page.evaluate(async (url) => {
      const client = globalThis.posternClient.createClient({ url, token: 'sandbox-token-for-development' });
      const message = { from: 'a@ifaxin.com', subject: 'From a page', text: 'See the file.' };
      const content = new Uint8Array([0, 127, 255]);
      const file = { filename: 'a.bin', contentType: 'application/octet-stream', content };
      const once = { idempotencyKey: 'order-17' };
      const sent = { ...message, to: 'ben@ifaxin.com', attachments: [file] };
      const receipt = await client.send(sent, once);
      const repeated = await client.send(sent, once);
      const refused = await client.send({ ...message, to: 'nobody' }).catch((error: unknown) => error);
      const { code, delivery, errors } = refused as Record<string, unknown>;
      return { receipt, isSame: repeated.id === receipt.id, refused: { code, delivery, errors } };
    }, sandbox.url);

    expect(seen).toMatchObject({
      receipt: { accepted: ['ben@ifaxin.com'] },
      isSame: true,
      refused: { code: 'invalid-message', delivery: 'not-sent', errors: [{ pointer: '/to' }] },
    });
    const arrived = await (await fetch(`${sandbox.url}/sandbox/messages`)).json();
    expect(arrived).toMatchObject([{ subject: 'From a page' }]);
  });
});

/** A page of its own origin that has the client as `posternClient`; its URL. */
async function startPage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ['src/client/client.ts'],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'posternClient',
    write: false,
  });
  const server = createServer((request, response) => {
    const isScript = request.url === '/client.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? outputFiles[0]?.contents : '<script src="client.js"></script>');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => server.closeAllConnections());
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
