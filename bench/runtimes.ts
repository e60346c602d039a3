/** A cold and a warm message on each runtime, to an upstream that is 50 ms away. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLambda } from '../test/support/lambda.ts';
import { startProxy } from '../test/support/proxy.ts';
import { bundleWorker, startWorker } from '../test/support/worker.ts';
import { startContender, startSink } from './child.ts';
import { MESSAGE } from './contenders/message.ts';
import { median, table } from './report.ts';

const ONE_WAY_MS = 25;

/** Logins, each of which is cold once. */
const LOGINS = 5;
const WARM_PER_LOGIN = 4;

const TOKEN = 'a-token-for-the-bench';

interface Started {
  readonly url: string;
  close(): Promise<void>;
}

interface Sample {
  readonly roundTrips: number;
  readonly milliseconds: number;
  /** Of them within the gateway, by its own Server-Timing. */
  readonly within: number;
}

export async function measureRuntimes(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-runtimes-'));
  const sink = await startSink();
  const ca = await readFile(sink.caFile, 'utf8');
  const bundle = await bundleWorker(folder);
  const settings = (port: number) => ({
    SENDCLOUD_API_USER: 'ifaxin',
    SENDCLOUD_API_KEY: 'the-key',
    GATEWAY_TOKENS: TOKEN,
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(port),
  });
  const runtimes: { title: string; start: (port: number) => Promise<Started> }[] = [
    {
      title: 'Node',
      async start(port) {
        const child = await startContender('postern', port, sink.caFile);
        return { url: `http://127.0.0.1:${child.port}`, close: () => child.end() };
      },
    },
    {
      title: 'Workers (workerd, a Durable Object)',
      start: (port) => startWorker(bundle, settings(port), ca),
    },
    { title: 'Lambda (serverless offline)', start: (port) => startLambda(settings(port), ca) },
  ];

  const rows: string[][] = [];
  for (const { title, start } of runtimes) {
    const proxy = await startProxy({ host: '127.0.0.1', port: sink.port, delayMs: ONE_WAY_MS });
    const runtime = await start(proxy.port);
    const { cold, warm, idle } = await measure(runtime.url, proxy);
    rows.push([title, ...cells(cold), ...cells(warm), `${median(idle).toFixed(0)} ms`]);
    await runtime.close();
    await proxy.close();
  }
  await sink.end();
  await rm(folder, { recursive: true });
  const head = [
    '',
    'cold: round trips',
    'time',
    'within',
    'warm: round trips',
    'time',
    'within',
    'GET /healthz',
  ];
  return table(head, rows);
}

async function measure(url: string, proxy: { readonly roundTrips: number }) {
  const cold: Sample[] = [];
  const warm: Sample[] = [];
  /** What the local tool around the runtime takes for any request. */
  const idle: number[] = [];
  const sample = async (label: number): Promise<Sample> => {
    const before = proxy.roundTrips;
    const start = performance.now();
    const within = await post(url, label);
    return { milliseconds: performance.now() - start, within, roundTrips: proxy.roundTrips - before };
  };
  // The runtime's own start is another measurement.
  await sample(1000);
  for (let label = 1; label <= LOGINS; label++) {
    cold.push(await sample(label));
    for (let sent = 0; sent < WARM_PER_LOGIN; sent++) {
      warm.push(await sample(label));
      const start = performance.now();
      await (await fetch(`${url}/healthz`)).arrayBuffer();
      idle.push(performance.now() - start);
    }
  }
  return { cold, warm, idle };
}

async function post(url: string, label: number): Promise<number> {
  const response = await fetch(`${url}/v1/messages`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...MESSAGE, label }),
  });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
  return Number(/total;dur=([\d.]+)/.exec(response.headers.get('Server-Timing') ?? '')?.[1]);
}

const cells = (samples: readonly Sample[]): string[] => [
  `${median(samples.map(({ roundTrips }) => roundTrips))}`,
  `${median(samples.map(({ milliseconds }) => milliseconds)).toFixed(0)} ms`,
  `${median(samples.map(({ within }) => within)).toFixed(0)} ms`,
];
