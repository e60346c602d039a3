/** For esbuild, what `[alias]` in wrangler.toml does for wrangler: see `src/message/no-mime-types.ts`. */

import { fileURLToPath } from 'node:url';
import type { Plugin } from 'esbuild';

const replacement = fileURLToPath(new URL('../src/message/no-mime-types.ts', import.meta.url));

export const withoutMimeTypes: Plugin = {
  name: 'without-mime-types',
  setup(build) {
    build.onResolve({ filter: /^\.\/mime-types\.js$/ }, () => ({ path: replacement }));
  },
};
