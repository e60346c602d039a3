import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../support/child.ts';

const FOLDER = `node_modules/node-linux-${process.arch}`;

/** An installation with a program for Node, in which the script has run. */
async function installed(put: (program: string) => Promise<void>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'postern-pinned-'));
  onTestFinished(() => rm(root, { recursive: true }));
  for (const part of ['bin', 'include', 'share']) await mkdir(join(root, FOLDER, part), { recursive: true });
  await put(join(root, FOLDER, 'bin/node'));
  await cp(join(ROOT, 'scripts/pinned-node.mjs'), join(root, 'scripts/pinned-node.mjs'));
  execFileSync(process.execPath, [join(root, 'scripts/pinned-node.mjs')]);
  return root;
}

const works = (program: string) => symlink(process.execPath, program);

test('the pinned Node is linked where npm has taken the link away, and keeps its program alone', async () => {
  const root = await installed(works);
  expect(execFileSync(join(root, 'node_modules/.bin/node'), ['--version']).toString().trim()).toBe(
    process.version,
  );
  expect(await readdir(join(root, FOLDER))).toEqual(['bin']);
  // Again, as a second installation does, over a link that leads nowhere.
  await rm(join(root, 'node_modules/.bin/node'));
  await symlink('../nowhere', join(root, 'node_modules/.bin/node'));
  execFileSync(process.execPath, [join(root, 'scripts/pinned-node.mjs')]);
  expect(execFileSync(join(root, 'node_modules/.bin/node'), ['--version']).toString().trim()).toBe(
    process.version,
  );
});

test('one that cannot run here goes altogether', async () => {
  const root = await installed((program) => writeFile(program, 'no program', { mode: 0o755 }));
  expect(await readdir(join(root, 'node_modules'))).toEqual([]);
});
