/** Webhooks and forms over HTTP, from their signature to the mail at upstream. */

import { createHmac } from 'node:crypto';
import PostalMime from 'postal-mime';
import { describe, expect, onTestFinished, test } from 'vitest';
import { says } from '../support/faults.ts';
import { type Running, startPostern } from '../support/postern.ts';

const SECRET = 'the-secret-of-this-hook';
const WHSEC = `whsec_${Buffer.from(SECRET).toString('base64')}`;
const BODY = '{"id":"evt_17","text":"Disk <full> on db1"}';
const HOOK = { name: 'h', from: 'alerts@ifaxin.com', to: 'ops@ifaxin.com', secret: SECRET };

async function open(...hooks: readonly object[]): Promise<Running> {
  const postern = await startPostern({ HOOKS: JSON.stringify(hooks) });
  onTestFinished(() => postern[Symbol.asyncDispose]());
  return postern;
}

const post = (
  postern: Running,
  path: string,
  body: BodyInit = BODY,
  headers: Record<string, string> = { 'Content-Type': 'application/json' },
) => fetch(`${postern.url}/v1/hooks/${path}`, { method: 'POST', body, headers, redirect: 'manual' });

/** The mails that upstream has taken, once there are `count`. */
async function mails(postern: Running, count: number) {
  while (postern.upstream.taken.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  return Promise.all(postern.upstream.taken.map(({ message }) => PostalMime.parse(message ?? Buffer.of())));
}

const hex = (text: string, algorithm = 'sha256') => createHmac(algorithm, SECRET).update(text).digest('hex');
const base64 = (text: string) => createHmac('sha256', SECRET).update(text).digest('base64');
const now = () => String(Math.floor(Date.now() / 1000));
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

/** Each scheme as its service signs, at `time`, with the id of a delivery where there is one. */
const SIGNED: Record<
  string,
  (time: string) => { headers: Record<string, string>; path?: string; hook?: object }
> = {
  'standard-webhooks': (time) => ({
    hook: { secret: WHSEC },
    headers: {
      'webhook-id': 'msg_1',
      'webhook-timestamp': time,
      'webhook-signature': `v1,AAAA v1,${base64(`msg_1.${time}.${BODY}`)}`,
    },
  }),
  github: () => ({ headers: { 'X-Hub-Signature-256': `sha256=${hex(BODY)}`, 'X-GitHub-Delivery': 'd-1' } }),
  gitlab: () => ({ headers: { 'X-Gitlab-Token': SECRET, 'Idempotency-Key': 'd-1' } }),
  stripe: (time) => ({ headers: { 'Stripe-Signature': `t=${time},v1=${hex(`${time}.${BODY}`)},v0=ab` } }),
  slack: (time) => ({
    headers: {
      'X-Slack-Request-Timestamp': time,
      'X-Slack-Signature': `v0=${hex(`v0:${time}:${BODY}`)}`,
    },
  }),
  sentry: () => ({ headers: { 'Sentry-Hook-Signature': hex(BODY), 'Request-ID': 'd-1' } }),
  shopify: () => ({ headers: { 'X-Shopify-Hmac-Sha256': base64(BODY), 'X-Shopify-Webhook-Id': 'd-1' } }),
  grafana: () => ({ headers: { 'X-Grafana-Alerting-Signature': hex(BODY) } }),
  hmac: (time) => ({
    hook: {
      signature: {
        header: 'X-Sig',
        algorithm: 'sha512',
        prefix: 'h=',
        timestampHeader: 'X-Time',
        idHeader: 'X-Id',
      },
    },
    headers: { 'X-Sig': `h=${hex(`${time}.${BODY}`, 'sha512')}`, 'X-Time': time, 'X-Id': 'd-1' },
  }),
  bearer: () => ({ headers: { Authorization: `Bearer ${SECRET}` } }),
  basic: () => ({ hook: { secret: `user:${SECRET}` }, headers: { Authorization: basic(`user:${SECRET}`) } }),
  secret: () => ({ headers: {}, path: `h/${SECRET}` }),
};

describe('signatures', () => {
  test.each(Object.entries(SIGNED))('%s: right, then wrong', async (scheme, signed) => {
    const { headers, path = 'h', hook } = signed(now());
    const postern = await open({ ...HOOK, scheme, ...hook });
    const right = await post(postern, path, BODY, headers);
    expect(right.status).toBe(202);
    expect(await right.json()).toEqual({ id: expect.any(String), state: 'queued' });
    await mails(postern, 1);

    // Nothing of a right request holds for another body; a secret that is sent along, for another secret.
    const carried = ['gitlab', 'bearer', 'basic', 'secret'].includes(scheme);
    const wrong = carried
      ? await post(postern, path.replace(/(?<=\/).+/, '$&x'), BODY, twisted(headers))
      : await post(postern, path, BODY.replace('17', '18'), headers);
    expect(wrong.status).toBe(401);
    expect(await wrong.json()).toMatchObject({ code: 'bad-signature', delivery: 'not-sent' });
    expect((await post(postern, 'h', BODY, {})).status).toBe(401);
    expect(postern.upstream.taken).toHaveLength(1);
    expect(postern.logLines.join()).not.toContain(SECRET);
    expect(postern.logLines.join()).toContain('hook refused');
  });

  const twisted = (headers: Record<string, string>) =>
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.replace(/.$/, '?')]));

  test.each(['standard-webhooks', 'stripe', 'slack', 'hmac'])('%s: an old one is refused', async (scheme) => {
    const { headers, hook } = (
      SIGNED[scheme] as (time: string) => ReturnType<NonNullable<(typeof SIGNED)[string]>>
    )(String(Number(now()) - 400));
    const postern = await open({ ...HOOK, scheme, ...hook });
    const response = await post(postern, 'h', BODY, headers);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ code: 'bad-signature' });
  });

  test('a secret in the query, which no log has', async () => {
    const postern = await open({ ...HOOK, scheme: 'secret' });
    expect((await post(postern, `h/?secret=${SECRET}`)).status).toBe(202);
    expect((await post(postern, `h?secret=${SECRET}`)).status).toBe(202);
    expect((await post(postern, `h?secret=${SECRET}x`)).status).toBe(401);
    expect(postern.logLines.join()).not.toContain(SECRET);
  });

  test('Svix by its own names of the headers', async () => {
    const postern = await open({ ...HOOK, scheme: 'standard-webhooks', secret: WHSEC });
    const time = now();
    const headers = (id: string) => ({
      'svix-id': id,
      'svix-timestamp': time,
      'svix-signature': `v1,${base64(`msg_1.${time}.${BODY}`)}`,
    });
    expect((await post(postern, 'h', BODY, headers('msg_1'))).status).toBe(202);
    expect((await post(postern, 'h', BODY, headers('msg_2'))).status).toBe(401);
    const mixed = { ...headers('msg_1'), 'webhook-signature': 'v1,AAAA' };
    expect((await post(postern, 'h', BODY, mixed)).status).toBe(401);
  });

  test('grafana: a body that was signed with a time does not pass without it', async () => {
    const postern = await open({ ...HOOK, scheme: 'grafana' });
    const time = now();
    const signature = { 'X-Grafana-Alerting-Signature': hex(`${time}:${BODY}`) };
    const timed = { ...signature, 'X-Grafana-Alerting-Timestamp': time };
    expect((await post(postern, 'h', BODY, timed)).status).toBe(202);
    expect((await post(postern, 'h', `${time}:${BODY}`, signature)).status).toBe(401);
  });

  test('two secrets at a time', async () => {
    const postern = await open({ ...HOOK, scheme: 'github', secret: ['the-newer-secret', SECRET] });
    const { headers } = SIGNED.github?.('') ?? { headers: {} };
    expect((await post(postern, 'h', BODY, headers)).status).toBe(202);
    const newer = createHmac('sha256', 'the-newer-secret').update(BODY).digest('hex');
    expect((await post(postern, 'h', BODY, { 'X-Hub-Signature-256': `sha256=${newer}` })).status).toBe(202);
  });

  test('wrong ones count as failed logins of their address; a right one passes all the same', async () => {
    const postern = await open({ ...HOOK, scheme: 'bearer' });
    const statuses: number[] = [];
    for (let i = 0; i < 101; i++) {
      statuses.push((await post(postern, 'h', BODY, { Authorization: 'Bearer wrong' })).status);
    }
    expect(statuses.slice(0, 100)).toEqual(Array(100).fill(401));
    expect(statuses[100]).toBe(429);
    expect((await post(postern, 'h', BODY, { Authorization: `Bearer ${SECRET}` })).status).toBe(202);
  });
});

describe('deliveries', () => {
  const BEARER = { Authorization: `Bearer ${SECRET}` };

  test('a repeated one is one mail, also with another time in it', async () => {
    const postern = await open({ ...HOOK, scheme: 'sentry' });
    const send = (body: string, id: string) =>
      post(postern, 'h', body, { 'Sentry-Hook-Signature': hex(body), 'Request-ID': id });
    const first = await (await send(BODY, 'a')).json();
    expect(await (await send(BODY, 'a')).json()).toMatchObject({ id: (first as { id: string }).id });
    const changed = await send('{"id":"evt_17","attempt":2}', 'a');
    expect([changed.status, await changed.json()]).toEqual([202, { skipped: true }]);
    await send(BODY, 'b');
    expect(await mails(postern, 2)).toHaveLength(2);
  });

  test('GitLab repeats one with its Idempotency-Key; two of the same cause are two mails', async () => {
    const postern = await open({ ...HOOK, scheme: 'gitlab' });
    const send = (body: string, key: string) =>
      post(postern, 'h', body, {
        'X-Gitlab-Token': SECRET,
        'X-Gitlab-Event-UUID': 'one cause',
        'Idempotency-Key': key,
      });
    const first = (await (await send('{"object_kind":"push"}', 'a')).json()) as { id: string };
    expect(await (await send('{"object_kind":"push"}', 'a')).json()).toMatchObject({ id: first.id });
    expect(await (await send('{"object_kind":"pipeline"}', 'b')).json()).toHaveProperty('id');
    expect(await mails(postern, 2)).toHaveLength(2);
  });

  test('mode now answers with the receipt', async () => {
    const postern = await open({ ...HOOK, scheme: 'bearer', mode: 'now', label: 7 });
    const response = await post(postern, 'h', BODY, BEARER);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ accepted: ['ops@ifaxin.com'], label: 7 });
    expect(postern.upstream.logins.at(-1)).toMatchObject({ user: 'ifaxin#7' });
  });

  test('what posts to Slack finds "ok" in each answer', async () => {
    const slack = { ...HOOK, preset: 'slack', scheme: 'bearer' };
    const postern = await open(
      { ...slack, skip: '{{ payload.quiet }}' },
      { ...slack, name: 'now', mode: 'now' },
    );
    const answers = [
      await post(postern, 'h', '{"text":"a"}', BEARER),
      await post(postern, 'h', '{"quiet":true}', BEARER),
      await post(postern, 'now', '{"text":"b"}', BEARER),
    ];
    expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual([
      { ok: true, id: expect.any(String), state: 'queued' },
      { ok: true, skipped: true },
      expect.objectContaining({ ok: true, accepted: ['ops@ifaxin.com'] }),
    ]);
  });

  test('whatever JSON, or none, is a mail', async () => {
    const postern = await open({ ...HOOK, scheme: 'bearer' });
    for (const body of [BODY, '[]', 'null', '3', 'no JSON', '{"a":{"b":[1,{"c":"x"}]}}', '']) {
      expect((await post(postern, 'h', body, BEARER)).status, body).toBe(202);
    }
    const [first] = (await mails(postern, 7)).filter(({ text }) => text?.includes('evt_17'));
    expect(first?.text).toContain('Disk <full> on db1');
    expect(first?.html).toContain('Disk &lt;full&gt; on db1');
    expect(first?.html).not.toContain('<full>');
  });

  test.each([
    ['a byte order mark', Buffer.from('\ufeff{"title":"Grüße"}'), 'application/json'],
    ['another charset', Buffer.from('{"title":"Grüße"}', 'latin1'), 'text/plain; charset="ISO-8859-1"'],
    ['a charset that no one knows', Buffer.from('{"title":"Grüße"}'), 'text/plain; charset=none'],
  ])('a body with %s', async (_, body, type) => {
    const postern = await open({ ...HOOK, scheme: 'bearer' });
    await post(postern, 'h', body, { ...BEARER, 'Content-Type': type });
    const [mail] = await mails(postern, 1);
    expect(mail?.subject).toBe('Grüße');
  });

  test('a whole number keeps all its digits', async () => {
    const postern = await open({
      ...HOOK,
      scheme: 'bearer',
      template: { subject: '{{ payload.order.id }}' },
    });
    await post(postern, 'h', '{"order":{"id":82098218986857471,"total":1.50}}', BEARER);
    const [mail] = await mails(postern, 1);
    expect(mail?.subject).toBe('82098218986857471');
  });

  test('no hook of that name; only POST', async () => {
    const postern = await open({ ...HOOK, scheme: 'bearer' });
    expect(await (await post(postern, 'other')).json()).toMatchObject({ code: 'unknown-hook', status: 404 });
    expect((await fetch(`${postern.url}/v1/hooks/h`)).status).toBe(405);
  });
});

describe('templates', () => {
  const BEARER = { Authorization: `Bearer ${SECRET}` };

  test('subject, text, html, recipients, skip and key', async () => {
    const postern = await open({
      ...HOOK,
      scheme: 'bearer',
      to: ['{{ payload.owner }}@ifaxin.com', 'ops@ifaxin.com'],
      skip: '{{ payload.level == "debug" }}',
      key: '{{ payload.id }}',
      template: {
        subject: '[{{ payload.level | upcase }}] {{ payload.text }}',
        text: '{% for tag in payload.tags %}- {{ tag }}\n{% endfor %}',
        html: '<p>{{ payload.text }}</p>',
      },
    });
    const event = { id: 1, level: 'warn', text: 'A <b>\nline', owner: 'ann', tags: ['x', 'y'] };
    const send = (changes: object) => post(postern, 'h', JSON.stringify({ ...event, ...changes }), BEARER);
    expect(await (await send({ level: 'debug' })).json()).toEqual({ skipped: true });
    await send({});
    expect(await (await send({ text: 'again' })).json()).toEqual({ skipped: true });
    const [mail] = await mails(postern, 1);
    expect(mail?.subject).toBe('[WARN] A <b> line');
    expect(mail?.text?.trim()).toBe('- x\n- y');
    expect(mail?.html?.trim()).toBe('<p>A &lt;b&gt;\nline</p>');
    expect(mail?.to?.map(({ address }) => address)).toEqual(['ann@ifaxin.com', 'ops@ifaxin.com']);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test('each line of a template is a recipient, a line break of the payload makes none', async () => {
    const postern = await open({
      ...HOOK,
      scheme: 'bearer',
      to: ['{% for one in payload.to %}{{ one }}\n{% endfor %}', 'ops@ifaxin.com'],
      cc: '{{ payload.cc }}',
    });
    const send = (event: object) => post(postern, 'h', JSON.stringify(event), BEARER);
    await send({ to: ['ann@ifaxin.com', 'bob@ifaxin.com'] });
    await mails(postern, 1);
    for (const end of ['\n', '\r\n', '\r', ', ', ',']) {
      await send({
        to: [`ann@ifaxin.com${end}evil@example.com`],
        cc: `ann@ifaxin.com${end}evil@example.com`,
      });
    }
    await send({ to: [['ann@ifaxin.com', 'evil@example.com']] });
    await mails(postern, 7);
    expect(postern.upstream.taken.map(({ recipients }) => recipients)).toEqual([
      ['ann@ifaxin.com', 'bob@ifaxin.com', 'ops@ifaxin.com'],
      ...Array(6).fill(['ops@ifaxin.com']),
    ]);
  });

  test.each(['any', 'slack'])(
    'encoded-words from outside are read as they stand, with the preset %s',
    async (preset) => {
      const word = '=?utf-8?q?=0d=0aBcc:_evil?=';
      const event = JSON.stringify({ text: word, title: word, subject: word });
      const postern = await open(
        { ...HOOK, preset, scheme: 'bearer' },
        { ...HOOK, preset, scheme: 'bearer', name: 'own', template: { subject: '{{ payload.text }}' } },
      );
      for (const name of ['h', 'own']) expect((await post(postern, name, event, BEARER)).status).toBe(202);
      for (const mail of await mails(postern, 2)) {
        expect(mail.text).not.toContain('A template of this hook failed');
        expect(mail.subject).not.toContain('\n');
        expect(mail.headers.filter(({ key }) => key === 'bcc')).toEqual([]);
      }
    },
  );

  test('html alone replaces the HTML alone, text alone is all', async () => {
    const postern = await open(
      { ...HOOK, scheme: 'bearer', template: { html: '<b>own</b>' } },
      { ...HOOK, scheme: 'bearer', name: 'text', template: { text: 'own' } },
    );
    await post(postern, 'h', BODY, BEARER);
    const [first] = await mails(postern, 1);
    expect([first?.html?.trim(), first?.text?.includes('evt_17')]).toEqual(['<b>own</b>', true]);
    await post(postern, 'text', BODY, BEARER);
    const [, second] = await mails(postern, 2);
    expect([second?.html, second?.text?.trim()]).toEqual([undefined, 'own']);
  });

  test('a key that renders to nothing: then the id of the delivery, or the event, tells', async () => {
    const key = '{{ payload.none }}';
    const postern = await open(
      { ...HOOK, scheme: 'sentry', key },
      { ...HOOK, preset: 'stripe', scheme: 'bearer', name: 'own', key },
    );
    const signed = (body: string) => ({ 'Sentry-Hook-Signature': hex(body), 'Request-ID': 'a' });
    await post(postern, 'h', BODY, signed(BODY));
    const again = await post(postern, 'h', '{"attempt":2}', signed('{"attempt":2}'));
    expect(await again.json()).toEqual({ skipped: true });
    for (const attempt of [1, 2]) {
      await post(postern, 'own', JSON.stringify({ id: 'evt_1', attempt }), BEARER);
    }
    await post(postern, 'own', '{"id":"evt_2"}', BEARER);
    expect(await mails(postern, 3)).toHaveLength(3);
  });

  test('one that fails loses nothing: the plain mail has the error on top', async () => {
    const postern = await open({
      ...HOOK,
      scheme: 'bearer',
      template: { text: '{% for i in (1..100000000) %}{{ i }}{% endfor %}' },
    });
    expect((await post(postern, 'h', BODY, BEARER)).status).toBe(202);
    const [mail] = await mails(postern, 1);
    expect(mail?.text).toMatch(/A template of this hook failed[\s\S]*template\.text: [\s\S]*evt_17/);
  });

  test('one that makes no message loses nothing either', async () => {
    const postern = await open({
      ...HOOK,
      scheme: 'bearer',
      to: ['{{ payload.to }}', 'ops@ifaxin.com'],
      template: { html: '{{ payload.html | raw }}' },
    });
    const event = { html: '<img src="cid:nothing">', to: 'ann' };
    expect((await post(postern, 'h', JSON.stringify(event), BEARER)).status).toBe(202);
    const [mail] = await mails(postern, 1);
    expect(postern.upstream.taken[0]?.recipients).toEqual(['ops@ifaxin.com']);
    expect(mail?.text).toContain('A template of this hook failed');
    expect(mail?.text).toContain('/to/0: ');
    expect(mail?.text).toContain('cid:nothing');
  });

  test('one that makes too much is cut short', async () => {
    const postern = await open({
      ...HOOK,
      scheme: 'bearer',
      template: { text: '{% for i in (1..900) %}{{ payload.text }}{% endfor %}' },
    });
    await post(postern, 'h', JSON.stringify({ text: 'x'.repeat(5000) }), BEARER);
    const [mail] = await mails(postern, 1);
    expect(mail?.text).toContain('A template of this hook failed');
  });
});

describe('forms', () => {
  const FORM = {
    name: 'contact',
    preset: 'form',
    scheme: 'none',
    from: 'web@ifaxin.com',
    to: 'sales@ifaxin.com',
    honeypot: 'website',
  };
  const filled = (changes: Record<string, string> = {}) =>
    new URLSearchParams({
      name: 'Ann\r\nBcc: evil@example.com',
      email: 'ann@example.com',
      message: 'Hello,\nyou!',
      to: 'evil@example.com',
      size: 'L',
      ...changes,
    });
  const HTML = { Accept: 'text/html' };

  test('a browser without scripts: a mail, its reply-to, and a page', async () => {
    const postern = await open({ ...FORM, redirect: 'https://shop.example/thanks' });
    const response = await post(postern, 'contact', filled(), HTML);
    expect([response.status, response.headers.get('Location')]).toEqual([303, 'https://shop.example/thanks']);
    const [mail] = await mails(postern, 1);
    expect(postern.upstream.taken[0]?.recipients).toEqual(['sales@ifaxin.com']);
    expect(mail?.replyTo).toEqual([{ address: 'ann@example.com', name: 'Ann Bcc: evil@example.com' }]);
    expect(mail?.subject).toBe('Form "contact" from Ann Bcc: evil@example.com');
    expect(mail?.text).toContain('Hello,\nyou!');
    expect(mail?.text).toContain('size');
  });

  test('what joins letters stays in a name, what turns them around does not', async () => {
    const postern = await open(FORM);
    const form = new FormData();
    form.set('email', 'ann@example.com');
    form.set('name', 'نیم\u200cفاصله 👩\u200d💻');
    form.set('cv', new File(['x'], 'cv-\u202egpj.exe', { type: 'image/jpeg' }));
    expect((await post(postern, 'contact', form, {})).status).toBe(202);
    const [mail] = await mails(postern, 1);
    expect(mail?.replyTo?.[0]?.name).toBe('نیم\u200cفاصله 👩\u200d💻');
    expect(mail?.attachments[0]?.filename).toBe('cv- gpj.exe');
  });

  test('JSON for a script, and a page of our own', async () => {
    const postern = await open({ ...FORM });
    const json = await post(postern, 'contact', filled(), { Accept: 'application/json' });
    expect([json.status, await json.json()]).toEqual([202, { id: expect.any(String), state: 'queued' }]);
    const page = await post(postern, 'contact', filled(), HTML);
    expect(page.status).toBe(200);
    expect(page.headers.get('Content-Type')).toContain('text/html');
    expect(await page.text()).toContain('Thank you');
  });

  test('a template sees the query and the headers', async () => {
    const template = { subject: '{{ query.page }} {{ headers.content-type | split: ";" | first }}' };
    const postern = await open({ ...FORM, template });
    await post(postern, 'contact?page=shop', filled(), {});
    const [mail] = await mails(postern, 1);
    expect(mail?.subject).toBe('shop application/x-www-form-urlencoded');
  });

  test('no answer shows a stranger the recipients', async () => {
    const hooks = JSON.stringify([{ ...FORM, mode: 'now' }]);
    const postern = await open({ ...FORM, mode: 'now' });
    const json = await post(postern, 'contact', filled(), {});
    expect([json.status, await json.json()]).toEqual([200, { id: expect.any(String), state: 'accepted' }]);
    const upstream = says('rcpt', '550 5.1.1 <sales@ifaxin.com> is unknown');
    await using refusing = await startPostern({ HOOKS: hooks }, upstream);
    const refused = await post(refusing, 'contact', filled(), {});
    const problem = await refused.text();
    expect(refused.status).toBe(422);
    expect(JSON.parse(problem)).toMatchObject({ code: 'recipients-refused', delivery: 'not-sent' });
    expect(problem).not.toContain('sales');
  });

  test('files are attachments; an empty file field is none', async () => {
    const postern = await open(FORM);
    const form = new FormData();
    form.set('email', 'not an address');
    form.set('message', 'See the file.');
    form.set('cv', new File(['bytes of it'], 'cv.txt', { type: 'text/plain' }));
    form.set('photo', new File([], ''));
    form.set('story', 'é'.repeat(2_001));
    expect((await post(postern, 'contact', form, {})).status).toBe(202);
    const [mail] = await mails(postern, 1);
    expect(mail?.attachments.map(({ filename }) => filename)).toEqual(['cv.txt', 'form.txt']);
    expect(new TextDecoder().decode(mail?.attachments[1]?.content as ArrayBuffer)).toContain(
      'é'.repeat(2_001),
    );
    expect(new TextDecoder().decode(mail?.attachments[0]?.content as ArrayBuffer)).toBe('bytes of it');
    expect(mail?.replyTo).toBeUndefined();
    expect(mail?.text).toContain('not an address');
  });

  test.each([
    ['message/rfc822', 'application/octet-stream'],
    ['multipart/mixed', 'application/octet-stream'],
    ['text/csv; charset=iso-8859-1; name="b.csv"', 'text/csv; charset=iso-8859-1; name="a.csv"'],
  ])('a file of the type %s goes out as %s', async (type, sent) => {
    const postern = await open(FORM);
    const body = `--x\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\nContent-Type: ${type}\r\n\r\nbytes\r\n--x--`;
    const headers = { 'Content-Type': 'multipart/form-data; boundary=x' };
    expect((await post(postern, 'contact', body, headers)).status).toBe(202);
    await mails(postern, 1);
    const mail = String(postern.upstream.taken[0]?.message).replace(/\r\n[ \t]/g, ' ');
    expect(mail).not.toContain('A template of this hook failed');
    expect(mail).toContain(`Content-Type: ${sent}`);
  });

  test('what no message could hold is no reason to lose a form', async () => {
    const postern = await open(FORM);
    const form = new FormData();
    form.set('name', '\u{1f600}'.repeat(300));
    form.set('email', 'ann@example.com');
    form.set('subject', 'x'.repeat(2000));
    form.set('file', new File(['x'], '../a\u202eb.exe', { type: 'no/such/type' }));
    expect((await post(postern, 'contact', form, {})).status).toBe(202);
    const [mail] = await mails(postern, 1);
    expect(mail?.attachments[0]).toMatchObject({ mimeType: 'application/octet-stream' });
    expect(mail?.replyTo?.[0]?.address).toBe('ann@example.com');
    const word = '=?utf-8?q?evil?=';
    const encoded = await post(postern, 'contact', filled({ name: word, subject: word }), {});
    expect(encoded.status).toBe(202);
    expect((await post(postern, 'contact', '{}', { 'Content-Type': 'application/json' })).status).toBe(415);
    const broken = { 'Content-Type': 'multipart/form-data; boundary=x' };
    expect((await post(postern, 'contact', '--y', broken)).status).toBe(400);
  });

  test('the preflight of an allowed page, and of another', async () => {
    const postern = await open({ ...FORM, origins: ['https://shop.example'] });
    const preflight = (origin: string) =>
      fetch(`${postern.url}/v1/hooks/contact`, { method: 'OPTIONS', headers: { Origin: origin } });
    const allowed = await preflight('https://shop.example');
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get('Access-Control-Allow-Origin')).toBe('https://shop.example');
    const other = await preflight('https://evil.example');
    expect(other.headers.get('Access-Control-Allow-Origin')).toBeNull();
  });

  test('a browser is shown a page where its form fails, a script the problem', async () => {
    const settings = { HOOKS: JSON.stringify([{ ...FORM, origins: ['https://shop.example'] }]) };
    await using postern = await startPostern({ ...settings, MAX_MESSAGE_BYTES: '1024' });
    const from = { Origin: 'https://shop.example' };
    const cases = [
      [filled({ message: 'x'.repeat(2000) }), from, 413, 'Message too large'],
      [filled(), {}, 403, 'This form may not be sent from this page.'],
      ['{}', from, 415, 'This hook takes a form of HTML.'],
      ['--y', { ...from, 'Content-Type': 'multipart/form-data; boundary=x' }, 400, 'Content-Type says'],
    ] as const;
    for (const [body, headers, status, sentence] of cases) {
      const shown = await post(postern, 'contact', body, { ...headers, ...HTML });
      expect([shown.status, shown.headers.get('Content-Type')]).toEqual([status, 'text/html; charset=utf-8']);
      expect(await shown.text()).toContain(sentence);
      const told = await post(postern, 'contact', body, headers);
      expect([told.status, told.headers.get('Content-Type')]).toEqual([status, 'application/problem+json']);
    }
  });

  test('the pages that may send it read every answer, whatever CORS_ORIGINS says', async () => {
    const origin = 'https://shop.example';
    const hooks = [
      { ...FORM, origins: [origin], perMinute: 1 },
      { ...FORM, name: 'open' },
    ];
    const CORS_ORIGINS = `${origin},https://app.example`;
    await using postern = await startPostern({ HOOKS: JSON.stringify(hooks), CORS_ORIGINS });
    const seen = async (name: string, from: string, options: RequestInit = {}) => {
      const asked = { method: 'POST', ...options, headers: { ...options.headers, Origin: from } };
      const { status, headers } = await fetch(`${postern.url}/v1/hooks/${name}`, asked);
      return [status, headers.get('Access-Control-Allow-Origin'), headers.get('Vary')];
    };
    const unread = { 'Content-Encoding': 'br' };
    for (const name of ['contact', 'open']) {
      const allowed = name === 'open' ? '*' : origin;
      const preflight = { method: 'OPTIONS', headers: { 'Access-Control-Request-Method': 'POST' } };
      expect(await seen(name, origin, preflight)).toEqual([204, allowed, 'Origin']);
      expect(await seen(name, origin, { headers: unread })).toEqual([415, allowed, 'Origin']);
      expect(await seen(name, origin, { body: '{}' })).toEqual([415, allowed, 'Origin']);
      expect(await seen(name, origin, { body: filled() })).toEqual([202, allowed, 'Origin']);
    }
    expect(await seen('contact', origin, { body: filled() })).toEqual([429, origin, 'Origin']);
    for (const method of ['OPTIONS', 'POST']) {
      expect(await seen('contact', 'https://app.example', { method })).toEqual([
        method === 'POST' ? 403 : 204,
        null,
        'Origin',
      ]);
    }
  });

  test.each([
    ['queued', 'on', 202],
    ['queued', 'off', 200],
    ['now', 'on', 200],
  ])(
    'the honeypot: the answer tells nothing, in the mode %s with the outbox %s',
    async (mode, box, status) => {
      const hooks = JSON.stringify([{ ...FORM, mode, perMinute: 3 }]);
      const outbox: Record<string, string> = box === 'off' ? { OUTBOX: 'off' } : {};
      await using postern = await startPostern({ HOOKS: hooks, ...outbox });
      const trapped = filled({ website: 'spam' });
      const shapes = await Promise.all(
        [filled(), trapped].map(async (form) => {
          const answer = await post(postern, 'contact', form, {});
          const { id, ...rest } = (await answer.json()) as { id: string };
          const location = answer.headers.get('Location')?.replace(id, '…');
          return { status: answer.status, id: id.replace(/[^-]/g, 'x'), rest, location };
        }),
      );
      expect(shapes[1]).toEqual(shapes[0]);
      expect(shapes[1]?.status).toBe(status);
      // It counts towards perMinute as well.
      expect((await post(postern, 'contact', trapped, HTML)).status).toBe(200);
      expect((await post(postern, 'contact', trapped, HTML)).status).toBe(429);
      expect(await mails(postern, 1)).toHaveLength(1);
    },
  );

  test('the allowed origins and the limit per address', async () => {
    const postern = await open({ ...FORM, origins: ['https://shop.example'], perMinute: 2 });
    const from = (origin: string, form = filled()) =>
      post(postern, 'contact', form, { ...HTML, Origin: origin });
    expect((await from('https://evil.example')).status).toBe(403);
    expect((await post(postern, 'contact', filled(), HTML)).status).toBe(403);
    const allowed = await from('https://shop.example');
    expect(allowed.status).toBe(200);
    expect(allowed.headers.get('Access-Control-Allow-Origin')).toBe('https://shop.example');
    expect((await from('https://shop.example')).status).toBe(200);
    const limited = await from('https://shop.example');
    expect(limited.status).toBe(429);
    expect(await limited.text()).toContain('Too many forms from this address');
    expect(limited.headers.get('Retry-After')).not.toBeNull();
    expect(await mails(postern, 2)).toHaveLength(2);
  });
});

describe('settings', () => {
  const problems = async (
    hooks: unknown,
    settings: Record<string, string> = {},
  ): Promise<readonly string[]> => {
    const value = typeof hooks === 'string' ? hooks : JSON.stringify(hooks);
    const error = await startPostern({ HOOKS: value, ...settings }).then(
      async (postern) => {
        await postern[Symbol.asyncDispose]();
        return { problems: [] };
      },
      (thrown) => thrown,
    );
    return error.problems;
  };

  test('all that is wrong at once, and no secret', async () => {
    const found = await problems([
      { ...HOOK, scheme: 'githbu' },
      { ...HOOK, scheme: 'github', from: 'nobody', to: ['{{ x'], colour: 1 },
      { name: 'a b', scheme: 'none', from: 'a@ifaxin.com', to: 'b@ifaxin.com' },
      { ...HOOK, name: 'f', preset: 'form', scheme: 'none', to: '{{ payload.to }}' },
      { ...HOOK, name: 'l', scheme: 'bearer', template: { text: '{% for %}' } },
      { ...HOOK, name: 'l', scheme: 'hmac' },
    ]);
    expect(found.join('\n')).not.toContain(SECRET);
    const fields = found.map((line) => line.split(':')[0]);
    expect(fields).toEqual(
      expect.arrayContaining([
        'HOOKS.0.scheme',
        'HOOKS.1.colour',
        'HOOKS.2.name',
        'HOOKS.3.to',
        'HOOKS.3.secret',
        'HOOKS.4.template.text',
        'HOOKS.5.name',
        'HOOKS.5.signature',
      ]),
    );
  });

  test('what is taken and could never work', async () => {
    const found = await problems([
      { ...HOOK, scheme: 'bearer', secret: [] },
      { ...HOOK, scheme: 'bearer', to: [] },
      { ...HOOK, scheme: 'basic' },
      { ...HOOK, scheme: 'bearer', name: 'm', perMinute: 5 },
    ]);
    expect(found).toEqual([
      'HOOKS.0.secret: expected at least one',
      'HOOKS.1.to: expected at least one',
      'HOOKS.2.secret: expected user:password',
      'HOOKS.3.preset: origins, honeypot, redirect and perMinute belong to form',
    ]);
  });

  test('a template that could never be rendered', async () => {
    const sources = ['{{ x | upcse }}', "{% render '/etc/passwd' %}", '{% include x %}', "{% layout 'a' %}"];
    const hooks = sources.map((text, index) => ({
      ...HOOK,
      name: `h${index}`,
      scheme: 'bearer',
      template: { text },
    }));
    const found = await problems(hooks);
    expect(found.map((problem) => problem.replace(/, line.*/, ''))).toEqual([
      'HOOKS.0.template.text: undefined filter: upcse',
      'HOOKS.1.template.text: tag "render" not found',
      'HOOKS.2.template.text: tag "include" not found',
      'HOOKS.3.template.text: tag "layout" not found',
    ]);
  });

  test('JSON, and an array', async () => {
    expect(await problems('{')).toEqual(['HOOKS: expected JSON']);
    expect(await problems({})).toEqual(['HOOKS: expected an array of at most 1000 hooks']);
  });

  test('a hook sends only as its account may', async () => {
    const accounts = JSON.stringify([
      { apiUser: 'one', apiKey: 'k', tokens: ['a-token-for-the-one'], from: ['one.example'], labels: [1] },
      { apiUser: 'two', apiKey: 'k' },
    ]);
    const settings = {
      SENDCLOUD_API_USER: '',
      SENDCLOUD_API_KEY: '',
      GATEWAY_TOKENS: '',
      ACCOUNTS: accounts,
    };
    const hook = { ...HOOK, scheme: 'bearer' };
    expect(await problems([hook], settings)).toEqual([
      'HOOKS.0.account: missing, and needed where there are several',
    ]);
    const [first] = await problems([{ ...hook, account: 'ONE' }], settings);
    expect(first).toContain('HOOKS.0.from: This account may send from: one.example.');
    expect(await problems([{ ...hook, account: 'one', from: 'a@one.example', label: 1 }], settings)).toEqual(
      [],
    );
  });
});
