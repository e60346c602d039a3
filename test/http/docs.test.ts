/** The reference at /docs, and /llms.txt. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UI_FILES, UI_ON_CDN } from '../../src/http/docs.ts';
import { parseMessage } from '../../src/message/parse.ts';
import { type Running, startPostern } from '../support/postern.ts';

const digest = (bytes: Buffer): string => `sha384-${createHash('sha384').update(bytes).digest('base64')}`;

/** What a page loads, and where it links to. */
const urlsOf = (page: string): string[] =>
  [...page.matchAll(/\b(?:src|href)="([^"]+)"/g)].map(([, url = '']) => url);

/** Both at once: what a browser finds at the URL that the page has. */
async function follow({ request }: Running, from: string, url: string) {
  const target = new URL(url, `https://gateway.example${from}`);
  expect(target.origin).toBe('https://gateway.example');
  const response = await request(target.pathname, { headers: { Authorization: '' } });
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
}

describe('/docs', () => {
  it('asks no other host, and what it loads is what its digests say', async () => {
    await using postern = await startPostern();
    const response = await postern.request('/docs', { headers: { Authorization: '' } });
    expect(response.headers.get('Content-Type')).toMatch('text/html');
    expect(response.headers.get('Content-Security-Policy')).not.toMatch(/https?:/);
    const page = await response.text();
    expect(page).not.toMatch(/https?:/);
    expect(urlsOf(page)).toHaveLength(5);
    for (const url of urlsOf(page)) {
      const { status, bytes } = await follow(postern, '/docs', url);
      expect([url, status]).toEqual([url, 200]);
      const [, integrity] = new RegExp(`"${url}" integrity="([^"]+)"`).exec(page) ?? [];
      if (integrity) expect([url, digest(bytes)]).toEqual([url, integrity]);
    }
    expect(page.match(/ integrity="/g)).toHaveLength(2);
  });

  it('serves nothing else of the package', async () => {
    await using postern = await startPostern();
    for (const path of [
      'package.json',
      'index.html',
      'swagger-ui.css.map',
      '..%2Fpackage.json',
      '%2e%2e/package.json',
    ]) {
      expect((await postern.request(`/docs/${path}`)).status).toBe(404);
    }
  });

  it('loads from elsewhere the version that is installed, and no other', () => {
    const { version } = JSON.parse(readFileSync('node_modules/swagger-ui-dist/package.json', 'utf8'));
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(dependencies['swagger-ui-dist']).toBe(version);
    expect(UI_ON_CDN).toBe(`https://cdn.jsdelivr.net/npm/swagger-ui-dist@${version}/`);
    for (const { file, integrity } of Object.values(UI_FILES)) {
      expect(digest(readFileSync(`node_modules/swagger-ui-dist/${file}`))).toBe(integrity);
    }
  });
});

describe('the API description', () => {
  it.each([
    ['', '/'],
    ['/mail', '/mail'],
  ])('below %j has the server %j', async (prefix, url) => {
    await using postern = await startPostern({ TRUSTED_PROXIES: '127.0.0.1' });
    const response = await postern.request('/openapi.json', { headers: { 'X-Forwarded-Prefix': prefix } });
    expect(await response.json()).toMatchObject({ servers: [{ url }] });
  });

  it('has a summary, a tag and an example for every request', async () => {
    await using postern = await startPostern();
    const { paths, tags } = (await (await postern.request('/openapi.json')).json()) as {
      paths: Record<string, Record<string, Operation>>;
      tags: { name: string }[];
    };
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, operation]) =>
        method === 'parameters' ? [] : [{ ...operation, at: `${method} ${path}` }],
      ),
    );
    expect(operations.length).toBeGreaterThan(9);
    for (const { at, summary, tags: own, requestBody } of operations) {
      expect([at, summary]).toEqual([at, expect.stringMatching(/./)]);
      expect(tags.map(({ name }) => name)).toEqual(expect.arrayContaining(own));
      for (const [type, media] of Object.entries(requestBody?.content ?? {})) {
        if (type === 'multipart/form-data') continue;
        expect([at, type, 'example' in media || 'examples' in media]).toEqual([at, type, true]);
      }
    }
    const content = paths['/v1/messages']?.post?.requestBody?.content ?? {};
    const examples = Object.values(content['application/json']?.examples ?? {});
    expect(examples.length).toBeGreaterThan(3);
    for (const { value } of examples) expect(parseMessage(value)).toHaveProperty('message');
    const raw = { 'Content-Type': 'message/rfc822' };
    const body = content['message/rfc822']?.example;
    expect((await postern.request('/v1/messages', { body, headers: raw })).status).toBe(200);
  });

  interface Operation {
    readonly summary: string;
    readonly tags: string[];
    readonly requestBody?: { readonly content: Record<string, Media> };
  }
  interface Media {
    readonly example?: unknown;
    readonly examples?: Record<string, { readonly value: unknown }>;
  }
});

describe('/llms.txt', () => {
  it.each(['', '/mail'])(
    'is a page whose message is taken and whose links lead somewhere, below %j',
    async (prefix) => {
      await using postern = await startPostern({ TRUSTED_PROXIES: '127.0.0.1' });
      const headers = { Authorization: '', 'X-Forwarded-Prefix': prefix };
      const response = await postern.request('/llms.txt', { headers });
      expect(response.headers.get('Content-Type')).toMatch('text/plain');
      const text = await response.text();
      expect(text.split('\n').length).toBeLessThan(80);
      const [message = ''] = /^\{.*\}$/m.exec(text) ?? [];
      expect((await postern.send(message)).status).toBe(200);
      const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);
      expect(links).toHaveLength(3);
      for (const link of links) {
        expect(link.startsWith(`${prefix}/`)).toBe(true);
        expect((await follow(postern, '/', link.slice(prefix.length))).status).toBe(200);
      }
    },
  );
});
