/** `npm start` as a process: the sandbox as a newcomer meets it, wrong settings, signals, an end that loses nothing. */

import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ROOT, runToEnd, startChild } from '../support/child.ts';
import { authority, MESSAGE, TOKEN } from '../support/postern.ts';
import { startUpstream, type UpstreamOptions } from '../support/upstream.ts';

const run = promisify(execFile);
const LAUNCHER = join(ROOT, 'bin/postern.mjs');

/** A working directory of its own: a developer's `.env` is not the test's. */
async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-process-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

/** A deployment: an upstream, and a gateway before it that writes its log to the output. */
async function startDeployed(
  settings: Readonly<Record<string, string>> = {},
  options: UpstreamOptions & { cwd?: string } = {},
) {
  const { cwd = await emptyFolder(), ...upstreamOptions } = options;
  const upstream = await startUpstream({ certificate: await authority.issue(), ...upstreamOptions });
  await writeFile(join(cwd, 'ca.pem'), authority.cert);
  const postern = await startChild({
    command: [LAUNCHER],
    cwd,
    environment: {
      NODE_EXTRA_CA_CERTS: join(cwd, 'ca.pem'),
      SENDCLOUD_API_USER: 'ifaxin',
      SENDCLOUD_API_KEY: 'the-key',
      GATEWAY_TOKENS: TOKEN,
      SMTP_HOST: 'localhost',
      SMTP_PORTS: String(upstream.port),
      PORT: '0',
      OUTBOX: 'off',
      ...settings,
    },
    ready: /"event":"listening".*"port":(\d+)/,
  });
  onTestFinished(async () => {
    await postern.close();
    await upstream.close();
  });
  const post = (token = TOKEN) =>
    fetch(`http://127.0.0.1:${postern.announced}/v1/messages`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(MESSAGE),
    });
  return { postern, upstream, post, cwd };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('an argument', () => {
  it('starts nothing: it asks for the usage or the version, or there is none of its name', async () => {
    const cwd = await emptyFolder();
    expect(await runToEnd([LAUNCHER, '--help'], {}, cwd)).toMatch(/^Usage: postern /);
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    expect(await runToEnd([LAUNCHER, '--version'], {}, cwd)).toBe(`${version}\n`);
    const refused = runToEnd([LAUNCHER, '--port=80'], {}, cwd);
    const stderr = expect.stringMatching(/^There is no argument --port=80\.\n\nUsage: postern /);
    await expect(refused).rejects.toMatchObject({ code: 1, stderr });
  });
});

describe('npm start', () => {
  it('prints a curl line that works as printed, and shows the message that arrived', async () => {
    const cwd = await emptyFolder();
    const postern = await startChild({
      command: [LAUNCHER],
      cwd,
      environment: { PORT: '0', SMTP_DOOR_PORT: '0' },
      ready: /^ +Java .*$/m,
    });
    onTestFinished(async () => void (await postern.close()));
    const [curl = '', look = ''] = postern.output().match(/^curl .*$/gm) ?? [];

    const { stdout } = await run('bash', ['-c', curl]);
    expect(JSON.parse(stdout)).toMatchObject({ label: 31337, accepted: ['ben@ifaxin.com'] });

    const arrived = JSON.parse((await run('bash', ['-c', look])).stdout);
    expect(arrived).toMatchObject({
      login: { apiUser: 'sandbox', label: 31337 },
      envelope: { from: 'support@ifaxin.com', to: ['ben@ifaxin.com'] },
      attachments: [{ contentId: '<image1>', contentType: 'image/png' }],
    });

    const [, caUrl = ''] = /(http\S+ca\.pem)/.exec(postern.output()) ?? [];
    const written = await readFile(join(cwd, 'data/sandbox-ca.pem'), 'utf8');
    expect(await (await fetch(caUrl)).text()).toBe(written);
    expect(postern.output()).toContain(`NODE_EXTRA_CA_CERTS=${cwd}/data/sandbox-ca.pem`);
    expect(await postern.close()).toBe(0);
  });

  it.each([
    ['whose reader has gone', '2> >(true)'],
    ['on a full disk', '2> /dev/full'],
  ])('goes on sending without a log %s', async (_, redirection) => {
    const cwd = await emptyFolder();
    const upstream = await startUpstream({ certificate: await authority.issue() });
    await writeFile(join(cwd, 'ca.pem'), authority.cert);
    const port = await freePort();
    // Its output says when the shell has started it: there is no log.
    const script = `echo started; exec '${process.execPath}' '${LAUNCHER}' ${redirection}`;
    const postern = await startChild({
      program: 'bash',
      command: ['-c', script],
      cwd,
      environment: {
        NODE_EXTRA_CA_CERTS: join(cwd, 'ca.pem'),
        SENDCLOUD_API_USER: 'ifaxin',
        SENDCLOUD_API_KEY: 'the-key',
        GATEWAY_TOKENS: TOKEN,
        SMTP_HOST: 'localhost',
        SMTP_PORTS: String(upstream.port),
        PORT: String(port),
        OUTBOX: 'off',
      },
      ready: /started/,
    });
    onTestFinished(async () => {
      await postern.close();
      await upstream.close();
    });
    const send = () =>
      fetch(`http://127.0.0.1:${port}/v1/messages`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
        body: JSON.stringify(MESSAGE),
      });
    await vi.waitFor(send, { timeout: 20_000, interval: 100 });
    for (let n = 0; n < 3; n++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect((await send()).status).toBe(200);
    }
  });

  it('hands SIGTERM on to the server', async () => {
    const cwd = await emptyFolder();
    for (const name of ['package.json', 'bin', 'src', 'node_modules']) {
      await symlink(join(ROOT, name), join(cwd, name));
    }
    const npm = await startChild({
      program: 'npm',
      command: ['start'],
      cwd,
      environment: { PORT: '0', SMTP_DOOR_PORT: '0' },
      ready: /"event":"listening".*"port":(\d+)/,
    });
    onTestFinished(async () => void (await npm.close()));
    npm.signal('SIGTERM');
    await npm.exited;
    expect(npm.output()).toContain('"event":"closing"');
    await expect(fetch(`http://127.0.0.1:${npm.announced}/healthz`)).rejects.toThrow();
  });

  it.each([
    ['in production without an account', { NODE_ENV: 'production' }, 'SENDCLOUD_API_USER: missing'],
    ['with half an account', { SENDCLOUD_API_USER: 'a' }, 'SENDCLOUD_API_KEY: missing'],
    [
      'with another upstream and no account',
      { SMTP_HOST: 'smtp.example.com' },
      'SMTP_HOST: set without an account',
    ],
    ['with a number that is none', { QUOTA_LIMIT: 'many' }, 'QUOTA_LIMIT: expected a whole number'],
  ])('refuses to start %s', async (_, environment, line) => {
    const settings: Record<string, string> = { PORT: '0', ...environment };
    const ended = runToEnd([LAUNCHER], settings, await emptyFolder()).catch((error) => error);
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining(line) });
    expect(await ended).not.toMatchObject({ stderr: expect.stringMatching(/^ +at /m) });
  });

  it('does not start the sandbox where a .env names no account', async () => {
    const cwd = await emptyFolder();
    await writeFile(join(cwd, '.env'), 'PORT=0\nSENDCLOUD_APIUSER=misspelt\n');
    const ended = runToEnd([LAUNCHER], {}, cwd).catch((error) => error);
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining('.env: names no account') });
  });

  it('says in a sentence which package is missing', async () => {
    const cwd = await emptyFolder();
    for (const name of ['package.json', 'bin', 'src']) {
      await run('cp', ['-r', join(ROOT, name), join(cwd, name)]);
    }
    const ended = runToEnd([join(cwd, 'bin/postern.mjs')], {}, cwd).catch((error) => error);
    expect(await ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^The package \S+ is not installed: run "npm ci --omit=dev" first\.\n$/),
    });
  });

  it('reads .env, where the environment wins, and secrets from files', async () => {
    const cwd = await emptyFolder();
    const secret = 'the-token-in-a-file-0';
    await writeFile(join(cwd, 'tokens'), `${secret}\n`);
    await writeFile(
      join(cwd, '.env'),
      `GATEWAY_TOKENS_FILE='${cwd}/tokens'\nLOG_LEVEL=silent\nMETRICS_TOKEN=a-token-for-the-metrics\n`,
    );
    const environment = { GATEWAY_TOKENS: '', LOG_LEVEL: 'info', METRICS_TOKEN: '' };
    const { post, postern } = await startDeployed(environment, { cwd });
    // An empty variable counts as unset.
    const headers = { Authorization: 'Bearer a-token-for-the-metrics' };
    const metrics = await fetch(`http://127.0.0.1:${postern.announced}/metrics`, { headers });
    expect(metrics.status).toBe(200);
    expect((await post(secret)).status).toBe(200);
    expect(postern.output()).not.toContain(secret);
  });

  it('says in the log at once that upstream refuses the api_key', async () => {
    const { postern } = await startDeployed({}, { accounts: { ifaxin: 'another-key' } });
    await expect.poll(postern.output).toMatch(/"event":"upstream login failed","apiUser":"ifaxin"/);
    expect(postern.output()).not.toContain('the-key');
    const { status, parts } = (await (
      await fetch(`http://127.0.0.1:${postern.announced}/readyz`)
    ).json()) as { status: string; parts: { credentials: string } };
    expect(status).toBe('not ready');
    expect(parts.credentials).toBe(
      'Upstream refused the configured credentials (1 of 1 accounts; the log names them).',
    );
  });

  it('on SIGHUP takes the tokens of today, and leaves what is in flight alone', async () => {
    const cwd = await emptyFolder();
    const [old, today] = ['the-token-of-yesterday', 'the-token-of-today-000'];
    await writeFile(join(cwd, 'tokens'), old);
    const settings = { GATEWAY_TOKENS: '', GATEWAY_TOKENS_FILE: join(cwd, 'tokens') };
    const { post, postern, upstream } = await startDeployed(settings, {
      cwd,
      faults: [{ at: 'dot', delayMs: 1000, times: 1 }],
    });
    const inFlight = post(old);
    await expect.poll(() => upstream.transactions.some(({ message }) => message !== null)).toBe(true);

    await writeFile(join(cwd, 'tokens'), 'short');
    postern.signal('SIGHUP');
    await expect.poll(postern.output).toContain('"event":"not reloaded"');
    await writeFile(join(cwd, 'tokens'), today);
    postern.signal('SIGHUP');
    await expect.poll(postern.output).toContain('"event":"reloaded"');

    expect((await post(today)).status).toBe(200);
    expect((await post(old)).status).toBe(401);
    expect((await inFlight).status).toBe(200);
  });

  it('is not ended by a SIGHUP during its start, and reloads after it', async () => {
    const cwd = await emptyFolder();
    const preload = join(cwd, 'hang-up.mjs');
    await writeFile(
      preload,
      `process.on('newListener', function hangUp(event) {
        if (event !== 'SIGHUP') return;
        process.off('newListener', hangUp);
        const isOpen = process.getActiveResourcesInfo().includes('TCPServerWrap');
        console.error(isOpen ? 'hung up late' : 'hung up early');
        process.kill(process.pid, 'SIGHUP');
      });`,
    );
    const { postern, post } = await startDeployed({ NODE_OPTIONS: `--import=${preload}` }, { cwd });
    expect(postern.output()).toContain('hung up early');
    await expect.poll(postern.output, { timeout: 10_000 }).toContain('"event":"reloaded"');
    expect((await post()).status).toBe(200);
  });

  it('on SIGHUP shows the certificate of today, and connections that stand go on', async () => {
    const cwd = await emptyFolder();
    const files = { SMTP_DOOR_CERT: join(cwd, 'cert.pem'), SMTP_DOOR_KEY: join(cwd, 'key.pem') };
    const renew = async () => {
      const { cert, key } = await authority.issue();
      await writeFile(files.SMTP_DOOR_CERT, cert);
      await writeFile(files.SMTP_DOOR_KEY, key);
      return new X509Certificate(cert).serialNumber;
    };
    const old = await renew();
    const { postern } = await startDeployed({ ...files, SMTPS_DOOR_PORT: '0' }, { cwd });
    const port = Number(/"smtpsPort":(\d+)/.exec(postern.output())?.[1]);
    const open = async () => {
      const socket = connect({ port, host: 'localhost', ca: authority.cert });
      onTestFinished(() => void socket.destroy());
      await once(socket, 'data');
      return socket;
    };
    const standing = await open();
    expect(standing.getPeerCertificate().serialNumber).toBe(old);

    const today = await renew();
    postern.signal('SIGHUP');
    await expect.poll(postern.output).toContain('"event":"reloaded"');
    expect((await open()).getPeerCertificate().serialNumber).toBe(today);
    standing.write('NOOP\r\n');
    const [answer] = await once(standing, 'data');
    expect(String(answer)).toMatch(/^250 /);
  });

  it('on SIGTERM takes no new request, ends what is in flight, and says QUIT', async () => {
    const { post, postern, upstream } = await startDeployed({}, { faults: [{ at: 'dot', delayMs: 1000 }] });
    const inFlight = post();
    await expect.poll(() => upstream.transactions.some(({ message }) => message !== null)).toBe(true);
    const ended = postern.close();
    const response = await inFlight;
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ accepted: ['ben@ifaxin.com'] });
    await expect(post()).rejects.toThrow();
    expect(await ended).toBe(0);
    expect(upstream.sessions[0]?.dialogue.map((line) => line.text)).toContain('C: QUIT');
  });
});
