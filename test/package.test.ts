/**
 * The package as npm would publish it: what is in it, what its types and exports resolve to, and that the client, the
 * transport and the gateway run from it. With PACK=install npm itself installs it, which asks the registry.
 */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ROOT, startChild } from './support/child.ts';
import { startPostern, TOKEN } from './support/postern.ts';

const run = promisify(execFile);
const manifest = JSON.parse(await readFile('package.json', 'utf8'));

const folder = await mkdtemp(join(tmpdir(), 'postern-package-'));
afterAll(() => rm(folder, { recursive: true }));

let tarball: string;
let files: readonly string[];

beforeAll(async () => {
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: ROOT });
  const packed = JSON.parse(stdout) as PackReport[] | Record<string, PackReport>;
  const [report] = Object.values(packed);
  if (!report) throw new Error(stdout);
  tarball = join(folder, report.filename);
  files = report.files.map(({ path }) => path);
  await (process.env.PACK === 'install' ? installByNpm() : unpack());
}, 300_000);

interface PackReport {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** The folder of an app that depends on the package and on nodemailer. */
const app = join(folder, 'app');
const modules = join(app, 'node_modules');

/** As npm would lay it out, with the dependencies of this clone: needs no network. */
async function unpack(): Promise<void> {
  await mkdir(join(modules, 'postern'), { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', join(modules, 'postern'), '--strip-components=1']);
  const { dependencies, optionalDependencies } = manifest;
  const development = ['nodemailer', '@types/node'];
  for (const name of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...development]) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  await writeFile(join(app, 'package.json'), '{"type": "module"}');
}

async function installByNpm(): Promise<void> {
  await mkdir(app);
  await writeFile(join(app, 'package.json'), '{"type": "module"}');
  const { nodemailer, '@types/node': types } = manifest.devDependencies;
  const development = [`nodemailer@${nodemailer}`, `@types/node@${types}`];
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball, ...development], {
    cwd: app,
  });
}

describe('the package', () => {
  test('holds what it runs on, and nothing else', () => {
    const top = new Set(files.map((path) => path.split('/')[0]));
    expect([...top].toSorted()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json']);
    // The deployed runtimes are built from a clone.
    const foreign = /(?<!\.d)\.tsx?$|test|bench|dist\/src\/runtime\/(?:worker|cloudflare|lambda)/;
    expect(files.filter((path) => foreign.test(path))).toEqual([]);
    expect(files).toContain('dist/src/sandbox/sandbox.js');
  });

  test('holds every file that the sandbox serves as it is', async () => {
    const { stdout } = await run('git', ['ls-files', 'src'], { cwd: ROOT });
    const served = stdout.split('\n').filter((path) => path !== '' && !/\.tsx?$/.test(path));
    for (const path of served) expect(files).toContain(`dist/${path}`);
  });

  test('brings no script, no Node, and no tool of development', () => {
    const { scripts, dependencies, optionalDependencies } = manifest;
    // `prepare` runs in a clone, and for none who installs the package.
    const atInstallation = ['preinstall', 'install', 'postinstall'];
    expect(Object.keys(scripts).filter((name) => atInstallation.includes(name))).toEqual([]);
    expect(Object.keys({ ...dependencies, ...optionalDependencies }).join(' ')).not.toMatch(/node-linux/);
  });

  test('is what publint asks for', async () => {
    const { buffer } = new Uint8Array(await readFile(tarball));
    const { messages, pkg } = await publint({ pack: { tarball: buffer }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  test('has types that resolve as its code does', async () => {
    const data = new Uint8Array(await readFile(tarball));
    const analysis = await checkPackage(createPackageFromTarballData(data));
    if (!analysis.types) throw new Error('it has no types');
    // ES modules alone: `require` takes them from Node 20.19 on. TypeScript's oldest resolution knows no exports.
    const expected = ['CJSResolvesToESM'];
    const problems = analysis.problems.filter(
      (problem) =>
        !expected.includes(problem.kind) &&
        !('resolutionKind' in problem && problem.resolutionKind === 'node10'),
    );
    expect(problems).toEqual([]);
  });
});

describe('an app', () => {
  test.each([
    ['node16', 'node16', 'es2023'],
    ['esnext', 'bundler', 'es2022,dom'],
  ])('compiles with module %s, resolution %s and lib %s', async (module, moduleResolution, lib) => {
    await writeFile(join(app, 'app.ts'), APP);
    await writeFile(join(app, 'client.ts'), snippets('Send', 'When it fails'));
    await writeFile(join(app, 'mailer.ts'), snippets('nodemailer'));
    const options = { module, moduleResolution, lib, target: 'es2022', types: 'node' };
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--noEmit', '--skipLibCheck', 'false'];
    const tsc = join(ROOT, 'node_modules/tsc/bin/tsc');
    const compiled = run(process.execPath, [tsc, ...flags, ...strict, 'app.ts', 'client.ts', 'mailer.ts'], {
      cwd: app,
    });
    expect((await compiled.catch((error) => error)).stdout).toBe('');
  });

  test('sends by the client and by nodemailer, as a module and by require', async () => {
    await using postern = await startPostern();
    await writeFile(join(app, 'app.ts'), APP);
    await writeFile(join(app, 'app.cjs'), REQUIRING);
    const env = { ...process.env, POSTERN_URL: postern.url, POSTERN_TOKEN: TOKEN };
    for (const file of ['app.ts', 'app.cjs']) {
      await run(process.execPath, [file], { cwd: app, env });
    }
    expect(postern.upstream.taken.map(({ message }) => /^Subject: (.*)\r$/m.exec(`${message}`)?.[1])).toEqual(
      ['By the client', 'By nodemailer', 'By require'],
    );
  });

  test('has nothing else at the root: the name is the program', () => {
    const require = createRequire(join(app, 'app.ts'));
    expect(() => require.resolve('postern')).toThrow(/ERR_PACKAGE_PATH_NOT_EXPORTED|exports/);
    expect(require.resolve('postern/package.json')).toBe(join(modules, 'postern/package.json'));
  });

  test('starts the gateway with its sandbox, whose curl line works as printed', async () => {
    const { bin } = JSON.parse(await readFile(join(modules, 'postern/package.json'), 'utf8'));
    const launcher = join(modules, 'postern', bin.postern);
    expect((await run(process.execPath, [launcher, '--version'])).stdout).toBe(`${manifest.version}\n`);
    const settings = { PORT: '0', SMTP_DOOR_PORT: '0' };
    const ready = /^ +Java .*$/m;
    const postern = await (process.env.PACK === 'install'
      ? startChild({ program: 'npx', command: ['postern'], cwd: app, environment: settings, ready })
      : startChild({
          command: [launcher],
          cwd: app,
          environment: settings,
          ready,
        }));
    onTestFinished(async () => void (await postern.close()));
    const [curl = '', look = ''] = postern.output().match(/^curl .*$/gm) ?? [];
    const sent = JSON.parse((await run('bash', ['-c', curl])).stdout);
    expect(sent).toMatchObject({ label: 31337, accepted: ['ben@ifaxin.com'] });
    const arrived = JSON.parse((await run('bash', ['-c', look])).stdout);
    expect(arrived).toMatchObject({ attachments: [{ contentId: '<image1>', contentType: 'image/png' }] });
  });
});

const page = await readFile('docs/client.md', 'utf8');

/** The code below these headings of docs/client.md, with what stands around it in an app. */
function snippets(...headings: readonly string[]): string {
  const sections = headings.map((heading) => page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '');
  const code = sections.flatMap((section) => [...section.matchAll(/```ts\n([\s\S]*?)```/g)]);
  if (code.length === 0) throw new Error(`docs/client.md has no code below ${headings.join(', ')}`);
  return [AROUND, ...code.map(([, text]) => text)].join('\n');
}

const AROUND = `import { readFile } from 'node:fs/promises';
import type { SendMailOptions } from 'nodemailer';
import type { Message } from 'postern/client';
import type { PosternMail } from 'postern/nodemailer';

declare const token: string, from: string, to: string, subject: string, text: string, html: string;
declare const idempotencyKey: string;
declare const attachments: NonNullable<SendMailOptions['attachments']>;
declare const message: Message;
`;

const APP = `import { createTransport } from 'nodemailer';
import { createClient, type Message, PosternError, type Receipt } from 'postern/client';
import { postern } from 'postern/nodemailer';

const gateway = { url: process.env.POSTERN_URL ?? '', token: process.env.POSTERN_TOKEN ?? '' };
const mail = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', text: 'Hi' };
const message: Message = { ...mail, subject: 'By the client' };
const receipt: Receipt = await createClient(gateway).send(message, { idempotencyKey: 'order-17' });
receipt.accepted satisfies readonly string[];
const refused: unknown = await createClient(gateway)
  .send({ ...message, to: 'ben' })
  .catch((error: unknown) => error);
if (!(refused instanceof PosternError)) throw refused;
if (refused.code !== 'invalid-message') throw refused;
// @ts-expect-error there is no such code
if (refused.code === 'invalid-massage') throw refused;
// @ts-expect-error a message has a subject
const wrong: Message = { from: 'support@ifaxin.com' };
const sent = await createTransport(postern(gateway)).sendMail({ ...mail, subject: 'By nodemailer' });
sent.receipt.id satisfies string;
void wrong;
`;

const REQUIRING = `const { createClient } = require('postern/client');
const { POSTERN_URL: url, POSTERN_TOKEN: token } = process.env;
const message = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'By require', text: 'Hi' };
createClient({ url, token }).send(message).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
`;
