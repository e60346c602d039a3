/** What the bundles hold of others. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bundledPackages, NOTICES_FILE, noticesOf, PERMITTED } from '../../scripts/notices.ts';

describe('the packages in the bundles', () => {
  it('are of licences that let them be passed on, and named in THIRD-PARTY.txt', async () => {
    const packages = await bundledPackages();
    expect(packages.map(({ name }) => name)).toContain('hono');
    expect(packages.filter(({ licence }) => !PERMITTED.includes(licence))).toEqual([]);
    // To write it: node scripts/notices.ts
    expect(readFileSync(NOTICES_FILE, 'utf8')).toBe(noticesOf(packages));
  });
});
