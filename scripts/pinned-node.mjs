/**
 * After an installation: keeps of the pinned Node the program and not its 62 MB of headers. Where the program cannot
 * run (a Linux with musl) it goes altogether, and the npm scripts find the machine's own Node. npm 10, which comes with
 * Node 20, takes the link to the program away together with the package of the other architecture: then it is put back.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const modules = fileURLToPath(new URL('../node_modules/', import.meta.url));
const folder = `${modules}node-linux-${process.arch}`;

if (existsSync(folder)) {
  const runs = spawnSync(`${folder}/bin/node`, ['--version']).status === 0;
  const link = `${modules}.bin/node`;
  const surplus = runs ? [`${folder}/include`, `${folder}/share`] : [folder, link];
  for (const path of surplus) rmSync(path, { recursive: true, force: true });
  if (runs && !existsSync(link)) {
    rmSync(link, { force: true });
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(`${folder}/bin/node`, link);
  }
}
