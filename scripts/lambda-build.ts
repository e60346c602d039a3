/** How a function is bundled: by serverless.yml (`custom.esbuild.config`), and by what looks into the bundle. */

import { fileURLToPath } from 'node:url';
import type { BuildOptions } from 'esbuild';

export const LAMBDA_BUILD = {
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // An ES module cannot require what Node brings, as a package's CommonJS form does.
  mainFields: ['module', 'main'],
  alias: {
    '@upstash/core-analytics': fileURLToPath(new URL('no-analytics.mjs', import.meta.url)),
    // Its package.json names only its CommonJS form, of which nothing can be left out.
    '@upstash/ratelimit': fileURLToPath(
      new URL('../node_modules/@upstash/ratelimit/dist/index.mjs', import.meta.url),
    ),
  },
} satisfies BuildOptions;

const serverlessEsbuild = () => ({
  ...LAMBDA_BUILD,
  outputFileExtension: '.mjs',
  // Everything goes into the bundle: no node_modules are packed.
  exclude: [],
  external: [],
  // A rebuild ends the function amid its requests.
  watch: { pattern: [] },
  outputWorkFolder: process.env.POSTERN_BUILD_FOLDER || '.esbuild',
});

// What `require` gives to serverless-esbuild.
export { serverlessEsbuild as 'module.exports' };
