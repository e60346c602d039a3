/** Holds the layout's rules (ARCHITECTURE.md) by reading the imports. The edges are found, not listed. */

import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const FILES = globSync('src/**/*.ts');

/** `src/http/app.ts` → `http`; a root file → null. */
const folderOf = (file: string): string | null => /^src\/([^/]+)\//.exec(file)?.[1] ?? null;

/** The core: the root's files and the message. */
const isCore = (file: string): boolean => [null, 'message'].includes(folderOf(file));

function importsOf(source: string): string[] {
  const found = source.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;]*?\bfrom '([^']+)'|import\('([^']+)'\)/g);
  return [...found].map(([, from, dynamic]) => (from ?? dynamic) as string);
}

/** The project's files that a file imports. */
const localImports = (file: string, source = readFileSync(file, 'utf8')): string[] =>
  importsOf(source)
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(file), name)));

/** What a file imports against the direction: the core an edge, or an edge another one. `runtime/` wires them all. */
function wrongImports(file: string, source?: string): string[] {
  const own = folderOf(file);
  if (own === 'runtime') return [];
  return localImports(file, source).filter((name) => !isCore(name) && folderOf(name) !== own);
}

/** Where a module of Node or of Cloudflare may be imported. */
const NODE = /^src\/(?:smtp|relay|sandbox|stores\/(?:sqlite|aws)|runtime\/(?!worker|cloudflare))/;
const CLOUDFLARE = /^src\/(?:runtime\/(?:worker\.ts|cloudflare\/)|stores\/durable-object\/)/;

describe('the layout', () => {
  it('finds its own files', () => {
    expect(FILES.length).toBeGreaterThan(30);
    expect(localImports('src/http/app.ts')).toContain('src/http/auth.ts');
    expect(localImports('src/runtime/node.ts')).toContain('src/sandbox/sandbox.ts');
  });

  it.each([
    ['src/postgres/quota.ts', "import { app } from '../http/app.ts';"],
    ['src/stores/postgres/quota.ts', "import { app } from '../../http/app.ts';"],
    ['src/submit.ts', "import { Pool } from './relay/pool.ts';"],
    ['src/message/parse.ts', "export type { Pool } from '../relay/pool.ts';"],
  ])('holds a new file %s to the direction', (file, source) => {
    expect(wrongImports(file, source)).toHaveLength(1);
  });

  it.each(FILES)('%s imports in the direction of the map', (file) => {
    expect(wrongImports(file)).toEqual([]);
  });

  it.each(FILES)('%s keeps to its runtime', (file) => {
    const names = importsOf(readFileSync(file, 'utf8'));
    if (!NODE.test(file)) expect(names.filter((name) => name.startsWith('node:'))).toEqual([]);
    if (!CLOUDFLARE.test(file)) expect(names.filter((name) => name.startsWith('cloudflare:'))).toEqual([]);
  });

  it.each(FILES.filter((file) => folderOf(file) !== 'runtime'))(
    '%s does not read the environment',
    (file) => {
      expect(readFileSync(file, 'utf8')).not.toMatch(/\bprocess\.env\b/);
    },
  );

  it.each(FILES)('%s is in no import cycle', (file) => {
    const seen = new Set<string>();
    const visit = (name: string): boolean =>
      localImports(name).some((next) => next === file || (!seen.has(next) && seen.add(next) && visit(next)));
    // Types are no cycle at run time, but they are one for a reader.
    expect(visit(file)).toBe(false);
  });
});
