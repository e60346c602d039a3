/** The outbox: what it costs to put a message, to send it later, and to have a million of them waiting. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { createDeliverer } from '../src/deliver.ts';
import { createLog } from '../src/log.ts';
import type { NewEntry } from '../src/outbox.ts';
import { createOutboxWorker, createSendClaim } from '../src/outbox-worker.ts';
import type { Accepted } from '../src/outcome.ts';
import { Pool } from '../src/relay/pool.ts';
import { createMemoryQuota } from '../src/stores/memory/quota.ts';
import { openSqliteOutbox, type SqliteOutbox } from '../src/stores/sqlite/outbox.ts';
import { REGION, startAws } from '../test/support/aws.ts';
import { bundleWorker, startWorker } from '../test/support/worker.ts';
import { type Child, startContender, startSink } from './child.ts';
import { MESSAGE } from './contenders/message.ts';
import { TOKEN } from './contenders/upstream.ts';
import { agent, post } from './messages.ts';
import { median, table } from './report.ts';

const WAITING = 1_000_000;
const BODY_BYTES = 2000;
const SAMPLE = 5000;
const LATENCIES = 500;
const ROUNDS = 5;
const MESSAGES = 1000;

const log = createLog('silent');

const inFolder = async <T>(work: (folder: string) => Promise<T>): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-outbox-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const open = (folder: string): SqliteOutbox =>
  openSqliteOutbox({ path: join(folder, 'outbox.db'), maxBytes: 1e12, keepMs: 1e9, log });

const content = new TextEncoder().encode(`Subject: bench\r\n\r\n${'x'.repeat(BODY_BYTES)}\r\n`);

function entry(): NewEntry {
  const id = crypto.randomUUID();
  return {
    id,
    apiUser: 'ifaxin',
    loginAs: 'ifaxin',
    apiKey: 'the-key',
    envelope: { from: 'a@ifaxin.com', to: ['b@ifaxin.com'], size: content.length, eightBit: false },
    content,
    facts: { messageId: `<${id}@ifaxin.com>`, label: null, size: content.length, embedded: 0, warnings: [] },
    sendAt: null,
    key: { key: JSON.stringify(['ifaxin', id]), fingerprint: id },
  };
}

const ACCEPTED: Accepted = {
  delivery: 'accepted',
  reply: { code: 250, enhanced: null, phase: 'dot', response: '250 #1#Queued' },
  queueId: '1',
  emailIds: {},
  accepted: ['b@ifaxin.com'],
  rejected: [],
};

interface Cost {
  readonly perSecond: number;
  readonly cpuMicroseconds: number;
}

async function costOf(count: number, work: () => Promise<void>): Promise<Cost> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: count / seconds, cpuMicroseconds: (user + system) / count };
}

const puts = (outbox: SqliteOutbox, count: number, atOnce: number) =>
  costOf(count, async () => {
    for (let left = count; left > 0; left -= atOnce) {
      await Promise.all(Array.from({ length: atOnce }, () => outbox.put(entry())));
    }
  });

/** Claims, marks and settles, without anything in between. */
const takes = (outbox: SqliteOutbox, count: number, atOnce: number) =>
  costOf(count, async () => {
    for (let left = count; left > 0; left -= atOnce) {
      const claims = await outbox.claim({ count: atOnce, leaseMs: 60_000, except: new Set() });
      await Promise.all(claims.map((claim) => outbox.mark(claim)));
      await Promise.all(claims.map((claim) => outbox.settle(claim, ACCEPTED)));
    }
  });

/** The SQLite engine by itself, empty and with a million messages waiting. */
export function measureOutboxStore(): Promise<string> {
  return inFolder(async (folder) => {
    let outbox = open(folder);
    const rows: Record<string, string[]> = {};
    const add = (name: string, value: string) => {
      rows[name] = [...(rows[name] ?? []), value];
    };
    const told = ({ perSecond, cpuMicroseconds }: Cost) =>
      `${perSecond.toFixed(0)}/s, ${cpuMicroseconds.toFixed(0)} µs`;
    const measure = async () => {
      await outbox.close();
      const start = performance.now();
      outbox = open(folder);
      add('opening the file', `${(performance.now() - start).toFixed(0)} ms`);
      add('put, one at a time', told(await puts(outbox, SAMPLE / 5, 1)));
      add('put, 100 at a time', told(await puts(outbox, SAMPLE, 100)));
      add('claim, mark, settle, 5 at a time', told(await takes(outbox, SAMPLE, 5)));
    };
    await puts(outbox, SAMPLE, 100);
    await measure();
    await puts(outbox, WAITING, 200);
    await measure();
    await outbox.close();
    return table(
      ['', 'few waiting', `${WAITING / 1e6} million waiting`],
      Object.entries(rows).map(([name, values]) => [name, ...values]),
    );
  });
}

/** From `put`, which is the 202, to upstream's 250, with nothing else waiting. */
async function latencies(smtpPort: number): Promise<number[]> {
  return inFolder(async (folder) => {
    const outbox = open(folder);
    const upstream = { host: 'localhost', servername: 'localhost' };
    const relay = new Pool({ upstream, ports: [smtpPort], connections: 5, idleMs: 60_000 });
    const quota = createMemoryQuota({ windowMs: 60_000, guardMs: 500 });
    let ended = Promise.withResolvers<void>();
    const send = createSendClaim({
      outbox,
      deliver: createDeliverer({ relay, quota }).deliver,
      accounts: () => [],
      quotaLimit: 1_000_000,
      reserve: 0.1,
      giveUpMs: 1e9,
      emit: () => ended.resolve(),
      log,
    });
    const worker = createOutboxWorker({ outbox, send, connections: 5, deadlineMs: 25_000, log });
    const all: number[] = [];
    for (let sent = 0; sent < LATENCIES; sent++) {
      ended = Promise.withResolvers();
      await outbox.put(entry());
      const start = performance.now();
      void worker.run();
      await ended.promise;
      all.push(performance.now() - start);
    }
    await worker.close();
    await outbox.close();
    await relay.close();
    return all.sort((a, b) => a - b);
  });
}

const BODY = JSON.stringify(MESSAGE);
const LATER = JSON.stringify({ ...MESSAGE, sendAt: new Date(Date.now() + 86_400_000).toISOString() });

async function postAll(
  { port }: Pick<Child, 'port'>,
  body: string,
  headers: Record<string, string>,
  status: number,
) {
  let left = MESSAGES;
  const client = async () => {
    while (left-- > 0) await post(port, '/v1/messages', body, headers, status);
  };
  await Promise.all(Array.from({ length: 16 }, client));
}

async function untilSent(child: Child): Promise<void> {
  const url = `http://127.0.0.1:${child.port}/v1/messages?limit=1&state=`;
  const waits = async (state: string) => {
    const response = await fetch(url + state, { headers: { Authorization: `Bearer ${TOKEN}` } });
    return ((await response.json()) as { messages: unknown[] }).messages.length > 0;
  };
  while ((await waits('queued')) || (await waits('sending'))) await new Promise((r) => setTimeout(r, 100));
}

/** The whole gateway: sent at once beside put and sent later. */
export function measureOutboxSending(): Promise<string> {
  return inFolder(async (folder) => {
    const sink = await startSink();
    const start = (name: string) =>
      startContender('postern', sink.port, sink.caFile, { OUTBOX: join(folder, name) });
    const direct = await start('direct.db');
    const queued = await start('queued.db');
    const kept = await start('kept.db');
    const later = { Prefer: 'respond-async' };
    const ways: { readonly child: Child; readonly work: () => Promise<void> }[] = [
      { child: direct, work: () => postAll(direct, BODY, {}, 200) },
      { child: queued, work: () => postAll(queued, BODY, later, 202).then(() => untilSent(queued)) },
      { child: kept, work: () => postAll(kept, LATER, {}, 202) },
    ];
    const costs: number[][] = ways.map(() => []);
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [index, { child, work }] of ways.entries()) {
        const before = await child.usage();
        await work();
        const { cpuMicroseconds } = await child.usage();
        // The first round warms up.
        if (round > 0) costs[index]?.push((cpuMicroseconds - before.cpuMicroseconds) / MESSAGES);
      }
    }
    agent.destroy();
    await Promise.all(ways.map(({ child }) => child.end()));
    setDefaultCACertificates([...getCACertificates('default'), readFileSync(sink.caFile, 'utf8')]);
    const sorted = await latencies(sink.port);
    await sink.end();

    const [atOnce = 0, whole = 0, put = 0] = costs.map(median);
    const row = (name: string, cpu: number) => [name, cpu.toFixed(0), `${(cpu / atOnce).toFixed(2)} ×`];
    const share = (part: number) => (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(1);
    return `${table(
      ['', 'CPU µs per message', 'of the direct way'],
      [
        row('sent at once', atOnce),
        row('put, to its 202', put),
        row('sent by the worker', whole - put),
        row('both', whole),
      ],
    )}

From its 202 to upstream's 250, with nothing else waiting: ${share(0.5)} ms at the median, ${share(0.99)} ms for 99 %.`;
  });
}

interface EngineUnderTest {
  readonly title: string;
  readonly port: number;
  cpuMicroseconds(): Promise<number>;
  end(): Promise<void>;
}

/** Every engine, through the HTTP door of the runtime that it is for; S3 and SQS are an emulator in this process. */
export function measureOutboxEngines(): Promise<string> {
  return inFolder(async (folder) => {
    const sink = await startSink();
    const aws = await startAws();
    const engines = [
      await nodeEngine('SQLite (Node)', sink, { OUTBOX: join(folder, 'outbox.db') }),
      await nodeEngine('S3 and SQS (Node)', sink, {
        OUTBOX: '',
        OUTBOX_BUCKET: aws.bucket,
        OUTBOX_QUEUE_URL: aws.queueUrl,
        AWS_REGION: REGION,
        AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
        AWS_SECRET_ACCESS_KEY: 'the-secret',
        AWS_ENDPOINT_URL_S3: aws.endpoint,
        AWS_ENDPOINT_URL_SQS: aws.endpoint,
      }),
      await workerEngine('Durable Object (workerd)', sink, folder),
    ];
    const rows: string[][] = [];
    for (const engine of engines) {
      // The first round warms up.
      await postAll(engine, LATER, {}, 202);
      const before = await engine.cpuMicroseconds();
      const start = performance.now();
      await postAll(engine, LATER, {}, 202);
      const seconds = (performance.now() - start) / 1000;
      const cpu = (await engine.cpuMicroseconds()) - before;
      rows.push([engine.title, `${(MESSAGES / seconds).toFixed(0)}/s`, (cpu / MESSAGES).toFixed(0)]);
    }
    agent.destroy();
    for (const engine of engines) await engine.end();
    await aws.close();
    await sink.end();
    return table(['', 'put', 'CPU µs per message'], rows);
  });
}

type Sink = Awaited<ReturnType<typeof startSink>>;

async function nodeEngine(
  title: string,
  sink: Sink,
  settings: Record<string, string>,
): Promise<EngineUnderTest> {
  const child = await startContender('postern', sink.port, sink.caFile, settings);
  const cpuMicroseconds = async () => (await child.usage()).cpuMicroseconds;
  return { title, port: child.port, cpuMicroseconds, end: child.end };
}

async function workerEngine(title: string, sink: Sink, folder: string): Promise<EngineUnderTest> {
  const settings = {
    SENDCLOUD_API_USER: 'ifaxin',
    SENDCLOUD_API_KEY: 'the-key',
    GATEWAY_TOKENS: TOKEN,
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(sink.port),
  };
  const ca = readFileSync(sink.caFile, 'utf8');
  const worker = await startWorker(await bundleWorker(folder), settings, ca);
  const cpuMicroseconds = async () => groupCpuMicroseconds(worker.pid);
  return { title, port: Number(new URL(worker.url).port), cpuMicroseconds, end: worker.close };
}

/** Of all processes of a group (proc(5), `stat`: pgrp, utime and stime), which count in hundredths of a second. */
function groupCpuMicroseconds(group: number): number {
  let ticks = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(fields[2]) === group) ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It has ended meanwhile.
    }
  }
  return ticks * 10_000;
}
