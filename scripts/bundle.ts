/**
 * Builds what would be deployed to Workers and to Lambda, says what each dependency weighs, and fails where a
 * bundle is over its ceiling or holds what belongs to Node alone. Part of `npm run check`.
 */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { LAMBDA_BUILD } from './lambda-build.ts';

/** Gzipped, as a Worker is uploaded; a function's zip is as large as its packer's compression makes it. */
const CEILING_BYTES = 166_000;

/** The SMTP door, the metrics and the sandbox are Node's, and so is what only they need. */
const { optionalDependencies } = JSON.parse(await readFile('package.json', 'utf8'));
const NODES_ALONE = ['smtp-server', 'swagger-ui-dist', ...Object.keys(optionalDependencies)];
const UNUSED = '@upstash/core-analytics';
const FORBIDDEN = new RegExp(
  `^src/(?:smtp|sandbox|metrics)/|node_modules/(?:${[...NODES_ALONE, UNUSED].join('|')})/`,
);

/** The functions of serverless.yml. */
const FUNCTIONS = { gateway: 'src/runtime/lambda.ts', outbox: 'src/runtime/lambda-outbox.ts' };

interface Bundle {
  readonly name: string;
  readonly packedBytes: number;
  readonly metafile: Metafile;
}

const folder = await mkdtemp(join(tmpdir(), 'postern-bundle-'));
try {
  const bundles = await Promise.all([bundleWorker(), bundleFunctions()]);
  for (const bundle of bundles.flat()) report(bundle);
} finally {
  await rm(folder, { recursive: true });
}

async function bundleWorker(): Promise<Bundle> {
  const outdir = join(folder, 'worker');
  await run('wrangler/bin/wrangler.js', ['deploy', '--dry-run', '--outdir', outdir, '--metafile'], {
    WRANGLER_SEND_METRICS: 'false',
  });
  return {
    name: 'Worker',
    packedBytes: gzipSync(await readFile(join(outdir, 'worker.js'))).length,
    metafile: JSON.parse(await readFile(join(outdir, 'bundle-meta.json'), 'utf8')),
  };
}

async function bundleFunctions(): Promise<Bundle[]> {
  const packed = join(folder, 'lambda');
  // Unset, serverless.yml would ask AWS for the secrets.
  const secrets = { SENDCLOUD_API_KEY: '', GATEWAY_TOKENS: '', UPSTASH_REDIS_REST_TOKEN: '' };
  await run('serverless/bin/serverless.js', ['package', '--package', packed], {
    ...secrets,
    SLS_TELEMETRY_DISABLED: '1',
    POSTERN_BUILD_FOLDER: relative('.', join(folder, 'build')),
  });
  return Promise.all(
    Object.entries(FUNCTIONS).map(async ([name, entryPoint]) => {
      // serverless-esbuild keeps its metafile to itself, so the parts come from a build of the same options.
      const { metafile, outputFiles } = await build({
        ...LAMBDA_BUILD,
        entryPoints: [entryPoint],
        metafile: true,
        write: false,
      });
      const packedBytes = outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0);
      return { name: `Lambda ${name}`, packedBytes, metafile };
    }),
  );
}

function report({ name, packedBytes, metafile }: Bundle): void {
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
  const weights = new Map<string, number>();
  for (const [path, { bytesInOutput }] of inputs) {
    const owner = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? 'postern';
    weights.set(owner, (weights.get(owner) ?? 0) + bytesInOutput);
  }

  console.log(
    `${name}: ${kilobytes(packedBytes)} of ${kilobytes(CEILING_BYTES)} kB gzipped; minified, in kB:`,
  );
  const heaviest = [...weights].filter(([, bytes]) => bytes >= 100).sort(([, a], [, b]) => b - a);
  for (const [owner, bytes] of heaviest) console.log(`  ${kilobytes(bytes).padStart(6)}  ${owner}`);

  if (packedBytes > CEILING_BYTES) fail(`${name}: over its ceiling.`);
  const forbidden = inputs.map(([path]) => path).filter((path) => FORBIDDEN.test(path));
  if (forbidden.length > 0) fail(`${name}: holds ${forbidden.join(', ')}.`);
}

function fail(problem: string): void {
  console.error(problem);
  process.exitCode = 1;
}

async function run(
  script: string,
  args: readonly string[],
  environment: Record<string, string>,
): Promise<void> {
  const env = { ...process.env, ...environment };
  await promisify(execFile)(process.execPath, [join('node_modules', script), ...args], { env });
}

function kilobytes(bytes: number): string {
  return (bytes / 1000).toFixed(1);
}
