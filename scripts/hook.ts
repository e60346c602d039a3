/**
 * `npm run hook -- NAME payload.json [header=value …]`: the mail that a hook makes of a payload, without sending it.
 * Some services say in a header what happened: `x-github-event=push`.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { type Config, ConfigError, parseConfig } from '../src/config.ts';
import { previewOf } from '../src/hooks/door.ts';
import { parseHooks } from '../src/hooks/hook.ts';
import { readEnvironment } from '../src/runtime/environment.ts';
import { NODE_DEFAULTS } from '../src/runtime/node.ts';

const [name, file, ...given] = process.argv.slice(2);
if (name === undefined || file === undefined)
  fail('Usage: npm run hook -- NAME payload.json [header=value …]');

const config = settings();
const parsed = await parseHooks(config.hooks ?? '[]', config.accounts);
if ('problems' in parsed) fail(parsed.problems.join('\n'));
const hook = parsed.hooks.get(name);
if (!hook) fail(`No hook is called ${name}; there are: ${[...parsed.hooks.keys()].join(', ') || 'none'}`);

const headers = Object.fromEntries(
  given.map((pair) => [pair.split('=', 1)[0]?.toLowerCase() ?? '', pair.slice(pair.indexOf('=') + 1)]),
);
const preview = await previewOf(hook, readFileSync(file), headers);
if (preview === null) {
  console.log('Skipped: this payload makes no mail.');
} else {
  const { text, html, ...rest } = preview;
  console.log(`${JSON.stringify(rest, null, 2)}\n\n${text ?? ''}`);
  if (html !== undefined) {
    writeFileSync(`${name}.html`, String(html));
    console.log(`\nThe HTML is in ${name}.html.`);
  }
}

function settings(): Config {
  try {
    return parseConfig(readEnvironment(process.env), NODE_DEFAULTS, (path) => readFileSync(path, 'utf8'));
  } catch (error) {
    return fail(error instanceof ConfigError ? error.message : String(error));
  }
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
