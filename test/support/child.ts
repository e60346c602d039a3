/** A runtime as a child process: started, waited for, and ended without anything left behind. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { keepLog } from './logged.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Child {
  readonly pid: number;
  /** The first group of `ready` in what was written. */
  readonly announced: string;
  /** Everything written so far, both streams. */
  output(): string;
  /** The milliseconds from the start to the announcement. */
  readonly startMs: number;
  /** Sends a signal to the process that was started, and to it alone. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it at once, with all that it started. */
  kill(): void;
  /** Its exit code, once it has ended. */
  readonly exited: Promise<number | null>;
  /** Ends it by SIGTERM, by force after a while; its exit code, or null where that took force. */
  close(): Promise<number | null>;
}

/** Nothing of the developer's own settings, which would be read as the gateway's. */
const environmentOf = (environment: Readonly<Record<string, string>>) => ({
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  NO_COLOR: '1',
  CI: '1',
  ...environment,
});

/** Runs a script of the project with Node in `cwd`, the project's root if absent; rejects with its output when it fails. */
export async function runToEnd(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  cwd = ROOT,
): Promise<string> {
  const options = { cwd, env: environmentOf(environment), maxBuffer: 2 ** 26 };
  const { stdout } = await promisify(execFile)(process.execPath, [...command], options);
  return stdout;
}

/**
 * Runs a script of the project with Node and waits until it writes what `ready` matches.
 *
 * @throws Error with all that was written, when it ends before that
 */
export async function startChild(options: {
  /** Path from the project's root, and its arguments. */
  command: readonly [string, ...string[]];
  environment: Readonly<Record<string, string>>;
  ready: RegExp;
  /** The project's root, if absent. */
  cwd?: string;
  /** This Node, if absent. */
  program?: string;
}): Promise<Child> {
  const { command, environment, ready, cwd = ROOT, program = process.execPath } = options;
  const started = performance.now();
  const child = spawn(program, [...command], {
    cwd,
    env: environmentOf(environment),
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, since runtimes start processes of theirs.
    detached: true,
  });
  let output = '';
  let isReady = false;
  const { promise: announced, resolve, reject } = Promise.withResolvers<string>();
  const read = (chunk: string) => {
    output += chunk;
    // Searched until then alone: a long log would be, with each of its lines.
    const found = isReady ? null : ready.exec(output);
    if (!found) return;
    isReady = true;
    resolve(found[1] ?? '');
  };
  child.stdout.setEncoding('utf8').on('data', read);
  child.stderr.setEncoding('utf8').on('data', read);
  const exited = once(child, 'exit').then(([code]) => {
    reject(new Error(`${command.join(' ')} ended:\n${output}`));
    keepLog(command.join(' '), environment, output.match(/^\{"time":.*\}$/gm) ?? []);
    return code as number | null;
  });

  const signalGroup = (signal: NodeJS.Signals) => {
    try {
      if (child.pid) process.kill(-child.pid, signal);
    } catch {
      // It has gone already.
    }
  };
  // A test run that is broken off must not leave a runtime behind.
  const onExit = () => signalGroup('SIGKILL');
  process.once('exit', onExit);

  return {
    pid: child.pid ?? 0,
    announced: await announced,
    startMs: performance.now() - started,
    output: () => output,
    signal: (signal) => void child.kill(signal),
    kill: () => signalGroup('SIGKILL'),
    exited,
    async close() {
      signalGroup('SIGTERM');
      const late = setTimeout(() => signalGroup('SIGKILL'), 5000);
      const code = await exited;
      clearTimeout(late);
      signalGroup('SIGKILL');
      process.off('exit', onExit);
      return code;
    },
  };
}
