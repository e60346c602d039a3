import PostalMime from 'postal-mime';
import { expect, it } from 'vitest';
import { framed, glanceAt, parse } from '../../src/sandbox/mail.ts';

const PART = 'data:image/png;base64,iVBORw==';

async function frame(html: string) {
  const raw = [
    'Content-Type: multipart/related; boundary=x',
    '',
    '--x',
    'Content-Type: text/html; charset=utf-8',
    '',
    html,
    '--x',
    'Content-Type: image/png',
    'Content-ID: <a+b@ifaxin.com>',
    'Content-Transfer-Encoding: base64',
    '',
    'iVBORw==',
    '--x--',
    '',
  ].join('\r\n');
  const result = framed(await PostalMime.parse(raw));
  return { ...result, html: result.html.trimEnd() };
}

it.each([
  ['<img src="cid:a+b@ifaxin.com">', `<img src="${PART}">`],
  ['<img src=cid:a+b@ifaxin.com>', `<img src=${PART}>`],
  ["<img src='CID:a%2Bb@ifaxin.com'>", `<img src='${PART}'>`],
  ['<img src="cid:a&#43;b&#64;ifaxin.com">', `<img src="${PART}">`],
  ['<td background="cid:a+b@ifaxin.com">', `<td background="${PART}">`],
  ['<p style="background:url(cid:a+b@ifaxin.com)">', `<p style="background:url(${PART})">`],
  [
    '<p style="background:url(&quot;cid:a+b@ifaxin.com&quot;) top">',
    `<p style="background:url(&quot;${PART}&quot;) top">`,
  ],
  ['<style>p{background:url("cid:a+b@ifaxin.com")}</style>', `<style>p{background:url("${PART}")}</style>`],
  // In the text it is a word, and a picture that is not there stays away.
  ['<p>cid:a+b@ifaxin.com</p>', '<p>cid:a+b@ifaxin.com</p>'],
  ['<img src="cid:other@ifaxin.com">', '<img src="cid:other@ifaxin.com">'],
  ['<a href="https://ifaxin.com/">', '<a href="https://ifaxin.com/">'],
  // A preconnect would be a request, whatever the policy says.
  ['<link rel="preconnect" href="x">', '<link rel="blocked" href="x">'],
])('%s', async (html, expected) => {
  expect(await frame(html)).toEqual({ html: expected, remote: 0 });
});

it('counts what lies elsewhere', async () => {
  const html = `<img src="https://e.example/1"><img src=//e.example/2><link rel=stylesheet href="http://e.example/3">
<style>@import url(https://e.example/4);</style><p style="background:url('https://e.example/5')"><img srcset="https://e.example/6 2x">`;
  expect((await frame(html)).remote).toBe(6);
});

const received = (raw: string) => ({
  n: 1,
  queueId: 'x',
  receivedAt: new Date(0),
  login: { user: 'a', apiUser: 'a', label: null, tls: 'TLSv1.2' },
  envelope: { from: '', to: ['b@ifaxin.com'] },
  raw: Buffer.from(raw),
});

it('parses a message once for all that show it, and keeps the last three', async () => {
  const [first, ...others] = ['1', '2', '3', '4'].map((subject) => received(`Subject: ${subject}\r\n\r\nx`));
  if (!first) throw new Error('There is no message.');
  const email = await parse(first);
  expect(await parse(first)).toBe(email);
  expect(framed(email)).toBe(framed(email));
  for (const other of others) await parse(other);
  expect(await parse(first)).not.toBe(email);
});

it.each([
  ['nothing', ''],
  ['no header section', '\r\n\r\ntext'],
  [
    'parts in parts without end',
    `Subject: deep\r\n${'Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n'.repeat(1000)}`,
  ],
  ['an endless header', `Subject: long\r\nX-A: ${'a'.repeat(3_000_000)}\r\n\r\nx`],
  [
    'bytes that are no text',
    `Subject: odd\r\nContent-Type: text/plain; charset=nothing-like-it\r\n\r\n\x00\xff`,
  ],
])('shows a message with %s', async (_, raw) => {
  const message = received(raw);
  expect((await glanceAt(message)).subject).toBe(/Subject: (.*)\r/.exec(raw)?.[1] ?? '');
  expect((await glanceAt(message)).from).toBe('<>');
  expect((await parse(message)).attachments).toBeInstanceOf(Array);
});
