/** Processes of the bench: each contender has one, and so has the upstream that costs little. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Usage {
  readonly cpuMicroseconds: number;
  readonly rssBytes: number;
}

export interface Child {
  readonly port: number;
  usage(): Promise<Usage>;
  /** For how long the event loop stood still since this was asked last, in milliseconds. */
  block(): Promise<number>;
  /** Has the child do something of its own and answer. */
  ask<T>(question: object | string): Promise<T>;
  end(): Promise<void>;
}

async function start(
  script: string,
  environment: Record<string, string>,
): Promise<[ChildProcess, Record<string, unknown>]> {
  const child = fork(new URL(script, import.meta.url), {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const [ready] = (await once(child, 'message')) as [Record<string, unknown>];
  return [child, ready];
}

function handle(child: ChildProcess, port: number): Child {
  const ask = async <T>(question: object | string): Promise<T> => {
    child.send(question);
    const [answer] = (await once(child, 'message')) as [T];
    return answer;
  };
  return {
    port,
    ask,
    usage: () => ask<Usage>({}),
    block: () => ask<number>('block'),
    async end() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

/** The upstream, and the file that makes a child trust it. */
export async function startSink(): Promise<Child & { readonly caFile: string }> {
  const [child, { port, ca }] = await start('./sink.ts', {});
  const caFile = join(mkdtempSync(join(tmpdir(), 'postern-bench-')), 'ca.pem');
  writeFileSync(caFile, ca as string);
  return { ...handle(child, port as number), caFile };
}

/** One contender, told where upstream is. Its log goes nowhere, but it is written. */
export async function startContender(
  name: string,
  smtpPort: number,
  caFile: string,
  environment: Record<string, string> = {},
): Promise<Child> {
  const [child, { port }] = await start(`./contenders/${name}.ts`, {
    BENCH_SMTP_PORT: String(smtpPort),
    NODE_EXTRA_CA_CERTS: caFile,
    ...environment,
  });
  return handle(child, port as number);
}
