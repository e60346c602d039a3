/** Postern on Node: reads the environment, opens its doors, and ends without losing a message. */

import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import { type Config, ConfigError, namesNoAccount, parseConfig } from '../config.ts';
import { createDeliverer } from '../deliver.ts';
import { createLog } from '../log.ts';
import { Pool } from '../relay/pool.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { readCertificate } from '../smtp/certificate.ts';
import { createSmtpDoor } from '../smtp/door.ts';
import { createGateway } from './gateway.ts';
import { logWriter } from './log-writer.ts';
import { createStores } from './stores.ts';

/** A running gateway. */
export interface Postern {
  readonly port: number;
  /** Where the SMTP door listens; null where it is not open. */
  readonly smtpPort: number | null;
  readonly sandbox: Sandbox | null;
  /** Takes no new request, lets those in flight end within the deadline, says QUIT upstream. */
  close(): Promise<void>;
}

const DEFAULTS = { connections: 5, ports: '587,2525,25' };
const SANDBOX_TOKEN = 'sandbox-token-for-development';
const SANDBOX_SMTP_DOOR_PORT = '2525';
/** Everybody knows the sandbox's token, and its inbox asks for none: its doors open to this machine alone. */
const SANDBOX_HOST = '127.0.0.1';

/** An idle connection is dropped before a server's or a NAT's own time-out, in milliseconds. */
const IDLE_MS = 60_000;

/** How often requests that take too long to arrive are looked for; Node's own 30 s would be longer than they may. */
const LATE_REQUESTS_MS = 500;

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
  const config = parseConfig(sandbox ? settingsOf(sandbox, environment) : environment, DEFAULTS);
  const certificate = config.smtpDoor && (await certificateOf(config.smtpDoor, sandbox));
  const log = createLog(config.logLevel, writeLog);

  const pool = new Pool({ ...config.smtp, upstream: upstreamOf(config, sandbox), idleMs: IDLE_MS });
  const stores = createStores(config, log);
  const deliverer = createDeliverer({ relay: pool, quota: stores.quota });
  const gateway = createGateway(config, {
    ...stores,
    deliverer,
    log,
    ready: async () => {
      const failed = await pool.greeting(AbortSignal.timeout(config.deadlineMs));
      return { upstream: failed?.detail ?? null, ...(await stores.ready()) };
    },
    clientAddress: (c) => getConnInfo(c).remote.address ?? '',
    outbox: null,
    deadlineMs: () => config.deadlineMs,
  });
  const { app } = gateway;
  if (sandbox) app.route('/sandbox', sandbox.routes);

  const smtpDoor = certificate && createSmtpDoor({ ...gateway, ...config, certificate, log });
  const host = sandbox ? SANDBOX_HOST : undefined;
  const smtpPort =
    smtpDoor &&
    (await listen('SMTP_DOOR_PORT', config.smtpDoor?.port ?? 0, (wanted) => smtpDoor.listen(wanted, host)));
  const server = createAdaptorServer({
    fetch: app.fetch,
    // For a request to arrive, header and body: 408 then (RFC 9110 section 15.5.9).
    serverOptions: {
      requestTimeout: config.deadlineMs,
      connectionsCheckingInterval: LATE_REQUESTS_MS,
    },
  }) as Server;
  const port = await listen('PORT', config.port, async (wanted) => {
    await once(server.listen(wanted, host), 'listening');
    return (server.address() as AddressInfo).port;
  });
  log.info('listening', { port, smtpPort, sandbox: sandbox !== null });

  return {
    port,
    smtpPort,
    sandbox,
    async close() {
      await Promise.all([closeServer(server, config.deadlineMs), smtpDoor?.close()]);
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

const settingsOf = (sandbox: Sandbox, environment: Environment): Environment => ({
  ...environment,
  SENDCLOUD_API_USER: sandbox.account.apiUser,
  SENDCLOUD_API_KEY: sandbox.account.apiKey,
  GATEWAY_TOKENS: SANDBOX_TOKEN,
  BASIC_AUTH: 'on',
  SMTP_HOST: sandbox.host,
  SMTP_PORTS: String(sandbox.port),
  SMTP_SERVERNAME: sandbox.servername,
  SMTP_DOOR_PORT: environment.SMTP_DOOR_PORT || SANDBOX_SMTP_DOOR_PORT,
});

const upstreamOf = ({ smtp }: Config, sandbox: Sandbox | null) => ({
  host: smtp.host,
  servername: smtp.servername,
  ...(sandbox && { ca: sandbox.ca }),
});

/** @throws {ConfigError} where the settings name no certificate, or one that cannot be read */
async function certificateOf({ files }: NonNullable<Config['smtpDoor']>, sandbox: Sandbox | null) {
  if (files) return readCertificate(files);
  if (sandbox) return sandbox.certificate;
  throw new ConfigError(
    ['SMTP_DOOR_CERT', 'SMTP_DOOR_KEY'].map(
      (name) => `${name}: missing, and needed with SMTP_DOOR_PORT; name a PEM file`,
    ),
  );
}

/** @throws {ConfigError} where the port is not to be had */
async function listen(
  setting: string,
  port: number,
  open: (port: number) => Promise<number>,
): Promise<number> {
  try {
    return await open(port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'is taken' : `cannot be opened (${code})`;
    throw new ConfigError([`${setting}: port ${port} ${reason}; set another one, or 0 for a free one`]);
  }
}

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

/** The same for SMTP; this client encrypts without a look at the throw-away certificate. */
const pythonLine = (port: number): string =>
  `python3 -c "import smtplib; s = smtplib.SMTP('localhost', ${port}); s.starttls(); s.login('sandbox#31337', '${SANDBOX_TOKEN}'); s.sendmail('support@ifaxin.com', 'ben@ifaxin.com', 'Subject: Hello by SMTP\\n\\nHello'); s.quit()"`;

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

Or by SMTP, on port ${postern.smtpPort}:
${pythonLine(postern.smtpPort ?? 0)}

See it arrive:
curl -sS http://localhost:${postern.port}/sandbox/messages/1`);
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    console.error(error instanceof ConfigError ? error.message : error);
    process.exit(1);
  });
}
