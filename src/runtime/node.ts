/** Postern on Node: opens its doors, and ends without losing a message. */

import { on, once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server, ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import type { Certificate } from '../certificate.ts';
import { clientAddress, forwardedPrefix } from '../client-address.ts';
import {
  type Config,
  ConfigError,
  type Environment,
  namesNoAccount,
  parseConfig,
  withoutSecrets,
} from '../config.ts';
import { createDeliverer } from '../deliver.ts';
import type { Readiness } from '../http/app.ts';
import type { BodyReader } from '../http/body.ts';
import type { Context } from '../http/context.ts';
import { createLog } from '../log.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { metricsRoutes } from '../metrics/routes.ts';
import { MOST_UPSTREAM_SOCKETS, Pool } from '../relay/pool.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { readCertificate } from '../smtp/certificate.ts';
import { createSmtpDoor } from '../smtp/door.ts';
import { doorSockets, upstreamSockets } from './descriptors.ts';
import { createGateway } from './gateway.ts';
import { createBoundedServer } from './http-connections.ts';
import { logWriter } from './log-writer.ts';
import { openOutbox } from './outbox.ts';
import { watchProcess } from './process-metrics.ts';
import { withQueuedKeys } from './queued-keys.ts';
import { referenceFiles } from './reference-files.ts';
import { SANDBOX_HOOKS, surroundingsOf } from './sandbox-console.ts';
import { createStores } from './stores.ts';

/** A running gateway. */
export interface Postern {
  readonly port: number;
  /** Where the SMTP door listens; null where it is not open. */
  readonly smtpPort: number | null;
  /** The same with TLS from the first byte. */
  readonly smtpsPort: number | null;
  readonly sandbox: Sandbox | null;
  /** What `/readyz` reports. */
  ready(): Promise<Readiness>;
  /**
   * Reads accounts, tokens and certificates anew, without dropping a connection; wrong settings go to the log and
   * change nothing.
   *
   * @param read - the settings as they are now; may throw a `ConfigError`
   */
  reload(read: () => Environment): Promise<void>;
  /** Takes no new request, lets those in flight end within the deadline, says QUIT upstream. */
  close(): Promise<void>;
}

export const NODE_DEFAULTS = { connections: 5, ports: '587,2525,25', outbox: 'data/outbox.db' };
export const SANDBOX_TOKEN = 'sandbox-token-for-development';
const SANDBOX_SMTP_DOOR_PORT = '2525';
/** The sandbox's token is public and its inbox asks for none, so its doors open to this machine alone. */
const SANDBOX_HOST = '127.0.0.1';

/** An idle connection is dropped before a server's or a NAT's own time-out, in milliseconds. */
const IDLE_MS = 60_000;

/** A client's idle connection is kept for longer than load balancers keep theirs, which is 60 s as a rule. */
const KEEP_ALIVE_MS = 75_000;

/** Most sockets of each door, and to upstream, where the process may have as many. */
const MOST_HTTP_SOCKETS = 2000;
const MOST_SMTP_SOCKETS = 540;

/** How often requests that take too long to arrive are looked for; Node's own 30 s would be longer than they may. */
const LATE_REQUESTS_MS = 500;

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
  const read = (settings: Environment): Config =>
    parseConfig(sandbox ? settingsOf(sandbox, settings) : settings, NODE_DEFAULTS, (path) =>
      readFileSync(path, 'utf8'),
    );
  const [config, certificate] = await both(
    (async () => read(environment))(),
    certificateOf(sandbox ? settingsOf(sandbox, environment) : environment, sandbox),
  );
  const log = createLog(config.logLevel, writeLog);

  const pool = new Pool({
    ...config.smtp,
    upstream: upstreamOf(config, sandbox),
    idleMs: IDLE_MS,
    sockets: upstreamSockets(MOST_UPSTREAM_SOCKETS),
  });
  const stores = createStores(config, log);
  const metrics = config.metricsToken === null ? null : createMetrics(() => gateway.accounts());
  const drawn = metrics?.counted(stores.quota) ?? stores.quota;
  const quota = sandbox?.counted(drawn, config.quota.limit) ?? drawn;
  const deliverer = createDeliverer({ relay: pool, quota });
  const outbox =
    config.outbox &&
    openOutbox(config.outbox, config, {
      deliver: deliverer.deliver,
      accounts: () => gateway.accounts(),
      emit: (event) => gateway.emit(event),
      observe: (failed) => gateway.readiness.observe(failed),
      log,
    });
  const gateway = await createGateway(config, {
    ...stores,
    // Redis keeps the keys of queued messages itself.
    idempotency:
      outbox && !config.redis ? withQueuedKeys(stores.idempotency, outbox.outbox) : stores.idempotency,
    ready: async () => ({ ...(await stores.ready()), ...(await outbox?.ready()) }),
    quota,
    deliverer,
    log,
    observe(event) {
      metrics?.observe(event);
      sandbox?.observe(event);
    },
    greeting: (signal) => pool.greeting(signal),
    bodyReader: incomingBody,
    clientAddress: (c) => addressOf(c, config),
    prefix: (c) => forwardedPrefix(peerOf(c), c.req.header('X-Forwarded-Prefix'), config.trustedProxies),
    outbox,
    referenceUi: 'docs/',
    deadlineMs: () => config.deadlineMs,
  });
  const { app } = gateway;
  app.route('/docs', referenceFiles());
  if (sandbox) {
    app.route('/sandbox', sandbox.routes);
    app.route('/', sandbox.console(await surroundingsOf(config, { quota, outbox, token: SANDBOX_TOKEN })));
  }
  const stopWatching = metrics && watchProcess(metrics.registry);
  if (metrics && config.metricsToken !== null) {
    metrics.watchQuota(stores.quota);
    metrics.watchPool(() => pool.stats());
    if (outbox) metrics.watchOutbox(() => outbox.outbox.depth());
    app.route('/metrics', metricsRoutes(metrics.registry, config.metricsToken));
  }

  const host = config.host ?? undefined;
  // What never leaves this machine needs no TLS, and a client that cannot check the certificate gets in.
  const clearAuth = sandbox !== null;
  const smtpDoor =
    certificate &&
    createSmtpDoor({
      ...gateway,
      ...config,
      accounts: gateway.accounts,
      certificate,
      clearAuth,
      sockets: doorSockets(MOST_SMTP_SOCKETS),
      log,
    });
  const { port: plainPort, tlsPort } = config.smtpDoor ?? { port: null, tlsPort: null };
  const smtpPort =
    smtpDoor && plainPort !== null
      ? await listen('SMTP_DOOR_PORT', plainPort, (wanted) => smtpDoor.listen(wanted, host))
      : null;
  const smtpsPort =
    smtpDoor && tlsPort !== null
      ? await listen('SMTPS_DOOR_PORT', tlsPort, (wanted) => smtpDoor.listenTls(wanted, host))
      : null;
  const serverOptions: ServerOptions = {
    // For a request to arrive, header and body: 408 then (RFC 9110 section 15.5.9).
    requestTimeout: config.deadlineMs,
    connectionsCheckingInterval: LATE_REQUESTS_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  const server = createBoundedServer(
    {
      most: doorSockets(MOST_HTTP_SOCKETS),
      trustedProxies: config.trustedProxies,
      readingMs: config.deadlineMs,
    },
    serverOptions,
    getRequestListener(app.fetch),
  );
  const port = await listen('PORT', config.port, async (wanted) => {
    await once(server.listen(wanted, host), 'listening');
    return (server.address() as AddressInfo).port;
  });
  outbox?.wake();
  log.info('settings', withoutSecrets(config));
  log.info('listening', { host: config.host, port, smtpPort, smtpsPort, sandbox: sandbox !== null });

  return {
    port,
    smtpPort,
    smtpsPort,
    sandbox,
    ready: gateway.readiness.ready,
    async reload(readSettings) {
      try {
        const { accounts, smtpDoor: door } = read(readSettings());
        if (door?.files) smtpDoor?.renew(await readCertificate(door.files));
        gateway.updateAccounts(accounts);
        log.info('reloaded', { accounts: accounts.map(({ apiUser }) => apiUser) });
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        log.error('not reloaded', { problems: error.problems });
      }
    },
    async close() {
      log.info('closing');
      sandbox?.hangUp();
      await Promise.all([closeServer(server, config.deadlineMs), smtpDoor?.close(), outbox?.stop()]);
      await outbox?.close();
      await pool.close();
      await sandbox?.close();
      stopWatching?.();
      log.info('closed');
    },
  };
}

/** The sandbox is an upstream of its own: a setting that names another one is left over from elsewhere. */
async function openSandbox(environment: Environment): Promise<Sandbox> {
  const foreign = ['SMTP_HOST', 'SMTP_PORTS', 'SMTP_SERVERNAME', 'OUTBOX'].filter(
    (name) => environment[name],
  );
  if (foreign.length > 0) {
    throw new ConfigError(foreign.map((name) => `${name}: set without an account; the sandbox has its own`));
  }
  // Loaded here alone: no deployment has it, nor what it needs.
  const { startSandbox } = await import('../sandbox/sandbox.ts');
  return startSandbox({ host: environment.HOST || null });
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
  OUTBOX: ':memory:',
  HOST: environment.HOST || SANDBOX_HOST,
  SMTP_DOOR_PORT: environment.SMTP_DOOR_PORT || SANDBOX_SMTP_DOOR_PORT,
  CORS_ORIGINS: environment.CORS_ORIGINS || '*',
  ...(!environment.HOOKS && !environment.HOOKS_FILE && { HOOKS: SANDBOX_HOOKS }),
});

const upstreamOf = ({ smtp }: Config, sandbox: Sandbox | null) => ({
  host: smtp.host,
  servername: smtp.servername,
  ...(sandbox && { ca: sandbox.ca }),
});

/** The body as it arrives: over the streams of fetch, reading would cost a seventh of a message of 150 KB. */
function incomingBody(c: Context): BodyReader | null {
  const { incoming } = c.env as unknown as HttpBindings;
  if (incoming.readableDidRead) return null;
  // Refused before it was asked for, a body stays with its client.
  const isAwaited = /^100-continue$/i.test(c.req.header('Expect') ?? '') && incoming.readableLength === 0;
  if (isAwaited && c.finalized) return null;
  // A stream that was closed before, while a login took its time, says so no more.
  const wasClosed = incoming.destroyed;
  const parts = on(incoming, 'data', { close: ['end', 'close'], highWaterMark: 4 });
  return {
    async read() {
      const part = wasClosed ? null : await parts.next();
      if (part && part.done !== true) return { done: false, value: part.value[0] };
      if (!incoming.readableEnded) throw new Error('The client has gone.');
      return { done: true };
    },
    cancel: async () => parts.return?.(),
  };
}

const peerOf = (c: Context): string => getConnInfo(c).remote.address ?? '';

const addressOf = (c: Context, { trustedProxies }: Config): string =>
  clientAddress(
    peerOf(c),
    { forwarded: c.req.header('Forwarded'), xForwardedFor: c.req.header('X-Forwarded-For') },
    trustedProxies,
  );

/** @throws {ConfigError} with all that is wrong with either */
async function both<One, Other>(one: Promise<One>, other: Promise<Other>): Promise<[One, Other]> {
  const problems: string[] = [];
  for (const done of await Promise.allSettled([one, other])) {
    if (done.status === 'fulfilled') continue;
    if (!(done.reason instanceof ConfigError)) throw done.reason;
    problems.push(...done.reason.problems);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return Promise.all([one, other]);
}

/**
 * The certificate of the SMTP door; null where that is not open.
 *
 * @throws {ConfigError} where the settings name no certificate, or one that cannot be read
 */
async function certificateOf(settings: Environment, sandbox: Sandbox | null): Promise<Certificate | null> {
  const { SMTP_DOOR_PORT, SMTPS_DOOR_PORT, SMTP_DOOR_CERT: cert, SMTP_DOOR_KEY: key } = settings;
  if (!SMTP_DOOR_PORT && !SMTPS_DOOR_PORT) return null;
  if (cert && key) return readCertificate({ cert, key });
  // One without the other has its own problem.
  if (cert || key) return null;
  if (sandbox) return sandbox.certificate;
  throw new ConfigError(
    ['SMTP_DOOR_CERT', 'SMTP_DOOR_KEY'].map(
      (name) => `${name}: missing, and needed for the SMTP door; name a PEM file`,
    ),
  );
}

/** @throws {ConfigError} where the port is unavailable */
async function listen(
  setting: string,
  port: number,
  open: (port: number) => Promise<number>,
): Promise<number> {
  try {
    return await open(port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new ConfigError([`HOST: not an address of this machine (${code})`]);
    }
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
