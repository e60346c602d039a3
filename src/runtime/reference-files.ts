/** The reference's user interface from the package that is installed, so that the page asks no other host. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serveStatic } from '@hono/node-server/serve-static';
import { UI_FILES } from '../http/docs.ts';
import { createRoutes, type Routes } from '../http/routes.ts';

/** To be mounted at `/docs`. */
export function referenceFiles(): Routes {
  const root = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')));
  const routes = createRoutes();
  for (const { file } of Object.values(UI_FILES)) {
    const onFound = (_path: string, c: { header(name: string, value: string): void }) =>
      c.header('Cache-Control', 'public, max-age=86400');
    routes.get(`/${file}`, serveStatic({ root, path: file, onFound }));
  }
  return routes;
}
