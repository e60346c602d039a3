/** Postern on Node: reads the environment, opens its doors, and ends without losing a message. */

import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import { type Config, ConfigError, namesNoAccount, parseConfig } from '../config.ts';
import { createDeliverer } from '../deliver.ts';
import { createLog } from '../log.ts';
import { createPool } from '../mail/relay/pool.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { createGateway } from './gateway.ts';
import { logWriter } from './log-writer.ts';
import { createStores } from './stores.ts';

/** A running gateway. */
export interface Postern {
  readonly port: number;
  readonly sandbox: Sandbox | null;
  /** Takes no new request, lets those in flight end within the deadline, says QUIT upstream. */
  close(): Promise<void>;
}

const DEFAULTS = { connections: 5, ports: '587,2525,25' };
const SANDBOX_TOKEN = 'sandbox-token-for-development';

/** An idle connection is dropped before a server's or a NAT's own time-out, in milliseconds. */
const IDLE_MS = 60_000;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Starts Postern with the settings of `environment`; without any account, and not in production, with its sandbox.
 *
 * @throws {ConfigError} with all that is wrong in the settings
 */
export async function start(
  environment: Environment,
  writeLog = logWriter(process.stderr),
): Promise<Postern> {
  const sandboxed = namesNoAccount(environment) && environment.NODE_ENV !== 'production';
  const sandbox = sandboxed ? await openSandbox(environment) : null;
  const config = parseConfig(sandbox ? { ...environment, ...settingsOf(sandbox) } : environment, DEFAULTS);
  const log = createLog(config.logLevel, writeLog);

  const pool = createPool({ ...config.smtp, upstream: upstreamOf(config, sandbox), idleMs: IDLE_MS });
  const stores = createStores(config, log);
  const deliverer = createDeliverer({ relay: pool, quota: stores.quota });
  const { app } = createGateway(config, {
    ...stores,
    deliverer,
    log,
    ready: async () => {
      const failed = await pool.greeting(AbortSignal.timeout(config.deadlineMs));
      return { upstream: failed?.detail ?? null, ...stores.ready() };
    },
    clientAddress: (c) => getConnInfo(c).remote.address ?? '',
  });
  if (sandbox) app.route('/sandbox', sandbox.routes);

  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  server.listen(config.port);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  log.info('listening', { port, sandbox: sandbox !== null });

  return {
    port,
    sandbox,
    async close() {
      await closeServer(server, config.deadlineMs);
      await pool.close();
      await sandbox?.close();
    },
  };
}

/** The sandbox is an upstream of its own: a setting that names another one is left over from elsewhere. */
async function openSandbox(environment: Environment): Promise<Sandbox> {
  const foreign = ['SMTP_HOST', 'SMTP_PORTS', 'SMTP_SERVERNAME'].filter((name) => environment[name]);
  if (foreign.length > 0) {
    throw new ConfigError(foreign.map((name) => `${name}: set without an account; the sandbox has its own`));
  }
  // Loaded here alone: no deployment has it, nor what it needs.
  const { startSandbox } = await import('../sandbox/sandbox.ts');
  return startSandbox();
}

const settingsOf = (sandbox: Sandbox): Environment => ({
  SENDCLOUD_API_USER: sandbox.account.apiUser,
  SENDCLOUD_API_KEY: sandbox.account.apiKey,
  GATEWAY_TOKENS: SANDBOX_TOKEN,
  BASIC_AUTH: 'on',
  SMTP_HOST: sandbox.host,
  SMTP_PORTS: String(sandbox.port),
  SMTP_SERVERNAME: sandbox.servername,
});

const upstreamOf = ({ smtp }: Config, sandbox: Sandbox | null) => ({
  host: smtp.host,
  servername: smtp.servername,
  ...(sandbox && { ca: sandbox.ca }),
});

/** Stops listening; requests in flight end by themselves within the deadline, idle connections at once. */
async function closeServer(server: Server, deadlineMs: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  // A client that never finishes its own request must not hold the process.
  const late = setTimeout(() => server.closeAllConnections(), deadlineMs + 1000);
  await closed;
  clearInterval(idle);
  clearTimeout(late);
}

/** How to try a sandbox, as it is printed: a message with a label and an inline picture. */
const curlLine = (port: number): string =>
  `curl -sS http://localhost:${port}/v1/messages -H 'Authorization: Bearer ${SANDBOX_TOKEN}' -H 'Content-Type: application/json' -d '${JSON.stringify(EXAMPLE)}'`;

const EXAMPLE = {
  from: 'Support <support@ifaxin.com>',
  to: 'ben@ifaxin.com',
  subject: 'Hello from Postern',
  html: '<p>Hello <img src="cid:image1"></p>',
  label: 31337,
  inlineImages: [
    {
      cid: 'image1',
      contentType: 'image/png',
      content:
        'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      filename: 'dot.png',
    },
  ],
};

async function main(): Promise<void> {
  const postern = await start(process.env);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void postern.close().then(() => process.exit()));
  }
  if (!postern.sandbox) return;
  console.log(`Postern's sandbox: http://localhost:${postern.port}, upstream on port ${postern.sandbox.port}

Send a message:
${curlLine(postern.port)}

See it arrive:
curl -sS http://localhost:${postern.port}/sandbox/messages/1`);
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    console.error(error instanceof ConfigError ? error.message : error);
    process.exit(1);
  });
}
