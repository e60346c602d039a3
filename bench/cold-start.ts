/** From the start of a process to its first 200: the function's bundle beside the least that sends mail. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { LAMBDA_BUILD } from '../scripts/lambda-build.ts';
import { startSink } from './child.ts';
import { MESSAGE } from './contenders/message.ts';
import { median, table } from './report.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ROUNDS = 21;
const TOKEN = 'a-token-for-the-bench';

const FUNCTIONS = [
  { title: 'Hono + nodemailer, bare', entry: './bench/contenders/bare-lambda.ts' },
  { title: 'Postern', entry: './src/runtime/lambda.ts' },
];

/** One event of an HTTP API. */
const EVENT = {
  version: '2.0',
  rawPath: '/v1/messages',
  rawQueryString: '',
  headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
  requestContext: { domainName: 'localhost', http: { method: 'POST', sourceIp: '127.0.0.1' } },
  body: JSON.stringify(MESSAGE),
  isBase64Encoded: false,
};

/** What Lambda does with a function's module, once. */
const invokerOf = (entry: string) => `
  import { handler } from '${entry}';
  const result = await handler(${JSON.stringify(EVENT)}, { getRemainingTimeInMillis: () => 29000 });
  process.exit(result.statusCode === 200 ? 0 : 1);`;

export async function measureColdStart(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-cold-'));
  const sink = await startSink();
  const environment = {
    ...process.env,
    NODE_EXTRA_CA_CERTS: sink.caFile,
    BENCH_SMTP_PORT: String(sink.port),
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(sink.port),
    SENDCLOUD_API_USER: 'ifaxin',
    SENDCLOUD_API_KEY: 'the-key',
    GATEWAY_TOKENS: TOKEN,
  };
  const contenders = await Promise.all(
    FUNCTIONS.map(async ({ title, entry }, index) => {
      const file = join(folder, `${index}.mjs`);
      const stdin = { contents: invokerOf(entry), resolveDir: ROOT };
      await build({ ...LAMBDA_BUILD, stdin, outfile: file });
      return { title, file, bytes: (await stat(file)).size, times: [] as number[] };
    }),
  );

  for (let round = 0; round < ROUNDS; round++) {
    for (const { title, file, times } of contenders) {
      const start = performance.now();
      const child = spawn(process.execPath, [file], { env: environment, stdio: 'ignore' });
      const [code] = await once(child, 'exit');
      if (code !== 0) throw new Error(`${title} did not answer 200`);
      times.push(performance.now() - start);
    }
  }
  await sink.end();
  await rm(folder, { recursive: true });

  const bare = median(contenders[0]?.times ?? []);
  const rows = contenders.map(({ title, bytes, times }) => [
    title,
    `${(bytes / 1000).toFixed(0)} kB`,
    `${median(times).toFixed(0)} ms`,
    `${(median(times) / bare).toFixed(2)} ×`,
  ]);
  return table(['', 'bundle', 'to the first 200', 'of the bare one'], rows);
}
