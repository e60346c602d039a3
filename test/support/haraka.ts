/** A real Haraka, the server that SendCloud's greeting names, configured like the transcript. */
import { type ChildProcess, spawn } from 'node:child_process';
import { getDiffieHellman } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '../../src/sandbox/certificate.ts';

export interface HarakaMessage {
  /** SendCloud's message id, the part between the `#` of the reply to the dot. */
  readonly queueId: string;
  /** As sent: `api_user` or `api_user#label_id`. */
  readonly user: string;
  readonly from: string;
  readonly to: readonly string[];
  /** As Haraka keeps it: what it rewrites is rewritten here too. */
  readonly raw: Buffer;
}

export interface Haraka {
  readonly host: string;
  readonly port: number;
  /** PEM of the authority of its certificate, which is for localhost and 127.0.0.1. */
  readonly ca: string;
  /** In the order of arrival; a message is here before its sender has the reply. */
  readonly messages: readonly HarakaMessage[];
  close(): Promise<void>;
}

export interface HarakaOptions {
  /** api_user → api_key */
  readonly accounts: Readonly<Record<string, string>>;
}

type Report = { readonly port: number } | { readonly message: HarakaMessage & { readonly raw: Uint8Array } };

/** Starts it as a child process on a free loopback port; rejects with what it printed when it does not start. */
export async function startHaraka({ accounts }: HarakaOptions): Promise<Haraka> {
  const authority = await createAuthority();
  const { cert, key } = await authority.issue();
  const directory = await mkdtemp(join(tmpdir(), 'postern-haraka-'));
  for (const name of ['config', 'plugins', 'queue']) await mkdir(join(directory, name));
  const files = {
    ...CONFIG,
    'accounts.json': JSON.stringify(accounts),
    'tls_cert.pem': cert,
    'tls_key.pem': key,
    'dhparams.pem': diffieHellman(),
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(directory, 'config', name), content);
  }
  await cp(new URL('./haraka-plugin.cjs', import.meta.url), join(directory, 'plugins', 'sendcloud.js'));

  // Not its command `haraka`, which would start this one as a child of its own.
  const program = fileURLToPath(import.meta.resolve('Haraka/haraka.js'));
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, HARAKA: directory },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
  });
  const gone = once(child, 'exit').then(() => rm(directory, { recursive: true, force: true }));
  const messages: HarakaMessage[] = [];
  const port = await listening(child, (message) => {
    messages.push(message);
    child.send({ confirmed: message.queueId });
  });
  return {
    host: '127.0.0.1',
    port,
    ca: authority.cert,
    messages,
    async close() {
      child.kill();
      await gone;
    },
  };
}

const CONFIG = {
  me: 'SendCloud Inbound Server',
  plugins: 'tls\nsendcloud',
  'smtp.ini': 'listen=127.0.0.1:0\nnodes=0\n',
  'log.ini': '[main]\nlevel=warn\n',
  'tls.ini': 'key=tls_key.pem\ncert=tls_cert.pem\n',
  'connection.ini': `
[main]
smtputf8=false
[headers]
add_received=false
[max]
bytes=16000000
[message]
greeting[]=Haraka 2.2.4 ready
helo=Haraka is at your service.
close=closing connection. Have a jolly good day
[uuid]
banner_chars=0
`,
};

/**
 * The parameters of group 14 (RFC 3526) as DER (PKCS #3), in PEM: without such a file Haraka computes its own
 * for half a minute, in a process that outlives it.
 */
function diffieHellman(): string {
  const prime = getDiffieHellman('modp14').getPrime();
  const der = Buffer.concat([Buffer.from('308201080282010100', 'hex'), prime, Buffer.from('020102', 'hex')]);
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN DH PARAMETERS-----\n${lines}\n-----END DH PARAMETERS-----\n`;
}

function listening(child: ChildProcess, take: (message: HarakaMessage) => void): Promise<number> {
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      printed += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('message', (report: Report) => {
      if ('port' in report) resolve(report.port);
      else take({ ...report.message, raw: Buffer.from(report.message.raw) });
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`Haraka ended with ${code}: ${printed}`)));
  });
}
