/** Every example as it is printed, against a gateway with its sandbox: what it sends, arrives. */

import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Postern, SANDBOX_TOKEN, start } from '../../src/runtime/node.ts';
import { ROOT } from '../support/child.ts';

const run = promisify(execFile);

/** What an app has: the examples, and what npm has installed for them. */
const folder = await mkdtemp(join(tmpdir(), 'postern-examples-'));
afterAll(() => rm(folder, { recursive: true }));

beforeAll(async () => {
  await cp(join(ROOT, 'examples'), join(folder, 'examples'), { recursive: true });
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, 'postern'), { recursive: true });
  await symlink(join(ROOT, 'node_modules/nodemailer'), join(modules, 'nodemailer'));
  // The sources in place of what is built of them: test/package.test.ts runs that.
  await symlink(join(ROOT, 'src'), join(modules, 'postern/src'));
  const exports = { './client': './src/client/client.ts', './nodemailer': './src/client/nodemailer.ts' };
  await writeFile(join(modules, 'postern/package.json'), JSON.stringify({ type: 'module', exports }));
});

/** A mail as the sandbox shows it. */
interface Mail {
  readonly subject: string;
  readonly login: { readonly label: number | null };
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly text: string | null;
  readonly html: string | null;
  readonly attachments: readonly {
    readonly filename: string;
    readonly contentId: string | null;
    readonly content: string;
  }[];
}

async function open(hooks?: string) {
  const postern: Postern = await start(
    { PORT: '0', SMTP_DOOR_PORT: '0', ...(hooks && { HOOKS_FILE: join(ROOT, 'examples', hooks) }) },
    () => {},
  );
  onTestFinished(() => postern.close());
  const url = `http://localhost:${postern.port}`;
  const ca = join(folder, 'ca.pem');
  await writeFile(ca, postern.sandbox?.ca ?? '');
  const read = async <Body>(path: string) => (await (await fetch(url + path)).json()) as Body;
  return {
    url,
    /** Runs a program as the example's head says, with this gateway in the place of the usual one. */
    run: (program: string, args: readonly string[], environment: Record<string, string> = {}) =>
      run(program, args, {
        cwd: folder,
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          POSTERN_URL: url,
          POSTERN_SMTP: `smtp://localhost:${postern.smtpPort}`,
          POSTERN_SMTP_PORT: String(postern.smtpPort),
          SSL_CERT_FILE: ca,
          CURL_CA_BUNDLE: ca,
          ...environment,
        },
      }),
    /** Everything that has arrived, oldest first, once it is so many. */
    async arrived(count: number): Promise<readonly Mail[]> {
      const list = await vi.waitFor(async () => {
        const found = await read<{ n: number }[]>('/sandbox/messages');
        expect(found).toHaveLength(count);
        return found;
      }, 10_000);
      return Promise.all(list.toReversed().map(({ n }) => read<Mail>(`/sandbox/messages/${n}`)));
    },
  };
}

function isThere(program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

interface Example {
  readonly file: string;
  readonly program: string;
  readonly args?: readonly string[];
  /** How to see whether the program is there. */
  readonly version?: readonly string[];
  /** The Debian package that has it. */
  readonly debian: string;
  readonly label?: number;
  /** It has an idempotency key: a second run sends nothing. */
  readonly once: boolean;
}

/** They send the same message. */
const SENDING: readonly Example[] = [
  { file: 'curl.sh', program: 'sh', version: ['-c', 'curl --version'], debian: 'curl', once: true },
  { file: 'node-fetch.mjs', program: process.execPath, debian: 'nodejs', once: true },
  { file: 'node-client.mjs', program: process.execPath, debian: 'nodejs', once: true },
  { file: 'node-nodemailer.mjs', program: process.execPath, debian: 'nodejs', label: 31337, once: false },
  { file: 'python-urllib.py', program: 'python3', debian: 'python3', once: true },
  { file: 'python-smtplib.py', program: 'python3', debian: 'python3', label: 31337, once: true },
  { file: 'php-streams.php', program: 'php', debian: 'php-cli', once: true },
  { file: 'send.go', program: 'go', args: ['run'], version: ['version'], debian: 'golang-go', once: true },
];

describe.each(SENDING)('examples/$file', { timeout: 120_000 }, (example) => {
  const { file, program, args = [], version = ['--version'], debian, label = null, once } = example;
  const isMissing = !isThere(program, version);
  if (isMissing) console.warn(`examples/${file} is not run: install Debian's ${debian}.`);
  const path = `examples/${file}`;

  test.skipIf(isMissing)('sends its message, with a key once', async () => {
    const gateway = await open();
    await gateway.run(program, [...args, path]);
    await gateway.run(program, [...args, path]);
    const [mail] = await gateway.arrived(once ? 1 : 2);
    expect(mail).toMatchObject({
      subject: 'Your order is on its way',
      login: { label },
      envelope: { from: 'shop@example.com', to: ['ben@example.com'] },
    });
    expect(mail?.text?.trim()).toBe('It should arrive on Thursday.');
    if (file === 'node-client.mjs') {
      expect(
        mail?.attachments.toSorted((one, other) => (one.filename < other.filename ? 1 : -1)),
      ).toMatchObject([
        { filename: 'order.csv', content: btoa('item;1\n') },
        { contentId: '<logo>', content: 'R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==' },
      ]);
    }
  });

  test.skipIf(isMissing)('fails where its message is not sent', async () => {
    const gateway = await open();
    const sent = gateway.run(program, [...args, path], { POSTERN_TOKEN: `not-${SANDBOX_TOKEN}` });
    await expect(sent).rejects.toMatchObject({ code: expect.any(Number) });
    expect(await gateway.arrived(0)).toEqual([]);
  });
});

describe('examples/contact-form', () => {
  test("posts the visitor's words and file, and leads to the page of thanks", async () => {
    const gateway = await open('contact-form/hooks.json');
    const page = await readFile('examples/contact-form/index.html', 'utf8');
    const action = /<form action="http:\/\/localhost:8080([^"]+)"/.exec(page)?.[1];
    const fields = [...page.matchAll(/<(?:input|textarea) name="(\w+)"/g)].map(([, name]) => name);
    expect(fields).toEqual(['name', 'email', 'message', 'file', 'website']);

    const post = (values: Record<string, string | File>, origin = 'https://shop.example.com') => {
      const body = new FormData();
      for (const [name, value] of Object.entries(values)) body.append(name, value);
      const headers = { Origin: origin, Accept: 'text/html' };
      return fetch(gateway.url + action, { method: 'POST', body, headers, redirect: 'manual' });
    };
    const file = new File(['a plan'], 'plan.txt', { type: 'text/plain' });
    const visitor = { name: 'Ada', email: 'ada@example.org', message: 'Do you ship to Kiel?', website: '' };
    const answer = await post({ ...visitor, file });
    expect(answer.status).toBe(303);
    expect(answer.headers.get('Location')).toBe('https://shop.example.com/thanks');
    expect((await post({ ...visitor, website: 'https://spam.example' })).status).toBe(303);
    expect((await post(visitor, 'https://elsewhere.example')).status).toBe(403);

    const [mail] = await gateway.arrived(1);
    expect(mail?.envelope.to).toEqual(['sales@example.com']);
    expect(mail?.text).toContain('Do you ship to Kiel?');
    expect(mail?.headers).toContainEqual({
      name: 'Reply-To',
      value: expect.stringContaining('ada@example.org'),
    });
    expect(mail?.attachments).toMatchObject([{ filename: 'plan.txt', content: btoa('a plan') }]);
  });
});

describe('examples/github-webhook', () => {
  test('makes a mail of a signed push, and none of a forged one', async () => {
    const gateway = await open('github-webhook/hooks.json');
    await gateway.run('sh', ['examples/github-webhook/push.sh']);
    const forged = gateway.run('sh', ['examples/github-webhook/push.sh'], {
      GITHUB_WEBHOOK_SECRET: 'guessed',
    });
    await expect(forged).rejects.toMatchObject({ stdout: expect.stringContaining('bad-signature') });
    const [mail] = await gateway.arrived(1);
    expect(mail?.envelope.to).toEqual(['team@example.com']);
    expect(mail?.subject).toContain('example/shop');
    expect(mail?.text).toContain('Send the mail when the parcel leaves');
  });
});

describe('examples/alertmanager', () => {
  test('makes a mail of an alert, and none without the secret', async () => {
    const gateway = await open('alertmanager/hooks.json');
    await gateway.run('sh', ['examples/alertmanager/alert.sh']);
    const forged = gateway.run('sh', ['examples/alertmanager/alert.sh'], { ALERTMANAGER_SECRET: 'guessed' });
    await expect(forged).rejects.toMatchObject({ stdout: expect.stringContaining('bad-signature') });
    const [mail] = await gateway.arrived(1);
    expect(mail?.envelope.to).toEqual(['oncall@example.com']);
    expect(mail?.text).toContain('The disk of db-1 is 95 % full');
  });

  test('has the address of its hook in the configuration', async () => {
    const configuration = await readFile('examples/alertmanager/alertmanager.yml', 'utf8');
    const [hook] = JSON.parse(await readFile('examples/alertmanager/hooks.json', 'utf8'));
    expect(configuration).toContain(`url: http://localhost:8080/v1/hooks/${hook.name}\n`);
  });
});

describe('examples/cron', () => {
  test('mails what the job of the crontab writes, and nothing where it writes nothing', async () => {
    const gateway = await open();
    const crontab = await readFile('examples/cron/crontab', 'utf8');
    const line = crontab.split('\n').find((text) => /^\d/.test(text)) ?? '';
    const command = line.split(/\s+/).slice(5).join(' ');
    const job = (writes: string) =>
      command
        .replace('/usr/local/bin/backup', writes)
        .replace('/usr/local/bin/cron-mail', 'sh examples/cron/cron-mail.sh');
    await gateway.run('sh', ['-c', job('true')]);
    await gateway.run('sh', ['-c', job("printf '12 files\\n.\\nGrüße\\n'")]);
    const [mail] = await gateway.arrived(1);
    expect(mail).toMatchObject({
      subject: 'Backup of db-1',
      envelope: { from: 'cron@example.com', to: ['ops@example.com'] },
    });
    expect(mail?.text?.trim()).toBe('12 files\n.\nGrüße');
  });

  test('sends nothing past a certificate that it does not know', async () => {
    const gateway = await open();
    const command = "echo text | sh examples/cron/cron-mail.sh 'Subject'";
    const untrusting = { CURL_CA_BUNDLE: '', SSL_CERT_FILE: '' };
    await expect(gateway.run('sh', ['-c', command], untrusting)).rejects.toThrow();
    expect(await gateway.arrived(0)).toEqual([]);
  });
});

describe('examples/route-handler.mjs and waiting.test.mjs', () => {
  test('the suite passes: it waits for the mail of the handler', async () => {
    const gateway = await open();
    const { stdout } = await gateway.run(process.execPath, ['--test', 'examples/waiting.test.mjs']);
    expect(stdout).toMatch(/pass 1$/m);
    await gateway.arrived(1);
  });

  test('the handler tells the visitor what is wrong with the address, and sends a double click once', async () => {
    const gateway = await open();
    const handle = async (order: object) => {
      const code = `import { POST } from './examples/route-handler.mjs';
        const body = process.env.ORDER;
        const response = await POST(new Request('https://shop.example.com/', { method: 'POST', body }));
        console.log(JSON.stringify({ status: response.status, ...(await response.json()) }));`;
      const node = ['--input-type=module', '--eval', code];
      const { stdout } = await gateway.run(process.execPath, node, { ORDER: JSON.stringify(order) });
      return JSON.parse(stdout);
    };
    expect(await handle({ id: 1, email: 'ben' })).toMatchObject({ status: 422, email: expect.any(String) });
    const first = await handle({ id: 2, email: 'ben@example.com' });
    expect(first).toMatchObject({ status: 202, messageId: expect.any(String) });
    expect(await handle({ id: 2, email: 'ben@example.com' })).toEqual(first);
    await gateway.arrived(1);
  });
});

test('every example is in the table, and no other', async () => {
  const table = await readFile('examples/README.md', 'utf8');
  const listed = [...table.matchAll(/^\| \[([^\]]+)\]\(([^)]+)\)/gm)].map(([, , path]) => path);
  const names = (await readdir('examples')).filter((name) => name !== 'README.md');
  expect(listed.toSorted()).toEqual(names.toSorted());
});
