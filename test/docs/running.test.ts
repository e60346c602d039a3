/** docs/running.md and the Dockerfile, tried as far as this machine can. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ROOT, startChild } from '../support/child.ts';
import { blocksOf } from '../support/markdown.ts';
import { authority, startPostern, TOKEN } from '../support/postern.ts';

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-docs-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

function missing(program: string, version: string): boolean {
  try {
    execFileSync(program, [version], { stdio: 'ignore' });
    return false;
  } catch {
    console.warn(`${program} is not installed, its test is left out.`);
    return true;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await promisify(server.close.bind(server))();
  return port;
}

/** The instructions of a Dockerfile, in order. */
function instructionsOf(text: string): { readonly name: string; readonly rest: string }[] {
  const lines = text.replaceAll('\\\n', ' ').split('\n');
  return lines
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => ({ name: line.split(' ')[0] ?? '', rest: line.slice(line.indexOf(' ') + 1) }));
}

/** Every stage is a folder, and an absolute path is one in it; users and ownership are left out. */
function build(dockerfile: string, context: string, folder: string) {
  const env: Record<string, string> = {};
  const stages = new Map<string, string>();
  let root = '';
  let workdir = '/';
  let command: string[] = [];
  let healthcheck: string[] = [];
  for (const { name, rest } of instructionsOf(dockerfile)) {
    const words = rest.split(/ +/);
    if (name === 'FROM') {
      root = join(folder, words[2] ?? 'final');
      stages.set(words[2] ?? 'final', root);
      mkdirSync(root);
    } else if (name === 'WORKDIR') {
      workdir = rest;
      mkdirSync(join(root, workdir), { recursive: true });
    } else if (name === 'ENV') {
      for (const pair of words) env[pair.split('=')[0] ?? ''] = pair.slice(pair.indexOf('=') + 1);
    } else if (name === 'COPY') {
      const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
      const [target = '', ...sources] = words.filter((word) => !word.startsWith('--')).reverse();
      const to = join(root, target.startsWith('/') ? target : join(workdir, target));
      for (const source of sources) {
        const origin = join(from ? (stages.get(from) as string) : context, source);
        cpSync(origin, target.endsWith('/') ? join(to, basename(source)) : to, { recursive: true });
      }
    } else if (name === 'RUN') {
      const line = rest.replaceAll(/(?<= )\/(?=\w)/g, `${root}/`);
      const quick = { npm_config_prefer_offline: 'true', npm_config_update_notifier: 'false' };
      execFileSync('sh', ['-c', line], {
        cwd: join(root, workdir),
        env: { ...process.env, ...env, ...quick },
      });
    } else if (name === 'CMD') command = JSON.parse(rest);
    else if (name === 'HEALTHCHECK') healthcheck = JSON.parse(rest.slice(rest.indexOf('[')));
    else if (!['USER', 'VOLUME', 'EXPOSE'].includes(name)) throw new Error(`What is ${name}?`);
  }
  for (const [name, value] of Object.entries(env)) if (value.startsWith('/')) env[name] = root + value;
  return { root, cwd: join(root, workdir), env, command, healthcheck };
}

describe('the Dockerfile', () => {
  it('leaves a gateway without tools and sandbox that starts, is healthy and ends by SIGTERM', async () => {
    const folder = await emptyFolder();
    const image = build(readFileSync('Dockerfile', 'utf8'), ROOT, folder);
    expect(readdirSync(image.root)).toEqual(['app', 'data']);
    expect(existsSync(join(image.cwd, 'src/sandbox'))).toBe(false);
    const { devDependencies, optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    // smtp-server has nodemailer with it.
    const { nodemailer, ...tools } = { ...devDependencies, ...optionalDependencies };
    expect(nodemailer).toBeDefined();
    for (const name of Object.keys(tools)) {
      expect([name, existsSync(join(image.cwd, 'node_modules', name))]).toEqual([name, false]);
    }

    const [program, ...args] = image.command;
    expect(program).toBe('node');
    const environment = {
      ...image.env,
      SENDCLOUD_API_USER: 'ifaxin',
      SENDCLOUD_API_KEY: 'the-key',
      GATEWAY_TOKENS: TOKEN,
      SMTP_HOST: 'localhost',
      SMTP_PORTS: String(await freePort()),
      PORT: String(await freePort()),
    };
    const health = () =>
      new Promise((resolve) => {
        const [, ...rest] = image.healthcheck;
        const env = { PATH: process.env.PATH, PORT: environment.PORT };
        spawn(process.execPath, rest, { env }).once('exit', resolve);
      });
    expect(await health()).toBe(1);
    const gateway = await startChild({
      command: args as [string],
      cwd: image.cwd,
      environment,
      ready: /"event":"listening"/,
    });
    onTestFinished(async () => void (await gateway.close()));
    expect(await health()).toBe(0);
    expect(await gateway.close()).toBe(0);
  });

  it('copies what .dockerignore lets through', () => {
    const allowed = readFileSync('.dockerignore', 'utf8').match(/(?<=^!).*/gm) ?? [];
    const copied = instructionsOf(readFileSync('Dockerfile', 'utf8'))
      .filter(({ name, rest }) => name === 'COPY' && !rest.includes('--from'))
      .flatMap(({ rest }) => rest.split(/ +/).slice(0, -1));
    expect(copied.toSorted()).toEqual(allowed.toSorted());
  });
});

describe('nginx, as the page has it', () => {
  const { code: block = '' } = blocksOf('docs/running.md').find(({ language }) => language === 'nginx') ?? {};

  it.skipIf(missing('nginx', '-v') || missing('curl', '--version'))(
    'stops a guesser, and serves another client, who sends a large message',
    async () => {
      const folder = await emptyFolder();
      const { cert, key } = await authority.issue();
      for (const [name, text] of Object.entries({
        'cert.pem': cert,
        'key.pem': key,
        'ca.pem': authority.cert,
      })) {
        await writeFile(join(folder, name), text);
      }
      await using postern = await startPostern({ TRUSTED_PROXIES: '127.0.0.1', METRICS_TOKEN: TOKEN });
      const port = await freePort();
      const server = block
        .replace('server 127.0.0.1:8080;', `server 127.0.0.1:${postern.port};`)
        .replace('listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`)
        .replace(/ssl_certificate .*;/, `ssl_certificate ${folder}/cert.pem;`)
        .replace(/ssl_certificate_key .*;/, `ssl_certificate_key ${folder}/key.pem;`);
      const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
      const temporary = paths.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n');
      const outer = `daemon off; master_process off; pid ${folder}/pid; error_log stderr;\nevents {}`;
      await writeFile(join(folder, 'conf'), `${outer}\nhttp {\naccess_log off;\n${temporary}\n${server}\n}`);
      const nginx: ChildProcess = spawn('nginx', ['-p', folder, '-c', 'conf'], { stdio: 'ignore' });
      onTestFinished(() => void nginx.kill());

      const ask = (client: string, ...args: string[]) => {
        const common = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', join(folder, 'ca.pem')];
        const url = `https://localhost:${port}`;
        const [path = '', ...rest] = args;
        const all = [...common, '--interface', client, url + path, ...rest];
        return new Promise<string>((resolve) => {
          const curl = spawn('curl', all);
          curl.stdout.on('data', (status) => resolve(String(status)));
        });
      };
      await expect.poll(() => ask('127.0.0.1', '/healthz')).toBe('200');

      const forged = ['-H', 'Forwarded: for=127.0.0.3', '-H', 'X-Forwarded-For: 127.0.0.3'];
      const guess = () => ask('127.0.0.2', '/v1/quota', '-u', 'ifaxin:wrong-password-0', ...forged);
      for (let i = 0; i < 10; i++) expect(await guess()).toBe('401');
      expect(await guess()).toBe('429');

      const text = 'x'.repeat(15_000_000);
      const message = { from: 'a@ifaxin.com', to: 'b@ifaxin.com', subject: 'Large', text };
      await writeFile(join(folder, 'message'), JSON.stringify(message));
      const send = ['/v1/messages', '-u', `ifaxin:${TOKEN}`, '-H', 'Content-Type: application/json'];
      expect(await ask('127.0.0.3', ...send, '-d', `@${join(folder, 'message')}`)).toBe('200');
      expect(await ask('127.0.0.3', '/metrics', '-H', `Authorization: Bearer ${TOKEN}`)).toBe('404');

      const clients = postern.logLines
        .map((line) => JSON.parse(line))
        .filter(({ clientAddress }) => clientAddress);
      expect(clients.map(({ event, clientAddress }) => `${event} ${clientAddress}`)).toEqual(
        expect.arrayContaining(['login refused 127.0.0.2', 'message 127.0.0.3']),
      );
    },
  );
});

it.skipIf(missing('systemd-analyze', '--version'))('the systemd unit is one', () => {
  const unit = 'docs/systemd/postern.service';
  // Verified where its program and folder need not be.
  const seen = execFileSync('sh', ['-c', `systemd-analyze verify ${unit} 2>&1 || true`], {
    encoding: 'utf8',
  });
  expect(
    seen.split('\n').filter((line) => line.includes('postern.service') && !line.includes('not executable')),
  ).toEqual([]);
});
