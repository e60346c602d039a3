/**
 * After an installation: keeps of the pinned Node the program and not its 62 MB of headers. Where the program cannot
 * run (a Linux with musl) it goes altogether, and the npm scripts find the machine's own Node.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const folder = `${modules}node-linux-${process.arch}`;

if (existsSync(folder)) {
  const runs = spawnSync(`${folder}/bin/node`, ['--version']).status === 0;
  const surplus = runs ? [`${folder}/include`, `${folder}/share`] : [folder, `${modules}.bin/node`];
  for (const path of surplus) rmSync(path, { recursive: true, force: true });
}
