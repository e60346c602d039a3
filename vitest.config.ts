import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: './test/support/log-check.ts',
    reporters: ['default', './test/support/runtime-table.ts'],
    // Half of a test's time is spent on time-outs and other processes.
    maxWorkers: 2,
    // Real servers and real TLS: a loaded machine may be slow, a hung test must still end.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
