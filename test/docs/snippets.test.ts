/**
 * Every block of code on every page: it runs, against a gateway with its sandbox, or stands in a list here with what
 * holds it instead. A block of either kind has to be well-formed, and one of neither kind fails.
 */

import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { parseHooks } from '../../src/hooks/hook.ts';
import { NODE_DEFAULTS, SANDBOX_TOKEN } from '../../src/runtime/node.ts';
import { type Child, ROOT, startChild } from '../support/child.ts';
import { type Block, blocksOf, PAGES, proseOf } from '../support/markdown.ts';

/** Pages whose blocks another test runs, all of them. */
const OTHER_TESTS: Readonly<Record<string, string>> = {
  'docs/console.md': 'test/docs/console.test.ts',
  'docs/sending.md': 'test/docs/sending.test.ts',
  'docs/smtp-clients.md': 'test/smtp/examples.test.ts',
  'docs/client.md': 'test/package.test.ts',
};

/** Blocks that do not run here: page, how the block begins, and what holds it instead. */
const NOT_HERE: readonly (readonly [page: string, begins: string, reason: string])[] = [
  [
    'README.md',
    'npm ci --omit=dev && npm start',
    'beforeAll starts what it starts; .github/workflows/ci.yml installs',
  ],
  ['README.md', 'npm ci && npm test', 'it is what runs this: .ci/run'],
  ['CONTRIBUTING.md', 'npm ci && npm test', 'the same; .ci/run has the check as well'],
  ['docs/workers.md', 'npm ci', 'test/support/worker.ts starts wrangler dev'],
  ['docs/workers.md', 'npx wrangler login', 'needs an account; scripts/bundle.ts deploys with --dry-run'],
  ['docs/lambda.md', 'npm ci\naws', 'needs an account; scripts/bundle.ts packages'],
  ['docs/lambda.md', 'ACCOUNTS=', 'needs an account; scripts/bundle.ts packages'],
  ['docs/lambda.md', 'SENDCLOUD_API_KEY= GATEWAY_TOKENS= UPSTASH', 'test/runtime/lambda-package.test.ts'],
  ['docs/lambda.md', 'SENDCLOUD_API_USER=', 'test/support/lambda.ts starts serverless offline'],
  ['docs/running.md', 'sudo useradd', 'changes the machine; below, the unit is verified'],
  ['docs/running.md', 'docker build', 'test/docs/running.test.ts runs the steps of the Dockerfile'],
  ['docs/running.md', 'upstream postern', 'test/docs/running.test.ts runs nginx with it'],
  ['docs/running.md', 'mail.example.com {', 'Caddy reads it here; a domain would have to be its own'],
  ['docs/running.md', 'install -m 640', 'changes the machine'],
  ['docs/running.md', 'scrape_configs', 'a Prometheus with this file would have to run'],
  ['docs/running.md', 'cd /opt/postern', 'changes the machine'],
  ['docs/running.md', 'sudo systemctl stop', 'changes the machine'],
  ['docs/logs.md', '[Definition]', 'test/docs/logs.test.ts matches log lines with it'],
  ['docs/browser.md', '<form', 'test/docs/browser.test.ts sends it'],
  ['docs/browser.md', '// POST /api/receipts', 'test/docs/browser.test.ts calls it'],
  ['docs/quota.md', 'RateLimit-Policy', 'below, it is what an answer has'],
  ['ARCHITECTURE.md', 'src/', 'a map'],
];

const listed = ({ page, code }: Block) =>
  NOT_HERE.find(([of, begins]) => of === page && code.startsWith(begins));

const run = promisify(execFile);

/** For what reads settings of its own, beside the sandbox. */
const ACCOUNT = { SENDCLOUD_API_USER: 'ifaxin', SENDCLOUD_API_KEY: 'the-key', GATEWAY_TOKENS: SANDBOX_TOKEN };

const MAIL = 'From: support@ifaxin.com\r\nTo: ben@ifaxin.com\r\nSubject: Hello\r\n\r\nHello\r\n';

const folder = await mkdtemp(join(tmpdir(), 'postern-snippets-'));
afterAll(() => rm(folder, { recursive: true }));

/** How a language is run, where that is a program's, and how it is only read; `file` is the block's. */
interface Language {
  readonly extension: string;
  readonly run?: (file: string) => readonly string[];
  readonly check: (file: string) => readonly string[];
}

const LANGUAGES: Readonly<Record<string, Language>> = {
  sh: {
    extension: 'sh',
    run: (file) => ['bash', '-euo', 'pipefail', file],
    check: (file) => ['bash', '-n', file],
  },
  js: {
    extension: 'mjs',
    run: (file) => [process.execPath, file],
    check: (file) => [process.execPath, '--check', file],
  },
  ts: {
    extension: 'mts',
    run: (file) => [process.execPath, file],
    check: (file) => [process.execPath, '--check', file],
  },
  python: {
    extension: 'py',
    run: (file) => ['python3', file],
    check: (file) => ['python3', '-m', 'py_compile', file],
  },
  php: {
    extension: 'php',
    run: (file) => ['php', '-d', `openssl.cafile=${join(folder, 'data/sandbox-ca.pem')}`, file],
    check: (file) => ['php', '-l', file],
  },
  yaml: {
    extension: 'yaml',
    check: (file) => ['promtool', 'check', 'config', '--syntax-only', file],
  },
  caddyfile: {
    extension: 'caddyfile',
    check: (file) => ['caddy', 'adapt', '--adapter', 'caddyfile', '--config', file],
  },
  go: { extension: 'go', run: (file) => ['go', 'run', file], check: (file) => ['gofmt', '-l', file] },
};

/** Shown, not run: how it is well-formed. */
const SHOWN: Readonly<Record<string, (code: string) => void>> = {
  json: (code) => void JSON.parse(code),
  ini: (code) => expect(Object.keys(parseEnv(code)).length).toBeGreaterThan(0),
  nginx: balanced,
  html: (code) => expect(code.match(/<(?=\w)/g)?.length).toBeGreaterThan(0),
  http: (code) =>
    expect(
      code
        .trim()
        .split('\n')
        .every((line) => /^[\w-]+: \S/.test(line)),
    ).toBe(true),
  text: () => {},
};

function balanced(code: string): void {
  expect(code.match(/\{/g)?.length).toBe(code.match(/\}/g)?.length);
}

function missing(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return false;
  } catch {
    return true;
  }
}

let sandbox: Child;
let url: string;
let smtpPort: string;

beforeAll(async () => {
  // The project as a block finds it, in a folder that may be written to.
  for (const name of ['bin', 'scripts', 'src', 'node_modules', 'package.json']) {
    await symlink(join(ROOT, name), join(folder, name));
  }
  await cp('test/hooks/fixtures/github/push.json', join(folder, 'payload.json'));
  await writeFile(join(folder, 'mail.eml'), MAIL);
  // An answer that is no success fails.
  await writeFile(join(folder, '.curlrc'), 'fail-with-body\n');
  await mkdir(join(folder, 'data'));
  sandbox = await startChild({
    command: [join(ROOT, 'bin/postern.mjs')],
    environment: { PORT: '0', SMTP_DOOR_PORT: '0', LOG_LEVEL: 'error' },
    ready: /sandbox: (http:\/\/\S+),[\s\S]*See it arrive[\s\S]*ca\.pem/,
    cwd: folder,
  });
  url = sandbox.announced;
  [, smtpPort = ''] = /by SMTP, on port (\d+)/.exec(sandbox.output()) ?? [];
});
afterAll(() => sandbox.close());

/** The block with this gateway in place of the page's. */
const placed = (code: string): string =>
  code
    .replaceAll('http://localhost:8080', url)
    .replaceAll(/https:\/\/(?:postern\.example\.com|your-gateway\.example)/g, url)
    .replaceAll("host: 'postern.example.com', port: 2525", `host: 'localhost', port: ${smtpPort}`)
    .replaceAll('"postern.example.com", 2525', `"localhost", ${smtpPort}`)
    .replaceAll(/a-token-of-this-api-user|a-long-random-token-for-your-app|<token>/g, SANDBOX_TOKEN)
    .replaceAll(/\bapi_user\b/g, 'sandbox')
    .replaceAll('you@your-domain.example', 'you@ifaxin.com');

async function write({ page, line, language }: Block, code: string): Promise<string> {
  const extension = LANGUAGES[language]?.extension ?? 'txt';
  const file = join(folder, `${page.replaceAll('/', '-')}-${line}.${extension}`);
  await writeFile(file, code);
  return file;
}

async function start([program = '', ...args]: readonly string[]): Promise<string> {
  const ca = join(folder, 'data/sandbox-ca.pem');
  const [{ code: hooks = '' } = {}] = blocksOf('docs/hooks.md');
  const { stdout } = await run(program, args, {
    cwd: folder,
    timeout: 60_000,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      NODE_EXTRA_CA_CERTS: ca,
      SSL_CERT_FILE: ca,
      POSTERN_URL: url,
      POSTERN_TOKEN: SANDBOX_TOKEN,
      ...ACCOUNT,
      HOOKS: hooks,
    },
  });
  return stdout;
}

/** An answer has the fields that the page shows, each of the same kind. */
function kindsOf(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value === null ? null : typeof value;
  if (Array.isArray(value)) return value.slice(0, 1).map(kindsOf);
  return Object.fromEntries(
    Object.entries(value)
      // The name of a field may be an address.
      .map(([name, inner]) => [name, name === 'emailIds' ? 'object' : kindsOf(inner)])
      .toSorted(),
  );
}

/** Settings, hooks and accounts are what the gateway itself takes. */
async function takeSettings({ language, code }: Block): Promise<void> {
  if (language === 'ini') {
    const settings = parseEnv(code);
    expect(parseConfig(settings, NODE_DEFAULTS, () => 'a-secret-in-a-file').accounts).toHaveLength(1);
    const known = await readFile('docs/settings.md', 'utf8');
    for (const name of Object.keys(settings)) expect(known).toContain(`\`${name.replace(/_FILE$/, '')}\``);
  }
  if (language !== 'json') return;
  const value = JSON.parse(code);
  if (!Array.isArray(value)) return;
  if (value[0].apiUser)
    expect(parseConfig({ ACCOUNTS: code }, NODE_DEFAULTS).accounts).toHaveLength(value.length);
  if (value[0].from && value[0].name) {
    const { accounts } = parseConfig(ACCOUNT, NODE_DEFAULTS);
    expect(await parseHooks(code, accounts)).not.toHaveProperty('problems');
  }
}

describe.each(PAGES.filter((page) => !(page in OTHER_TESTS)))('%s', (page) => {
  const blocks = blocksOf(page);

  it('has its code in blocks that name their language', () => {
    const known = [...Object.keys(LANGUAGES), ...Object.keys(SHOWN)];
    expect(blocks.filter(({ language }) => !known.includes(language))).toEqual([]);
  });

  /** What the block above wrote, for the answer that the page shows below it. */
  let answer: string | null = null;

  for (const block of blocks) {
    const { language, code, line } = block;
    const [first = ''] = code.split('\n');
    const how = LANGUAGES[language];
    const isMissing = how !== undefined && missing(how.check('')[0] ?? '');
    if (isMissing) console.warn(`${language}: not installed, line ${line} of ${page} is left out.`);

    it.skipIf(isMissing)(`${line}: ${first}`, { timeout: 90_000 }, async () => {
      const above = answer?.trimStart();
      answer = null;
      if (how) {
        await start(how.check(await write(block, code)));
        if (listed(block)) return;
        if (!how.run) throw new Error(`Nothing runs ${language}: list it with what holds it instead.`);
        answer = await start(how.run(await write(block, placed(code))));
      } else {
        SHOWN[language]?.(code);
        if (listed(block)) return;
        if (language === 'json' && above?.startsWith('{')) {
          const [answered, shown] = [JSON.parse(above), JSON.parse(code)];
          expect(kindsOf(answered)).toEqual(kindsOf(shown));
          // The day in its Date has one digit or two.
          if ('size' in shown) expect([shown.size, shown.size - 1]).toContain(answered.size);
        } else await takeSettings(block);
      }
    });
  }
});

describe('the lists', () => {
  const blocks = PAGES.flatMap((page) => blocksOf(page));

  it('name what is there', () => {
    for (const [page, begins] of NOT_HERE) {
      const found = blocks.filter((block) => block.page === page && block.code.startsWith(begins));
      expect([page, begins, found.length]).toEqual([page, begins, 1]);
    }
    for (const [page, test] of Object.entries(OTHER_TESTS)) {
      expect(PAGES).toContain(page);
      expect(readFileSync(test, 'utf8')).toContain(page);
    }
  });

  it('leave no code outside of blocks', () => {
    // Four spaces after an empty line begin a block without a language.
    const indented = PAGES.filter((page) => !(page in OTHER_TESTS)).filter((page) =>
      /^\n {4}\S/m.test(proseOf(page).replace(/^[-*\d].*(?:\n.+|\n(?= ))*/gm, '')),
    );
    expect(indented).toEqual([]);
  });

  it('the first command is what is started here, and the second what is run before all else', () => {
    const readme = readFileSync('README.md', 'utf8');
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(readme).toContain('npm ci --omit=dev && npm start');
    expect(scripts.start).toBe('exec node bin/postern.mjs');
    expect(readFileSync('.ci/run', 'utf8')).toContain('\nnpm ci && npm test\n');
  });

  it('a quota is shown in the headers that an answer has', async () => {
    const response = await fetch(`${url}/v1/quota`, {
      headers: { Authorization: `Bearer ${SANDBOX_TOKEN}` },
    });
    const [shown] = blocksOf('docs/quota.md').filter(({ language }) => language === 'http');
    for (const line of shown?.code.trim().split('\n') ?? []) {
      const [name = '', value = ''] = line.split(': ');
      const digits = (text: string) => text.replaceAll(/(?<=[rt]=)\d+/g, 'n');
      expect([name, digits(response.headers.get(name) ?? '')]).toEqual([name, digits(value)]);
    }
  });
});
