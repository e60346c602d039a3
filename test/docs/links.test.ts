/** Every link of every page leads to a file that is there, and to a heading that it has. */

import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { anchorsOf, PAGES, proseOf } from '../support/markdown.ts';

const linksOf = (page: string): string[] => {
  const prose = proseOf(page);
  const inline = [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)].map(([, url = '']) => url);
  const defined = [...prose.matchAll(/^\[[^\]]+\]: *(\S+)/gm)].map(([, url = '']) => url);
  const html = [...prose.matchAll(/\b(?:src|srcset|href)="([^"]+)"/g)].map(([, url = '']) => url);
  return [...inline, ...defined, ...html];
};

function isBroken(page: string, link: string): boolean {
  if (/^(?:https?|mailto):/.test(link)) return false;
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : join(dirname(page), decodeURIComponent(path));
  if (!existsSync(target)) return true;
  return anchor !== undefined && !(statSync(target).isFile() && anchorsOf(target).has(anchor));
}

describe.each(PAGES)('%s', (page) => {
  it('links to what is there', () => {
    expect(linksOf(page).filter((link) => isBroken(page, link))).toEqual([]);
  });
});

it('the pages are found, and so are their links and anchors', () => {
  expect(PAGES).toEqual(expect.arrayContaining(['README.md', 'docs/outbox.md', 'bench/README.md']));
  expect(linksOf('README.md').length).toBeGreaterThan(20);
  expect(isBroken('README.md', 'docs/nothing.md')).toBe(true);
  expect(isBroken('README.md', 'docs/outbox.md#nothing')).toBe(true);
  expect(isBroken('docs/outbox.md', 'running.md#backup-of-the-outbox')).toBe(false);
  // The index has every page.
  const index = linksOf('docs/README.md');
  const pages = PAGES.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md');
  expect(pages.filter((page) => !index.includes(page.slice('docs/'.length)))).toEqual([]);
});

it('no page is longer than a reader reads', () => {
  const long = PAGES.filter((page) => /^(?:README|docs\/)/.test(page)).map(
    (page) => [page, lines(page)] as const,
  );
  expect(long.filter(([page, count]) => count > (page === 'README.md' ? 120 : 225))).toEqual([]);
});

const lines = (page: string): number => readFileSync(page, 'utf8').split('\n').length;
