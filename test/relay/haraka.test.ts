/** The whole way against a real Haraka, the server that SendCloud's greeting names. */

import { setDefaultCACertificates } from 'node:tls';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Haraka, startHaraka } from '../support/haraka.ts';
import { MESSAGE, PICTURE, startPostern } from '../support/postern.ts';

type Json = Record<string, unknown>;

describe('against a real Haraka', () => {
  let haraka: Haraka;
  beforeAll(async () => {
    haraka = await startHaraka({ accounts: { ifaxin: 'the-key' } });
    setDefaultCACertificates([haraka.ca]);
  });
  afterAll(() => haraka.close());

  const start = (settings: Record<string, string> = {}) =>
    startPostern({ SMTP_PORTS: String(haraka.port), ...settings });

  it('sends a message with a label and an inline picture, and again over the same connection', async () => {
    await using postern = await start();
    const before = haraka.messages.length;
    const message = {
      ...MESSAGE,
      text: 'See it.',
      cc: ['Amy Süß <amy@bücher.example>'],
      bcc: 'eve@ifaxin.com',
    };
    for (let repeat = 0; repeat < 2; repeat++) {
      const response = await postern.send(message);
      const receipt = (await response.json()) as Json;
      expect(response.status).toBe(200);
      const arrived = haraka.messages[before + repeat];
      expect(arrived).toMatchObject({
        user: 'ifaxin#31337',
        from: 'support@ifaxin.com',
        to: ['ben@ifaxin.com', 'amy@xn--bcher-kva.example', 'eve@ifaxin.com'],
        queueId: receipt.queueId,
      });
      const mail = await PostalMime.parse(arrived?.raw ?? '');
      expect(mail.cc).toEqual([{ name: 'Amy Süß', address: 'amy@xn--bcher-kva.example' }]);
      expect(mail.bcc).toBeUndefined();
      expect(mail.messageId).toBe(receipt.messageId);
      expect(mail.html?.trim()).toBe('<p>See <img src="cid:image1"></p>');
      expect(mail.attachments).toMatchObject([{ contentId: '<image1>', mimeType: 'image/png' }]);
      const content = Buffer.from(mail.attachments[0]?.content as ArrayBuffer);
      expect(content.toString('base64')).toBe(PICTURE);
    }
  });

  it('sends a megabyte that Haraka does not have to rewrite', async () => {
    await using postern = await start();
    const bytes = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => (index * 7919) % 251));
    const response = await postern.send({
      ...MESSAGE,
      text: `${'long '.repeat(5000)}\n.\n..dots\n`,
      attachments: [
        { filename: 'a.bin', contentType: 'application/octet-stream', content: bytes.toString('base64') },
      ],
    });
    const receipt = (await response.json()) as Json;
    const arrived = haraka.messages.find(({ queueId }) => queueId === receipt.queueId);
    expect(arrived?.raw.length).toBe(receipt.size);
    const mail = await PostalMime.parse(arrived?.raw ?? '');
    expect(mail.text?.replaceAll('\r\n', '\n').trimEnd()).toBe(`${'long '.repeat(5000)}\n.\n..dots`);
    const attached = mail.attachments.find(({ filename }) => filename === 'a.bin');
    expect(Buffer.from(attached?.content as ArrayBuffer).equals(bytes)).toBe(true);
  });

  it('hears its refusals', async () => {
    await using wrong = await start({ SENDCLOUD_API_KEY: 'wrong' });
    const response = await wrong.send();
    expect(await response.json()).toMatchObject({
      code: 'upstream-credentials',
      smtp: { code: 535, phase: 'auth' },
    });
    await using postern = await start({ MAX_MESSAGE_BYTES: '30000000' });
    const content = Buffer.alloc(13_000_000).toString('base64');
    const tooLarge = await postern.send({
      ...MESSAGE,
      attachments: [{ filename: 'a.bin', contentType: 'application/octet-stream', content }],
    });
    expect(await tooLarge.json()).toMatchObject({ code: 'message-too-large', delivery: 'not-sent' });
    expect(await postern.drawn()).toBe(0);
  });
});
