import { defineConfig } from 'vitest/config';
import { tests } from './stryker.config.mjs';

export default defineConfig({
  test: { include: tests, testTimeout: 20_000, hookTimeout: 20_000 },
  plugins: [
    {
      // Stryker learns which tests meet a change by the one test that runs; and one that hangs shows it soon.
      name: 'one test after the other, none for long',
      enforce: 'pre',
      transform: (code, id) =>
        id.endsWith('.test.ts')
          ? code
              .replaceAll(/\b(describe|it|test)\.concurrent\b/g, '$1')
              .replaceAll(/\btimeout: \d+_000\b/g, 'timeout: 20_000')
          : null,
    },
  ],
});
