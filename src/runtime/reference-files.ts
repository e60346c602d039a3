/** The reference's user interface from the package that is installed, so that the page asks no other host. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serveStatic } from '@hono/node-server/serve-static';
import { Hono } from 'hono';
import type { Env } from '../http/context.ts';
import { UI_FILES } from '../http/docs.ts';

/** To be mounted at `/docs`. */
export function referenceFiles(): Hono<Env> {
  const root = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')));
  const routes = new Hono<Env>();
  for (const { file } of Object.values(UI_FILES)) {
    const onFound = (_path: string, c: { header(name: string, value: string): void }) =>
      c.header('Cache-Control', 'public, max-age=86400');
    routes.get(`/${file}`, serveStatic({ root, path: file, onFound }));
  }
  return routes;
}
