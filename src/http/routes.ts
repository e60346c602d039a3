/** Hono with its fast router alone. */

import { HonoBase } from 'hono/hono-base';
import { RegExpRouter } from 'hono/router/reg-exp-router';
import type { Env } from './context.ts';

export type Routes = HonoBase<Env>;

/**
 * Some routes, or all of them. Where one path has a literal in the place of another one's parameter, hono itself would
 * let every request take a slower router; here such a path is an error as soon as it is added.
 */
export const createRoutes = (): Routes => new HonoBase<Env>({ router: new RegExpRouter() });
