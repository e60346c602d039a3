import { exec } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { VISIBILITY_SECONDS } from '../support/aws.ts';
import { ROOT } from '../support/child.ts';

test('The command of docs/lambda.md packages the functions without an AWS account', {
  timeout: 120_000,
}, async () => {
  const page = await readFile(join(ROOT, 'docs/lambda.md'), 'utf8');
  const lines = page.match(/^.*npx serverless package$/gm) ?? [];
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
  const { Resources } = JSON.parse(written) as { Resources: Record<string, { Properties: unknown }> };
  const propertiesOf = <T = object>(name: string) => Resources[name]?.Properties as T;
  expect(propertiesOf('GatewayLambdaFunction')).toMatchObject({ Runtime: 'nodejs24.x' });
  const { Timeout } = propertiesOf<{ Timeout: number }>('OutboxLambdaFunction');
  // AWS asks for six times the function's time-out.
  expect(propertiesOf('OutboxQueue')).toMatchObject({ VisibilityTimeout: 6 * Timeout });
  expect(VISIBILITY_SECONDS).toBe(6 * Timeout);
  expect(propertiesOf('OutboxEventSourceMappingSQSOutboxQueue')).toMatchObject({
    FunctionResponseTypes: ['ReportBatchItemFailures'],
  });
  // What waits has no tag, and waits for 30 days and the attempts after them.
  const { LifecycleConfiguration } = propertiesOf<{
    LifecycleConfiguration: { Rules: { TagFilters?: object[]; ExpirationInDays: number }[] };
  }>('OutboxBucket');
  const [byTag, byAge] = LifecycleConfiguration.Rules;
  expect(byTag).toMatchObject({ TagFilters: [{ Key: 'postern', Value: 'ended' }], ExpirationInDays: '7' });
  expect(byAge?.TagFilters).toBeUndefined();
  expect(byAge?.ExpirationInDays).toBeGreaterThanOrEqual(30 + 30);
});
