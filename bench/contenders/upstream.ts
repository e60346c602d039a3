/** What the parent says of upstream, and what each contender says back. */

export const upstream = {
  host: 'localhost',
  port: Number(process.env.BENCH_SMTP_PORT),
  user: 'ifaxin#31337',
  pass: 'the-key',
};

export const TOKEN = 'a-token-for-the-bench';

/** Tells the parent where to send, and on request what was used. */
export function report(port: number): void {
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicroseconds: user + system, rssBytes: process.memoryUsage.rss() });
  });
  process.once('disconnect', () => process.exit());
  process.send?.({ port });
}
