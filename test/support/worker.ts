/** Postern in workerd, as `wrangler dev` runs it: the Worker's own bundle, bindings and Durable Objects. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runToEnd, startChild } from './child.ts';

export interface RunningWorker {
  readonly url: string;
  /** Of wrangler, whose group workerd is in. */
  readonly pid: number;
  /** What the Worker and wrangler have written so far. */
  output(): string;
  close(): Promise<void>;
  /** Ends it at once; what its objects stored stays where `storage` is. */
  kill(): Promise<void>;
}

const WRANGLER = 'node_modules/wrangler/bin/wrangler.js';

/** Nothing of a test asks the network. */
const OFFLINE = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
};

/**
 * Writes the bundle that would be deployed into `folder`; several workers may run it.
 *
 * @param main - the name of the config's entry file
 */
export async function bundleWorker(
  folder: string,
  config = 'wrangler.toml',
  main = 'worker',
): Promise<string> {
  await runToEnd([WRANGLER, 'deploy', '--dry-run', '--config', config, '--outdir', folder], {
    ...OFFLINE,
    WRANGLER_LOG_PATH: folder,
  });
  return join(folder, `${main}.js`);
}

/**
 * @param bundle - from `bundleWorker`
 * @param ca - PEM of the authority that workerd is to trust
 * @param storage - the folder of its objects' storage; null for one that ends with it
 */
export async function startWorker(
  bundle: string,
  settings: Readonly<Record<string, string>>,
  ca: string,
  config = 'wrangler.toml',
  storage: string | null = null,
): Promise<RunningWorker> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-worker-'));
  await writeFile(join(folder, 'ca.pem'), ca);
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`);
  // Instead of the developer's own .dev.vars.
  await writeFile(join(folder, 'settings.env'), lines.join(''));
  const child = await startChild({
    command: [
      WRANGLER,
      ...['dev', bundle, '--no-bundle', '--config', config],
      ...['--env-file', join(folder, 'settings.env'), '--persist-to', storage ?? folder],
      ...['--ip', '127.0.0.1', '--port', '0', '--inspector-port', '0', '--local'],
      ...['--show-interactive-dev-session', 'false'],
    ],
    environment: {
      ...OFFLINE,
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      WRANGLER_LOG_PATH: folder,
    },
    ready: /Ready on (http:\S+)/,
  });
  return {
    url: child.announced,
    pid: child.pid,
    output: child.output,
    async close() {
      await child.close();
      await rm(folder, { recursive: true });
    },
    async kill() {
      child.kill();
      await child.close();
      await rm(folder, { recursive: true });
    },
  };
}
