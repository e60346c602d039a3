import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { LAMBDA_BUILD } from '../../scripts/lambda-build.ts';
import { ROOT } from '../support/child.ts';
import { authority } from '../support/postern.ts';
import { startUpstream } from '../support/upstream.ts';
import { bundleWorker, startWorker } from '../support/worker.ts';

/** A checkout whose owner has written a hook into `hooks.json`. */
let checkout: string;

beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'postern-hooks-'));
  const copied = ['src', 'scripts', 'package.json', 'wrangler.toml'];
  await Promise.all(copied.map((name) => cp(join(ROOT, name), join(checkout, name), { recursive: true })));
  await symlink(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  const hook = {
    name: 'ci',
    scheme: 'bearer',
    secret: `\${CI_SECRET}`,
    from: 'ci@ifaxin.com',
    to: 'team@ifaxin.com',
    mode: 'now',
    template: { subject: 'Build {{ payload.build }}', text: 'It is ready.' },
  };
  await writeFile(join(checkout, 'hooks.json'), JSON.stringify([hook]));
  return () => rm(checkout, { recursive: true });
});

const REQUEST = {
  method: 'POST',
  headers: { Authorization: 'Bearer the-secret-of-ci', 'Content-Type': 'application/json' },
  body: '{"build":7}',
};

async function settings() {
  const upstream = await startUpstream({ certificate: await authority.issue() });
  onTestFinished(() => upstream.close());
  return {
    upstream,
    environment: {
      SENDCLOUD_API_USER: 'ifaxin',
      SENDCLOUD_API_KEY: 'the-key',
      GATEWAY_TOKENS: 'a-token-for-the-tests',
      SMTP_HOST: 'localhost',
      SMTP_PORTS: String(upstream.port),
      CI_SECRET: 'the-secret-of-ci',
    },
  };
}

test('a Worker has the hooks of its hooks.json', { timeout: 60_000 }, async () => {
  const { upstream, environment } = await settings();
  const config = join(checkout, 'wrangler.toml');
  const bundle = await bundleWorker(join(checkout, 'bundle'), config);
  const worker = await startWorker(bundle, environment, authority.cert);
  onTestFinished(() => worker.close());
  const answered = await fetch(`${worker.url}/v1/hooks/ci`, REQUEST);
  expect(await answered.json()).toMatchObject({ accepted: ['team@ifaxin.com'] });
  expect(String(upstream.taken[0]?.message)).toContain('Subject: Build 7');
});

test('a Lambda has the hooks of its hooks.json', { timeout: 60_000 }, async () => {
  const { upstream, environment } = await settings();
  const outfile = join(checkout, 'lambda.mjs');
  await build({ ...LAMBDA_BUILD, entryPoints: [join(checkout, 'src/runtime/lambda.ts')], outfile });
  const { createHandler } = await import(/* @vite-ignore */ pathToFileURL(outfile).href);
  const event = {
    version: '2.0',
    routeKey: '$default',
    rawPath: '/v1/hooks/ci',
    rawQueryString: '',
    headers: { host: 'gateway.example', ...REQUEST.headers },
    requestContext: {
      http: { method: 'POST', path: '/v1/hooks/ci', protocol: 'HTTP/1.1', sourceIp: '192.0.2.1' },
      domainName: 'gateway.example',
      stage: '$default',
    },
    body: REQUEST.body,
    isBase64Encoded: false,
  };
  const answered = await createHandler({ ...environment, OUTBOX: 'off', LOG_LEVEL: 'error' })(event, {
    getRemainingTimeInMillis: () => 20_000,
  });
  expect(JSON.parse(answered.body)).toMatchObject({ accepted: ['team@ifaxin.com'] });
  expect(String(upstream.taken[0]?.message)).toContain('Subject: Build 7');
});
