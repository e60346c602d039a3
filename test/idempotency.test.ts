import { describe, expect, it } from 'vitest';
import { type MessageKey, parseIdempotencyKey, storeKey } from '../src/idempotency.ts';

describe('the Idempotency-Key field', () => {
  it.each([
    ['order-4711', 'order-4711'],
    ['~ a key !', '~ a key !'],
    ['a"b', 'a"b'],
    ['a\\b', 'a\\b'],
    ['"order-4711"', 'order-4711'],
    ['"a, b"', 'a, b'],
    ['" "', ' '],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['"\\\\\\""', '\\"'],
    ['x'.repeat(255), 'x'.repeat(255)],
    [`"${'\\"'.repeat(255)}"`, '"'.repeat(255)],
  ])('%j: the key %j', (value, key) => {
    expect(parseIdempotencyKey(value)).toBe(key);
  });

  it.each([
    '',
    '""',
    '"',
    '"a',
    '"a"b',
    '"a""b"',
    '"a\\b"',
    '"a\\"',
    'a, b',
    ',',
    '"a", "b"',
    'a\tb',
    'a\n',
    '"a\x7f"',
    '\x1fa',
    'a\x7f',
    'caf\xe9',
    '"caf\xe9"',
    'x'.repeat(256),
    `"${'x'.repeat(256)}"`,
  ])('%j is no key', (value) => {
    expect(parseIdempotencyKey(value)).toBeNull();
  });
});

describe('the key in the store', () => {
  it('is one for every spelling of the api_user', () => {
    expect(storeKey('Ifaxin', { key: 'K', index: null })).toBe(storeKey('IFAXIN', { key: 'K', index: null }));
  });

  it('is spelt as by the versions before: a store outlives them', () => {
    expect(storeKey('Ifaxin', { key: 'K', index: null })).toBe('["ifaxin","K"]');
    expect(storeKey('Ifaxin', { key: 'K', index: 3 })).toBe('["ifaxin","K",3]');
  });

  it('is another for another api_user, text or place in a batch, whatever stands in them', () => {
    const of: [string, MessageKey][] = [
      ['u', { key: 'k', index: null }],
      ['u', { key: 'K', index: null }],
      ['v', { key: 'k', index: null }],
      ['u', { key: 'k', index: 0 }],
      ['u', { key: 'k', index: 1 }],
      ['u', { key: 'k,0', index: null }],
      ['u', { key: 'k",0', index: null }],
      ['u","k', { key: '', index: null }],
    ];
    expect(new Set(of.map(([apiUser, key]) => storeKey(apiUser, key))).size).toBe(of.length);
  });
});
