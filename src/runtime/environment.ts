/** The settings of a process: its environment, and what a `.env` beside it adds. */

import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { ConfigError, type Environment, namesNoAccount } from '../config.ts';

/**
 * `environment` with what `.env` in the working directory sets beside it; a variable of the environment wins.
 *
 * @throws {ConfigError} where the file is there and cannot be read, or names no account: then the sandbox would
 *   start in place of what it is there for
 */
export function readEnvironment(environment: Environment): Environment {
  let text: string;
  try {
    text = readFileSync('.env', 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return environment;
    throw new ConfigError([`.env: the file cannot be read (${code})`]);
  }
  // An empty variable counts as unset.
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const settings = { ...parseEnv(text), ...set };
  if (namesNoAccount(settings)) {
    throw new ConfigError([
      '.env: names no account; set SENDCLOUD_API_USER, SENDCLOUD_API_KEY and GATEWAY_TOKENS there, or ACCOUNTS. ' +
        'The sandbox starts where there is no such file.',
    ]);
  }
  return settings;
}
