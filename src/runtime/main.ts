/** The process that `npm start` runs: its settings and signals, and how to try the sandbox. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigError } from '../config.ts';
import { EXAMPLE } from '../message/example.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { readEnvironment } from './environment.ts';
import { type Postern, SANDBOX_TOKEN, start } from './node.ts';

/** @param hangUps - every SIGHUP since the process began, also those to come */
export async function main(hangUps: readonly NodeJS.Signals[]): Promise<void> {
  let postern: Postern;
  try {
    postern = await start(readEnvironment(process.env));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    // A door or the sandbox may be open already.
    process.exit(1);
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void postern.close().then(() => process.exit()));
  }
  // Logs in at once: a wrong api_key is in the log before the first message.
  void postern.ready();
  if (postern.sandbox) {
    console.log(howToTry(postern, writeAuthority(postern.sandbox)));
    // It ends with its terminal, whose end is a SIGHUP too.
    process.removeAllListeners('SIGHUP');
    if (hangUps.length > 0) process.kill(process.pid, 'SIGHUP');
  } else {
    const reload = () => void postern.reload(() => readEnvironment(process.env));
    process.on('SIGHUP', reload);
    if (hangUps.length > 0) reload();
  }
}

/** The file of the sandbox's authority, anew at every start; null where none can be written. */
function writeAuthority({ ca }: Sandbox): string | null {
  try {
    mkdirSync('data', { recursive: true });
    writeFileSync(join('data', 'sandbox-ca.pem'), ca);
    return resolve('data', 'sandbox-ca.pem');
  } catch {
    return null;
  }
}

function howToTry({ port, smtpPort, smtpsPort, sandbox }: Postern, caFile: string | null): string {
  const url = `http://localhost:${port}`;
  const ca = caFile ?? '/path/to/the/downloaded/ca.pem';
  return `Postern's sandbox: ${url}, upstream on port ${sandbox?.port}

Send a message with a label and an inline picture:
curl -sS ${url}/v1/messages -H 'Authorization: Bearer ${SANDBOX_TOKEN}' -H 'Content-Type: application/json' -d '${JSON.stringify(EXAMPLE)}'

Or by SMTP, on port ${smtpPort}${smtpsPort === null ? '' : `, with TLS from the first byte on port ${smtpsPort}`}:
python3 -c "import smtplib; s = smtplib.SMTP('localhost', ${smtpPort}); s.login('sandbox#31337', '${SANDBOX_TOKEN}'); s.sendmail('support@ifaxin.com', 'ben@ifaxin.com', 'Subject: Hello by SMTP\\n\\nHello'); s.quit()"

See it arrive, at ${url} in a browser, or by
curl -sS ${url}/sandbox/messages/1

An SMTP client that checks certificates trusts the sandbox, until its next start, by the file at
${url}/sandbox/ca.pem${caFile ? `, which is ${caFile}` : ''}:
  Node    NODE_EXTRA_CA_CERTS=${ca}
  Python  SSL_CERT_FILE=${ca}
  PHP     php -d openssl.cafile=${ca}
  curl    curl --cacert ${ca}
  Java    keytool -importcert -noprompt -alias postern -file ${ca} -keystore sandbox.p12 -storepass sandbox-ca
          java -Djavax.net.ssl.trustStore=sandbox.p12 -Djavax.net.ssl.trustStorePassword=sandbox-ca`;
}
