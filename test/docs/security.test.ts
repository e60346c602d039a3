/** SECURITY.md names a test for each threat, and each of them is there. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const [, table = ''] =
  /\| --- \|.*\n([\s\S]*)$/.exec(
    readFileSync('SECURITY.md', 'utf8').split('## The threats considered')[1] ?? '',
  ) ?? [];
const THREATS = table
  .trim()
  .split('\n')
  .map((row) => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));

describe('SECURITY.md', () => {
  it('has a table of threats', () => {
    expect(THREATS.length).toBeGreaterThan(15);
  });

  it.each(THREATS)('%s %s: held, and shown by tests', (_who, _what, held, shown = '') => {
    expect(held).not.toBe('');
    for (const one of shown.split('<br>')) {
      const [, file = '', title = ''] = /^`(test\/[^`]+\.ts)`: (.+)$/.exec(one) ?? [];
      const source = readFileSync(file, 'utf8');
      const quoted = ["'", '"', '`'].map((quote) => quote + title + quote);
      expect([one, quoted.some((text) => source.includes(text))]).toEqual([one, true]);
    }
  });
});
