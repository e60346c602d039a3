/**
 * The clients of docs/smtp-clients.md, each as it is printed there but for the placeholders: it sends, and with the authority
 * that signed the door's certificate unknown to it, it refuses to.
 */

import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TOKEN } from '../support/postern.ts';
import { caFile, startDoor } from './door.ts';

const run = promisify(execFile);
const page = await readFile('docs/smtp-clients.md', 'utf8');

const directory = await mkdtemp(join(tmpdir(), 'postern-examples-'));
afterAll(() => rm(directory, { recursive: true }));
await symlink(join(process.cwd(), 'node_modules'), join(directory, 'node_modules'));

/** The last block of code below a heading, with this door's port in it. */
function example(heading: string, port: number, trusted: string): string {
  const [section = ''] = page.split(`\n## ${heading}\n`)[1]?.split('\n## ') ?? [];
  const code = [...section.matchAll(/```\w+\n([\s\S]*?)```/g)].at(-1)?.[1];
  if (code === undefined) throw new Error(`docs/smtp-clients.md has no example below "${heading}"`);
  return code
    .replaceAll('postern.example.com', 'localhost')
    .replaceAll('587', String(port))
    .replaceAll('a-token-of-this-api-user', TOKEN)
    .replaceAll('api_user', 'ifaxin')
    .replaceAll('/etc/ssl/certs/ca-certificates.crt', trusted);
}

interface Client {
  readonly heading: string;
  /** What has to be there, and how to get it. */
  readonly needs: readonly [program: string, args: readonly string[]];
  readonly packages: string;
  readonly file: string;
  /** What stands around the code, in the app that it is for. */
  readonly app?: (code: string) => string;
  readonly command: (file: string, trusted: string) => readonly string[];
  /** The file with the authorities to trust, for those that take it from the environment. */
  readonly trust?: string;
  /** This version does not check certificates. */
  readonly unchecked?: true;
}

const PHPMAILER = '/usr/share/php/libphp-phpmailer/autoload.php';
const SYMFONY = '/usr/share/php/Symfony/Component/Mailer/autoload.php';
const JARS = ['jakarta-mail', 'jakarta-activation'].map((name) => `/usr/share/java/${name}.jar`).join(':');

const php = (file: string, trusted: string) => ['php', '-d', `openssl.cafile=${trusted}`, file];

const CLIENTS: Client[] = [
  {
    heading: 'nodemailer',
    needs: ['node', ['--version']],
    packages: 'Node',
    file: 'send.mjs',
    command: (file) => ['node', file],
    trust: 'NODE_EXTRA_CA_CERTS',
  },
  {
    heading: 'Python: smtplib',
    needs: ['python3', ['--version']],
    packages: 'python3',
    file: 'send.py',
    command: (file) => ['python3', file],
    trust: 'SSL_CERT_FILE',
  },
  {
    heading: 'Django',
    needs: ['/usr/bin/python3', ['-c', 'import django']],
    packages: 'python3-django',
    file: 'settings.py',
    app: (code) => `${code}
if __name__ == "__main__":
    import django, os
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    from django.core.mail import send_mail
    send_mail("Your order", "Thank you.", None, ["ben@ifaxin.com"])
`,
    command: (file) => ['/usr/bin/python3', file],
    trust: 'SSL_CERT_FILE',
    // Debian has 3.2.
    unchecked: true,
  },
  {
    heading: 'PHPMailer',
    needs: ['php', ['-r', `require '${PHPMAILER}';`]],
    packages: 'php-cli libphp-phpmailer',
    file: 'send.php',
    app: (code) => code.replace('vendor/autoload.php', PHPMAILER),
    command: php,
  },
  {
    heading: 'WordPress',
    needs: ['php', ['-r', `require '${PHPMAILER}';`]],
    packages: 'php-cli libphp-phpmailer',
    file: 'functions.php',
    // What wp_mail does.
    app: (code) => `<?php
require '${PHPMAILER}';
function add_action($name, $configure) {
    $mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
    $mail->addAddress('ben@ifaxin.com');
    $mail->Subject = 'Your order';
    $mail->Body = 'Thank you.';
    $configure($mail);
    $mail->send();
}
${code.replace('<?php', '')}`,
    command: php,
  },
  {
    heading: 'Laravel and Symfony',
    needs: ['php', ['-r', `require '${SYMFONY}';`]],
    packages: 'php-cli php-symfony-mailer',
    file: 'symfony.php',
    app: (code) => `<?php
require '${SYMFONY}';
require '/usr/share/php/Symfony/Component/EventDispatcher/autoload.php';
$dsn = '${code.trim().replace('MAILER_DSN=', '')}';
$mailer = new Symfony\\Component\\Mailer\\Mailer(Symfony\\Component\\Mailer\\Transport::fromDsn($dsn));
$mailer->send((new Symfony\\Component\\Mime\\Email())
    ->from('Support <support@ifaxin.com>')->to('ben@ifaxin.com')->subject('Your order')->text('Thank you.'));
`,
    command: php,
  },
  {
    heading: 'Jakarta Mail',
    needs: ['javap', ['-cp', JARS, 'jakarta.mail.Session']],
    packages: 'default-jdk-headless libjakarta-mail-java',
    file: 'Send.java',
    command: (file, trusted) => [
      ...['java', '-XX:TieredStopAtLevel=1', '-cp', JARS],
      ...[`-Djavax.net.ssl.trustStore=${trusted}.p12`, '-Djavax.net.ssl.trustStorePassword=changeit', file],
    ],
  },
  {
    heading: 'Rails',
    needs: ['ruby', ['-e', 'require "action_mailer"']],
    packages: 'ruby-actionmailer',
    file: 'send.rb',
    app: (code) => `require 'action_mailer'
${code}
class OrderMailer < ActionMailer::Base
  def order
    mail(from: 'Support <support@ifaxin.com>', to: 'ben@ifaxin.com', subject: 'Your order', body: 'Thank you.')
  end
end
OrderMailer.order.deliver_now
`,
    command: (file) => ['ruby', file],
    trust: 'SSL_CERT_FILE',
  },
  {
    heading: 'Perl: Net::SMTP',
    needs: ['perl', ['-MNet::SMTP', '-MIO::Socket::SSL', '-MAuthen::SASL', '-e', '1']],
    packages: 'perl libio-socket-ssl-perl libauthen-sasl-perl',
    file: 'send.pl',
    command: (file) => ['perl', file],
    trust: 'SSL_CERT_FILE',
  },
  {
    heading: 'msmtp, for cron',
    needs: ['msmtp', ['--version']],
    packages: 'msmtp',
    file: 'msmtprc',
    command: (file) => [
      ...['sh', '-c'],
      `chmod 600 ${file}; printf 'From: support@ifaxin.com\nSubject: Your order\n\nThank you.\n' | msmtp -C ${file} ben@ifaxin.com`,
    ],
  },
  {
    heading: 'mail (s-nail)',
    needs: ['s-nail', ['--version']],
    packages: 's-nail',
    file: 'mail.sh',
    command: (file) => ['sh', file],
    trust: 'SSL_CERT_FILE',
  },
  {
    heading: 'curl',
    needs: ['curl', ['--version']],
    packages: 'curl',
    file: 'curl.sh',
    command: (file) => ['sh', file],
    trust: 'CURL_CA_BUNDLE',
  },
  {
    heading: 'swaks',
    needs: ['swaks', ['--version']],
    packages: 'swaks libio-socket-ssl-perl',
    file: 'swaks.sh',
    command: (file) => ['sh', file],
    trust: 'SSL_CERT_FILE',
  },
];

function isThere([program, args]: Client['needs']): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Some other authority: a machine's own would do, but a container may have none. */
const stranger = join(directory, 'stranger.pem');

beforeAll(async () => {
  const { createAuthority } = await import('../../src/sandbox/certificate.ts');
  await writeFile(stranger, (await createAuthority()).cert);
  if (!isThere(['keytool', ['-help']])) return;
  for (const file of [caFile, stranger]) {
    const store = ['-keystore', `${file}.p12`, '-storetype', 'PKCS12', '-storepass', 'changeit'];
    await run('keytool', ['-importcert', '-noprompt', '-alias', 'ca', '-file', file, ...store]);
  }
});

async function send(client: Client, port: number, trusted: string): Promise<void> {
  const code = example(client.heading, port, trusted);
  const folder = await mkdtemp(join(directory, 'run-'));
  await mkdir(join(folder, 'home'));
  const file = join(folder, client.file);
  await writeFile(file, client.app?.(code) ?? code);
  const [program = '', ...args] = client.command(file, trusted);
  await run(program, args, {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: join(folder, 'home'),
      ...(client.trust && { [client.trust]: trusted }),
    },
  });
}

describe.each(CLIENTS)('$heading', { timeout: 120_000 }, (client) => {
  const isMissing = !isThere(client.needs);
  if (isMissing) console.warn(`${client.heading} is left out: install Debian's ${client.packages}.`);

  it.skipIf(isMissing)('sends as the page says', async () => {
    await using door = await startDoor({ MAX_MESSAGE_BYTES: '100000' });
    await send(client, door.smtpPort, caFile);
    expect(door.upstream.taken).toMatchObject([
      { from: 'support@ifaxin.com', recipients: ['ben@ifaxin.com'], taken: true },
    ]);
    const mail = await PostalMime.parse(door.upstream.taken[0]?.message ?? '');
    expect(mail).toMatchObject({ from: { address: 'support@ifaxin.com' }, subject: 'Your order' });
    expect(mail.text?.trim()).toBe('Thank you.');
    expect(door.upstream.logins).toMatchObject([{ user: 'ifaxin#7' }]);
  });

  it.skipIf(isMissing || client.unchecked)('refuses a certificate that it does not know', async () => {
    await using door = await startDoor();
    await expect(send(client, door.smtpPort, stranger)).rejects.toThrow();
    expect(door.logged('login refused')).toHaveLength(0);
    expect(door.upstream.sessions).toHaveLength(0);
  });
});

it('every example of the page is run', () => {
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual(CLIENTS.map(({ heading }) => heading));
});
