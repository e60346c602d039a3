/** SendCloud's API v2 as its clients use it: the kinds of request that its documentation has for each of them. */

import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import PostalMime from 'postal-mime';
import { afterAll, describe, expect, it, vi } from 'vitest';

import { says } from '../support/faults.ts';
import { type Running, startPostern, TOKEN } from '../support/postern.ts';

const run = promisify(execFile);

const directory = await mkdtemp(join(tmpdir(), 'postern-apiv2-'));
afterAll(() => rm(directory, { recursive: true }));

/** Bytes that no text encoding leaves alone. */
const BYTES = Buffer.from(Array.from({ length: 3000 }, (_, index) => (index * 13 + 10) % 256));
const FILE = join(directory, 'data.bin');
await writeFile(FILE, BYTES);

const PARAMETERS = {
  apiUser: 'ifaxin',
  apiKey: TOKEN,
  from: 'support@ifaxin.com',
  fromName: '爱发信支持',
  to: 'ben@ifaxin.com',
  subject: '欢迎 & 100% + 1',
  html: '<p>欢迎使用SendCloud</p>',
};

interface Answer {
  readonly result: boolean;
  readonly statusCode: number;
  readonly message: string;
  readonly info: { readonly emailIdList?: readonly string[]; readonly code?: string };
}

type Body = URLSearchParams | FormData;

async function ask(postern: Running, body: Body, method = 'POST', path = '/apiv2/mail/send') {
  const response = await fetch(postern.url + path, { method, ...(method === 'POST' ? { body } : {}) });
  return { status: response.status, headers: response.headers, answer: (await response.json()) as Answer };
}

const form = (more: Record<string, string> = {}) => new URLSearchParams({ ...PARAMETERS, ...more });

const arrived = (postern: Running) =>
  Promise.all(
    postern.upstream.taken.map(async ({ recipients, message }) => ({
      recipients,
      mail: await PostalMime.parse(message as Buffer),
    })),
  );

const entries = (record: Record<string, string>) => Object.entries(record);

/** Each prints the answer to its standard output. */
const CLIENTS: Record<string, (url: string, more: Record<string, string>) => readonly [string, string[]]> = {
  'curl -d': (url, more) => [
    'curl',
    ['-s', ...entries(more).flatMap(([name, value]) => ['--data-urlencode', `${name}=${value}`]), url],
  ],
  'curl -F': (url, more) => [
    'curl',
    [
      '-s',
      ...entries(more).flatMap(([name, value]) => ['--form-string', `${name}=${value}`]),
      ...['-F', `attachments=@${FILE};filename=报告.bin`, '-F', `attachments=@${FILE}`, url],
    ],
  ],
  "Python's requests": (url, more) => [
    'python3',
    [
      '-c',
      `import requests, json, sys
from urllib.parse import quote
url, path, params = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
files = [("attachments", (quote("报告.bin"), open(path, "rb"), "application/octet-stream")),
         ("attachments", open(path, "rb"))]
print(requests.post(url, files=files, data=params).text)`,
      ...[url, FILE, JSON.stringify(more)],
    ],
  ],
  "Python's urllib": (url, more) => [
    'python3',
    [
      '-c',
      `import json, sys
from urllib import parse, request
print(request.urlopen(sys.argv[1], parse.urlencode(json.loads(sys.argv[2])).encode()).read().decode())`,
      ...[url, JSON.stringify(more)],
    ],
  ],
  "PHP's streams": (url, more) => [
    'php',
    [
      '-r',
      `$options = ["http" => ["method" => "POST", "header" => "Content-Type: application/x-www-form-urlencoded",
        "content" => http_build_query(json_decode($argv[2], true))]];
      echo file_get_contents($argv[1], false, stream_context_create($options));`,
      ...[url, JSON.stringify(more)],
    ],
  ],
  "PHP's streams, multipart by hand": (url, more) => [
    'php',
    [
      '-r',
      `$b = md5("now"); $eol = "\\r\\n"; $data = "";
      foreach (json_decode($argv[3], true) as $name => $value)
        $data .= "--" . $b . $eol . "Content-Disposition: form-data; name=" . $name . $eol . $eol . $value . $eol;
      foreach (["报告.bin", "data.bin"] as $filename)
        $data .= "--" . $b . $eol . 'Content-Disposition: form-data; name="attachments"; filename="' . $filename . '"'
          . $eol . "Content-Type: application/octet-stream" . $eol . "Content-Transfer-Encoding: binary" . $eol . $eol
          . file_get_contents($argv[2]) . $eol;
      $data .= "--" . $b . "--" . $eol . $eol;
      $options = ["http" => ["method" => "POST", "content" => $data,
        "header" => "Content-Type: multipart/form-data;boundary=" . $b . $eol]];
      echo file_get_contents($argv[1], false, stream_context_create($options));`,
      ...[url, FILE, JSON.stringify(more)],
    ],
  ],
};

const PROBES: Record<string, readonly string[]> = {
  curl: ['--version'],
  python3: ['-c', 'import requests'],
  php: ['--version'],
};

function isThere(program: string): boolean {
  try {
    execFileSync(program, PROBES[program], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn(
      `${program} is not installed, its tests are left out (Debian: curl, python3-requests, php-cli).`,
    );
    return false;
  }
}

const INSTALLED = Object.keys(PROBES).filter(isThere);
const AVAILABLE = Object.entries(CLIENTS).filter(([, command]) => INSTALLED.includes(command('', {})[0]));

describe.concurrent('SendCloud API v2, by its clients', { timeout: 60_000 }, () => {
  it.each(AVAILABLE)('%s', async (name, command) => {
    await using postern = await startPostern();
    const [program, args] = command(`${postern.url}/apiv2/mail/send`, PARAMETERS);
    const { stdout } = await run(program, args);
    const answer = JSON.parse(stdout) as Answer;
    expect(answer).toMatchObject({ result: true, statusCode: 200, message: '请求成功' });
    expect(answer.info.emailIdList).toEqual([expect.stringMatching(/0\$ben@ifaxin\.com$/)]);
    const [{ mail, recipients } = expect.fail()] = await arrived(postern);
    expect(recipients).toEqual(['ben@ifaxin.com']);
    expect(mail.from).toMatchObject({ name: '爱发信支持', address: 'support@ifaxin.com' });
    expect(mail.subject).toBe(PARAMETERS.subject);
    expect(mail.html?.trim()).toBe(PARAMETERS.html);
    const files = /-d|urllib|streams$/.test(name) ? [] : ['报告.bin', 'data.bin'];
    expect(mail.attachments.map(({ filename }) => filename)).toEqual(files);
    for (const { content } of mail.attachments) {
      expect(Buffer.from(content as ArrayBuffer).equals(BYTES)).toBe(true);
    }
  });

  it("Node's FormData", async () => {
    await using postern = await startPostern();
    const body = new FormData();
    for (const [name, value] of entries(PARAMETERS)) body.append(name, value);
    body.append('attachments', new Blob([BYTES], { type: 'application/pdf' }), '报告.pdf');
    const { status, answer } = await ask(postern, body);
    expect({ status, statusCode: answer.statusCode }).toEqual({ status: 200, statusCode: 200 });
    const [{ mail } = expect.fail()] = await arrived(postern);
    expect(mail.attachments).toMatchObject([{ filename: '报告.pdf', mimeType: 'application/pdf' }]);
    expect(Buffer.from(mail.attachments[0]?.content as ArrayBuffer).equals(BYTES)).toBe(true);
  });
});

describe.concurrent('SendCloud API v2', { timeout: 60_000 }, () => {
  it('sends every parameter on', async () => {
    await using postern = await startPostern();
    const { answer } = await ask(
      postern,
      form({
        to: 'ben@ifaxin.com; Joe <joe@ifaxin.com>;',
        cc: 'cc@ifaxin.com',
        bcc: 'bcc@ifaxin.com',
        replyTo: 'a@ifaxin.com;b@ifaxin.com',
        plain: 'Welcome',
        labelId: '31337',
        headers: '{"SC-Custom-Order": "17", "failed": "no"}',
        useAddressList: 'false',
        useNotification: 'false',
        xsmtpapi: '',
      }),
    );
    expect(answer.info.emailIdList).toHaveLength(4);
    const [{ mail, recipients } = expect.fail(), ...others] = await arrived(postern);
    expect(others).toEqual([]);
    expect(recipients).toEqual(['ben@ifaxin.com', 'joe@ifaxin.com', 'cc@ifaxin.com', 'bcc@ifaxin.com']);
    expect(mail.to?.map(({ address }) => address)).toEqual(['ben@ifaxin.com', 'joe@ifaxin.com']);
    expect(mail.replyTo?.map(({ address }) => address)).toEqual(['a@ifaxin.com', 'b@ifaxin.com']);
    expect(mail.text?.trim()).toBe('Welcome');
    expect(mail.headers.find(({ key }) => key === 'sc-custom-order')?.value).toBe('17');
    expect(mail.headers.find(({ key }) => key === 'failed')?.value).toBe('no');
    expect(postern.upstream.logins.map(({ label }) => label)).toEqual([31337]);
    expect(await postern.drawn()).toBe(1);
  });

  it('sends each address in to a mail of its own, where there is no cc and bcc', async () => {
    await using postern = await startPostern();
    const to = Array.from({ length: 12 }, (_, index) => `user-${index}@ifaxin.com`);
    const { answer } = await ask(postern, form({ to: to.join(';') }));
    expect(answer.info.emailIdList?.map((id) => id.split('$')[1])).toEqual(to);
    const mails = await arrived(postern);
    expect(mails.map(({ recipients }) => recipients).sort()).toEqual(to.map((one) => [one]).sort());
    for (const { mail, recipients } of mails) expect(mail.to?.[0]?.address).toBe(recipients[0]);
    expect(await postern.drawn()).toBe(12);
  });

  it('answers the first failure, and what went out', async () => {
    const faults = [{ at: 'rcpt', address: 'b@ifaxin.com', do: { reply: '550 no such user' } }] as const;
    await using postern = await startPostern({}, { faults });
    const { status, answer } = await ask(postern, form({ to: 'a@ifaxin.com;b@ifaxin.com;c@ifaxin.com' }));
    // SendCloud's own clients read no other.
    expect(status).toBe(200);
    expect(answer).toMatchObject({ result: false, statusCode: 422, info: { code: 'recipients-refused' } });
    expect(answer.message).toContain('Of 3 mails 2 went out.');
    expect(answer.info.emailIdList?.map((id) => id.split('$')[1])).toEqual(['a@ifaxin.com', 'c@ifaxin.com']);
  });

  it.each(['false', '0'])('leaves the ids out where they are not asked for (%s)', async (respEmailId) => {
    await using postern = await startPostern();
    expect((await ask(postern, form({ respEmailId }))).answer.info).toEqual({});
  });

  it('takes switches as PHP writes them', async () => {
    await using postern = await startPostern();
    const off = { useAddressList: '0', useNotification: '0', gzipCompress: '0' };
    const { answer } = await ask(postern, form({ respEmailId: '1', ...off }));
    expect(answer).toMatchObject({ result: true, info: { emailIdList: [expect.any(String)] } });
    const on = await ask(postern, form({ useNotification: '1' }));
    expect(on.answer.info.code).toBe('unsupported-field');
  });

  it('takes files as PHP numbers them, and says which text came as a file', async () => {
    await using postern = await startPostern();
    const body = new FormData();
    for (const [name, value] of entries(PARAMETERS)) body.append(name, value);
    for (const name of ['attachments[]', 'attachments[0]', 'attachments']) {
      body.append(name, new Blob([BYTES]), `${name}.bin`);
    }
    expect((await ask(postern, body)).answer.statusCode).toBe(200);
    const [{ mail } = expect.fail()] = await arrived(postern);
    expect(mail.attachments).toHaveLength(3);
    body.set('html', new Blob(['<p>Hi</p>']), 'x.html');
    const { answer } = await ask(postern, body);
    expect(answer.message).toBe('"html" is not supported here as a file.');
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('takes the name in from where there is no fromName, and passes over a file that was not chosen', async () => {
    await using postern = await startPostern();
    const body = new FormData();
    const named = { ...PARAMETERS, from: '爱发信支持<support@ifaxin.com>', fromName: '' };
    for (const [name, value] of entries(named)) body.append(name, value);
    body.append('attachments', new Blob([]), '');
    expect((await ask(postern, body)).answer.statusCode).toBe(200);
    const [{ mail } = expect.fail()] = await arrived(postern);
    expect(mail.from).toMatchObject({ name: '爱发信支持', address: 'support@ifaxin.com' });
    expect(mail.attachments).toEqual([]);
  });

  it.each<[Record<string, string>, number]>([
    [{ apiKey: 'wrong' }, 40005],
    [{ apiUser: '' }, 40005],
    [{ apiUser: 'another' }, 40005],
    [{ from: '' }, 40801],
    [{ from: 'nobody' }, 40802],
    [{ fromName: 'a\nb' }, 40804],
    [{ to: ' ; ' }, 40805],
    [{ to: 'ben@ifaxin.com;nobody' }, 40806],
    [{ to: 'a@b.cn;'.repeat(101) }, 40807],
    [{ subject: '' }, 40808],
    [{ subject: 'a\r\nBcc: evil@example.com' }, 40809],
    [{ replyTo: 'nobody' }, 40811],
    [{ cc: 'nobody' }, 40853],
    [{ cc: 'a@b.cn;'.repeat(101) }, 40854],
    [{ bcc: 'nobody' }, 40856],
    [{ bcc: 'a@b.cn;'.repeat(101) }, 40857],
    [{ html: '' }, 40870],
    [{ respEmailId: 'yes' }, 40859],
    [{ labelId: 'spring' }, 40015],
    [{ headers: '{"a":' }, 40869],
    [{ headers: '["a"]' }, 40869],
    [{ headers: '{"Subject": "another"}' }, 40869],
    [{ headers: `{"a":[${'1,'.repeat(2000)}1]}` }, 40869],
    [{ attachments: 'text' }, 40867],
    [{ 'attachments[]': 'text' }, 40867],
  ])('refuses %j with %i', async (wrong, statusCode) => {
    await using postern = await startPostern();
    const { status, answer } = await ask(postern, form(wrong));
    expect(answer).toEqual({ result: false, statusCode, message: expect.any(String), info: {} });
    expect(status).toBe(200);
    expect(postern.upstream.taken).toHaveLength(0);
    expect(await postern.drawn()).toBe(0);
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ headers: '{"Message-ID": "<a@ifaxin.com>"}' }, /^headers\/Message-ID: Remove this header/],
    [{ headers: '{"Return-Path": "a@ifaxin.com"}' }, /^headers\/Return-Path: Remove this header/],
    [{ headers: '{"Reply-To": "a@ifaxin.com"}' }, /"replyTo"/],
    [{ labelId: 'spring' }, /^labelId: /],
    [{ plain: '\0' }, /^plain: /],
    [{ to: 'a@ifaxin.com,b@ifaxin.com' }, /^to: Put ";" between/],
    [{ cc: 'Ann <a@ifaxin.com>, b@ifaxin.com' }, /^cc.*: Put ";" between/],
    [{ replyTo: 'a@ifaxin.com, b@ifaxin.com' }, /^replyTo.*: Put ";" between/],
  ])('says in its own words what is wrong with %j', async (wrong, message) => {
    await using postern = await startPostern();
    expect((await ask(postern, form(wrong))).answer.message).toMatch(message);
  });

  it('takes a comma in a name for one', async () => {
    await using postern = await startPostern();
    expect((await ask(postern, form({ to: '"Li, Ben" <ben@ifaxin.com>' }))).answer.result).toBe(true);
  });

  it.each([
    'labelName',
    'templateInvokeName',
    'xsmtpapi',
    'contentSummary',
    'useAddressList',
    'useNotification',
    'something',
    '__proto__',
  ])('refuses %s by name', async (name) => {
    await using postern = await startPostern();
    const body = form();
    body.append(name, 'true');
    const { status, answer } = await ask(postern, body);
    expect(status).toBe(200);
    expect(answer).toMatchObject({ result: false, statusCode: 422, info: { code: 'unsupported-field' } });
    expect(answer.message).toContain(`"${name}"`);
    expect(postern.upstream.taken).toHaveLength(0);
  });

  it.each([
    ['GET', '/apiv2/mail/send', 405, 'method-not-allowed'],
    ['POST', '/apiv2/mail/sendtemplate', 404, 'not-found'],
    ['GET', '/apiv2', 404, 'not-found'],
  ])('answers %s %s in its shape', async (method, path, status, code) => {
    await using postern = await startPostern();
    const { answer, ...response } = await ask(postern, form(), method, path);
    expect(response.status).toBe(status);
    expect(answer).toMatchObject({ result: false, statusCode: status, info: { code } });
    expect(response.headers.get('Allow')).toBe(status === 405 ? 'POST' : null);
  });

  it('answers what is no form, or too large, in its shape', async () => {
    await using postern = await startPostern({ MAX_MESSAGE_BYTES: '1024' });
    const path = '/apiv2/mail/send';
    const json = await postern.request(path, { body: PARAMETERS });
    expect(json.status).toBe(400);
    expect(await json.json()).toMatchObject({ statusCode: 400, info: { code: 'invalid-request' } });
    const large = await ask(postern, form({ html: 'x'.repeat(2000) }));
    expect(large).toMatchObject({
      status: 413,
      answer: { statusCode: 413, info: { code: 'message-too-large' } },
    });
  });

  it('takes the api_key of the caller where BASIC_AUTH is on, and that alone', async () => {
    const accounts = { own: 'own-key' };
    await using postern = await startPostern({ BASIC_AUTH: 'on' }, { accounts });
    const right = await ask(postern, form({ apiUser: 'own', apiKey: 'own-key' }));
    expect(right.answer.statusCode).toBe(200);
    const wrong = await ask(postern, form({ apiUser: 'own', apiKey: 'a-wrong-key' }));
    expect(wrong.answer).toMatchObject({ statusCode: 40005, info: {} });
    expect(postern.upstream.taken).toHaveLength(1);
    const said = JSON.stringify(wrong.answer) + postern.logLines.join();
    expect(said).not.toMatch(/own-key|a-wrong-key/);
    expect(said).toContain('login refused');
  });

  it('counts failed logins with those of the other doors', async () => {
    await using postern = await startPostern();
    for (let guess = 0; guess < 10; guess++) await ask(postern, form({ apiKey: `wrong-${guess}` }));
    const { status, answer, headers } = await ask(postern, form({ apiKey: 'wrong' }));
    expect({ status, answer }).toMatchObject({
      status: 200,
      answer: { statusCode: 429, info: { code: 'too-many-failed-logins' } },
    });
    expect(Number(headers.get('Retry-After'))).toBeGreaterThan(0);
    const basic = { Authorization: `Basic ${btoa('ifaxin:wrong')}` };
    expect((await postern.request('/v1/quota', { headers: basic })).status).toBe(429);
  });

  it('does not go on where all others would fail just so', async () => {
    await using postern = await startPostern({ QUOTA_LIMIT: '1' });
    await postern.send();
    const { status, answer } = await ask(postern, form({ to: 'a@ifaxin.com;b@ifaxin.com' }));
    expect(status).toBe(200);
    expect(answer).toMatchObject({
      statusCode: 429,
      message: expect.stringContaining('Of 2 mails 0 went out.'),
    });
  });

  it('answers what upstream said', async () => {
    await using postern = await startPostern({}, says('dot', '554 no'));
    const { status, answer } = await ask(postern, form());
    expect(status).toBe(200);
    expect(answer).toMatchObject({ statusCode: 422, info: { code: 'message-refused' } });
  });
});

// Alone, for it moves the clock of all.
describe('a sendRequestId', () => {
  it('is sent once in an hour', async () => {
    await using postern = await startPostern();
    const body = { to: 'a@ifaxin.com;b@ifaxin.com', sendRequestId: 'order-17' };
    const first = await ask(postern, form(body));
    const second = await ask(postern, form(body));
    expect(second.answer).toEqual(first.answer);
    expect(postern.upstream.taken).toHaveLength(2);
    const other = await ask(postern, form({ ...body, subject: 'Another' }));
    expect(other).toMatchObject({ status: 200, answer: { result: false, statusCode: 40000 } });
    expect(other.answer.message).toMatch(/^This sendRequestId came with another message/);
    expect(postern.upstream.taken).toHaveLength(2);

    const now = performance.now.bind(performance);
    using _later = vi.spyOn(performance, 'now').mockImplementation(() => now() + 60 * 60 * 1000);
    expect((await ask(postern, form(body))).answer).toMatchObject({ result: true });
    expect(postern.upstream.taken).toHaveLength(4);
  });
});
