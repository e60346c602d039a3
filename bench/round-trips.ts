/** Round trips of a cold and a warm message, counted by a proxy that makes each of them last 50 ms. */

import { startProxy } from '../test/support/proxy.ts';
import { startContender, startSink } from './child.ts';
import { post } from './messages.ts';
import { table } from './report.ts';

const ONE_WAY_MS = 25;

const CONTENDERS = [
  { name: 'postern', title: 'Postern' },
  { name: 'hono-pool', title: 'Hono + pooled nodemailer' },
  { name: 'express-transport', title: 'Express + a transport per request' },
];

export async function measureRoundTrips(): Promise<string> {
  const sink = await startSink();
  const rows: string[][] = [];
  for (const { name, title } of CONTENDERS) {
    const proxy = await startProxy({ host: '127.0.0.1', port: sink.port, delayMs: ONE_WAY_MS });
    const child = await startContender(name, proxy.port, sink.caFile);
    const row = [title];
    for (let message = 0; message < 2; message++) {
      const before = proxy.roundTrips;
      const start = performance.now();
      await post(child.port);
      row.push(`${proxy.roundTrips - before}`, `${(performance.now() - start).toFixed(0)} ms`);
    }
    rows.push(row);
    await child.end();
    await proxy.close();
  }
  await sink.end();
  return table(['', 'cold: round trips', 'time', 'warm: round trips', 'time'], rows);
}
