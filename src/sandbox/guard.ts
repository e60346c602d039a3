/** Keeps other web sites from the sandbox: it asks for no password, so a page in the same browser must not use it. */

import { isIP } from 'node:net';
import type { MiddlewareHandler } from 'hono';
import { problem } from './problem.ts';

/**
 * Refuses requests that a page of another origin made, and those to a name that is not this machine's: a name of a
 * stranger's may lead here (DNS rebinding), an address cannot.
 *
 * @param host - the setting HOST, whose value is taken as a name too; null without one
 */
export function ownPagesOnly(host: string | null): MiddlewareHandler {
  const names = new Set(['localhost', ...(host === null ? [] : [host.toLowerCase()])]);

  return async function ownPagesOnly(c, next) {
    const asked = c.req.header('Host') ?? new URL(c.req.url).host;
    const name = hostname(asked);
    if (name === null || !(isIP(name) || names.has(name) || name.endsWith('.localhost'))) {
      return problem(
        c,
        'forbidden-origin',
        `The sandbox answers to localhost, to an address, and to the name in HOST; not to ${asked}.`,
      );
    }
    const { method } = c.req;
    const site = c.req.header('Sec-Fetch-Site');
    const origin = c.req.header('Origin');
    // A link from anywhere may lead to a page, which that site cannot look into (Fetch Metadata, section 2).
    const isLink =
      method === 'GET' &&
      c.req.header('Sec-Fetch-Mode') === 'navigate' &&
      c.req.header('Sec-Fetch-Dest') === 'document';
    // Browsers that know Sec-Fetch-Site leave no doubt; others, and those on plain HTTP to an address, send an Origin.
    const isOwn =
      site === undefined
        ? origin === undefined || origin === `http://${asked}` || origin === `https://${asked}`
        : site === 'same-origin' || site === 'none' || isLink;
    if (!isOwn) return problem(c, 'forbidden-origin', 'The sandbox is not for the pages of another site.');
    await next();
    c.res.headers.delete('Access-Control-Allow-Origin');
  };
}

/** Lower case, without port and brackets; null for what is no host. */
function hostname(host: string): string | null {
  if (!URL.canParse(`http://${host}/`)) return null;
  return new URL(`http://${host}/`).hostname.replace(/^\[|\]$/g, '');
}
