/** Postern on a local Lambda: `serverless offline` with the function's own bundle and the events of an HTTP API. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ROOT, startChild } from './child.ts';

export interface RunningLambda {
  readonly url: string;
  /** What the function and serverless have written so far. */
  output(): string;
  close(): Promise<void>;
}

const SERVERLESS = 'node_modules/serverless/bin/serverless.js';

/** serverless.yml asks AWS for the secrets that the environment does not name. */
const NO_SECRETS = {
  SENDCLOUD_API_KEY: '',
  GATEWAY_TOKENS: '',
  UPSTASH_REDIS_REST_TOKEN: '',
  // Offline, the queue and the bucket of serverless.yml have no names.
  OUTBOX: 'off',
  SLS_TELEMETRY_DISABLED: '1',
  SLS_NOTIFICATIONS_MODE: 'off',
};

/** @param ca - PEM of the authority that the function is to trust */
export async function startLambda(
  settings: Readonly<Record<string, string>>,
  ca: string,
): Promise<RunningLambda> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-lambda-'));
  await writeFile(join(folder, 'ca.pem'), ca);
  const [httpPort, lambdaPort, albPort] = await freePorts(3);
  const child = await startChild({
    command: [
      SERVERLESS,
      ...['offline', '--noSponsor', '--host', '127.0.0.1'],
      ...['--httpPort', `${httpPort}`, '--lambdaPort', `${lambdaPort}`, '--albPort', `${albPort}`],
    ],
    environment: {
      ...NO_SECRETS,
      ...settings,
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      // Several of them may build at once.
      POSTERN_BUILD_FOLDER: relative(ROOT, join(folder, 'build')),
    },
    ready: /Server ready: (http:\S+)/,
  });
  return {
    url: child.announced.replace(/\/$/, ''),
    output: child.output,
    async close() {
      await child.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** serverless-offline prints the port that it was told, so it must be told one that is free. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const { port } = server.address() as { port: number };
      await new Promise((resolve) => server.close(resolve));
      return port;
    }),
  );
}
