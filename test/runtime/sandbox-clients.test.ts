/** SMTP clients with their check of certificates on, by the settings that the sandbox prints. */

import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Child, ROOT, startChild } from '../support/child.ts';

const TOKEN = 'sandbox-token-for-development';
const MAIL = 'From: support@ifaxin.com\r\nTo: ben@ifaxin.com\r\nSubject: Hello\r\n\r\nHello\r\n';

function missing(program: string, version = '--version'): boolean {
  try {
    execFileSync(program, [version], { stdio: 'ignore' });
    return false;
  } catch {
    console.warn(`${program} is not installed, its test is left out.`);
    return true;
  }
}

/** Says hello over TLS from the first byte, and that is all: what a client without trust never gets to do. */
const PHP = `$socket = stream_socket_client('tls://localhost:' . $argv[1], $code, $error, 10) or exit(1);
echo fgets($socket);`;
const JAVA = `import java.io.*; import javax.net.ssl.*;
class Hello { public static void main(String[] args) throws Exception {
  var socket = (SSLSocket) SSLSocketFactory.getDefault().createSocket("localhost", Integer.parseInt(args[0]));
  var parameters = socket.getSSLParameters();
  parameters.setEndpointIdentificationAlgorithm("HTTPS");
  socket.setSSLParameters(parameters);
  System.out.println(new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine());
} }`;
const NODE = `import { createTransport } from 'nodemailer';
const [port, secure] = process.argv.slice(1);
const auth = { user: 'sandbox#31337', pass: '${TOKEN}' };
const transport = createTransport({ host: 'localhost', port, secure: secure === 'true', requireTLS: secure !== 'true', auth });
console.log((await transport.sendMail({ from: 'support@ifaxin.com', to: 'ben@ifaxin.com', text: 'Hello' })).response);`;
const PYTHON = `import os, smtplib, ssl, sys
s = smtplib.SMTP('localhost', int(sys.argv[1]))
s.starttls(context=ssl.create_default_context())
s.login('sandbox#31337', '${TOKEN}')
s.sendmail('support@ifaxin.com', 'ben@ifaxin.com', ${JSON.stringify(MAIL)})
s.quit()`;

describe('the sandbox', () => {
  let folder: string;
  let sandbox: Child;
  let ports: { http: string; smtp: string; smtps: string };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-clients-'));
    sandbox = await startChild({
      command: [join(ROOT, 'bin/postern.mjs')],
      cwd: folder,
      environment: { PORT: '0', SMTP_DOOR_PORT: '0', SMTPS_DOOR_PORT: '0' },
      ready: /^ +java .*$/m,
    });
    const announced = (pattern: RegExp) => pattern.exec(sandbox.output())?.[1] ?? '';
    ports = {
      http: announced(/sandbox: http:\/\/localhost:(\d+)/),
      smtp: announced(/by SMTP, on port (\d+)/),
      smtps: announced(/first byte on port (\d+)/),
    };
    await writeFile(join(folder, 'Hello.java'), JAVA);
    await writeFile(join(folder, 'mail'), MAIL);
  });
  afterAll(async () => {
    await sandbox.close();
    await rm(folder, { recursive: true });
  });

  const inbox = async () =>
    (await (await fetch(`http://localhost:${ports.http}/sandbox/messages`)).json()) as { login: unknown }[];
  let before = 0;
  beforeEach(async () => {
    before = (await inbox()).length;
  });
  const arrived = async () => (await inbox()).slice(0, (await inbox()).length - before);

  /** The setting that is printed for a client: environment and arguments, as a shell takes them. */
  const printed = (client: string): string =>
    new RegExp(`^ +${client} +(.*)$`, 'm').exec(sandbox.output())?.[1] ?? '';
  const shell = async (line: string) => {
    const options = { cwd: folder, env: { PATH: process.env.PATH, HOME: folder } };
    return (await promisify(execFile)('bash', ['-c', line], options)).stdout;
  };
  const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const node = `${quoted(process.execPath)} --input-type=module -e ${quoted(NODE)}`;

  it.skipIf(missing('python3'))('takes the printed Python line, without TLS', async () => {
    await shell(/^python3 .*$/m.exec(sandbox.output())?.[0] ?? '');
    expect(await arrived()).toMatchObject([{ login: { apiUser: 'sandbox', label: 31337 } }]);
  });

  it.skipIf(missing('python3'))('is trusted by Python', async () => {
    const line = `python3 -c ${quoted(PYTHON)} ${ports.smtp}`;
    await expect(shell(line)).rejects.toThrow('CERTIFICATE_VERIFY_FAILED');
    await shell(`${printed('Python')} ${line}`);
    expect(await arrived()).toHaveLength(1);
  });

  it.each([
    ['STARTTLS', () => `${ports.smtp} false`],
    ['TLS from the first byte', () => `${ports.smtps} true`],
  ])('is trusted by Node, with %s', async (_, args) => {
    // Its module is the project's.
    const line = `cd ${ROOT}; ${printed('Node')} ${node} ${args()}`;
    expect(await shell(line)).toMatch(/^250 /);
    await expect(shell(line.replace(printed('Node'), ''))).rejects.toThrow();
    expect(await arrived()).toHaveLength(1);
  });

  it.skipIf(missing('curl'))('is trusted by curl', async () => {
    const rest = `-sS --ssl-reqd smtp://localhost:${ports.smtp} --user 'sandbox:${TOKEN}' --mail-from a@ifaxin.com --mail-rcpt b@ifaxin.com -T mail`;
    await expect(shell(`curl ${rest}`)).rejects.toThrow('certificate');
    await shell(`${printed('curl')} ${rest}`);
    expect(await arrived()).toHaveLength(1);
  });

  it.skipIf(missing('php'))('is trusted by PHP', async () => {
    const rest = `-r ${quoted(PHP)} ${ports.smtps}`;
    await expect(shell(`php ${rest}`)).rejects.toThrow();
    expect(await shell(`${printed('PHP')} ${rest}`)).toMatch(/^220 /);
  });

  it.skipIf(missing('java', '-version') || missing('keytool', '-help'))(
    'is trusted by Java',
    async () => {
      const [keytool = '', java = ''] = sandbox.output().match(/(?:keytool .*|java -D.*)$/gm) ?? [];
      await shell(keytool);
      expect(await shell(`${java} Hello.java ${ports.smtps}`)).toMatch(/^220 /);
      await expect(shell(`java Hello.java ${ports.smtps}`)).rejects.toThrow('PKIX');
      // It compiles, twice, on whatever machine this is.
    },
    120_000,
  );
});
