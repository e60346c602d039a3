/** Holds the layout's rules (ARCHITECTURE.md) by reading the imports. */

import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const FILES = globSync('src/**/*.ts');
const EDGES = ['http', 'smtp', 'mail', 'upstash', 'memory', 'sandbox'];

/** `src/http/app.ts` → `http`; a root file → null. */
const folderOf = (file: string): string | null => /^src\/([^/]+)\//.exec(file)?.[1] ?? null;

function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8');
  const found = source.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;]*?\bfrom '([^']+)'|import\('([^']+)'\)/g);
  return [...found].map(([, from, dynamic]) => (from ?? dynamic) as string);
}

/** The project's files that a file imports. */
const localImports = (file: string): string[] =>
  importsOf(file)
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(file), name)));

describe('the layout', () => {
  it('finds its own files', () => {
    expect(FILES.length).toBeGreaterThan(30);
    expect(localImports('src/http/app.ts')).toContain('src/http/auth.ts');
    expect(localImports('src/runtime/node.ts')).toContain('src/sandbox/sandbox.ts');
  });

  it.each(FILES.filter((file) => folderOf(file) === null))(
    '%s is the story and imports no folder',
    (file) => {
      expect(localImports(file).filter((name) => folderOf(name) !== null)).toEqual([]);
    },
  );

  it.each(FILES.filter((file) => EDGES.includes(folderOf(file) ?? '')))(
    '%s imports no other edge',
    (file) => {
      const own = folderOf(file);
      expect(localImports(file).filter((name) => folderOf(name) !== null && folderOf(name) !== own)).toEqual(
        [],
      );
    },
  );

  it.each(FILES)('%s keeps to its runtime', (file) => {
    const names = importsOf(file);
    const nodeAllowed =
      ['smtp', 'mail', 'sandbox'].includes(folderOf(file) ?? '') ||
      (folderOf(file) === 'runtime' && !/^src\/runtime\/(?:worker|cloudflare)/.test(file));
    if (!nodeAllowed) expect(names.filter((name) => name.startsWith('node:'))).toEqual([]);
    const cloudflareAllowed = /^src\/runtime\/(?:worker\.ts|cloudflare\/)/.test(file);
    if (!cloudflareAllowed) expect(names.filter((name) => name.startsWith('cloudflare:'))).toEqual([]);
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
    // Types are no cycle at run time, but they are one for whoever reads.
    expect(visit(file)).toBe(false);
  });
});
