/** `npm run hook`: what a hook's author sees. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);

test('a hook is rendered to the terminal and to a file, and nothing is sent', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-hook-'));
  try {
    await writeFile(join(folder, 'payload.json'), '{"level":"warn","text":"Disk <full>"}');
    const hook = {
      name: 'disk',
      scheme: 'bearer',
      secret: 'a-secret-of-the-disk',
      from: 'alerts@ifaxin.com',
      to: 'ops@ifaxin.com',
      template: { subject: '[{{ payload.level }}] {{ payload.text }}', html: '<p>{{ payload.text }}</p>' },
    };
    const env = {
      PATH: process.env.PATH,
      SENDCLOUD_API_USER: 'ifaxin',
      SENDCLOUD_API_KEY: 'the-key',
      GATEWAY_TOKENS: 'a-token-for-the-tests',
      HOOKS: JSON.stringify([hook]),
    };
    const script = resolve('scripts/hook.ts');
    const { stdout } = await run(process.execPath, [script, 'disk', 'payload.json'], { cwd: folder, env });
    expect(stdout).toContain('"subject": "[warn] Disk <full>"');
    expect(stdout).not.toContain(hook.secret);
    expect(await readFile(join(folder, 'disk.html'), 'utf8')).toBe('<p>Disk &lt;full&gt;</p>');
    const missing = run(process.execPath, [script, 'other', 'payload.json'], { cwd: folder, env });
    await expect(missing).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there are: disk'),
    });
    const { SENDCLOUD_API_USER: _, SENDCLOUD_API_KEY: __, GATEWAY_TOKENS: ___, ...without } = env;
    const unset = run(process.execPath, [script, 'disk', 'payload.json'], { cwd: folder, env: without });
    await expect(unset).rejects.toMatchObject({
      stderr: expect.stringMatching(/^The settings are wrong:\n {2}SENDCLOUD_API_USER: missing[^\n]*\n$/),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
