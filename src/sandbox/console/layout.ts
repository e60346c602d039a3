/** What every page of the console has around it. */

import type { Context } from 'hono';
import { html } from 'hono/html';

export type Html = ReturnType<typeof html>;

const PAGES = [
  { path: '/', name: 'Inbox', icon: 'M3 13h5l2 3h4l2-3h5M5.5 5h13L21 13v6H3v-6z' },
  { path: '/sandbox/compose', name: 'Compose', icon: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4' },
  { path: '/sandbox/outbox', name: 'Outbox', icon: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2' },
  { path: '/sandbox/sessions', name: 'Sessions', icon: 'M4 5h16v14H4zM7.5 9.5 10 12l-2.5 2.5M12.5 15H16' },
  { path: '/sandbox/quota', name: 'Quota', icon: 'M4 18a8.5 8.5 0 1 1 16 0M12 15l4-5' },
  { path: '/sandbox/hooks', name: 'Hooks', icon: 'M9 9V4m6 5V4M7 9h10v3a5 5 0 0 1-10 0zM12 17v4' },
] as const;

export type PageName = (typeof PAGES)[number]['name'];

export interface Page {
  /** Which entry of the navigation it belongs to. */
  readonly name: PageName;
  readonly title: string;
  readonly main: Html;
  /** Further scripts, by name. */
  readonly scripts?: readonly string[];
}

export const icon = (path: string): Html =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="${path}" /></svg>`;

export function respondPage(
  c: Context,
  { name, title, main, scripts = [] }: Page,
): Response | Promise<Response> {
  c.header('Content-Security-Policy', PAGE_POLICY);
  c.header('Cache-Control', 'no-store');
  return c.html(html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="referrer" content="same-origin" />
    <meta name="color-scheme" content="light dark" />
    <title>${title} · Postern</title>
    <link rel="icon" href="/sandbox/console/icon.svg" />
    <link rel="stylesheet" href="/sandbox/console/style.css" />
    ${['script.js', ...scripts].map(
      (script) => html`<script type="module" src="/sandbox/console/${script}"></script>`,
    )}
  </head>
  <body>
    <a class="skip" href="#main">Skip to the content</a>
    <header class="side">
      <a class="brand" href="/"><img src="/sandbox/console/icon.svg" alt="" width="28" height="28" /><span>Postern<small>Sandbox</small></span></a>
      <nav aria-label="Console">
        <ul>
          ${PAGES.map(
            (page) =>
              html`<li><a href="${page.path}"${page.name === name ? html` aria-current="page"` : ''}>${icon(page.icon)}<span>${page.name}</span></a></li>`,
          )}
        </ul>
      </nav>
      <p class="aside">Nothing leaves this machine: the upstream is a look-alike. <a href="/docs">API reference</a></p>
    </header>
    <main id="main" tabindex="-1">${main}</main>
    <div id="live" class="unseen" role="status" aria-live="polite"></div>
  </body>
</html>`);
}

/** In the place of what was deleted, or made room for what came later. */
export function respondGone(
  c: Context,
  name: 'Inbox' | 'Sessions',
  one: string,
): Response | Promise<Response> {
  c.status(404);
  const path = PAGES.find((page) => page.name === name)?.path;
  const title = `This ${one} is no longer kept.`;
  const main = html`<div class="empty"><h1>${title}</h1><p><a href="${path}">${name}</a></p></div>`;
  return respondPage(c, { name, title, main });
}

/** Its own files and nothing else; a mail's frame has a policy of its own. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');
