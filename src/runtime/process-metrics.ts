/** What a Node process costs, by the names that dashboards know from Prometheus' own client library. */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Registry } from '../metrics/registry.ts';

const RESOLUTION_MS = 10;

/** @returns a function that stops the measuring */
export function watchProcess(registry: Registry): () => void {
  const gauge = (name: string, help: string, read: () => number) =>
    registry.read(name, 'gauge', help, () => [{ labels: {}, value: read() }]);

  const startedAt = Date.now() / 1000 - process.uptime();
  gauge('process_start_time_seconds', 'Start of the process, in Unix time.', () => startedAt);
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge('nodejs_heap_size_used_bytes', 'Used heap.', () => process.memoryUsage().heapUsed);
  gauge('nodejs_external_memory_bytes', 'Memory of buffers.', () => process.memoryUsage().external);
  registry.read('process_cpu_seconds_total', 'counter', 'CPU time, user and system.', () => {
    const { user, system } = process.cpuUsage();
    return [{ labels: {}, value: (user + system) / 1e6 }];
  });

  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  gauge(
    'nodejs_eventloop_lag_p99_seconds',
    'Delay of the event loop since the last scrape, 99th percentile.',
    () => {
      const p99 = delay.percentile(99);
      delay.reset();
      // The timer's own interval is among what is measured.
      return Math.max(0, p99 / 1e9 - RESOLUTION_MS / 1000);
    },
  );
  return () => void delay.disable();
}
