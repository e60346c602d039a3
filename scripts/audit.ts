/**
 * Fails where a package that is deployed has a known vulnerability. A registry that gives no answer, as mirrors
 * without npm's audit endpoint do, is no failure and no clean bill: it is said.
 */

import { spawnSync } from 'node:child_process';

interface Report {
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string; readonly range: string }>>;
  readonly message?: string;
}

const { stdout, error } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8' });
const report = parse(stdout);
const found = report.vulnerabilities && Object.entries(report.vulnerabilities);

if (!found) {
  console.log(`npm audit: NOT CHECKED, the registry gave no answer: ${report.message ?? error ?? stdout}`);
} else if (found.length === 0) {
  console.log('npm audit: no known vulnerability in what is deployed.');
} else {
  for (const [name, { severity, range }] of found) console.error(`npm audit: ${severity}: ${name} ${range}`);
  process.exitCode = 1;
}

function parse(json: string): Report {
  try {
    return JSON.parse(json) as Report;
  } catch {
    return {};
  }
}
