import { defineConfig } from 'vitest/config';
import { tests } from './stryker.config.mjs';

export default defineConfig({
  test: { include: tests, testTimeout: 30_000, hookTimeout: 60_000 },
  plugins: [
    {
      // Stryker runs for each change the tests that met it, and learns which by the one test that runs.
      name: 'one test after the other',
      enforce: 'pre',
      transform: (code, id) =>
        id.endsWith('.test.ts') ? code.replaceAll(/\b(describe|it|test)\.concurrent\b/g, '$1') : null,
    },
  ],
});
