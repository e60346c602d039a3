/**
 * Writes THIRD-PARTY.txt: the licence of each package that is in a bundle for Workers or Lambda, as the package brings
 * it, since a bundle has none of their files.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { LAMBDA_BUILD } from './lambda-build.ts';

/** Licences that let a bundle be passed on with nothing but their notice. */
export const PERMITTED = ['MIT', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0'];

export const NOTICES_FILE = 'THIRD-PARTY.txt';

export interface Bundled {
  readonly name: string;
  /** By SPDX. */
  readonly licence: string;
  /** The texts of its licence files. */
  readonly texts: readonly string[];
}

/** The packages that any bundle holds, by name. */
export async function bundledPackages(): Promise<Bundled[]> {
  const { metafile } = await build({
    ...LAMBDA_BUILD,
    entryPoints: ['lambda', 'lambda-outbox', 'worker'].map((name) => `src/runtime/${name}.ts`),
    external: ['cloudflare:*'],
    outdir: 'unwritten',
    metafile: true,
    write: false,
  });
  const folders = Object.values(metafile.outputs)
    .flatMap(({ inputs }) => Object.keys(inputs))
    .map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0])
    .filter((folder) => folder !== undefined);
  return [...new Set(folders)].toSorted().map(readPackage);
}

function readPackage(folder: string): Bundled {
  const { name, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    license: string;
  };
  const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|notice)/i.test(file));
  const texts = files.toSorted().map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return { name, licence: license, texts };
}

/** The file's text. */
export function noticesOf(packages: readonly Bundled[]): string {
  const head =
    "What Postern's bundles for Workers and Lambda have of others, by `node scripts/notices.ts`.\n";
  const sections = packages.map(({ name, licence, texts }) =>
    [`${name} (${licence})`, ...texts].join('\n\n'),
  );
  return [head, ...sections].join(`\n${'-'.repeat(80)}\n\n`);
}

if (import.meta.main) writeFileSync(NOTICES_FILE, noticesOf(await bundledPackages()));
