#!/usr/bin/env node
/** Starts Postern, or says in a sentence why it cannot. In JavaScript that a Node too old for the rest still reads. */

import { createRequire } from 'node:module';

const USAGE = `Usage: postern [--help | --version]

Starts the gateway, or without an account its sandbox. It is set up by environment variables, which
it reads from a file .env as well: docs/settings.md has all of them.`;

const [argument] = process.argv.slice(2);
const [major, minor] = process.versions.node.split('.').map(Number);

if (argument === '--help') {
  console.log(USAGE);
} else if (argument === '--version') {
  console.log(createRequire(import.meta.url)('postern/package.json').version);
} else if (argument !== undefined) {
  stop(`There is no argument ${argument}.\n\n${USAGE}`);
} else if (major < 22 || (major === 22 && minor < 18)) {
  stop(
    `Postern needs Node 22.18 or newer, and this is ${process.version}. ` +
      'Install Node 24; a clone has it on Linux after "npm ci --omit=dev", and "npm start" uses it.',
  );
} else {
  // It asks for a reload, and during the start it must not end the process.
  const hangUps = [];
  process.on('SIGHUP', (signal) => hangUps.push(signal));
  import('../src/runtime/main.ts').then(({ main }) => main(hangUps)).catch(stopWithout);
}

/** A package that is not there is the installation's fault; anything else is a bug, and shows where. */
function stopWithout(error) {
  const [, name] = /^Cannot find package '([^']+)'/.exec(error.message) || [];
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !name) throw error;
  stop(
    `The package ${name.replace(/.*\/node_modules\//, '')} is not installed: run "npm ci --omit=dev" first.`,
  );
}

function stop(sentence) {
  console.error(sentence);
  process.exitCode = 1;
}
