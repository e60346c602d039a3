/** `npm run bench`: measures side by side in one run, prints the tables, and keeps them in bench/README.md. */

import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { measureBlocks } from './blocks.ts';
import { measureColdStart } from './cold-start.ts';
import { measureHostile } from './hostile.ts';
import { measureMessages } from './messages.ts';
import { measureOutboxEngines, measureOutboxSending, measureOutboxStore } from './outbox.ts';
import { measureAlgorithms, measureSustained } from './quota.ts';
import { measureRoundTrips } from './round-trips.ts';
import { measureRuntimes } from './runtimes.ts';
import { measureShapes } from './shapes.ts';

const SECTIONS = [
  {
    title: 'CPU per message, five shapes of mail',
    note: '16 requests at a time over kept HTTP connections (4 of a batch), 5 SMTP connections, TLS 1.2; upstream and driver are other processes. The median of 5 rounds, taken in turn, behind 14,000 requests and one round to warm up: the engine compiles until then. The floor is a bare server that writes a ready message in two writes.',
    measure: measureShapes,
  },
  {
    title: 'One message with a small inline picture',
    note: '16 at a time over kept HTTP connections, 5 SMTP connections, TLS 1.2; upstream and driver are other processes. The median of 5 rounds of 2000 messages, taken in turn.',
    measure: measureMessages,
  },
  {
    title: 'How long a message of 15 MB holds up all others',
    note: 'The longest block of the event loop, the median of 5, taken in turn: answered 200, with an Idempotency-Key, whose fingerprint takes time as well, and answered 202 and sent by the outbox.',
    measure: measureBlocks,
  },
  {
    title: 'Bodies made to cost much',
    note: 'One request each, the largest sizes that are read; whatever the answer, no size may cost more a megabyte than the one before.',
    measure: measureHostile,
  },
  {
    title: 'Round trips to an upstream that is 50 ms away',
    note: 'Counted by a proxy: the TCP connect, and each answer waited for.',
    measure: measureRoundTrips,
  },
  {
    title: 'The same on each runtime',
    note: 'Five logins, each cold once and then warm four times; medians, and how much of it was within the gateway (Server-Timing). workerd and Lambda run inside their local tools, which take the time of the last column from every request.',
    measure: measureRuntimes,
  },
  {
    title: "A function's cold start",
    note: 'From the start of a Node process that loads the bundle to its first 200, with upstream near; medians of 21.',
    measure: measureColdStart,
  },
  {
    title: 'The quota in Redis, beside the algorithms of @upstash/ratelimit',
    note: 'Through a REST bridge on this machine. The worst minute is that of three ways to spend everything, on a clock of the bench, in any closed 60 s.',
    measure: measureAlgorithms,
  },
  {
    title: 'A message sent later',
    note: 'The message with a picture, 16 at a time, 5 SMTP connections. What is put is on the disk at its 202, and so is the mark before its final dot.',
    measure: measureOutboxSending,
  },
  {
    title: 'The outbox on each engine',
    note: 'The same message for tomorrow, 16 at a time, to its 202. S3 and SQS are an emulator on this machine; workerd runs inside its local tool, which is counted and takes most of it.',
    measure: measureOutboxEngines,
  },
  {
    title: 'The outbox in SQLite',
    note: 'Messages of 2 KB with a key; messages and CPU per message. Each is on the disk when it is counted.',
    measure: measureOutboxStore,
  },
  {
    title: '20000 messages a minute of one api_user, through the whole gateway',
    note: 'An open loop for 65 s, quota in Redis; then draws on the window that this filled.',
    measure: measureSustained,
  },
];

const [processor] = cpus();
const machine = `${cpus().length} × ${processor?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.versions.node}`;

let page = `# Bench

\`npm run bench\` wrote this page. Ratios within a table hold; numbers depend on the machine.

${machine}, ${new Date().toISOString().slice(0, 10)}
`;
console.log(machine);
for (const { title, note, measure } of SECTIONS) {
  const section = `\n## ${title}\n\n${note}\n\n${await measure()}\n`;
  console.log(section);
  page += section;
}
writeFileSync(new URL('./README.md', import.meta.url), page);
