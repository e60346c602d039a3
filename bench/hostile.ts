/** Bodies made to cost much: CPU per megabyte at doubling sizes, up to the largest body. */

import { request } from 'node:http';
import { type Child, startContender, startSink } from './child.ts';
import { TOKEN } from './contenders/upstream.ts';
import { table } from './report.ts';

const MEGABYTES = [1, 2, 4, 8, 15];

const MESSAGE = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Hello' };

interface Hostile {
  readonly title: string;
  readonly path?: string;
  readonly type?: string;
  readonly body: (bytes: number) => string;
}

/** A member of the message that is `piece` as often as it fits. */
const filled = (field: string, piece: string) => (bytes: number) =>
  JSON.stringify({ ...MESSAGE, [field]: piece.repeat(bytes / (JSON.stringify(piece).length - 2)) });
/** JSON that is put together by hand, as what would be too large to build. */
const listed = (field: string, element: string) => (bytes: number) =>
  `${JSON.stringify(MESSAGE).slice(0, -1)},"${field}":[${`${element},`.repeat(bytes / (element.length + 1))}${element}]}`;

const BODIES: readonly Hostile[] = [
  { title: 'a text of newlines', body: filled('text', '\n') },
  { title: 'a text of short lines', body: filled('text', 'a\n') },
  { title: 'a text of letters outside ASCII', body: filled('text', 'ü–') },
  { title: 'a text of blanks', body: filled('text', ' ') },
  { title: 'HTML of "<"', body: filled('html', '<') },
  { title: 'HTML of "<!--"', body: filled('html', '<!--') },
  { title: 'HTML of "<img src=cid:a>"', body: filled('html', '<img src=cid:a>') },
  { title: 'HTML of "&#x26;"', body: filled('html', '<a href="&#x26;">') },
  { title: 'HTML of a srcset', body: filled('html', '<img srcset="a 1x, b 2x, c 3x">') },
  { title: 'HTML of style attributes', body: filled('html', '<p style="background:url(a)">') },
  {
    title: 'one data URI of %41',
    body: (bytes) =>
      JSON.stringify({ ...MESSAGE, html: `<img src="data:image/png,${'%41'.repeat(bytes / 3)}">` }),
  },
  { title: 'many data URIs', body: filled('html', '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">') },
  { title: 'a subject', body: filled('subject', 'ü') },
  { title: 'recipients', body: listed('to', '"ben@ifaxin.com"') },
  { title: 'a recipient of quotes', body: filled('to', '\\"') },
  { title: 'numbers for headers', body: listed('headers', '1') },
  { title: 'attachments of numbers', body: listed('attachments', '{}') },
  {
    title: 'an attachment of broken base64',
    body: (bytes) =>
      JSON.stringify({
        ...MESSAGE,
        text: 'x',
        attachments: [{ filename: 'a', content: 'QUJ '.repeat(bytes / 4) }],
      }),
  },
  { title: 'a key of a member', body: (bytes) => JSON.stringify({ ...MESSAGE, ['x'.repeat(bytes)]: 1 }) },
  { title: 'brackets', body: (bytes) => '['.repeat(bytes) },
  {
    title: 'a whole message of header fields',
    type: 'message/rfc822',
    path: '/v1/messages?from=support@ifaxin.com&to=ben@ifaxin.com',
    body: (bytes) => `From: support@ifaxin.com\r\n${'X-A: b\r\n'.repeat(bytes / 8)}\r\nx\r\n`,
  },
  {
    title: 'a whole message of newlines',
    type: 'message/rfc822',
    path: '/v1/messages?from=support@ifaxin.com&to=ben@ifaxin.com',
    body: (bytes) => `From: support@ifaxin.com\r\n\r\n${'\r\n'.repeat(bytes / 2)}`,
  },
  {
    title: 'a whole message of dots',
    type: 'message/rfc822',
    path: '/v1/messages?from=support@ifaxin.com&to=ben@ifaxin.com',
    body: (bytes) => `From: support@ifaxin.com\r\n\r\n${'.\r\n'.repeat(bytes / 3)}`,
  },
];

export async function measureHostile(): Promise<string> {
  const sink = await startSink();
  const child = await startContender('postern', sink.port, sink.caFile);
  const rows: string[][] = [];
  await measure(child, BODIES[0] as Hostile, 1);
  for (const hostile of BODIES) {
    const costs: number[] = [];
    for (const megabytes of MEGABYTES) costs.push((await measure(child, hostile, megabytes)) / megabytes);
    rows.push([hostile.title, ...costs.map((cost) => cost.toFixed(1))]);
  }
  await child.end();
  await sink.end();
  return table(['CPU ms per MB', ...MEGABYTES.map((megabytes) => `${megabytes} MB`)], rows);
}

/** CPU in milliseconds, whatever the answer. */
async function measure(
  child: Child,
  { path = '/v1/messages', type, body }: Hostile,
  megabytes: number,
): Promise<number> {
  const bytes = body(megabytes * 1_000_000);
  const before = await child.usage();
  const status = await new Promise<number>((resolve, reject) => {
    const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': type ?? 'application/json' };
    // No kept connection: what is refused unread ends its own.
    const asked = request({ port: child.port, path, method: 'POST', headers, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    asked.on('error', reject).end(bytes);
  });
  const after = await child.usage();
  if (status >= 500) throw new Error(`answered ${status}`);
  return (after.cpuMicroseconds - before.cpuMicroseconds) / 1000;
}
