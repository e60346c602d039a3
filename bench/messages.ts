/** Messages per second and CPU per message, side by side: Postern, and what people write by hand. */

import { Agent, request } from 'node:http';
import { type Child, startContender, startSink } from './child.ts';
import { MESSAGE } from './contenders/message.ts';
import { TOKEN } from './contenders/upstream.ts';
import { median, table } from './report.ts';

const CONTENDERS = [
  { name: 'postern', title: 'Postern, everything on' },
  { name: 'hono-pool', title: 'Hono + pooled nodemailer, bare' },
  { name: 'express-transport', title: 'Express + a transport per request' },
  { name: 'direct', title: 'nodemailer pool in a loop, no HTTP' },
];

const ROUNDS = 5;
const MESSAGES = 2000;
const CONCURRENCY = 16;

interface Round {
  readonly cpuMicroseconds: number;
  readonly perSecond: number;
}

export async function measureMessages(): Promise<string> {
  const sink = await startSink();
  const children = await Promise.all(
    CONTENDERS.map(({ name }) => startContender(name, sink.port, sink.caFile)),
  );
  const rounds: Round[][] = CONTENDERS.map(() => []);
  const rss: number[] = [];
  for (const child of children) await send(child, MESSAGES);
  // Round by round in turn, so that a slow moment of the machine strikes all of them.
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, child] of children.entries()) rounds[index]?.push(await measure(child));
  }
  for (const child of children) {
    rss.push((await child.usage()).rssBytes);
    await child.end();
  }
  await sink.end();

  const cpu = rounds.map((of) => median(of.map((round) => round.cpuMicroseconds)));
  const bare = cpu[1] as number;
  return table(
    ['', 'CPU µs per message', 'of the bare one', 'messages/s', 'memory MB'],
    CONTENDERS.map(({ title }, index) => [
      title,
      (cpu[index] as number).toFixed(0),
      `${((cpu[index] as number) / bare).toFixed(2)} ×`,
      median((rounds[index] as Round[]).map((round) => round.perSecond)).toFixed(0),
      ((rss[index] as number) / 1e6).toFixed(0),
    ]),
  );
}

async function measure(child: Child): Promise<Round> {
  const before = await child.usage();
  const start = performance.now();
  await send(child, MESSAGES);
  const seconds = (performance.now() - start) / 1000;
  const after = await child.usage();
  return {
    cpuMicroseconds: (after.cpuMicroseconds - before.cpuMicroseconds) / MESSAGES,
    perSecond: MESSAGES / seconds,
  };
}

async function send(child: Child, count: number): Promise<void> {
  if (child.port === 0) {
    await child.ask({ send: count });
    return;
  }
  let left = count;
  const worker = async () => {
    while (left-- > 0) await post(child.port);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

/** Between rounds the connections are closed: a server may close an idle one while a request is on its way to it. */
export const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
const BODY = JSON.stringify(MESSAGE);

/** One message over a kept connection; node:http costs the driver less than fetch. */
export function post(
  port: number,
  path = '/v1/messages',
  body = BODY,
  headers: Record<string, string> = {},
  status = 200,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        agent,
        port,
        method: 'POST',
        path,
        headers: {
          Authorization: `Bearer ${TOKEN}`,
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          ...headers,
        },
      },
      (response) => {
        response.resume();
        response.on('end', () =>
          response.statusCode === status ? resolve() : reject(new Error(`answered ${response.statusCode}`)),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
