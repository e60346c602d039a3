/** A gateway as a small process of its own, and a tenant who sends one small message after the other through both doors. */

import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, certificateFiles } from '../smtp/door.ts';
import { startChild } from '../support/child.ts';
import { authority } from '../support/postern.ts';
import { base64 } from '../support/smtp-client.ts';
import { type Fault, startUpstream, type Upstream } from '../support/upstream.ts';

export const ATTACKER = { apiUser: 'attacker', token: 'token-of-the-attacker' };
export const VICTIM = { apiUser: 'victim', token: 'token-of-the-victim-0' };
/** Upstream knows it; the gateway's settings do not. */
export const STRANGER = { apiUser: 'stranger', apiKey: 'key-of-the-stranger' };

const KEY = 'the-key';
const ACCOUNTS = [
  { ...ATTACKER, from: ['allowed.example'] },
  { ...VICTIM, from: ['victim.example'] },
].map(({ apiUser, token, from }) => ({ apiUser, apiKey: KEY, tokens: [token], from }));

/** For a process of 512 MB: what Node itself takes for the heap in a container of that size, and what docs/running.md says. */
const MEMORY_OPTIONS = '--max-old-space-size=256 --max-semi-space-size=16';

export interface Gateway {
  readonly port: number;
  readonly smtpPort: number;
  readonly upstream: Upstream;
  /** Most memory that was resident so far, in bytes. */
  peakBytes(): number;
  /** Whether it still runs. */
  isAlive(): boolean;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param descriptors - what the process may have open */
export async function startGateway(options: {
  readonly settings?: Readonly<Record<string, string>>;
  readonly faults?: readonly Fault[];
  readonly descriptors?: number;
}): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-tenants-'));
  await writeFile(join(folder, 'ca.pem'), authority.cert);
  const upstream = await startUpstream({
    certificate: await authority.issue(),
    faults: options.faults ?? [],
    accounts: { attacker: KEY, victim: KEY, [STRANGER.apiUser]: STRANGER.apiKey },
  });
  const limit = options.descriptors === undefined ? '' : `ulimit -n ${options.descriptors}; `;
  const child = await startChild({
    program: '/bin/sh',
    command: ['-c', `${limit}exec "${process.execPath}" bin/postern.mjs`],
    environment: {
      NODE_OPTIONS: MEMORY_OPTIONS,
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      ACCOUNTS: JSON.stringify(ACCOUNTS),
      BASIC_AUTH: 'on',
      SMTP_HOST: 'localhost',
      SMTP_PORTS: String(upstream.port),
      PORT: '0',
      SMTP_DOOR_PORT: '0',
      ...certificateFiles,
      OUTBOX: join(folder, 'outbox.db'),
      ...options.settings,
    },
    ready: /"event":"listening"[^\n]*"port":(\d+)/,
  });
  let isAlive = true;
  void child.exited.then(() => {
    isAlive = false;
  });
  return {
    port: Number(child.announced),
    smtpPort: Number(/"smtpPort":(\d+)/.exec(child.output())?.[1]),
    upstream,
    peakBytes: () =>
      1024 * Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]),
    isAlive: () => isAlive,
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
      await upstream.close();
      await rm(folder, { recursive: true });
    },
  };
}

export interface Posted {
  readonly status: number;
  readonly body: string;
}

/** Posts on a connection of its own. */
export function post(
  port: number,
  path: string,
  {
    headers,
    body,
    signal,
    localAddress = '127.0.0.1',
  }: { headers: Record<string, string>; body: string | Buffer; signal?: AbortSignal; localAddress?: string },
): Promise<Posted> {
  return new Promise((resolve, reject) => {
    const target = { host: '127.0.0.1', port, path, localAddress };
    request({ ...target, method: 'POST', agent: false, headers, ...(signal && { signal }) })
      .on('response', (response) => {
        text(response).then((read) => resolve({ status: response.statusCode ?? 0, body: read }), reject);
      })
      .on('error', reject)
      .end(body);
  });
}

export const basic = (user: string, password: string) => ({
  Authorization: `Basic ${base64(`${user}:${password}`)}`,
  'Content-Type': 'application/json',
});

export const bearer = (token: string) => ({
  Authorization: `Bearer ${token}`,
  'Content-Type': 'application/json',
});

/** What became of one tenant's messages at a door. */
export interface Served {
  readonly sent: number;
  /** Those that did not go through, in their door's words. */
  readonly failed: readonly string[];
  readonly worstMs: number;
}

/** Sends a small message every `everyMs` by `send`, which resolves with null or with what was answered instead. */
async function sendEvery(
  everyMs: number,
  signal: AbortSignal,
  send: (index: number) => Promise<string | null>,
): Promise<Served> {
  const under: Promise<void>[] = [];
  const failed: string[] = [];
  let worstMs = 0;
  while (!signal.aborted) {
    const started = performance.now();
    const one = send(under.length)
      .catch(String)
      .then((problem) => {
        if (problem !== null) failed.push(problem);
        worstMs = Math.max(worstMs, performance.now() - started);
      });
    under.push(one);
    await delay(everyMs);
  }
  await Promise.all(under);
  return { sent: under.length, failed, worstMs };
}

/**
 * The victim's messages, each on a connection of its own, under three labels in turn, until `signal` aborts.
 *
 * @param ownKey - it logs in with its api_key, which upstream has to prove, and not with a token
 */
export async function sendAsVictim(
  { port, smtpPort }: Gateway,
  { localAddress, ownKey }: { readonly localAddress: string; readonly ownKey: boolean },
  everyMs: number,
  signal: AbortSignal,
): Promise<{ http: Served; smtp: Served }> {
  const [http, smtp] = await Promise.all([
    sendEvery(everyMs, signal, async (index) => {
      const mail = { ...MAIL, subject: `HTTP ${index}.`, label: (index % 3) + 1 };
      const credentials = ownKey ? basic(VICTIM.apiUser, KEY) : bearer(VICTIM.token);
      const headers = { ...credentials, 'Idempotency-Key': `victim-${index}` };
      const request = { headers, body: JSON.stringify(mail), localAddress };
      const { status, body } = await post(port, '/v1/messages', request);
      return status === 200 ? null : `${status} ${body}`;
    }),
    sendEvery(everyMs, signal, async (index) => {
      const client = new Client(smtpPort, { localAddress });
      const reply = await client.deliver({
        user: `${VICTIM.apiUser}#${(index % 3) + 1}`,
        password: ownKey ? KEY : VICTIM.token,
        mail: `<${MAIL.from}>`,
        body: `From: ${MAIL.from}\r\nSubject: SMTP ${index}.\r\n\r\nHello\r\n`,
      });
      client.destroy();
      return reply.startsWith('250') ? null : reply;
    }),
  ]);
  return { http, smtp };
}

const MAIL = { from: 'app@victim.example', to: ['ben@ifaxin.com'], text: 'Hello' };
