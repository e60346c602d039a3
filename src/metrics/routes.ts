/** `GET /metrics`, for a scraper with its token. */

import { Hono } from 'hono';
import { bearerAuth } from 'hono/bearer-auth';
import { HTTPException } from 'hono/http-exception';
import type { Registry } from './registry.ts';

/** To be mounted at `/metrics`. */
export function metricsRoutes(registry: Registry, token: string): Hono {
  return new Hono()
    .onError((error) => {
      // How `bearerAuth` answers 401.
      if (error instanceof HTTPException) return error.getResponse();
      throw error;
    })
    .get('/', bearerAuth({ token, realm: 'postern metrics' }), async (c) =>
      c.body(await registry.render(), 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }),
    );
}
