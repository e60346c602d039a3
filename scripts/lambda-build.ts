import type { BuildOptions } from 'esbuild';
import withoutMimeTypes from './without-mime-types.ts';

/** How serverless.yml has a function bundled, for who wants to look inside or to run it elsewhere. */
export const LAMBDA_BUILD = {
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  plugins: withoutMimeTypes,
} as const satisfies BuildOptions;
