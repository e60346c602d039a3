/** A Worker's environment: settings and secrets as on every runtime, and the bindings of wrangler.toml. */

import hooks from '../../../hooks.json' with { type: 'json' };
import { type Config, ConfigError, parseConfig } from '../../config.ts';
import type { Bindings } from './bindings.ts';

/** Settings are strings, or whatever TOML made of them. */
export type Environment = Bindings & Readonly<Record<string, unknown>>;

/** An idle connection is dropped before upstream's own time-out; while one is open its object stays in memory. */
export const IDLE_MS = 60_000;

export interface WorkerConfig extends Config {
  /** Durable Objects among which one login's messages are spread. */
  readonly shards: number;
}

/** Cloudflare lets no Worker connect to port 25. */
const BLOCKED_PORT = 25;
/** A message travels to its Durable Object in one call, and a call takes 32 MiB with all that is around it. */
const MOST_MESSAGE_BYTES = 30_000_000;
const DEFAULTS = { connections: 5, ports: '587,2525', outbox: 'on', hooks };
const DEFAULT_SHARDS = '4';

/** @throws {ConfigError} with all that is wrong, what only Workers know included */
export function readSettings(environment: Environment): WorkerConfig {
  const settings = textsOf(environment);
  const shards = settings.DELIVERY_SHARDS || DEFAULT_SHARDS;
  const problems: string[] = [];
  if (!/^[1-9]\d?$/.test(shards)) problems.push('DELIVERY_SHARDS: expected a whole number from 1 to 99');
  if (settings.SMTP_PORTS?.split(',').some((port) => Number(port) === BLOCKED_PORT)) {
    problems.push(`SMTP_PORTS: Workers cannot connect to port ${BLOCKED_PORT}; leave it out`);
  }
  if (Number(settings.MAX_MESSAGE_BYTES) > MOST_MESSAGE_BYTES) {
    problems.push(
      `MAX_MESSAGE_BYTES: at most ${MOST_MESSAGE_BYTES} on Workers, since a call to a Durable Object takes 32 MiB`,
    );
  }
  try {
    const config = parseConfig(settings, DEFAULTS);
    if (problems.length === 0) return { ...config, shards: Number(shards) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.unshift(...error.problems);
  }
  throw new ConfigError(problems);
}

/** `vars` in wrangler.toml may be numbers, and ACCOUNTS an array; bindings are objects and stay out. */
function textsOf(environment: Environment): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (typeof value === 'string') texts[name] = value;
    else if (typeof value === 'number' || Array.isArray(value)) texts[name] = JSON.stringify(value);
  }
  return texts;
}
