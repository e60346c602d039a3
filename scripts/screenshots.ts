/**
 * `npm run screenshots`: starts the sandbox, sends some mail through it, and writes what a browser shows of the console
 * to `docs/images/console*.png`. Debian's `fonts-inter` makes them look as they do on a desktop.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { crc32, deflateSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { previewOf } from '../src/hooks/door.ts';
import { parseHooks } from '../src/hooks/hook.ts';
import { type RunningSandbox, startBrowser, startSandbox } from '../test/browser/browser.ts';

const FOLDER = new URL('../docs/images/', import.meta.url);
const DESKTOP = { width: 1200, height: 800 };
const PHONE = { width: 390, height: 780 };

const sandbox = await startSandbox();
const browser = await startBrowser([
  // A frame of its own process would not be drawn at twice the size.
  '--disable-features=IsolateSandboxedIframes',
  '--font-render-hinting=none',
]);
try {
  await fill(sandbox);
  await shoot(browser, sandbox);
  await shootHooks(browser);
} finally {
  await browser.close();
  await sandbox.close();
}

/** With a palette, so that a page's picture is some 100 kB. */
async function write(name: string, picture: Buffer): Promise<void> {
  const small = await sharp(picture)
    .png({ palette: true, colours: 128, effort: 10, compressionLevel: 9 })
    .toBuffer();
  await writeFile(new URL(`${name}.png`, FOLDER), small);
}

/** Some hours of an imaginary shop, in a second. */
async function fill({ send, smtpPort, url }: RunningSandbox): Promise<void> {
  const logo = picture(480, 120);
  const chart = picture(560, 200);
  await send({
    from: 'Lumen Shop <hello@lumen.example>',
    to: 'team@lumen.example',
    subject: 'Weekly numbers: 1,204 orders',
    text: 'Orders are up 12 % on last week. The chart is below.',
    html: layout(
      'Weekly numbers',
      '<p>Orders are up 12 % on last week.</p><img src="cid:chart" width="504" alt="">',
    ),
    label: 42,
    inlineImages: [{ cid: 'chart', contentType: 'image/png', content: chart, filename: 'orders.png' }],
  });
  await send({
    from: 'Ben Okafor <ben@lumen.example>',
    to: ['ada@customer.example', 'grace@customer.example'],
    subject: 'Re: The invitation for Thursday',
    text: 'Thursday at ten suits me well. I have attached the agenda.',
    attachments: [
      {
        filename: 'agenda.pdf',
        contentType: 'application/pdf',
        content: Buffer.from('%PDF-1.7 agenda').toString('base64'),
      },
    ],
  });
  await fetch(`${url}/v1/hooks/alerts`, {
    method: 'POST',
    headers: { Authorization: 'Bearer sandbox-secret', 'Content-Type': 'application/json' },
    body: JSON.stringify({
      version: '4',
      status: 'firing',
      groupKey: '{}:{alertname="DiskFull"}',
      groupLabels: { alertname: 'DiskFull' },
      commonLabels: { alertname: 'DiskFull', severity: 'critical' },
      commonAnnotations: { summary: 'The disk of db-1 is 95 % full' },
      externalURL: 'https://alerts.lumen.example',
      alerts: [
        {
          status: 'firing',
          labels: { alertname: 'DiskFull', instance: 'db-1', severity: 'critical' },
          annotations: { summary: 'The disk of db-1 is 95 % full' },
          startsAt: new Date().toISOString(),
          generatorURL: 'https://prometheus.lumen.example/graph',
          fingerprint: 'a1b2c3',
        },
      ],
    }),
  });
  await send({
    from: 'Lumen Shop <hello@lumen.example>',
    to: 'grace@customer.example',
    subject: 'Reset your password',
    text: 'Open https://lumen.example/reset within an hour to choose a new password.',
    html: layout(
      'Reset your password',
      '<p>Choose a new one within an hour.</p><p><a class="b" href="https://lumen.example/reset">Choose a password</a></p>',
    ),
    label: 31337,
  });
  const { createTransport } = await import('nodemailer');
  const smtp = createTransport({
    host: 'localhost',
    port: smtpPort ?? 0,
    auth: { user: 'sandbox#7', pass: 'sandbox-token-for-development' },
    ignoreTLS: true,
  });
  await smtp.sendMail({
    from: 'Cron <cron@lumen.example>',
    to: 'ops@lumen.example',
    subject: 'Backup finished in 4 min 12 s',
    text: '41.2 GB written, 0 errors. Next run at 03:00.',
  });
  await send({
    from: 'Lumen Shop <hello@lumen.example>',
    to: 'ada@customer.example',
    subject: 'Your order 4711 is on its way',
    text: 'Thank you for your order. The parcel left our house today.',
    html: layout(
      'Your order is on its way',
      '<p>Dear Ada,</p><p>thank you for your order. The parcel left our house today and will be with you on <b>Thursday</b>.</p><table><tr><td>Desk lamp “Nord”</td><td>89.00 €</td></tr><tr><td>Shipping</td><td>4.90 €</td></tr><tr><td><b>Total</b></td><td><b>93.90 €</b></td></tr></table><p><a class="b" href="https://lumen.example/orders/4711">Follow your parcel</a></p>',
      '<img src="cid:logo" width="240" alt="Lumen">',
    ),
    label: 31337,
    inlineImages: [{ cid: 'logo', contentType: 'image/png', content: logo, filename: 'logo.png' }],
    attachments: [
      {
        filename: 'invoice-4711.pdf',
        contentType: 'application/pdf',
        content: Buffer.alloc(18_400, '%PDF-1.7 ').toString('base64'),
      },
    ],
  });
}

/** Pauses of no length make a chart of one bar: these spread the calls over some seconds. */
async function spread({ send, smtpPort }: RunningSandbox): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const smtp = createTransport({
    host: 'localhost',
    port: smtpPort ?? 0,
    auth: { user: 'sandbox', pass: 'sandbox-token-for-development' },
    ignoreTLS: true,
    pool: true,
  });
  const mail = { from: 'news@lumen.example', to: 'reader@customer.example', subject: 'News', text: 'News' };
  for (let second = 0; second < 26; second++) {
    const direct = Math.round(14 + 10 * Math.sin(second / 3));
    const queued = second % 7 === 3 ? 9 : 2;
    await Promise.all([
      ...Array.from({ length: direct }, () => send(mail)),
      ...Array.from({ length: queued }, () => send(mail, { Prefer: 'respond-async' })),
      ...Array.from({ length: second % 5 }, () => smtp.sendMail(mail)),
      new Promise((resolve) => setTimeout(resolve, 1000)),
    ]);
  }
  smtp.close();
}

function layout(
  title: string,
  body: string,
  head = '<b style="font-size:22px;letter-spacing:-.5px">◐ Lumen</b>',
): string {
  return `<!doctype html><meta charset="utf-8"><style>body{margin:0;background:#f4f1ec;font:16px/1.6 Inter,system-ui,sans-serif;color:#2b2a28}div{max-width:520px;margin:28px auto;background:#fff;border-radius:14px;padding:32px 36px}h1{font-size:24px;margin:18px 0 8px}table{width:100%;border-collapse:collapse;margin:16px 0}td{padding:8px 0;border-bottom:1px solid #eee}td+td{text-align:right}.b{display:inline-block;background:#b4541f;color:#fff;padding:10px 20px;border-radius:8px;text-decoration:none}</style><div>${head}<h1>${title}</h1>${body}</div>`;
}

/** A PNG (ISO/IEC 15948) of soft hills, in base64. */
function picture(width: number, height: number): string {
  const rows = Array.from({ length: height }, (_, y) => {
    const row = Buffer.alloc(1 + width * 3);
    for (let x = 0; x < width; x++) {
      const hill = height * (0.55 + 0.22 * Math.sin(x / (width / 9)) + 0.1 * Math.sin(x / (width / 23)));
      const back = height * (0.4 + 0.2 * Math.sin(1 + x / (width / 6)));
      const [r, g, b] = y > hill ? [180, 84, 31] : y > back ? [232, 160, 96] : [250, 226, 196];
      row.set([r ?? 0, g ?? 0, b ?? 0], 1 + x * 3);
    }
    return row;
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const chunks = [
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks]).toString('base64');
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

async function shoot(browser: Browser, sandbox: RunningSandbox): Promise<void> {
  const open = async (path: string, options: { dark?: boolean; viewport?: typeof DESKTOP } = {}) => {
    const { dark = false, viewport = DESKTOP } = options;
    const page = await browser.newPage({
      viewport,
      deviceScaleFactor: 2,
      colorScheme: dark ? 'dark' : 'light',
      timezoneId: 'UTC',
    });
    await page.goto(sandbox.url + path, { waitUntil: 'load' });
    return page;
  };
  const save = async (name: string, page: Page) => {
    await page.waitForTimeout(300);
    await write(name, await page.screenshot());
    await page.close();
  };
  const newest = sandbox.sandbox?.inbox.messages.at(-1)?.n ?? 0;
  await save('console', await open(`/sandbox/inbox/${newest}`));
  await save('console-inbox', await open('/'));
  await save('console-inbox-phone', await open('/', { viewport: PHONE }));
  await save('console-message-dark', await open(`/sandbox/inbox/${newest}`, { dark: true }));
  await save('console-session', await open(`/sandbox/inbox/1/session`));
  const compose = await open('/sandbox/compose');
  await compose.setInputFiles('#files', {
    name: 'hills.png',
    mimeType: 'image/png',
    buffer: Buffer.from(picture(320, 120), 'base64'),
  });
  await compose.click('#compose [type=submit]');
  await compose.waitForSelector('#answer h2');
  await compose.evaluate('scrollTo(0, 0)');
  await save('console-compose', compose);
  await sandbox.send(
    {
      from: 'news@lumen.example',
      to: 'busy@customer.example',
      subject: 'The summer sale begins',
      text: 'Soon',
      label: 42,
    },
    { Prefer: 'respond-async' },
  );
  await sandbox.send({
    from: 'hello@lumen.example',
    to: 'ada@customer.example',
    subject: 'How was your order?',
    text: 'Tell us',
    label: 31337,
    sendAt: new Date(Date.now() + 3 * 86_400_000).toISOString(),
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await save('console-outbox', await open('/sandbox/outbox'));
  const hook = await open('/sandbox/hooks/stripe');
  await hook.click('form.try button');
  await hook.waitForSelector('iframe.mail');
  await save('console-hooks', hook);
  await spread(sandbox);
  await save('console-quota', await open('/sandbox/quota'));
}

/** The mails of docs/hooks.md, from what the services send. */
async function shootHooks(browser: Browser): Promise<void> {
  const shots = [
    { name: 'github-light', preset: 'github', payload: 'github/push', event: 'push' },
    { name: 'stripe-light', preset: 'stripe', payload: 'stripe/invoice.payment_failed' },
    { name: 'slack-dark', preset: 'slack', payload: 'slack/blocks' },
    { name: 'alertmanager-phone', preset: 'alertmanager', payload: 'alertmanager/firing' },
    { name: 'alertmanager-phonedark', preset: 'alertmanager', payload: 'alertmanager/firing' },
  ];
  for (const { name, preset, payload, event } of shots) {
    const settings = [
      {
        name: preset,
        preset,
        scheme: 'bearer',
        secret: 'for-a-picture',
        from: 'a@b.example',
        to: 'c@d.example',
      },
    ];
    const account = { apiUser: 'a', apiKey: 'b', from: null, labels: null, quota: 1 };
    const parsed = await parseHooks(JSON.stringify(settings), [account]);
    const hook = 'hooks' in parsed && parsed.hooks.get(preset);
    if (!hook) throw new Error(`The hook of ${name} is wrong`);
    const fixture = await readFile(
      new URL(`../test/hooks/fixtures/${payload}.json`, import.meta.url),
      'utf8',
    );
    const { body = JSON.parse(fixture) } = JSON.parse(fixture) as { body?: unknown };
    const mail = await previewOf(
      hook,
      Buffer.from(JSON.stringify(body)),
      event ? { 'x-github-event': event } : {},
    );
    const isPhone = name.includes('phone');
    const page = await browser.newPage({
      viewport: isPhone ? { width: 390, height: 700 } : { width: 800, height: 400 },
      deviceScaleFactor: isPhone ? 2 : 1,
      colorScheme: name.endsWith('dark') ? 'dark' : 'light',
    });
    await page.setContent(String(mail?.html));
    await write(`hook-${name}`, await page.screenshot({ fullPage: true }));
    await page.close();
  }
}
