/** `npm start` as a process: the sandbox as a newcomer meets it, wrong settings, and an end that loses nothing. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MESSAGE, TOKEN } from '../support/postern.ts';
import { startUpstream } from '../support/upstream.ts';

const run = promisify(execFile);

interface Started {
  readonly child: ChildProcess;
  /** What it has written so far, both outputs together. */
  readonly output: () => string;
  /** Waits for a line of the output and gives its first group. */
  readonly line: (pattern: RegExp) => Promise<string>;
  readonly exit: Promise<number | null>;
}

function startProcess(environment: Record<string, string>): Started {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, ['src/runtime/node.ts'], {
    env: { PATH, PORT: '0', SMTP_DOOR_PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  const heard = () =>
    Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), once(child, 'exit')]);
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  return {
    child,
    output: () => output,
    async line(pattern) {
      for (;;) {
        const found = pattern.exec(output)?.[1];
        if (found !== undefined) return found;
        if (child.exitCode !== null) throw new Error(`It ended:\n${output}`);
        await heard();
      }
    },
    exit: once(child, 'exit').then(([code]) => code as number | null),
  };
}

describe('npm start', () => {
  it('prints a curl line that works as printed, and shows the message that arrived', async () => {
    const started = startProcess({});
    const curl = await started.line(/^(curl .*\/v1\/messages .*)$/m);
    const look = await started.line(/^(curl .*\/sandbox\/messages.*)$/m);

    const { stdout } = await run('bash', ['-c', curl]);
    expect(JSON.parse(stdout)).toMatchObject({ label: 31337, accepted: ['ben@ifaxin.com'] });

    const arrived = JSON.parse((await run('bash', ['-c', look])).stdout);
    expect(arrived).toMatchObject({
      login: { apiUser: 'sandbox', label: 31337 },
      envelope: { from: 'support@ifaxin.com', to: ['ben@ifaxin.com'] },
      attachments: [{ contentId: '<image1>', contentType: 'image/png' }],
    });
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(0);
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
    const started = startProcess(environment as unknown as Record<string, string>);
    expect(await started.exit).toBe(1);
    expect(started.output()).toContain(line);
    expect(started.output()).not.toContain('    at ');
  });

  it('on SIGTERM takes no new request, ends what is in flight, and says QUIT', async () => {
    const upstream = await startUpstream({ faults: [{ at: 'dot', delayMs: 1000 }] });
    const folder = await mkdtemp(join(tmpdir(), 'postern-'));
    onTestFinished(async () => {
      await upstream.close();
      await rm(folder, { recursive: true });
    });
    await writeFile(join(folder, 'ca.pem'), upstream.ca);
    const started = startProcess({
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      SENDCLOUD_API_USER: 'ifaxin',
      SENDCLOUD_API_KEY: 'the-key',
      GATEWAY_TOKENS: TOKEN,
      SMTP_HOST: 'localhost',
      SMTP_PORTS: String(upstream.port),
      SMTP_DOOR_PORT: '',
    });
    const url = `http://127.0.0.1:${await started.line(/"port":(\d+)/)}/v1/messages`;
    const post = () =>
      fetch(url, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
        body: JSON.stringify(MESSAGE),
      });

    const inFlight = post();
    while (!upstream.transactions.some(({ message }) => message !== null)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    started.child.kill('SIGTERM');
    const response = await inFlight;
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ accepted: ['ben@ifaxin.com'] });
    await expect(post()).rejects.toThrow();
    expect(await started.exit).toBe(0);
    expect(upstream.sessions[0]?.dialogue.map((line) => line.text)).toContain('C: QUIT');
  });
});
