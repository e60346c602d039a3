/** What the tests of documents read out of Markdown. */

import { globSync, readFileSync } from 'node:fs';

/** Every page of the project. */
export const PAGES = globSync('**/*.md', {
  exclude: (path) => /^(?:node_modules|\.|data|dist)/.test(path) || path.endsWith('/node_modules'),
}).toSorted();

/** A fenced block of code. */
export interface Block {
  readonly page: string;
  /** Of its first line of code, from 1. */
  readonly line: number;
  /** `''` where the fence names none. */
  readonly language: string;
  readonly code: string;
}

/** The blocks of a page in their order; a fence may be indented, as below a list item. */
export function blocksOf(page: string, text = readFileSync(page, 'utf8')): Block[] {
  const blocks: Block[] = [];
  for (const found of text.matchAll(/^( *)(```+)(\S*).*\n([\s\S]*?)^\1\2 *$/gm)) {
    const [, indent = '', , language = '', code = ''] = found;
    const line = text.slice(0, found.index).split('\n').length + 1;
    blocks.push({ page, line, language, code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), '') });
  }
  return blocks;
}

/** A page without its blocks of code and its code within lines. */
export const proseOf = (page: string): string =>
  readFileSync(page, 'utf8')
    .replace(/^( *)(```+).*\n[\s\S]*?^\1\2 *$/gm, '')
    .replace(/`[^`\n]*`/g, '');

/** The anchors that a page offers, as GitHub makes them of its headings. */
export function anchorsOf(page: string): Set<string> {
  const text = readFileSync(page, 'utf8').replace(/^( *)(```+).*\n[\s\S]*?^\1\2 *$/gm, '');
  const anchors = new Set<string>();
  for (const [, heading = ''] of text.matchAll(/^#{1,6} +(.*?) *#*$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = plain.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-');
    let unique = slug;
    for (let copy = 1; anchors.has(unique); copy++) unique = `${slug}-${copy}`;
    anchors.add(unique);
  }
  for (const [, id = ''] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}
