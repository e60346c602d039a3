/**
 * What Postern promises over HTTP, on whatever it runs: real requests to a real runtime, which sends to a real
 * STARTTLS upstream with an authority of its own.
 *
 * Not here: `overloaded`, which takes 500 messages waiting at once, and is tested where the pool is.
 */

import { createHmac } from 'node:crypto';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import PostalMime from 'postal-mime';
import { Resend } from 'resend';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FAILURES, type FailureCode } from '../../src/outcome.ts';
import { fault, INSECURE } from '../support/faults.ts';
import { authority, MESSAGE, PICTURE } from '../support/postern.ts';
import { type Bridge, describeWithRedis, startBridge, startRedis, type TestRedis } from '../support/redis.ts';
import { type Switch, startSwitch } from '../support/switch.ts';
import { startUpstream, type Transaction, type Upstream, type UpstreamOptions } from '../support/upstream.ts';

export type Settings = Readonly<Record<string, string>>;

/** A started gateway. */
export interface Gateway {
  readonly url: string;
  /** Everything that it has written to its log. */
  output(): string;
  close(): Promise<void>;
}

/** What the suite runs on, and where that may differ: nothing else may. */
export interface Runtime {
  /** Starts a gateway that trusts the authority `ca` (PEM); rejects where wrong settings keep it from starting. */
  start(settings: Settings, ca: string): Promise<Gateway>;
  /** The largest file that fits a request, in bytes. */
  readonly attachmentBytes: number;
  /** Bodies arrive byte for byte; the local Lambda takes each of them for text, which AWS does not. */
  readonly takesBytes: boolean;
  /** Wrong settings: Node does not start, the others answer 500. */
  readonly refusesToStart: boolean;
  /** It keeps messages for later as it is started here. */
  readonly keepsOutbox: boolean;
  /** The failure codes of cases where the runtime cannot tell what the others can. */
  readonly codes: Readonly<Record<string, FailureCode>>;
}

interface User {
  readonly apiUser: string;
  readonly apiKey: string;
  readonly tokens: readonly [string];
}

const user = (name: string): User => ({
  apiUser: name,
  apiKey: `key-of-${name}`,
  tokens: [`token-of-${name}-0123456789`],
});

/** One for each test, so that none meets another's connections, quota or keys. */
const USERS = Array.from({ length: 120 }, (_, index) => user(`user-${index}`));
const POLICED = { ...user('policed'), from: ['ifaxin.com'], labels: [31337] };
const FRUGAL = { ...user('frugal'), quota: 3 };
const HOOKED = user('hooked');

const ACCOUNTS = JSON.stringify([...USERS, POLICED, FRUGAL, HOOKED]);
const bearer = ({ tokens }: User) => ({ Authorization: `Bearer ${tokens[0]}` });
const basic = (apiUser: string, apiKey: string) => ({
  Authorization: `Basic ${btoa(`${apiUser}:${apiKey}`)}`,
});

interface Sent {
  readonly as: User;
  readonly message?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly method?: string;
}

function ask(
  { url }: Gateway,
  { as, message = MESSAGE, headers, path, method = 'POST' }: Sent,
): Promise<Response> {
  return fetch(url + (path ?? '/v1/messages'), {
    method,
    headers: { ...bearer(as), 'Content-Type': 'application/json', ...headers },
    ...(method === 'POST' && { body: typeof message === 'string' ? message : JSON.stringify(message) }),
  });
}

interface Case {
  readonly name: string;
  readonly code: FailureCode;
  readonly as?: User;
  readonly upstream?: UpstreamOptions;
  /** With this deadline a silent upstream is a time-out, and not a test that waits. */
  readonly impatient?: true;
  readonly message?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly method?: string;
  readonly smtp?: { readonly code: number; readonly phase: string };
  /** Calls drawn and messages that upstream took; none where they are absent. */
  readonly draws?: number;
  readonly takes?: number;
}

const CASES: readonly Case[] = [
  { name: 'broken JSON', code: 'invalid-request', message: '{"from":' },
  { name: 'no credentials', code: 'unauthorized', headers: { Authorization: '' } },
  {
    name: 'a wrong token',
    code: 'unauthorized',
    headers: { Authorization: 'Bearer not-a-token-that-we-know' },
  },
  {
    name: 'an api_key that upstream refuses',
    code: 'unauthorized',
    upstream: { accounts: {} },
    headers: basic('somebody', 'wrong'),
    smtp: { code: 535, phase: 'auth' },
  },
  { name: 'a form', code: 'unsupported-media-type', headers: { 'Content-Type': 'text/plain' } },
  { name: 'a message without recipients', code: 'invalid-message', message: { ...MESSAGE, to: [] } },
  {
    name: "not this account's sender",
    code: 'forbidden-sender',
    as: POLICED,
    message: { ...MESSAGE, from: 'a@b.example' },
  },
  {
    name: "not this account's label",
    code: 'forbidden-label',
    as: POLICED,
    message: { ...MESSAGE, label: 2 },
  },
  { name: 'no such path', code: 'not-found', path: '/v1/nothing' },
  { name: 'another method', code: 'method-not-allowed', method: 'DELETE' },
  {
    name: 'a body over the limit',
    code: 'message-too-large',
    impatient: true,
    message: { ...MESSAGE, text: 'x'.repeat(200_000) },
  },
  {
    name: 'a 552 after the dot',
    code: 'message-too-large',
    upstream: fault('dot', { reply: '552 5.3.4 Message size exceeds fixed limit' }),
    smtp: { code: 552, phase: 'dot' },
    draws: 1,
  },
  {
    name: 'a wrong api_key in the settings',
    code: 'upstream-credentials',
    upstream: { accounts: {} },
    smtp: { code: 535, phase: 'auth' },
  },
  ...INSECURE.map((one): Case => ({ ...one, code: 'upstream-insecure' })),
  ...(['connect', 'greeting', 'ehlo', 'starttls', 'tls', 'ehlo2', 'auth', 'auth-key'] as const).map(
    (at): Case => ({ name: `closed at ${at}`, code: 'upstream-unreachable', upstream: fault(at, 'close') }),
  ),
  { name: 'reset at tls', code: 'upstream-unreachable', upstream: fault('tls', 'reset') },
  { name: 'closed at mail', code: 'upstream-unreachable', upstream: fault('mail', 'close'), draws: 3 },
  { name: 'closed at data', code: 'upstream-unreachable', upstream: fault('data', 'close'), draws: 1 },
  {
    name: 'silent at greeting',
    code: 'upstream-timeout',
    impatient: true,
    upstream: fault('greeting', 'silent'),
  },
  { name: 'silent at auth', code: 'upstream-timeout', impatient: true, upstream: fault('auth', 'silent') },
  {
    name: 'silent at data',
    code: 'upstream-timeout',
    impatient: true,
    upstream: fault('data', 'silent'),
    draws: 1,
  },
  ...(['mail', 'data', 'dot'] as const).flatMap((at): Case[] => [
    {
      name: `553 at ${at}`,
      code: 'message-refused',
      upstream: fault(at, { reply: '553 template_validate not match' }),
      smtp: { code: 553, phase: at },
      draws: 1,
    },
    {
      name: `451 at ${at}`,
      code: 'upstream-busy',
      upstream: fault(at, { reply: '451 4.3.0 try again later' }),
      smtp: { code: 451, phase: at },
      draws: 1,
    },
  ]),
  {
    name: '550 for every recipient',
    code: 'recipients-refused',
    upstream: fault('rcpt', { reply: '550 I cannot deliver mail for <ben@ifaxin.com>' }),
    smtp: { code: 550, phase: 'rcpt' },
    draws: 1,
  },
  { name: '421 at auth', code: 'upstream-busy', upstream: fault('auth', { reply: '421 4.3.2 going down' }) },
  {
    name: '421 at rcpt',
    code: 'upstream-busy',
    upstream: fault('rcpt', { reply: '421 4.3.2 going down' }),
    draws: 1,
  },
  {
    name: '536 at mail',
    code: 'quota-exceeded',
    upstream: fault('mail', { reply: '536 frequency limited' }),
    smtp: { code: 536, phase: 'mail' },
  },
  { name: 'closed after the dot', code: 'outcome-unknown', upstream: fault('dot', 'close'), draws: 1 },
  ...(['close', 'reset', 'silent'] as const).map(
    (what): Case => ({
      name: `${what} after the dot, taken`,
      code: 'outcome-unknown',
      ...(what === 'silent' && { impatient: true }),
      upstream: fault('dot', what, { taken: true }),
      draws: 1,
      takes: 1,
    }),
  ),
];

/** Runs the whole suite on one runtime. */
const HOOK_SECRET = 'the-secret-of-the-hook';
const HOOKS = JSON.stringify([
  {
    name: 'contract',
    scheme: 'sentry',
    secret: HOOK_SECRET,
    account: HOOKED.apiUser,
    from: 'alerts@ifaxin.com',
    to: 'ops@ifaxin.com',
    template: { subject: '[{{ payload.event }}] {{ payload.host }}', html: '<b>{{ payload.host }}</b>' },
  },
]);

export function gatewayContract(runtime: Runtime): void {
  const users = USERS.values();
  const nextUser = () => users.next().value ?? expect.fail('more tests than users');
  let upstreamPort: Switch;
  let gateway: Gateway;
  let impatient: Gateway;

  const settings = (more: Settings = {}): Settings => ({
    ACCOUNTS,
    BASIC_AUTH: 'on',
    HOOKS,
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(upstreamPort.port),
    ...more,
  });

  beforeAll(async () => {
    upstreamPort = await startSwitch();
    [gateway, impatient] = await Promise.all([
      runtime.start(settings(), authority.cert),
      runtime.start(settings({ DEADLINE_MS: '1500', MAX_MESSAGE_BYTES: '100000' }), authority.cert),
    ]);
  });
  afterAll(async () => {
    await Promise.all([gateway?.close(), impatient?.close()]);
    await upstreamPort?.close();
  });

  /** The upstream of one test. Whatever happens in it: never a key or a message in the clear. */
  async function meet(options: UpstreamOptions = {}): Promise<Upstream & AsyncDisposable> {
    const upstream = await startUpstream({ certificate: await authority.issue(), ...options });
    upstreamPort.target = upstream.port;
    return Object.assign(upstream, {
      async [Symbol.asyncDispose]() {
        upstreamPort.target = null;
        await upstream.close();
        const clear = upstream.sessions.flatMap(({ dialogue }) => dialogue.filter((line) => !line.secured));
        expect(clear.filter(({ text }) => /^C: (?:AUTH|MAIL|RCPT|DATA)/i.test(text))).toEqual([]);
      },
    });
  }

  async function drawn(by: Gateway, as: User): Promise<number> {
    const response = await ask(by, { as, path: '/v1/quota', method: 'GET' });
    const { limit, remaining } = (await response.json()) as { limit: number; remaining: number };
    return limit - remaining;
  }

  test('one message: the receipt, the quota, and what upstream got', async () => {
    await using upstream = await meet();
    const as = nextUser();
    const response = await ask(gateway, { as, message: { ...MESSAGE, bcc: 'carl@ifaxin.com' } });
    const receipt = await response.json();

    expect(response.status, JSON.stringify(receipt)).toBe(200);
    expect(receipt).toMatchObject({
      queueId: '1426390015358_15_6484_8661.sc-10_10_127_51-inbound',
      label: 31337,
      accepted: ['ben@ifaxin.com', 'carl@ifaxin.com'],
      rejected: [],
      emailIds: { 'carl@ifaxin.com': '1426390015358_15_6484_8661.sc-10_10_127_51-inbound1$carl@ifaxin.com' },
      embedded: 0,
    });
    expect(response.headers.get('RateLimit-Policy')).toBe('"apiuser";q=20000;w=60');
    expect(response.headers.get('RateLimit')).toMatch(/^"apiuser";r=19999;t=\d+$/);
    expect(response.headers.get('Request-Id')).toBeTruthy();
    expect(response.headers.get('Server-Timing')).toMatch(/compose;.*lease;.*draw;.*send;/);

    expect(upstream.logins).toMatchObject([{ user: `${as.apiUser}#31337`, key: as.apiKey, secured: true }]);
    const mail = await PostalMime.parse(taken(upstream).message ?? '');
    expect(mail).toMatchObject({ subject: MESSAGE.subject, from: { address: 'support@ifaxin.com' } });
    expect(mail.bcc).toBeUndefined();
    expect(mail.attachments).toMatchObject([{ contentId: '<image1>', mimeType: 'image/png', related: true }]);
    expect(bytesOf(mail.attachments[0])).toEqual(Buffer.from(PICTURE, 'base64'));
  });

  test.skipIf(!runtime.takesBytes).each([
    ['gzip', 'as it is', gzipSync],
    ['deflate', 'with its wrapper', deflateSync],
    ['deflate', 'without its wrapper', deflateRawSync],
  ] as const)('a body in %s, %s', async (encoding, _, encode) => {
    await using upstream = await meet();
    const as = nextUser();
    const response = await fetch(`${gateway.url}/v1/messages`, {
      method: 'POST',
      headers: { ...bearer(as), 'Content-Type': 'application/json', 'Content-Encoding': encoding },
      body: encode(JSON.stringify({ ...MESSAGE, subject: 'Smaller on the way' })),
    });
    expect([response.status, await response.json()]).toEqual([200, expect.anything()]);
    const mail = await PostalMime.parse(taken(upstream).message ?? '');
    expect(mail.subject).toBe('Smaller on the way');
  });

  test("Resend's own client: an email, a batch, and what is refused", async () => {
    await using upstream = await meet();
    const { tokens } = nextUser();
    const resend = new Resend(tokens[0], { baseUrl: `${gateway.url}/resend` });
    const email = { from: MESSAGE.from, to: MESSAGE.to, subject: 'One', text: 'By its client.' };
    const tags = [{ name: 'order', value: '17' }];
    const { data } = await resend.emails.send({ ...email, tags }, { idempotencyKey: 'order/17' });
    await expect.poll(() => upstream.taken.length, { timeout: 10_000 }).toBe(1);
    const again = await resend.emails.send({ ...email, tags }, { idempotencyKey: 'order/17' });
    expect(again.data).toEqual(data);
    const mail = await PostalMime.parse(taken(upstream).message ?? '');
    expect(mail).toMatchObject({ subject: 'One', messageId: `<${data?.id}@ifaxin.com>` });
    expect(mail.headers).toContainEqual(expect.objectContaining({ key: 'sc-custom-order', value: '17' }));
    const batch = await resend.batch.send([email, { ...email, subject: 'Two' }]);
    expect(batch.data?.data).toHaveLength(2);
    await expect.poll(() => upstream.taken.length, { timeout: 10_000 }).toBe(3);
    const { error } = await resend.emails.send({ ...email, topicId: 'news' });
    expect(error).toMatchObject({ name: 'validation_error', statusCode: 422, code: 'unsupported-field' });
  });

  test('a hook: signed, rendered by its template, and repeated without a second mail', async () => {
    await using upstream = await meet();
    const body = JSON.stringify({ event: 'down', host: 'db1 <main>' });
    const signature = createHmac('sha256', HOOK_SECRET).update(body).digest('hex');
    const deliver = (signed: string) =>
      fetch(`${gateway.url}/v1/hooks/contract`, {
        method: 'POST',
        headers: { 'Sentry-Hook-Signature': signed, 'Request-ID': 'delivery-1' },
        body,
      });
    const first = await deliver(signature);
    expect(first.status).toBeLessThan(203);
    await expect.poll(() => upstream.taken.length, { timeout: 10_000 }).toBe(1);
    expect(await (await deliver(signature)).json()).toMatchObject({ id: (await first.json()).id });
    expect(await (await deliver('00'.repeat(32))).json()).toMatchObject({ code: 'bad-signature' });
    const mail = await PostalMime.parse(taken(upstream).message ?? '');
    expect(mail.subject).toBe('[down] db1 <main>');
    expect(mail.html?.trim()).toBe('<b>db1 &lt;main&gt;</b>');
    expect(upstream.taken).toHaveLength(1);
  });

  test('a batch: each message has its own end, in order', async () => {
    await using upstream = await meet({
      faults: [{ at: 'rcpt', do: { reply: '550 no' }, address: 'no@ifaxin.com' }],
    });
    const batch = [
      MESSAGE,
      { ...MESSAGE, to: [] },
      { ...MESSAGE, to: 'no@ifaxin.com' },
      { ...MESSAGE, label: 2 },
    ];
    const response = await ask(gateway, { as: nextUser(), message: batch, path: '/v1/messages/batch' });

    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject([
      { status: 200, receipt: { label: 31337 } },
      { status: 422, problem: { code: 'invalid-message' } },
      { status: 422, problem: { code: 'recipients-refused' } },
      { status: 200, receipt: { label: 2 } },
    ]);
    expect(upstream.taken).toHaveLength(2);
  });

  test('labels: a login for each, one quota for all', async () => {
    await using upstream = await meet();
    const as = nextUser();
    const { label: _, ...unlabelled } = MESSAGE;
    for (const message of [{ ...MESSAGE, label: 1 }, { ...MESSAGE, label: '2' }, unlabelled]) {
      expect((await ask(gateway, { as, message })).status).toBe(200);
    }
    expect(upstream.logins.map((login) => login.label)).toEqual([1, 2, null]);
    expect(await drawn(gateway, as)).toBe(3);
  });

  test('a picture in a data: URI becomes an inline image', async () => {
    await using upstream = await meet();
    const message = { ...MESSAGE, html: `<img src="data:image/png;base64,${PICTURE}">`, inlineImages: [] };
    expect(await (await ask(gateway, { as: nextUser(), message })).json()).toMatchObject({ embedded: 1 });
    const mail = await PostalMime.parse(taken(upstream).message ?? '');
    expect(mail.attachments).toMatchObject([{ mimeType: 'image/png', related: true }]);
    expect(mail.html).toContain(`src="cid:${mail.attachments[0]?.contentId?.slice(1, -1)}"`);
  });

  test('a whole message goes out byte for byte, without its Bcc', async () => {
    await using upstream = await meet();
    const as = nextUser();
    const head = 'From: Ann <ann@ifaxin.com>\r\nTo: Ben <ben@ifaxin.com>\r\n';
    const rest =
      'Subject: =?utf-8?B?w7w=?=\r\nMessage-ID: <order-1@ifaxin.com>\r\nX-Odd:   spaces   stay\r\nMIME-Version: 1.0\r\n' +
      'Content-Type: text/plain; charset=utf-8\r\n\r\n.A line with a dot  \r\n.\r\nünïcode\r\n';
    const send = (query: string) =>
      fetch(`${gateway.url}/v1/messages${query}`, {
        method: 'POST',
        headers: { ...bearer(as), 'Content-Type': 'message/rfc822' },
        body: `${head}Bcc: carl@ifaxin.com\r\n${rest}`,
      });
    expect(await (await send('?label=31337')).json()).toMatchObject({
      messageId: '<order-1@ifaxin.com>',
      label: 31337,
      accepted: ['ben@ifaxin.com', 'carl@ifaxin.com'],
    });
    const named = await send('?from=bounces%40ifaxin.com&to=dan%40ifaxin.com');
    expect(await named.json()).toMatchObject({ accepted: ['dan@ifaxin.com'] });
    expect(upstream.taken.map(({ from, message }) => [from, message?.toString('utf8')])).toEqual([
      ['ann@ifaxin.com', head + rest],
      ['bounces@ifaxin.com', head + rest],
    ]);
  });

  test('all that a message may have arrives as it was meant', async () => {
    await using upstream = await meet();
    const invitation = [
      'BEGIN:VCALENDAR',
      'VERSION:2.0',
      'PRODID:-//Postern//Test//EN',
      'BEGIN:VEVENT',
      'UID:1@ifaxin.com',
      'DTSTAMP:20261127T000000Z',
      'DTSTART:20261224T170000Z',
      'SUMMARY:会议',
      'ORGANIZER:mailto:support@ifaxin.com',
      'ATTENDEE:mailto:ben@ifaxin.com',
      'END:VEVENT',
      'END:VCALENDAR',
    ].join('\n');
    const message = {
      from: '客服 (EU) <support@ifaxin.com>',
      to: null,
      bcc: '"ken..sato."@docomo.ne.jp',
      returnPath: 'bounces@ifaxin.com',
      messageId: 'order-17@ifaxin.com',
      subject: `${'订单 '.repeat(60)}👩‍👩‍👧`,
      text: 'Grüße\n.\nFrom here on\n',
      html: `<p style="background:url(data:image/png;base64,${PICTURE})">您好</p><img src="cid:logo&#64;shop">`,
      calendar: { method: 'request', content: invitation },
      attachments: [{ filename: '标志.png', contentType: 'image/png', content: PICTURE, cid: 'logo@shop' }],
      headers: { 'X-Tag': ['order', 'shipped'], References: 'a@ifaxin.com b@ifaxin.com', 'X-None': null },
    };
    const response = await ask(gateway, { as: nextUser(), message });
    const receipt = await response.json();
    expect([response.status, receipt]).toEqual([200, expect.objectContaining({ embedded: 1 })]);
    const { from, recipients, message: written } = taken(upstream);
    const bytes = written ?? expect.fail('no dot came');
    expect([from, recipients]).toEqual(['bounces@ifaxin.com', ['"ken..sato."@docomo.ne.jp']]);
    const lines = bytes.toString('latin1').split('\r\n');
    expect(lines.filter((line) => line.length > 990 || !/^[\t\x20-\x7e]*$/.test(line))).toEqual([]);
    const mail = await PostalMime.parse(bytes);
    expect(mail).toMatchObject({
      from: { name: '客服 (EU)', address: 'support@ifaxin.com' },
      subject: message.subject,
      messageId: '<order-17@ifaxin.com>',
      references: '<a@ifaxin.com> <b@ifaxin.com>',
    });
    expect(mail.text?.trimEnd()).toBe(message.text.trimEnd());
    expect(mail.html).toContain('您好');
    expect(mail.headers.filter(({ key }) => key === 'x-tag').map(({ value }) => value)).toEqual([
      'order',
      'shipped',
    ]);
    const kinds = mail.attachments.map(({ mimeType, filename, contentId }) => [
      mimeType,
      filename,
      contentId,
    ]);
    expect(kinds).toContainEqual(['image/png', '标志.png', '<logo@shop>']);
    expect(kinds).toContainEqual([
      'image/png',
      'image-1.png',
      expect.stringMatching(/^<[^<>]+@ifaxin\.com>$/),
    ]);
    expect(kinds).toContainEqual(['application/ics', 'invite.ics', undefined]);
    expect(bytes.toString('latin1')).toMatch(/text\/calendar; charset=utf-8; method=REQUEST/);
  });

  test('a large attachment arrives byte for byte', async () => {
    await using upstream = await meet();
    const file = Buffer.alloc(runtime.attachmentBytes, 'All of it, in order. ');
    const attachment = {
      filename: 'ä.bin',
      contentType: 'application/x-test',
      content: file.toString('base64'),
    };
    const response = await ask(gateway, {
      as: nextUser(),
      message: { ...MESSAGE, attachments: [attachment] },
    });
    expect(response.status).toBe(200);
    const mail = await PostalMime.parse(taken(upstream).message ?? '');
    const found = mail.attachments.find(({ disposition }) => disposition === 'attachment');
    expect(found).toMatchObject({ filename: 'ä.bin', mimeType: 'application/x-test' });
    expect(bytesOf(found).equals(file)).toBe(true);
  });

  test("SendCloud's form with a file arrives byte for byte", async () => {
    await using upstream = await meet();
    const as = nextUser();
    const file = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 13) % 256));
    const body = new FormData();
    const { apiUser } = as;
    const fields = {
      apiUser,
      apiKey: as.tokens[0],
      from: MESSAGE.from,
      to: 'ben@ifaxin.com',
      subject: 'ä',
      html: 'ö',
    };
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    body.append('attachments', new Blob([file]), 'ä.bin');
    const response = await fetch(`${gateway.url}/apiv2/mail/send`, { method: 'POST', body });
    expect(await response.json()).toMatchObject({ result: true, statusCode: 200 });
    const mail = await PostalMime.parse(taken(upstream).message ?? '');
    expect(mail).toMatchObject({ subject: 'ä', attachments: [{ filename: 'ä.bin' }] });
    expect(bytesOf(mail.attachments[0]).equals(file)).toBe(true);
  });

  test('warm: the second message opens no connection', async () => {
    await using upstream = await meet();
    const as = nextUser();
    for (let sent = 0; sent < 3; sent++) expect((await ask(gateway, { as })).status).toBe(200);
    expect(upstream.sessions).toHaveLength(1);
    expect(upstream.taken).toHaveLength(3);
  });

  test('a warm connection that died is replaced, and the message goes once', async () => {
    await using upstream = await meet({ faults: [{ at: 'idle', do: 'close', times: 1 }] });
    const as = nextUser();
    for (let sent = 0; sent < 2; sent++) expect((await ask(gateway, { as })).status).toBe(200);
    expect(upstream.sessions).toHaveLength(2);
    expect(upstream.taken).toHaveLength(2);
  });

  test("a wrong api_key never gets the right one's warm connection", async () => {
    await using upstream = await meet({ accounts: { walkin: 'right' } });
    const as = nextUser();
    expect((await ask(gateway, { as, headers: basic('walkin', 'right') })).status).toBe(200);
    const refused = await ask(gateway, { as, headers: basic('walkin', 'wrong') });
    expect(await refused.json()).toMatchObject({ code: 'unauthorized', smtp: { code: 535 } });
    expect(refused.headers.get('WWW-Authenticate')).toContain('Basic');
    expect(upstream.logins.at(-1)).toMatchObject({ key: 'wrong', accepted: false });
    expect(upstream.taken).toHaveLength(1);
  });

  test('ten failed logins, then none is tried: too-many-failed-logins', async () => {
    await using upstream = await meet({ accounts: {} });
    const as = nextUser();
    const codes: unknown[] = [];
    for (let tried = 0; tried < 11; tried++) {
      const response = await ask(gateway, { as, headers: basic('guessed', `guess-${tried}`) });
      codes.push(((await response.json()) as { code: string }).code);
    }
    expect(codes).toEqual([...Array(10).fill('unauthorized'), 'too-many-failed-logins']);
    expect(upstream.logins).toHaveLength(10);
  });

  test('the quota: shown, drawn by reported calls all or none, and then 429', async () => {
    await using upstream = await meet();
    const as = FRUGAL;
    expect((await ask(gateway, { as })).headers.get('RateLimit')).toMatch(/^"apiuser";r=2;/);
    const calls = (count: number) => ask(gateway, { as, path: '/v1/quota/calls', message: { count } });
    expect(await (await calls(1)).json()).toMatchObject({ apiUser: 'frugal', limit: 3, remaining: 1 });
    expect((await calls(2)).status).toBe(429);
    expect((await ask(gateway, { as })).status).toBe(200);

    const over = await ask(gateway, { as });
    expect(over.status).toBe(429);
    expect(await over.json()).toMatchObject({
      code: 'quota-exceeded',
      delivery: 'not-sent',
      retryable: true,
    });
    expect(Number(over.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(upstream.transactions).toHaveLength(2);
  });

  test("upstream's 536 closes the window", async () => {
    await using upstream = await meet(fault('dot', { reply: '536 frequency limited' }, { times: 1 }));
    const as = nextUser();
    for (let tried = 0; tried < 2; tried++) {
      const response = await ask(gateway, { as });
      expect(await response.json()).toMatchObject({ code: 'quota-exceeded' });
      expect(response.headers.get('RateLimit')).toMatch(/^"apiuser";r=0;/);
    }
    expect(upstream.transactions).toHaveLength(1);
  });

  test('an idempotency key: replayed, and never with another message', async () => {
    await using upstream = await meet();
    const as = nextUser();
    const headers = { 'Idempotency-Key': '"order-1"' };
    const first = await ask(gateway, { as, headers });
    const again = await ask(gateway, { as, headers });
    expect(again.headers.get('Idempotent-Replayed')).toBe('true');
    expect(await again.json()).toEqual(await first.json());
    const other = await ask(gateway, { as, headers, message: { ...MESSAGE, subject: 'Another' } });
    expect(await other.json()).toMatchObject({ status: 422, code: 'idempotency-key-reused' });
    expect(upstream.taken).toHaveLength(1);
    expect(await drawn(gateway, as)).toBe(1);
  });

  test('an unknown outcome is replayed as unknown, and nothing is sent twice', async () => {
    await using upstream = await meet(fault('dot', 'close', { taken: true }));
    const as = nextUser();
    for (let tried = 0; tried < 2; tried++) {
      const response = await ask(gateway, { as, headers: { 'Idempotency-Key': 'order-2' } });
      expect(await response.json()).toMatchObject({ code: 'outcome-unknown', delivery: 'unknown' });
      expect(response.headers.get('Idempotent-Replayed')).toBe(tried === 0 ? null : 'true');
    }
    expect(upstream.taken).toHaveLength(1);
  });

  const later = { Prefer: 'respond-async' };

  test.skipIf(!runtime.keepsOutbox)('a message for later: 202, kept, and sent once', async () => {
    await using upstream = await meet(fault('data', 'close', { times: 1 }));
    const as = nextUser();
    const headers = { ...later, 'Idempotency-Key': 'order-3' };
    const queued = await ask(gateway, { as, headers });
    expect(queued.status).toBe(202);
    const { id } = (await queued.json()) as { id: string };
    expect(await (await ask(gateway, { as, headers })).json()).toMatchObject({ id });
    const state = async () => (await ask(gateway, { as, path: `/v1/messages/${id}`, method: 'GET' })).json();
    await expect.poll(state, { timeout: 20_000 }).toMatchObject({ state: 'accepted' });
    expect(await state()).toMatchObject({
      attempts: [{ code: 'upstream-unreachable' }],
      receipt: { id, label: 31337, accepted: ['ben@ifaxin.com'] },
    });
    expect(upstream.taken).toHaveLength(1);
    expect(upstream.logins.at(-1)).toMatchObject({ apiUser: as.apiUser, label: 31337, key: as.apiKey });
    expect(await drawn(gateway, as)).toBe(2);
  });

  test.skipIf(!runtime.keepsOutbox)('a message for a time: kept to, listed, and cancelled', async () => {
    await using upstream = await meet();
    const as = nextUser();
    const at = (ms: number) => new Date(Date.now() + ms).toISOString();
    const soon = await ask(gateway, { as, message: { ...MESSAGE, sendAt: at(1000) } });
    const far = await ask(gateway, { as, message: { ...MESSAGE, sendAt: at(3_600_000) } });
    expect([soon.status, far.status]).toEqual([202, 202]);
    expect(upstream.taken).toEqual([]);
    const { id } = (await far.json()) as { id: string };
    const cancel = () => ask(gateway, { as, path: `/v1/messages/${id}`, method: 'DELETE' });
    expect(await (await cancel()).json()).toMatchObject({ state: 'cancelled' });
    expect(await (await cancel()).json()).toMatchObject({ code: 'not-cancellable' });
    await expect.poll(() => upstream.taken.length, { timeout: 20_000 }).toBe(1);
    const list = async (query: string) => {
      const page = await ask(gateway, { as, path: `/v1/messages${query}`, method: 'GET' });
      return ((await page.json()) as { messages: { state: string }[] }).messages.map(({ state }) => state);
    };
    await expect.poll(() => list('')).toEqual(['cancelled', 'accepted']);
    expect(await list('?state=accepted&limit=1')).toEqual(['accepted']);
    const other = await ask(gateway, { as: nextUser(), path: `/v1/messages/${id}`, method: 'GET' });
    expect(other.status).toBe(404);
  });

  test('alive, ready, described for machines and people; not ready without upstream', async () => {
    const get = (path: string) => fetch(gateway.url + path);
    expect((await get('/readyz')).status).toBe(503);
    // A probe is shared for a second.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await using _upstream = await meet();
    expect((await get('/healthz')).status).toBe(200);
    expect(await (await get('/readyz')).json()).toMatchObject({ status: 'ready', parts: { upstream: null } });
    expect(await (await get('/openapi.json')).json()).toMatchObject({ info: { title: 'Postern' } });
    expect(await (await get('/docs')).text()).toContain('href="openapi.json"');
    expect(await (await get('/docs/reference.js')).text()).toContain("url: 'openapi.json'");
    expect(await (await get('/llms.txt')).text()).toContain('/v1/messages');
  });

  test('the type of a problem leads to a page about it', async () => {
    const response = await fetch(`${gateway.url}/v1/messages`, { method: 'POST' });
    const { type } = (await response.json()) as { type: string };
    const page = await fetch(new URL(type, response.url));
    expect(page.status).toBe(200);
    expect(page.headers.get('Content-Type')).toMatch('text/html');
    expect(await page.text()).toContain('<h1>Missing or wrong credentials</h1>');
  });

  test('wrong settings say so in the log, and not to callers', async () => {
    const wrong = settings({ SMTP_PORTS: 'none', QUOTA_LIMIT: '0' });
    if (runtime.refusesToStart) {
      await expect(runtime.start(wrong, authority.cert)).rejects.toThrow(/SMTP_PORTS.*QUOTA_LIMIT/s);
      return;
    }
    const unconfigured = await runtime.start(wrong, authority.cert);
    try {
      const response = await ask(unconfigured, { as: nextUser() });
      expect(response.status).toBe(500);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
      const problem = await response.text();
      expect(JSON.parse(problem)).toMatchObject({ code: 'misconfigured', delivery: 'not-sent' });
      expect(problem).not.toContain('SMTP_PORTS');
      const page = await fetch(new URL(JSON.parse(problem).type, response.url));
      expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('misconfigured')]);
      await expect.poll(() => unconfigured.output()).toMatch(/SMTP_PORTS.*QUOTA_LIMIT/s);
    } finally {
      await unconfigured.close();
    }
  });

  describe('a problem', () => {
    for (const { name, draws = 0, takes = 0, ...given } of CASES) {
      const code = runtime.codes[name] ?? given.code;
      test(`${name}: ${given.code}`, async ({ task }) => {
        if (code !== given.code) Object.assign(task.meta, { differs: code });
        await using upstream = await meet(given.upstream);
        const by = given.impatient ? impatient : gateway;
        const as = given.as ?? nextUser();
        const response = await ask(by, { ...given, as });
        const problem = (await response.json()) as { instance: string };

        const { status, retryable } = FAILURES[code];
        expect(problem).toMatchObject({ code, status, retryable });
        expect(response.status).toBe(status);
        expect(response.headers.get('Content-Type')).toBe('application/problem+json');
        expect(problem).toMatchObject({ delivery: code === 'outcome-unknown' ? 'unknown' : 'not-sent' });
        expect(problem.instance).toBe(
          `${given.path ?? '/v1/messages'}#${response.headers.get('Request-Id')}`,
        );
        if (given.smtp) expect(problem).toMatchObject({ smtp: given.smtp });
        expect(upstream.taken).toHaveLength(takes);
        // A closed window shows nothing left, whatever was drawn.
        if (code !== 'quota-exceeded') expect(await drawn(by, as)).toBe(draws);
      });
    }
  });

  describeWithRedis('with Redis', () => {
    let redis: TestRedis;
    let bridge: Bridge;
    let mine: Gateway;
    let other: Gateway;
    beforeAll(async () => {
      redis = await startRedis();
      bridge = await startBridge(redis);
      const shared = settings({
        UPSTASH_REDIS_REST_URL: bridge.url,
        UPSTASH_REDIS_REST_TOKEN: bridge.token,
        QUOTA_ON_ERROR: 'refuse',
      });
      [mine, other] = await Promise.all([
        runtime.start(shared, authority.cert),
        runtime.start(shared, authority.cert),
      ]);
    });
    afterAll(async () => {
      await Promise.all([mine?.close(), other?.close()]);
      await bridge?.close();
      await redis?.close();
    });

    test('two instances share one quota', async () => {
      await using upstream = await meet();
      const as = FRUGAL;
      const left: (string | null)[] = [];
      for (const by of [mine, other, mine]) {
        left.push((await ask(by, { as })).headers.get('RateLimit')?.split(';')[1] ?? null);
      }
      expect(left).toEqual(['r=2', 'r=1', 'r=0']);
      expect((await ask(other, { as })).status).toBe(429);
      expect(upstream.taken).toHaveLength(3);
    });

    test('a key in flight at one instance is busy at the other, and replayed there later', async () => {
      await using upstream = await meet({ faults: [{ at: 'dot', delayMs: 1000 }] });
      const sent = { as: nextUser(), headers: { 'Idempotency-Key': 'order-3' } };
      const first = ask(mine, sent);
      await expect.poll(() => upstream.transactions.length).toBe(1);
      const busy = await ask(other, sent);
      expect(await busy.json()).toMatchObject({ status: 409, code: 'request-in-progress', retryable: true });
      expect(busy.headers.get('Retry-After')).toBeTruthy();
      expect((await first).status).toBe(200);
      const replayed = await ask(other, sent);
      expect(replayed.status).toBe(200);
      expect(replayed.headers.get('Idempotent-Replayed')).toBe('true');
      expect(upstream.taken).toHaveLength(1);
    });

    test('Redis away: quota-unavailable, nothing sent', async () => {
      await using upstream = await meet();
      await redis.stop();
      const response = await ask(mine, { as: nextUser() });
      expect(await response.json()).toMatchObject({
        status: 503,
        code: 'quota-unavailable',
        delivery: 'not-sent',
      });
      expect(upstream.transactions).toHaveLength(0);
    });
  });

  test('no key, no token and no text of a message in any log', () => {
    for (const output of [gateway.output(), impatient.output()]) {
      expect(output).toContain('"event":"message"');
      expect(output).not.toMatch(/key-of-|token-of-|See <img/);
    }
  });
}

function taken(upstream: Upstream): Transaction {
  return upstream.taken[0] ?? expect.fail('upstream took no message');
}

function bytesOf(attachment: { readonly content: ArrayBuffer | Uint8Array | string } | undefined): Buffer {
  const content = attachment?.content ?? expect.fail('no attachment');
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content as ArrayBuffer);
}
