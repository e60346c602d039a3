import type { BuildOptions } from 'esbuild';

/** How serverless.yml has a function bundled, for who wants to look inside or to run it elsewhere. */
export const LAMBDA_BUILD = {
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
} as const satisfies BuildOptions;
