import { monitorEventLoopDelay } from 'node:perf_hooks';

/** What the parent says of upstream, and what each contender says back. */

export const upstream = {
  host: 'localhost',
  port: Number(process.env.BENCH_SMTP_PORT),
  user: 'ifaxin#31337',
  pass: 'the-key',
};

export const TOKEN = 'a-token-for-the-bench';

/** Tells the parent where to send, and on request what was used; or how long the event loop stood still since it was asked last. */
export function report(port: number): void {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  process.on('message', (question) => {
    if (question === 'block') {
      process.send?.(delays.max / 1e6);
      delays.reset();
      delays.enable();
      return;
    }
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicroseconds: user + system, rssBytes: process.memoryUsage.rss() });
  });
  process.once('disconnect', () => process.exit());
  process.send?.({ port });
}
