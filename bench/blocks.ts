/** For how long a message of 15 MB holds up all others: the longest block of the event loop. */

import { setTimeout as pause } from 'node:timers/promises';
import { startContender, startSink } from './child.ts';
import { PICTURE } from './contenders/message.ts';
import { agent, post } from './messages.ts';
import { median, table } from './report.ts';

const ROUNDS = 5;

/** Enough for the outbox to claim a message and send it, in milliseconds. */
const QUEUED_MS = 1500;
const MB = 1_000_000;

const BASE = { from: 'Support <support@ifaxin.com>', to: ['ben@ifaxin.com'], subject: 'Your order' };
const SENTENCE = 'Dear Ben, your order 4711 is on its way. ';
const filled = (bytes: number, piece: string): string => piece.repeat(bytes / Buffer.byteLength(piece));
const pictures = <T>(make: (index: number) => T): T[] =>
  Array.from({ length: 10 }, (_, index) => make(index));
const file = (content: string) => ({
  ...BASE,
  text: 'See the file.',
  attachments: [{ filename: 'a.pdf', contentType: 'application/pdf', content }],
});

const SHAPES: Readonly<Record<string, () => object>> = {
  'an attachment': () => file(PICTURE(10.8 * MB)),
  'an attachment in lines of 76': () => file(PICTURE(10.3 * MB).replace(/.{76}/g, '$&\r\n')),
  'ten pictures': () => ({
    ...BASE,
    html: pictures((index) => `<img src="cid:i${index}">`).join(''),
    inlineImages: pictures((index) => ({
      cid: `i${index}`,
      contentType: 'image/png',
      content: PICTURE(MB + index),
    })),
  }),
  'ten pictures as data URIs': () => ({
    ...BASE,
    html: pictures((index) => `<img src="data:image/png;base64,${PICTURE(MB + index)}">`).join(''),
  }),
  'a text': () => ({ ...BASE, text: filled(14.5 * MB, SENTENCE) }),
  'a text in Chinese': () => ({ ...BASE, text: filled(11 * MB, '您的订单已发货，预计周二送达。\n') }),
  HTML: () => ({ ...BASE, html: filled(14 * MB, `<p>${SENTENCE.repeat(2)}</p>\n`) }),
};

export async function measureBlocks(): Promise<string> {
  const sink = await startSink();
  const names = ['postern', 'express-pool'];
  const children = await Promise.all(names.map((name) => startContender(name, sink.port, sink.caFile)));
  const [postern, express] = children as [(typeof children)[0], (typeof children)[0]];
  let keys = 0;
  const rows: string[][] = [];
  for (const [title, make] of Object.entries(SHAPES)) {
    const body = JSON.stringify(make());
    const plain: number[] = [];
    const keyed: number[] = [];
    const queued: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const [child, headers, blocks] of [
        [postern, {}, plain],
        [postern, { 'Idempotency-Key': `k${keys++}` }, keyed],
        [postern, { Prefer: 'respond-async' }, queued],
        [express, {}, theirs],
      ] as const) {
        await child.block();
        const isQueued = 'Prefer' in headers;
        await post(child.port, '/v1/messages', body, headers, isQueued ? 202 : 200);
        if (isQueued) await pause(QUEUED_MS);
        blocks.push(await child.block());
        agent.destroy();
      }
    }
    rows.push([title, ...[plain, keyed, queued, theirs].map((each) => median(each).toFixed(0))]);
  }
  for (const child of children) await child.end();
  await sink.end();
  return table(['ms', 'Postern', 'with a key', 'queued, and sent', 'Express + pooled nodemailer'], rows);
}
