/** docs/browser.md: its form is sent as a browser sends it, and its route is called. */

import PostalMime from 'postal-mime';
import { expect, it, vi } from 'vitest';
import { blocksOf } from '../support/markdown.ts';
import { startPostern, TOKEN } from '../support/postern.ts';

const block = (language: string): string =>
  blocksOf('docs/browser.md').find((one) => one.language === language)?.code ?? '';

it('the form is taken from its page, and from no other', async () => {
  await using postern = await startPostern({ HOOKS: block('json') });
  const html = block('html');
  const [, action = ''] = /action="([^"]+)"/.exec(html) ?? [];
  const fields = [...html.matchAll(/ name="([^"]+)"/g)].map(([, name = '']) => name);
  expect(fields).toEqual(['email', 'message', 'file', 'website']);

  const send = (origin: string, honeypot: string) => {
    const body = new FormData();
    body.set('email', 'ann@example.com');
    body.set('message', 'Do you ship to Norway?');
    body.set('file', new File(['amount\n42\n'], 'list.csv', { type: 'text/csv' }));
    body.set('website', honeypot);
    const headers = { Origin: origin, Accept: 'text/html' };
    return fetch(postern.url + new URL(action).pathname, {
      method: 'POST',
      body,
      headers,
      redirect: 'manual',
    });
  };
  expect((await send('https://evil.example', '')).status).toBe(403);
  expect((await send('https://shop.example', 'https://spam.example')).status).toBe(303);
  const response = await send('https://shop.example', '');
  expect([response.status, response.headers.get('Location')]).toEqual([303, 'https://shop.example/thanks']);
  await expect.poll(() => postern.upstream.taken.length).toBe(1);
  const mail = await PostalMime.parse(postern.upstream.taken[0]?.message ?? '');
  expect(mail).toMatchObject({
    to: [{ address: 'sales@ifaxin.com' }],
    replyTo: [{ address: 'ann@example.com' }],
    attachments: [{ filename: 'list.csv' }],
  });
  expect(mail.text).toContain('Do you ship to Norway?');
});

it('the route sends to the user of the session alone, once, and without a token in the page', async () => {
  await using postern = await startPostern();
  vi.stubEnv('POSTERN_URL', postern.url);
  vi.stubEnv('POSTERN_TOKEN', TOKEN);
  // The app around it.
  const app = `const userOf = async () => ({ email: 'ben@ifaxin.com', name: 'Ben' });
const orderOf = async (_user, id) => (id === '4711' ? { id } : null);
`;
  const { POST } = await import(`data:text/javascript,${encodeURIComponent(app + block('js'))}`);
  const order = (orderId: string) =>
    POST(
      new Request('https://shop.example/api/receipts', { method: 'POST', body: JSON.stringify({ orderId }) }),
    );
  expect((await order('4712')).status).toBe(404);
  expect((await order('4711')).status).toBe(200);
  expect((await order('4711')).headers.get('Idempotent-Replayed')).toBe('true');
  vi.unstubAllEnvs();
  expect(postern.upstream.taken).toMatchObject([{ recipients: ['ben@ifaxin.com'] }]);
});
