/** Chromium out of npm, and a sandbox for it to look at. */

import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium as playwright } from 'playwright-core';
import { type Postern, start } from '../../src/runtime/node.ts';

/** Starts the browser; the first time, its version is unpacked into a folder of its own. */
export async function startBrowser(args: readonly string[] = []): Promise<Browser> {
  const { version } = createRequire(import.meta.url)('../../node_modules/@sparticuz/chromium/package.json');
  const folder = join(tmpdir(), `postern-chromium-${version}`);
  await mkdir(folder, { recursive: true });
  // The package knows no other way to say where.
  process.env.TMPDIR = folder;
  const { default: chromium } = await import('@sparticuz/chromium');
  chromium.setGraphicsMode = false;
  const executablePath = await chromium.executablePath();
  // Its own arguments are for Lambda, and switch off what keeps sites apart.
  return playwright.launch({ executablePath, args: ['--no-sandbox', ...args] });
}

export interface RunningSandbox extends Postern {
  readonly url: string;
  /** `POST /v1/messages`. */
  send(message: unknown, headers?: Record<string, string>): Promise<Response>;
}

/** Whoever the browser talks to beside this machine's own doors. */
export interface Strangers {
  /** Connections so far. */
  readonly connections: number;
  /** Arguments of the browser, which lead every name but localhost here. */
  readonly args: readonly string[];
  close(): void;
}

export async function startStrangers(): Promise<Strangers> {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on('error', () => {}).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    get connections() {
      return connections;
    },
    args: [`--host-resolver-rules=MAP * 127.0.0.1:${port}, EXCLUDE localhost, EXCLUDE 127.0.0.1`],
    close: () => void server.close(),
  };
}

/** Starts the real gateway with its sandbox, on free ports. */
export async function startSandbox(settings: Readonly<Record<string, string>> = {}): Promise<RunningSandbox> {
  const postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0', ...settings }, () => {});
  const url = `http://localhost:${postern.port}`;
  return {
    ...postern,
    url,
    send: (message, headers = {}) =>
      fetch(`${url}/v1/messages`, {
        method: 'POST',
        headers: {
          Authorization: 'Bearer sandbox-token-for-development',
          'Content-Type': 'application/json',
          ...headers,
        },
        body: JSON.stringify(message),
      }),
  };
}
