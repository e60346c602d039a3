/** `npm start` as a process: the sandbox as a newcomer meets it, wrong settings, and an end that loses nothing. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runToEnd, startChild } from '../support/child.ts';
import { MESSAGE, TOKEN } from '../support/postern.ts';
import { startUpstream } from '../support/upstream.ts';

const run = promisify(execFile);
const COMMAND = ['src/runtime/node.ts'] as const;

describe('npm start', () => {
  it('prints a curl line that works as printed, and shows the message that arrived', async () => {
    const postern = await startChild({
      command: COMMAND,
      environment: { PORT: '0', SMTP_DOOR_PORT: '0' },
      ready: /^curl .*\/sandbox\/messages.*$/m,
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
    expect(await postern.close()).toBe(0);
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
    const ended = runToEnd(COMMAND, settings).catch((error: { code: number; stderr: string }) => error);
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining(line) });
    expect(await ended).not.toMatchObject({ stderr: expect.stringMatching(/^ +at /m) });
  });

  it('on SIGTERM takes no new request, ends what is in flight, and says QUIT', async () => {
    const upstream = await startUpstream({ faults: [{ at: 'dot', delayMs: 1000 }] });
    const folder = await mkdtemp(join(tmpdir(), 'postern-'));
    onTestFinished(async () => {
      await upstream.close();
      await rm(folder, { recursive: true });
    });
    await writeFile(join(folder, 'ca.pem'), upstream.ca);
    const postern = await startChild({
      command: COMMAND,
      environment: {
        NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
        SENDCLOUD_API_USER: 'ifaxin',
        SENDCLOUD_API_KEY: 'the-key',
        GATEWAY_TOKENS: TOKEN,
        SMTP_HOST: 'localhost',
        SMTP_PORTS: String(upstream.port),
        PORT: '0',
      },
      ready: /"port":(\d+)/,
    });
    const url = `http://127.0.0.1:${postern.announced}/v1/messages`;
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
    const ended = postern.close();
    const response = await inFlight;
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ accepted: ['ben@ifaxin.com'] });
    await expect(post()).rejects.toThrow();
    expect(await ended).toBe(0);
    expect(upstream.sessions[0]?.dialogue.map((line) => line.text)).toContain('C: QUIT');
  });
});
