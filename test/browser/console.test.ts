/** The sandbox's console in a real browser, over the real gateway. */

import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { PICTURE } from '../support/postern.ts';
import {
  hasBrowser,
  type RunningSandbox,
  type Strangers,
  startBrowser,
  startSandbox,
  startStrangers,
} from './browser.ts';

let sandbox: RunningSandbox;
let browser: Browser;
let strangers: Strangers;

if (!hasBrowser)
  console.warn('The browser of @sparticuz/chromium is for Linux on x64, its tests are left out.');

/** A loaded machine paints slowly. */
const TIMEOUT_MS = 180_000;

describe.skipIf(!hasBrowser)('the console', { timeout: TIMEOUT_MS }, () => {
  beforeAll(async () => {
    strangers = await startStrangers();
    [sandbox, browser] = await Promise.all([startSandbox(), startBrowser(strangers.args)]);
  });
  afterAll(async () => {
    strangers?.close();
    await browser?.close();
    await sandbox?.close();
  });
  beforeEach(async () => {
    sandbox.sandbox?.inbox.clear();
    await fetch(`${sandbox.url}/sandbox/fault`, {
      method: 'PUT',
      body: JSON.stringify({ fault: 'busy', times: 0 }),
    });
  });

  function isMissing(program: string): boolean {
    try {
      execFileSync('which', [program], { stdio: 'ignore' });
      return false;
    } catch {
      console.warn(`${program} is not installed, its request is not tried.`);
      return true;
    }
  }

  /** A page that talks to the sandbox alone, or its test fails. */
  async function open(path: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const context = await browser.newContext(options);
    const asked: string[] = [];
    const errors: string[] = [];
    context.on('requestfinished', (request) => asked.push(request.url()));
    context.on('weberror', (error) => errors.push(String(error.error())));
    onTestFinished(async () => {
      await context.close();
      const isOurs = (url: string) => url.startsWith(`${sandbox.url}/`) || /^(?:data|blob|about):/.test(url);
      expect(asked.filter((url) => !isOurs(url))).toEqual([]);
      expect(strangers.connections).toBe(0);
      expect(errors).toEqual([]);
    });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    await page.goto(sandbox.url + path);
    return page;
  }

  const PNG = Buffer.from(PICTURE, 'base64');
  const POLL = { timeout: 10_000 };
  /** Long enough to be shown by its beginning; what stands behind a PNG is no harm. */
  const LONG = Buffer.concat([PNG, Buffer.alloc(500)]);
  const picture = { name: 'dot.png', mimeType: 'image/png', buffer: PNG };
  const message = { from: 'a@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Hello', text: 'Hello' };

  describe('the inbox', () => {
    it('shows new mail at once, and says so to a screen reader', async () => {
      const page = await open('/');
      await page.getByRole('heading', { name: 'No mail yet' }).waitFor();
      await sandbox.send({ ...message, subject: 'Live <b>mail</b>', label: 42 });
      await page.getByRole('link', { name: /Live <b>mail<\/b>/ }).waitFor();
      await page.locator('#live', { hasText: 'New message: Live <b>mail</b>' }).waitFor();
      expect(await page.locator('.mails b').count()).toBe(0);
    });

    it('searches, and filters by recipient and label', async () => {
      await sandbox.send({ ...message, subject: 'One', text: 'needle', label: 1 });
      await sandbox.send({ ...message, subject: 'Two', to: 'ada@ifaxin.com', label: 2 });
      const page = await open('/');
      const subjects = () => page.locator('.mails .subject').allTextContents();
      const shown = (...expected: string[]) => expect.poll(subjects, POLL).toEqual(expected);
      expect(await subjects()).toEqual(['Two', 'One']);
      await page.getByLabel('Search').fill('NEEDLE');
      await page.keyboard.press('Enter');
      await page.waitForURL(/q=NEEDLE/);
      await shown('One');
      await page.goto(sandbox.url);
      await page.getByLabel('Recipient').selectOption('ada@ifaxin.com');
      await page.waitForURL(/to=ada/);
      await shown('Two');
      await page.goto(sandbox.url);
      await page.getByLabel('Label').selectOption('1');
      await page.waitForURL(/label=1/);
      await shown('One');
      // What comes meanwhile and does not fit stays away.
      await sandbox.send({ ...message, subject: 'Three', label: 2 });
      await sandbox.send({ ...message, subject: 'Four', label: 1 });
      await page.getByRole('link', { name: /Four/ }).waitFor();
      expect(await subjects()).toEqual(['Four', 'One']);
    });

    it('filters in place, and leaves the focus', async () => {
      await sandbox.send({ ...message, subject: 'One', text: 'needle', label: 1 });
      await sandbox.send({ ...message, subject: 'Two', label: 2 });
      const page = await open('/');
      const navigations: string[] = [];
      page.on('request', (request) => request.isNavigationRequest() && navigations.push(request.url()));
      const shown = (...subjects: string[]) =>
        expect.poll(() => page.locator('.mails .subject').allTextContents(), POLL).toEqual(subjects);
      await page.keyboard.press('/');
      await page.keyboard.type('needle');
      await shown('One');
      expect(page.url()).toBe(`${sandbox.url}/?q=needle`);
      await page.locator('#live', { hasText: '1 of 2 messages' }).waitFor();
      await page.keyboard.press('Escape');
      await shown('Two', 'One');
      expect(page.url()).toBe(`${sandbox.url}/`);
      const label = page.getByLabel('Label');
      await label.focus();
      for (const subject of ['One', 'Two']) {
        await page.keyboard.press('ArrowDown');
        await shown(subject);
      }
      expect(await label.evaluate((select) => select === document.activeElement)).toBe(true);
      expect(navigations).toEqual([]);
    });

    it('stays where its reader is when new mail comes', async () => {
      for (let count = 1; count <= 12; count++) await sandbox.send({ ...message, subject: `Mail ${count}` });
      const page = await open('/', { viewport: { width: 1280, height: 400 } });
      const row = page.getByRole('link', { name: /Mail 4/ });
      await page.evaluate(() => scrollTo(0, 500));
      const before = await row.boundingBox();
      await sandbox.send({ ...message, subject: 'New' });
      await page.locator('#live', { hasText: 'New message: New' }).waitFor();
      expect((await row.boundingBox())?.y).toBeCloseTo(before?.y ?? 0, 0);
    });

    it('deletes what it shows, once it is sure', async () => {
      for (const subject of ['One', 'Two', 'Three'])
        await sandbox.send({ ...message, subject, label: subject === 'Two' ? 2 : 1 });
      const page = await open('/?label=1');
      const left = () => sandbox.sandbox?.inbox.messages.length;
      const asked: string[] = [];
      page.once('dialog', (dialog) => void dialog.dismiss());
      await page.getByRole('button', { name: 'Delete these 2' }).click();
      expect(left()).toBe(3);
      page.once('dialog', (dialog) => {
        asked.push(dialog.message());
        void dialog.accept();
      });
      await page.getByRole('button', { name: 'Delete these 2' }).click();
      await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
      await page.locator('#live', { hasText: '2 messages deleted' }).waitFor();
      expect(asked).toEqual(['Delete 2 messages?']);
      await page.locator('#main:focus').waitFor();
      await page.goto(sandbox.url);
      expect(await page.locator('.mails .subject').allTextContents()).toEqual(['Two']);
    });

    it('deletes what it shows without scripts, and nothing that came meanwhile', async () => {
      for (const subject of ['One', 'Two']) await sandbox.send({ ...message, subject });
      const page = await open('/?q=one', { javaScriptEnabled: false });
      await page.getByRole('button', { name: 'Delete this one' }).click();
      await page.getByRole('heading', { name: 'Delete 1 message?' }).waitFor();
      await sandbox.send({ ...message, subject: 'One more' });
      await page.getByRole('button', { name: 'Delete' }).click();
      await page.waitForURL(`${sandbox.url}/`);
      expect(await page.locator('.mails .subject').allTextContents()).toEqual(['One more', 'Two']);
    });

    it('deletes one, and all', async () => {
      for (const subject of ['One', 'Two', 'Three']) await sandbox.send({ ...message, subject });
      const page = await open('/');
      await page.getByRole('link', { name: /Two/ }).click();
      await page.getByRole('button', { name: 'Delete' }).click();
      await page.waitForURL(`${sandbox.url}/`);
      expect(await page.locator('.mails .subject').allTextContents()).toEqual(['Three', 'One']);
      page.once('dialog', (dialog) => void dialog.accept());
      await page.getByRole('button', { name: 'Delete all' }).click();
      await page.getByRole('heading', { name: 'No mail yet' }).waitFor();
      expect(sandbox.sandbox?.inbox.messages).toEqual([]);
    });
  });

  describe('a message', () => {
    it('is painted with its pictures, and lists its parts, headers, source and receipt', async () => {
      const picked = { cid: 'image1', contentType: 'image/png', content: PICTURE, filename: 'dot.png' };
      const html =
        '<p>See <img id="tag" src="cid:image1"></p><p id="css" style="background:url(&quot;cid:image1&quot;)">x';
      const file = { filename: 'a b;".txt', contentType: 'text/plain', content: btoa('content') };
      await sandbox.send({ ...message, html, label: 31337, inlineImages: [picked], attachments: [file] });
      const page = await open('/');
      await page.getByRole('link', { name: /Hello/ }).click();
      const frame = page.frameLocator('iframe.mail');
      const widthOf = (image: Element) => (image as HTMLImageElement).naturalWidth;
      await expect.poll(() => frame.locator('#tag').evaluate(widthOf), POLL).toBe(1);
      const background = (element: Element) => getComputedStyle(element).backgroundImage;
      expect(await frame.locator('#css').evaluate(background)).toMatch(/^url\("data:image\/png/);
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByText('a b;".txt').click(),
      ]);
      expect(download.suggestedFilename()).toMatch(/^a b;.\.txt$/);
      await page.getByRole('link', { name: 'Headers' }).click();
      await page.getByRole('row', { name: /^Subject Hello$/i }).waitFor();
      await page.getByRole('link', { name: 'Source' }).click();
      expect(await page.locator('pre.source').textContent()).toContain('Content-ID: <image1>');
      await page.getByRole('link', { name: 'Receipt' }).click();
      expect(await page.locator('.view').textContent()).toMatch(/accepted.*inbound0\$ben@ifaxin\.com.*HTTP/s);
    });

    it('begins at its beginning on a phone, and folds many recipients', async () => {
      const to = Array.from({ length: 30 }, (_, index) => `recipient.number.${index + 1}@ifaxin.com`);
      await sandbox.send({ ...message, to });
      const [sent] = sandbox.sandbox?.inbox.messages ?? [];
      const page = await open(`/sandbox/inbox/${sent?.n}/receipt`, {
        viewport: { width: 375, height: 740 },
      });
      expect(await page.evaluate(() => scrollY)).toBe(0);
      const tab = await page.getByRole('link', { name: 'Receipt' }).boundingBox();
      expect((tab?.x ?? 0) + (tab?.width ?? 0)).toBeLessThanOrEqual(375);
      const others = page.locator('.facts').getByText('recipient.number.30');
      expect(await others.isVisible()).toBe(false);
      await page.getByText('… and 29 more').click();
      await others.waitFor();
    });

    it('runs as its writing runs', async () => {
      await sandbox.send({ ...message, subject: 'طلبك رقم 4711 (Order)', text: 'مرحبا\nHello' });
      const page = await open('/');
      const direction = (element: Element) => getComputedStyle(element).direction;
      expect(await page.locator('.mails .subject').evaluate(direction)).toBe('rtl');
      expect(await page.locator('.mails .from').evaluate(direction)).toBe('ltr');
      await page.locator('.mails a').click();
      expect(await page.getByRole('heading', { level: 1 }).evaluate(direction)).toBe('rtl');
      const bidi = (element: Element) => getComputedStyle(element).unicodeBidi;
      expect(await page.locator('pre.text').evaluate(bidi)).toBe('plaintext');
    });

    it('shows the beginning of a long text, and leads to the whole', async () => {
      await sandbox.send({ ...message, text: `${'Long text\n'.repeat(30_000)}the end` });
      const page = await open('/');
      await page.locator('.mails a').click();
      expect((await page.locator('pre.text').textContent())?.length).toBe(200_002);
      await page.getByRole('link', { name: 'The whole text' }).click();
      expect(await page.locator('body').textContent()).toMatch(/text\nthe end\s*$/);
    });

    it('names To, Cc, Bcc and Reply-To apart', async () => {
      const [cc, bcc, replyTo] = ['Cy <cy@ifaxin.com>', 'bo@ifaxin.com', 'Re <re@ifaxin.com>'];
      await sandbox.send({ ...message, to: 'Ben <BEN@ifaxin.com>', cc, bcc, replyTo });
      const page = await open('/');
      await page.locator('.mails a').click();
      const facts = page.locator('.facts div').filter({ hasText: /^(?:To|Cc|Bcc|Reply-To)/ });
      expect(await facts.allInnerTexts()).toEqual([
        'To\nBen <BEN@ifaxin.com>',
        'Cc\nCy <cy@ifaxin.com>',
        'Bcc\nbo@ifaxin.com',
        'Reply-To\nRe <re@ifaxin.com>',
      ]);
    });

    it('shows the warnings of its receipt', async () => {
      const svg = 'data:image/svg+xml;base64,PHN2Zy8+';
      await sandbox.send({ ...message, html: `<p style="background:url(${svg})">Hello` });
      const [sent] = sandbox.sandbox?.inbox.messages ?? [];
      const page = await open(`/sandbox/inbox/${sent?.n}/receipt`);
      await page.getByRole('heading', { name: 'Sent, but not shown everywhere' }).waitFor();
      await page.getByText('image/svg+xml does not show in Gmail').waitFor();
    });

    it('runs nothing, sends nothing and fetches nothing, whatever is in it', async () => {
      const html = `<!doctype html><base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example/refresh">
      <link rel="preconnect" href="https://evil.example"><link rel="stylesheet" href="https://evil.example/a.css">
      <script>document.title='owned';fetch('https://evil.example/fetch')</script><script src="https://evil.example/a.js"></script>
      <img src="https://evil.example/pixel.png" srcset="https://evil.example/2.png 2x" onerror="parent.document.title='owned'">
      <img src="/sandbox/messages"><svg onload="top.location='https://evil.example/top'"></svg><iframe src="https://evil.example/frame"></iframe>
      <style>@import "https://evil.example/i.css"; body { background: url(https://evil.example/bg.png) }</style>
      <video src="https://evil.example/v.mp4" poster="//evil.example/p.png" autoplay></video><object data="https://evil.example/o"></object>
      <form action="https://evil.example/form" id="form"><input name="x"><button id="send">Send</button></form><p id="end">the end`;
      await sandbox.send({
        ...message,
        subject: '</title><script>alert(1)</script>',
        from: '"<img src=x onerror=alert(1)>" <a@ifaxin.com>',
        html,
      });
      const page = await open('/');
      page.on('dialog', () => expect.unreachable('a script ran'));
      await page.locator('.mails a').click();
      const frame = page.frameLocator('iframe.mail');
      await frame.locator('#end').waitFor();
      await page.getByText('would be fetched from elsewhere').waitFor();
      await frame.locator('#send').click();
      await page.waitForTimeout(300);
      expect(await page.title()).toBe('</title><script>alert(1)</script> · Postern');
      expect(page.url()).toMatch(/\/sandbox\/inbox\/\d+$/);
      expect(
        page
          .frames()
          .map((one) => one.url())
          .filter((url) => url.includes('evil')),
      ).toEqual([]);
      // Nor where it is opened by itself.
      const [sent] = sandbox.sandbox?.inbox.messages ?? [];
      await page.goto(`${sandbox.url}/sandbox/inbox/${sent?.n}/frame`);
      await page.waitForTimeout(300);
      expect(page.url()).toContain('/frame');
      expect(await page.title()).not.toBe('owned');
    });

    it('has its session: masked, through TLS, with its round trips', async () => {
      const first = { ...message, label: 501 };
      await sandbox.send(first);
      await sandbox.send({ ...first, subject: 'Again' });
      const page = await open('/');
      await page.getByRole('link', { name: /Hello/ }).last().click();
      await page.getByRole('link', { name: 'Session', exact: true }).click();
      const cold = (await page.locator('.view').textContent())?.replace(/\s+/g, ' ') ?? '';
      expect(cold).toMatch(/cold TLS 11 round trips/);
      for (const line of [
        'S: 220 SendCloud',
        'C: STARTTLS',
        'C: AUTH LOGIN base64(sandbox#501)',
        'C: base64(••••••••)',
        'S: 354',
        'C: .',
      ]) {
        expect(cold).toContain(line);
      }
      expect(cold).not.toContain(Buffer.from('sandbox').toString('base64'));
      await page.getByRole('link', { name: 'Newer message' }).click();
      await page.getByRole('link', { name: 'Session', exact: true }).click();
      expect((await page.locator('.view').textContent())?.replace(/\s+/g, ' ')).toMatch(
        /warm TLS 2 round trips/,
      );
    });
  });

  it('says that a message is no longer kept, and a session', async () => {
    await sandbox.send(message);
    const page = await open('/sandbox/sessions');
    await page.locator('.sessions a').first().click();
    await page.getByRole('link', { name: 'See its message' }).click();
    sandbox.sandbox?.inbox.clear();
    expect((await page.reload())?.status()).toBe(404);
    await page.getByRole('heading', { name: 'This message is no longer kept.' }).waitFor();
    await page.goBack();
    await page.getByText('Its message is no longer kept.').waitFor();
    await page.goto(`${sandbox.url}/sandbox/sessions/987654`);
    await page.getByRole('heading', { name: 'This session is no longer kept.' }).waitFor();
    await page.locator('.empty').getByRole('link', { name: 'Sessions' }).click();
    await page.waitForURL(/sessions$/);
  });

  it('marks what was refused, put off and left without a reply', async () => {
    for (const name of ['refused', 'busy', 'dropped', 'ben'])
      await sandbox.send({ ...message, to: `${name}@ifaxin.com` });
    const page = await open('/sandbox/sessions');
    const rows = page.locator('.sessions li');
    const marks = await rows.locator('.reply').evaluateAll((all) => all.map(({ className }) => className));
    const [good, dropped, busy, refused] = marks.map((names) => names.replace('subject reply', '').trim());
    expect({ refused, busy, dropped, good }).toEqual({
      refused: 'bad',
      busy: 'warn',
      dropped: 'warn',
      good: '',
    });
    await rows.nth(3).locator('a').click();
    await page.locator('.dialogue .bad', { hasText: '550' }).waitFor();
  });

  describe('compose', () => {
    it('sends a form with a pasted, a dropped and a picked picture, and they are painted', async () => {
      const page = await open('/sandbox/compose');
      await page.getByLabel('Subject').fill('From the form');
      const drop = async (type: string, name: string) => {
        const transfer = await page.evaluateHandle(
          ([content, filename]) => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
            data.items.add(new File([bytes], filename, { type: 'image/png' }));
            return data;
          },
          [PICTURE, name] as const,
        );
        if (type === 'drop') await page.dispatchEvent('#html', 'drop', { dataTransfer: transfer });
        else
          await transfer.evaluate((clipboardData) =>
            document
              .querySelector('#html')
              ?.dispatchEvent(
                new ClipboardEvent('paste', { clipboardData, cancelable: true, bubbles: true }),
              ),
          );
        await page.locator('#picked').getByText(name).waitFor();
      };
      await drop('drop', 'dropped.png');
      await drop('paste', 'pasted.png');
      await page.setInputFiles('#files', [
        picture,
        { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('x') },
      ]);
      await page.locator('#picked').getByText('a.txt').waitFor();
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByRole('heading', { name: 'Accepted' }).waitFor();
      await page.getByRole('link', { name: 'See it in the inbox' }).click();
      await page.getByRole('link', { name: /From the form/ }).click();
      const images = page.frameLocator('iframe.mail').locator('img');
      expect(await images.count()).toBe(3);
      const widths = () =>
        images.evaluateAll((all) => all.map((image) => (image as HTMLImageElement).naturalWidth));
      await expect.poll(widths, POLL).toEqual([1, 1, 1]);
      expect(await page.locator('.parts b').allTextContents()).toContain('a.txt');
    });

    it('keeps a draft until it is sent', async () => {
      const page = await open('/sandbox/compose');
      const draft = () =>
        Promise.all([
          page.locator('#subject').inputValue(),
          page.locator('#queue').isChecked(),
          page.locator('#picked').textContent(),
        ]);
      await page.locator('#subject').fill('A draft');
      await page.locator('#queue').check();
      await page.setInputFiles('#files', picture);
      await page.locator('#picked').getByText('dot.png').waitFor();
      const kept = ['A draft', true, expect.stringContaining('dot.png')];
      await page.getByRole('button', { name: 'Switch on' }).click();
      await page.getByText('for the next 3 messages').waitFor();
      await page.getByRole('button', { name: 'Switch off' }).click();
      await page.getByText('Upstream behaves.').waitFor();
      expect(await draft()).toEqual(kept);
      const navigations: string[] = [];
      page.on('framenavigated', (frame) => navigations.push(frame.url()));
      await page.locator('h1').click();
      await page.keyboard.press('c');
      await page.waitForTimeout(200);
      expect(navigations).toEqual([]);
      await page.getByRole('link', { name: 'Quota' }).click();
      await page.goBack();
      expect(await draft()).toEqual(kept);
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByRole('heading', { name: 'Queued' }).waitFor();
      await page.reload();
      expect(await draft()).toEqual(['Hello from Postern', false, '']);
    });

    it('shows on a phone, too, that it sends and what became of it', async () => {
      const page = await open('/sandbox/compose', { viewport: { width: 375, height: 740 } });
      const answer = page.locator('#answer');
      const isInSight = () =>
        answer.evaluate((box) => {
          const { top } = box.getBoundingClientRect();
          return top >= 0 && top < innerHeight;
        });
      let go = () => {};
      const held = new Promise<void>((resolve) => {
        go = resolve;
      });
      await page.route('**/v1/messages', async (route) => {
        await held;
        await route.continue();
      });
      await page.getByRole('button', { name: '550 refused' }).focus();
      await page.keyboard.press('Enter');
      await answer.getByText('Sending…').waitFor();
      await expect.poll(isInSight, POLL).toBe(true);
      const sends = page.locator('#compose [type="submit"], [data-fault]');
      expect(await sends.evaluateAll((all) => all.map((one) => (one as HTMLButtonElement).disabled))).toEqual(
        Array(6).fill(true),
      );
      go();
      await answer.getByRole('heading', { name: 'refused' }).waitFor();
      await expect.poll(isInSight, POLL).toBe(true);
      await page.locator('[data-fault="refused"]:focus:enabled').waitFor();
    });

    it('tells what is wrong beside its field', async () => {
      const page = await open('/sandbox/compose');
      await page.getByLabel('To', { exact: false }).first().fill('nobody');
      await page.getByLabel('Label').fill('x');
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.locator('#answer').getByText('Nothing was sent. The same').waitFor();
      const to = page.locator('#to');
      expect(await to.getAttribute('aria-invalid')).toBe('true');
      expect(await page.locator(`#${await to.getAttribute('aria-describedby')}`).textContent()).not.toBe('');
      expect(await page.locator('#label-error').textContent()).not.toBe('');
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('to');
    });

    /** How a copied request is tried; Go's compiler takes too long, its formatter reads it. */
    const PROGRAMS = {
      curl: ['bash'],
      fetch: [process.execPath, '--input-type=module'],
      Python: ['python3'],
      PHP: ['php'],
      Go: ['gofmt'],
    } as const;

    it('shows the request in five languages, each of which is copied whole and does the same', async () => {
      const page = await open('/sandbox/compose', { permissions: ['clipboard-read', 'clipboard-write'] });
      const subject = `It's "quoted", \\n '''tripled''' $HOME \`id\` <?php ?> 你好 €`;
      await page.getByLabel('Subject').fill(subject);
      await page.setInputFiles('#files', { ...picture, buffer: LONG });
      await page.locator('#picked').getByText('dot.png').waitFor();
      let code = '';
      for (const [language, [program, ...args]] of Object.entries(PROGRAMS)) {
        if (isMissing(program)) continue;
        sandbox.sandbox?.inbox.clear();
        await page.getByRole('tab', { name: language }).click();
        expect(await page.locator('#sample pre').textContent()).toContain('…');
        const before = code;
        await page.locator('#sample [data-copy]').click();
        await expect
          .poll(async () => (code = await page.evaluate(() => navigator.clipboard.readText())), POLL)
          .not.toBe(before);
        const running = promisify(execFile)(program, args);
        running.child.stdin?.end(code);
        const { stdout } = await running;
        if (language === 'Go') continue;
        expect(stdout).toMatch(/queueId/);
        const [sent] = sandbox.sandbox?.inbox.messages ?? [];
        const { subject: arrived, attachments } = await PostalMime.parse(sent?.raw ?? '');
        expect(`${language} ${arrived}`).toBe(`${language} ${subject}`);
        expect(Buffer.from(attachments[0]?.content as ArrayBuffer)).toEqual(LONG);
      }
    });

    it('selects the request whole where there is no clipboard', async () => {
      const page = await open('/sandbox/compose');
      await page.setInputFiles('#files', { ...picture, buffer: LONG });
      await page.locator('#picked').getByText('dot.png').waitFor();
      await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
      await page.locator('#sample [data-copy]').click();
      await page.locator('#live', { hasText: 'Selected' }).waitFor();
      expect(await page.evaluate(() => getSelection()?.toString())).toContain(LONG.toString('base64'));
    });

    it('plays a failure for the next messages', async () => {
      const page = await open('/sandbox/compose');
      await page.getByLabel('How many messages').fill('2');
      await page.getByLabel('What they meet').selectOption('550 refused');
      await page.getByRole('button', { name: 'Switch on' }).click();
      await page.getByText('for the next 2 messages').waitFor();
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByRole('heading', { name: 'Upstream refused every recipient' }).waitFor();
      await page.getByText('for the next message,').waitFor();
      await page.getByRole('button', { name: 'Switch off' }).click();
      await page.getByText('Upstream behaves.').waitFor();
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByRole('heading', { name: 'Accepted' }).waitFor();
    });
  });

  describe('the quota', () => {
    it('closes when upstream says 536', async () => {
      // Of its own: a closed window holds up the others.
      const own = await startSandbox();
      onTestFinished(() => own.close());
      const context = await browser.newContext();
      onTestFinished(() => context.close());
      const quota = await context.newPage();
      await quota.goto(`${own.url}/sandbox/quota`);
      await quota.getByText('20,000').first().waitFor();
      const compose = await context.newPage();
      await compose.goto(`${own.url}/sandbox/compose`);
      await compose.getByRole('button', { name: '536 quota' }).click();
      await compose.getByRole('heading', { name: 'quota' }).getByText('429').waitFor();
      await quota.bringToFront();
      await quota.getByText('closed by 536').waitFor();
      await quota.getByText('Upstream said 536.').waitFor();
      await quota.locator('.legend', { hasText: 'HTTP 1' }).waitFor();
    });

    it('counts by door', async () => {
      const page = await open('/sandbox/quota');
      const before = Number(/SMTP (\d+)/.exec((await page.locator('.legend').textContent()) ?? '')?.[1]);
      const { createTransport } = await import('nodemailer');
      const auth = { user: 'sandbox', pass: 'sandbox-token-for-development' };
      const transport = createTransport({
        host: 'localhost',
        port: sandbox.smtpPort ?? 0,
        auth,
        ignoreTLS: true,
      });
      await transport.sendMail(message);
      await page.locator('.legend', { hasText: `SMTP ${before + 1}` }).waitFor();
    });
  });

  describe('the outbox', () => {
    it('shows why a message waits, tries it now, and sees it go', async () => {
      const page = await open('/sandbox/outbox');
      await fetch(`${sandbox.url}/sandbox/fault`, {
        method: 'PUT',
        body: JSON.stringify({ fault: 'busy', times: 1 }),
      });
      await sandbox.send({ ...message, subject: 'Busy at first' }, { Prefer: 'respond-async' });
      const job = page.locator('.jobs li', { hasText: 'Busy at first' });
      await job.getByText('upstream-busy').waitFor();
      await job.getByText(/Tried once; the next attempt is in \d+ s/).waitFor();
      await job.getByRole('button', { name: 'Try now' }).click();
      await page.locator('.jobs li', { hasText: 'Busy at first' }).getByText('accepted').waitFor();
    });

    it('keeps a message for its time, cancels it', async () => {
      const sendAt = new Date(Date.now() + 3_600_000).toISOString();
      await sandbox.send({ ...message, subject: 'In an hour', sendAt });
      const page = await open('/sandbox/outbox');
      const job = page.locator('.jobs li', { hasText: 'In an hour' });
      await job.getByText('in 60 min').waitFor();
      await job.getByRole('button', { name: 'Cancel' }).click();
      await page.locator('.jobs li', { hasText: 'In an hour' }).getByText('cancelled').waitFor();
    });
  });

  describe('hooks', () => {
    it('show the mail of a payload, and send it', async () => {
      const page = await open('/sandbox/hooks');
      await page.getByRole('link', { name: /stripe/ }).click();
      await page
        .getByLabel('Payload')
        .fill(
          '{"type":"invoice.paid","data":{"object":{"object":"invoice","number":"A-7","total":4900,"currency":"eur"}}}',
        );
      await page.getByRole('button', { name: 'Preview the mail' }).click();
      await page.getByRole('heading', { name: /A-7/ }).waitFor();
      await page.frameLocator('iframe.mail').getByText('49.00 EUR').first().waitFor();
      expect(sandbox.sandbox?.inbox.messages).toEqual([]);
      await page.getByRole('button', { name: 'Send it to the inbox' }).click();
      await page.getByRole('link', { name: 'See it in the inbox' }).click();
      await page.getByRole('link', { name: /A-7/ }).waitFor();
    });

    it('say that the gateway does not answer', async () => {
      const page = await open('/sandbox/hooks/stripe');
      await page.getByRole('button', { name: 'Preview the mail' }).click();
      await page.route('**/v1/messages', (route) => route.abort());
      await page.getByRole('button', { name: 'Send it to the inbox' }).click();
      await page.getByText('The gateway did not answer: ').waitFor();
    });

    it('say that a payload is skipped', async () => {
      const page = await open('/sandbox/hooks/github');
      await page.getByLabel('Headers').fill('x-github-event: ping');
      await page.getByLabel('Payload').fill('{"zen":"x"}');
      await page.getByRole('button', { name: 'Preview the mail' }).click();
      await page.getByText('This payload makes no mail').waitFor();
    });
  });

  describe('every page', () => {
    const somePaths = async (): Promise<string[]> => {
      const html = '<h1>Hi</h1><img src="cid:image1" alt="">';
      const picked = { cid: 'image1', contentType: 'image/png', content: PICTURE, filename: 'dot.png' };
      const subject = `A-long-word-without-a-place-to-break-${'x'.repeat(120)}`;
      await sandbox.send({ ...message, subject, html, label: 31337, inlineImages: [picked] });
      await sandbox.send({
        ...message,
        subject: 'Later',
        sendAt: new Date(Date.now() + 60_000).toISOString(),
      });
      await sandbox.send({ ...message, to: 'refused@ifaxin.com' });
      const n = sandbox.sandbox?.inbox.messages.at(-1)?.n;
      const views = ['html', 'text', 'headers', 'parts', 'source', 'session', 'receipt'];
      const pages = ['compose', 'outbox', 'sessions', 'sessions/1', 'quota', 'hooks', 'hooks/github'];
      return [
        '/',
        '/?q=nothing-like-it',
        ...views.map((view) => `/sandbox/inbox/${n}/${view}`),
        ...pages.map((page) => `/sandbox/${page}`),
      ];
    };

    it('has no serious accessibility violation, light and dark', async () => {
      const [first = '/', ...paths] = await somePaths();
      const page = await open(first, { colorScheme: 'light' });
      const check = async (path: string, rules: string[] | null) => {
        const { violations } = await page.evaluate(
          (runOnly) =>
            (window as unknown as { axe: typeof axe }).axe.run(
              { exclude: [['iframe']] },
              { resultTypes: ['violations'], preload: false, ...(runOnly && { runOnly }) },
            ),
          rules,
        );
        return violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => `${path}: ${id} at ${nodes.map(({ html }) => html).join(' ')}`);
      };
      const found: string[] = [];
      for (const path of [first, ...paths]) {
        await page.emulateMedia({ colorScheme: 'light' });
        await page.goto(sandbox.url + path);
        await page.evaluate(axe.source);
        found.push(...(await check(path, null)));
        await page.emulateMedia({ colorScheme: 'dark' });
        // What else is judged does not hang on colours.
        found.push(...(await check(`dark ${path}`, ['color-contrast'])));
      }
      expect(found).toEqual([]);
    });

    it('fits a phone', async () => {
      const [first = '/', ...paths] = await somePaths();
      const page = await open(first, {
        viewport: { width: 360, height: 640 },
        hasTouch: true,
        isMobile: true,
      });
      const widths: string[] = [];
      for (const path of [first, ...paths]) {
        await page.goto(sandbox.url + path);
        widths.push(`${path} ${await page.evaluate(() => document.documentElement.scrollWidth)}`);
      }
      expect(widths).toEqual([first, ...paths].map((path) => `${path} 360`));
    });

    it('cuts no subject between phone and desk, and no size of a part', async () => {
      const file = {
        filename: 'a.xlsx',
        contentType: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
        content: 'AAAA',
      };
      await sandbox.send({ ...message, attachments: [file] });
      const page = await open('/', { viewport: { width: 768, height: 1000 } });
      const subject = await page.locator('.mails .subject').boundingBox();
      expect(subject?.width).toBeGreaterThan(300);
      await page.locator('.mails a').click();
      await page.setViewportSize({ width: 375, height: 740 });
      await page.getByRole('link', { name: 'Parts' }).click();
      const size = await page.getByText('3 B', { exact: true }).boundingBox();
      expect((size?.x ?? 375) + (size?.width ?? 0)).toBeLessThan(350);
    });

    it('is printed as heading, facts and body alone, in light', async () => {
      await sandbox.send(message);
      const page = await open('/', { colorScheme: 'dark' });
      await page.locator('.mails a').click();
      await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
      const isSeen = (selector: string) => page.locator(selector).first().isVisible();
      const [seen, unseen] = [
        ['h1', '.facts', 'pre.text'],
        ['.side', '.head', 'nav.tabs'],
      ];
      expect(await Promise.all([...seen, ...unseen].map(isSeen))).toEqual([
        ...seen.map(() => true),
        ...unseen.map(() => false),
      ]);
      const ink = (element: Element) => getComputedStyle(element).color;
      expect(await page.locator('body').evaluate(ink)).toBe('rgb(20, 24, 29)');
    });

    it('tells the time of its reader, with a date where it is not today', async () => {
      await sandbox.send(message);
      const page = await open('/', { timezoneId: 'Pacific/Kiritimati' });
      const [sent] = sandbox.sandbox?.inbox.messages ?? [];
      const local = (options: Intl.DateTimeFormatOptions) =>
        sent?.receivedAt.toLocaleString('en-GB', { timeZone: 'Pacific/Kiritimati', ...options });
      const clock = local({ timeStyle: 'medium' });
      expect(await page.locator(`#mail-${sent?.n} time`).textContent()).toBe(clock);
      await page.clock.setFixedTime(Date.now() + 2 * 86_400_000);
      await page.reload();
      const day = local({ day: 'numeric', month: 'short' });
      expect(await page.locator(`#mail-${sent?.n} time`).textContent()).toBe(`${day}, ${clock}`);
    });

    it('leads to the reference and back, which fits a phone', async () => {
      const page = await open('/', { viewport: { width: 375, height: 740 }, colorScheme: 'dark' });
      await page.goto(`${sandbox.url}/docs`);
      await page.locator('.opblock-summary').first().click();
      const title = page.locator('.examples-select__section-label').first();
      expect(await title.evaluate((label) => getComputedStyle(label).color)).toBe('rgb(228, 230, 230)');
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
      await page.getByRole('link', { name: 'Console' }).click();
      await page.waitForURL(`${sandbox.url}/`);
      await page.goto(`${sandbox.url}/docs/errors/quota-exceeded`);
      expect(await page.locator('p:empty').count()).toBe(0);
      expect(await page.locator('pre[tabindex="0"]').count()).toBe(1);
    });

    it('is walked through by keyboard in the order it is read', async () => {
      await sandbox.send(message);
      const page = await open('/');
      const order: string[] = [];
      for (let step = 0; step < 15; step++) {
        await page.keyboard.press('Tab');
        order.push(
          await page.evaluate(() => {
            const { activeElement: element } = document;
            return (
              element?.getAttribute('aria-label') ??
              element?.closest('label')?.textContent?.trim() ??
              element?.textContent?.trim() ??
              ''
            );
          }),
        );
      }
      expect(order.map((name) => name.replace(/\s+/g, ' ').slice(0, 12).trim())).toEqual([
        'Skip to the',
        'PosternSandb',
        'Inbox',
        'Compose',
        'Outbox',
        'Sessions',
        'Quota',
        'Hooks',
        'API referenc',
        'Search',
        'Recipient Ev',
        'Label Every',
        'Delete all',
        'A a@ifaxin.c',
        expect.anything(),
      ]);
      await page.goto(sandbox.url);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
      await page.keyboard.press('/');
      expect(await page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('q');
    });
  });
});
