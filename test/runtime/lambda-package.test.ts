import { exec } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../support/child.ts';

test('README’s line packages the function without an AWS account', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const lines = readme.match(/^ {4}.*npx serverless package$/gm) ?? [];
  expect(lines).toHaveLength(1);

  // Its own HOME, where no credentials are.
  const home = await mkdtemp(join(tmpdir(), 'postern-package-'));
  onTestFinished(() => rm(home, { recursive: true }));
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    SLS_TELEMETRY_DISABLED: '1',
    AWS_EC2_METADATA_DISABLED: 'true',
    POSTERN_BUILD_FOLDER: relative(ROOT, join(home, 'build')),
  };
  await promisify(exec)(`${lines[0]}`, { cwd: ROOT, env });

  const written = await readFile(join(ROOT, '.serverless/cloudformation-template-update-stack.json'), 'utf8');
  expect(JSON.parse(written)).toMatchObject({
    Resources: { GatewayLambdaFunction: { Properties: { Runtime: 'nodejs24.x' } } },
  });
});
