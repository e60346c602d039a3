/** Chromium out of npm, and a sandbox for it to look at. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium as playwright } from 'playwright-core';
import { type Postern, start } from '../../src/runtime/node.ts';

/** Whether the browser is for this machine: its package has one for Linux on x64. */
export const hasBrowser = process.platform === 'linux' && process.arch === 'x64';

/** Starts the browser; the first time, its version is unpacked into a folder of its own, with the libraries it needs. */
export async function startBrowser(args: readonly string[] = []): Promise<Browser> {
  const folder = await unpacked();
  return playwright.launch({
    executablePath: join(folder, 'chromium'),
    // Its package's arguments are for Lambda, and switch off what keeps sites apart.
    args: ['--no-sandbox', ...args],
    env: { ...process.env, LD_LIBRARY_PATH: join(folder, 'al2023/lib') },
  });
}

async function unpacked(): Promise<string> {
  const packed = join(createRequire(import.meta.url).resolve('@sparticuz/chromium'), '../..');
  const { version } = JSON.parse(await readFile(join(packed, 'package.json'), 'utf8')) as { version: string };
  const folder = join(tmpdir(), `postern-chromium-${version}`);
  if (existsSync(folder)) return folder;
  const fresh = await mkdtemp(`${folder}-`);
  const before = process.env.TMPDIR;
  try {
    // The package knows no other way to say where.
    process.env.TMPDIR = fresh;
    const { default: chromium, inflate } = await import('@sparticuz/chromium');
    chromium.setGraphicsMode = false;
    await chromium.executablePath();
    await inflate(join(packed, 'bin/al2023.tar.br'));
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
  // Whole or not there; another process may have been faster.
  await rename(fresh, folder).catch(() => rm(fresh, { recursive: true }));
  return folder;
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

export interface RunningSandbox extends Postern {
  readonly url: string;
  /** `POST /v1/messages`. */
  send(message: unknown, headers?: Record<string, string>): Promise<Response>;
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
