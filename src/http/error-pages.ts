/** `/docs/errors/{code}`: where the `type` of every problem leads. */

import { FAILURES, type FailureCode, failure, kindOf } from '../outcome.ts';
import type { Context } from './context.ts';
import { againOf, FAILURE_TEXTS } from './failure-texts.ts';
import { exampleOf } from './openapi.ts';
import { respondProblem } from './problem.ts';
import { createRoutes, type Routes } from './routes.ts';

/** To be mounted at `/docs`. Links are relative, so that they hold below any path. */
export function errorPages(): Routes {
  return createRoutes()
    .get('/errors.css', (c) => c.body(STYLE, 200, { 'Content-Type': 'text/css; charset=utf-8', ...KEPT }))
    .get('/errors', (c) => respondPage(c, 'Errors', '', errorList()))
    .get('/errors/:code', (c) => {
      const code = c.req.param('code');
      if (!isFailureCode(code))
        return respondProblem(c, failure('not-found', `No failure has the code ${code}.`));
      return respondPage(c, kindOf(code).title, '../', errorText(code));
    });
}

const isFailureCode = (code: string): code is FailureCode => Object.hasOwn(FAILURES, code);

const errorList = (): string =>
  `<p>Every failed request is answered with one of these codes.</p>
<dl>${Object.entries(FAILURES)
    .map(([code, { title }]) => `<dt><a href="errors/${code}"><code>${code}</code></a><dd>${title}`)
    .join('\n')}</dl>`;

function errorText(code: FailureCode): string {
  const { status, smtp } = kindOf(code);
  const { means = '', todo } = FAILURE_TEXTS[code];
  return `<p><code>${code}</code> · HTTP ${status}${smtp ? ` · SMTP ${smtp.code}` : ''}</p>
${means && `<p>${escaped(means)}</p>`}
<h2>What to do</h2><p>${escaped(todo)}</p>
<h2>May I send it again?</h2><p>${againOf(code)}</p>
<h2>Example</h2><pre tabindex="0">${escaped(JSON.stringify(exampleOf(code), null, 2))}</pre>`;
}

/** @param docs - the way from this page to `/docs/` */
function respondPage(c: Context, title: string, docs: string, content: string): Response {
  c.header(
    'Content-Security-Policy',
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
  );
  return c.html(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Postern</title>
<link rel="stylesheet" href="${docs}errors.css">
<main>
<nav><a href="${docs}../docs">Reference</a> / <a href="${docs}errors">Errors</a></nav>
<h1>${title}</h1>
${content}
</main>`);
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** For as long as a deployment may take to show. */
const KEPT = { 'Cache-Control': 'public, max-age=600' };

const STYLE = `:root{color-scheme:light dark}
body{font:1rem/1.6 system-ui,sans-serif;max-width:44rem;margin:0 auto;padding:2rem 1rem}
h1{line-height:1.2}
h2{font-size:1.1rem;margin:1.5rem 0 0}
p,dd{margin:.3rem 0}
dt{margin-top:1rem}
pre{padding:1rem;overflow:auto;border-radius:.5rem;background:#8881}`;
