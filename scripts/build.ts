/**
 * Builds into `dist/` what the published package holds, since Node strips no types below node_modules: the gateway with
 * its sandbox as `npx postern` starts it, and the client with its types.
 */

import { execFileSync } from 'node:child_process';
import { cpSync, globSync, rmSync } from 'node:fs';
import { join } from 'node:path';

rmSync('dist', { recursive: true, force: true });
for (const project of ['tsconfig.build.json', 'tsconfig.types.json']) {
  execFileSync(process.execPath, ['node_modules/tsc/bin/tsc', '--project', project], { stdio: 'inherit' });
}
// What the sandbox serves as it is; fails where a compiled file has the name.
for (const file of globSync('src/**/*.*', { exclude: ['**/*.{ts,tsx}'] }))
  cpSync(file, join('dist', file), { errorOnExist: true, force: false });
