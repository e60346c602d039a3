/** CPU per message for five shapes of mail: Postern, Express with pooled nodemailer, and the floor under both. */

import { type Child, startContender, startSink } from './child.ts';
import { PICTURE, type ShapeMessage } from './contenders/message.ts';
import { agent, post } from './messages.ts';
import { median, table } from './report.ts';

interface Shape {
  readonly title: string;
  readonly path: string;
  readonly body: string;
  /** Messages in one request. */
  readonly messages: number;
  /** Requests in a round, and at once. */
  readonly requests: number;
  readonly concurrency: number;
}

const CONTENDERS = ['express-pool', 'postern', 'floor'] as const;
const ROUNDS = 5;

/** Requests before the first shape: a function is compiled for good at its call 3000 or later, hundreds of them then. */
const WARM_UP = 14_000;

const BASE = { from: 'Support <support@ifaxin.com>', to: ['ben@ifaxin.com'], subject: 'Your order' };

const inline = (count: number, bytes: number): ShapeMessage['inlineImages'] =>
  Array.from({ length: count }, (_, index) => ({
    cid: `image${index}`,
    contentType: 'image/png',
    content: PICTURE(bytes),
    filename: `image${index}.png`,
  }));
const paragraphs = (bytes: number, html: boolean): string => {
  const text = 'Dear Ben, your order 4711 is on its way – it will be there by Tuesday. Thank you!';
  const one = html ? `<p style="margin:0 0 12px">${text}</p>\n` : `${text}\n`;
  return one.repeat(Math.ceil(bytes / one.length));
};
const images = (count: number) =>
  Array.from({ length: count }, (_, index) => `<img src="cid:image${index}">`).join('');

const MESSAGES = {
  small: { ...BASE, text: 'See it.', html: `<p>See</p>${images(1)}`, inlineImages: inline(1, 70) },
  text: { ...BASE, text: paragraphs(1000, false) },
  html: { ...BASE, html: paragraphs(50_000, true) + images(3), inlineImages: inline(3, 30_000) },
  attachment: {
    ...BASE,
    text: 'See the file.',
    attachments: [{ filename: 'a.pdf', contentType: 'application/pdf', content: PICTURE(5_000_000) }],
  },
} as const;

const single = { path: '/v1/messages', messages: 1, concurrency: 16 };

const SHAPES: readonly Shape[] = [
  { title: 'small, one tiny picture', ...single, body: JSON.stringify(MESSAGES.small), requests: 2000 },
  { title: 'text of 1 KB', ...single, body: JSON.stringify(MESSAGES.text), requests: 2000 },
  {
    title: 'HTML of 50 KB, three pictures of 30 KB',
    ...single,
    body: JSON.stringify(MESSAGES.html),
    requests: 400,
  },
  {
    title: 'batch of 100 texts, per message',
    path: '/v1/messages/batch',
    messages: 100,
    concurrency: 4,
    body: JSON.stringify(Array.from({ length: 100 }, () => MESSAGES.text)),
    requests: 20,
  },
  { title: '5 MB attachment', ...single, body: JSON.stringify(MESSAGES.attachment), requests: 48 },
];

export async function measureShapes(): Promise<string> {
  const sink = await startSink();
  const children = await Promise.all(CONTENDERS.map((name) => startContender(name, sink.port, sink.caFile)));
  const rows: string[][] = [];
  const first = SHAPES[0] as Shape;
  for (const child of children) await send(child, first, WARM_UP);
  for (const shape of SHAPES) {
    for (const child of children) await send(child, shape, shape.requests);
    const rounds: number[][] = CONTENDERS.map(() => []);
    // Round by round in turn, so that a slow moment of the machine strikes all of them.
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, child] of children.entries()) rounds[index]?.push(await measure(child, shape));
    }
    const [express, postern, floor] = rounds.map(median) as [number, number, number];
    rows.push([
      shape.title,
      express.toFixed(0),
      postern.toFixed(0),
      `${(postern / express).toFixed(2)} ×`,
      floor.toFixed(0),
    ]);
  }
  for (const child of children) await child.end();
  await sink.end();
  return table(['CPU µs per message', 'Express + pooled nodemailer', 'Postern', 'ratio', 'floor'], rows);
}

async function measure(child: Child, shape: Shape): Promise<number> {
  const before = await child.usage();
  await send(child, shape, shape.requests);
  const after = await child.usage();
  return (after.cpuMicroseconds - before.cpuMicroseconds) / (shape.requests * shape.messages);
}

async function send(child: Child, { path, body, concurrency }: Shape, requests: number): Promise<void> {
  let left = requests;
  const worker = async () => {
    while (left-- > 0) await post(child.port, path, body);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  agent.destroy();
}
