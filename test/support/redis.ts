import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { describe } from 'vitest';

/** A real Redis behind Upstash's REST protocol, for tests and measurements. */

function findRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** `redis-server` is on the PATH. */
const redisAvailable = findRedis();

/** A suite that needs a real Redis. Without one it is left out, and the run says so. */
export function describeWithRedis(name: string, suite: () => void): void {
  if (redisAvailable) {
    describe(name, suite);
    return;
  }
  console.warn(`Left out, no redis-server on the PATH: "${name}". To get it: apt-get install redis-server`);
  describe.skip(name, suite);
}

export interface TestRedis {
  /** A Unix socket: no port can be taken by another process, and a restart finds the same address. */
  readonly socket: string;
  /** The process stops where it is; its socket still takes connections. */
  freeze(): void;
  thaw(): void;
  /** Ends the process, and with it all data where they are not durable. */
  stop(): Promise<void>;
  /** A new one at the same address, empty where it is not durable. */
  restart(): Promise<void>;
  /** Ends everything. */
  close(): Promise<void>;
}

/** Starts an empty Redis; `durable` has every write on the disk before its answer, and finds it again after `restart`. */
export async function startRedis({ durable = false } = {}): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-redis-'));
  const socket = join(folder, 'redis.sock');
  let server = await launch(folder, socket, durable);

  async function stop(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, 'exit');
    server.kill('SIGKILL');
    await exited;
  }

  return {
    socket,
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    stop,
    async restart() {
      await stop();
      server = await launch(folder, socket, durable);
    },
    async close() {
      await stop();
      await rm(folder, { recursive: true });
    },
  };
}

async function launch(folder: string, socket: string, durable: boolean): Promise<ChildProcess> {
  const appendonly = durable ? 'yes' : 'no';
  const settings = {
    port: '0',
    unixsocket: socket,
    dir: folder,
    save: '',
    appendonly,
    appendfsync: 'always',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  let log = '';
  server.stdout.on('data', (chunk) => {
    log += chunk;
    if (log.includes('ready to accept connections')) resolve();
  });
  server.once('exit', () => reject(new Error(`redis-server ended:\n${log}`)));
  await ready;
  server.stdout.removeAllListeners('data').resume();
  return server;
}

/** A plain client of `redis`, for a test that looks behind the bridge. */
export async function connectRedis(redis: Pick<TestRedis, 'socket'>) {
  const client = createClient({
    RESP: 2,
    socket: { path: redis.socket, reconnectStrategy: () => 20 },
    // A command for a Redis that is gone fails at once instead of waiting for its return.
    disableOfflineQueue: true,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

export type TestRedisClient = Awaited<ReturnType<typeof connectRedis>>;

export interface Bridge {
  readonly url: string;
  readonly token: string;
  /** HTTP requests taken so far. */
  requests(): number;
  close(): Promise<void>;
}

export interface BridgeOptions {
  /** Changes the text of every script, after {@link stripFlags}. */
  readonly rewrite?: (lua: string) => string;
}

const TOKEN = 'token-of-the-bridge';

/**
 * Speaks Upstash's REST protocol (POST `/`, `/pipeline` and `/multi-exec`) over a connection to `redis`.
 * Several bridges may share one Redis.
 */
export async function startBridge(
  redis: Pick<TestRedis, 'socket'>,
  { rewrite = (lua) => lua }: BridgeOptions = {},
): Promise<Bridge> {
  const client = await connectRedis(redis);
  /** A changed script has another hash than the one its caller knows. */
  const hashes = new Map<string, string>();
  let requests = 0;

  function run(command: readonly unknown[]): Promise<unknown> {
    const [name = '', ...args] = command.map(String);
    const text = args[0] ?? '';
    if (name.toUpperCase() === 'EVAL') {
      const changed = rewrite(stripFlags(text));
      hashes.set(sha1(text), sha1(changed));
      return client.sendCommand([name, changed, ...args.slice(1)]);
    }
    if (name.toUpperCase() === 'EVALSHA')
      return client.sendCommand([name, hashes.get(text) ?? text, ...args.slice(1)]);
    return client.sendCommand([name, ...args]);
  }

  async function answer(path: string, body: unknown[]): Promise<unknown> {
    if (path === '/') return run(body);
    if (path === '/pipeline') return settle((body as unknown[][]).map(run));
    if (path === '/multi-exec') {
      // Sent in one go, so that no other request's command gets in between.
      const queued = [['MULTI'], ...(body as unknown[][])].map(run);
      const [results] = await Promise.all([run(['EXEC']), ...queued]);
      return (results as unknown[]).map((result) => ({ result }));
    }
    throw new Error(`no such endpoint: ${path}`);
  }

  const server = createServer(async (request, response) => {
    requests += 1;
    const send = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return send(401, { error: 'Unauthorized' });
    try {
      const path = request.url ?? '/';
      const result = await answer(path, await readJson(request));
      const encode = request.headers['upstash-encoding'] === 'base64' ? base64 : (value: unknown) => value;
      if (path === '/') return send(200, { result: encode(result) });
      send(
        200,
        (result as Settled[]).map((each) => ('error' in each ? each : { result: encode(each.result) })),
      );
    } catch (error) {
      send(400, { error: error instanceof Error ? error.message : String(error) });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: TOKEN,
    requests: () => requests,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      client.destroy();
    },
  };
}

type Settled = { result: unknown } | { error: string };

async function settle(commands: Promise<unknown>[]): Promise<Settled[]> {
  const results = await Promise.allSettled(commands);
  return results.map((each) =>
    each.status === 'fulfilled' ? { result: each.value } : { error: String(each.reason.message) },
  );
}

/** Upstash's own flag, which stock Redis refuses. */
export const stripFlags = (lua: string): string => lua.replace(/^#!lua flags=allow-key-locking\n/, '');

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');

/** Upstash encodes every string but a plain OK. */
function base64(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(base64);
  if (typeof value !== 'string' || value === 'OK') return value;
  return Buffer.from(value).toString('base64');
}

async function readJson(request: IncomingMessage): Promise<unknown[]> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return JSON.parse(text);
}
