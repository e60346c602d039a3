/** `GET /docs`: the reference, a user interface on `/openapi.json`; `GET /llms.txt`: the same in a page of text. */

import { llmsText } from './llms.ts';
import { createRoutes, type Routes } from './routes.ts';

const UI_VERSION = '5.35.0';

/** Of swagger-ui-dist in that version, with their digests (Subresource Integrity). */
export const UI_FILES = {
  script: {
    file: 'swagger-ui-bundle.js',
    integrity: 'sha384-gjRm0bEPMeTmMh5jT2cHccIwCUZSTd8YC+j0d0sXw0MdGEfScduGpSyF3ZSSLkX9',
  },
  style: {
    file: 'swagger-ui.css',
    integrity: 'sha384-WlYgdmXYOOBWL5apwjDEZwN+U3HmXSSu5R6V5aGxEcf7z+KuRNwBhoxKVN1i3D5I',
  },
} as const;

/** For runtimes whose bundles it would outweigh. */
export const UI_ON_CDN = `https://cdn.jsdelivr.net/npm/swagger-ui-dist@${UI_VERSION}/`;

/**
 * To be mounted at the root. All URLs are relative, so that they hold below any path.
 *
 * @param options.referenceUi - where the user interface's files are, as seen from `/docs`
 */
export function docsRoutes(options: {
  readonly referenceUi: string;
  readonly maxMessageBytes: number;
}): Routes {
  const { referenceUi } = options;
  const sources = referenceUi.startsWith('https:') ? `'self' ${referenceUi}` : "'self'";
  const policy = [
    "default-src 'none'",
    `script-src ${sources}`,
    `style-src ${sources}`,
    "img-src 'self' data:",
    // The description, and requests that are tried out.
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  const page = pageOf(referenceUi);
  return createRoutes()
    .get('/docs', (c) => c.html(page, 200, { 'Content-Security-Policy': policy }))
    .get('/docs/', (c) => c.redirect('../docs', 301))
    .get('/docs/reference.js', (c) =>
      c.body(SCRIPT, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }),
    )
    .get('/docs/reference.css', (c) => c.body(STYLE, 200, { 'Content-Type': 'text/css; charset=utf-8' }))
    .get('/llms.txt', (c) => c.text(llmsText({ ...options, prefix: c.get('prefix') })));
}

const pageOf = (referenceUi: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Postern: reference</title>
<link rel="stylesheet" href="${referenceUi}${UI_FILES.style.file}" integrity="${UI_FILES.style.integrity}" crossorigin="anonymous">
<link rel="stylesheet" href="docs/reference.css">
<main id="reference"><noscript>The reference needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</noscript></main>
<script src="${referenceUi}${UI_FILES.script.file}" integrity="${UI_FILES.script.integrity}" crossorigin="anonymous"></script>
<script src="docs/reference.js"></script>`;

const SCRIPT = `const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
if (sessionStorage.console)
  document.body.prepend(Object.assign(document.createElement('a'), { className: 'back', href: './', textContent: '← Console' }));`;

const STYLE = `body{margin:0}
html.dark-mode body{background:#1c2022}
.dark-mode .examples-select__section-label{color:#e4e6e6}
.opblock-body{overflow-x:auto}
.back{margin:1rem}`;
