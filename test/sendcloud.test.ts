import { describe, expect, it } from 'vitest';
import { formatLoginName, parseLoginName } from '../src/sendcloud.ts';

describe('a login name', () => {
  it.each([
    ['api_user', 'api_user', null],
    ['api_user#31337', 'api_user', 31337],
    ['a#b#7', 'a#b', 7],
    ['api_user#', 'api_user#', null],
    ['api_user#x', 'api_user#x', null],
    ['#7', '#7', null],
  ])('%s is read and written', (name, apiUser, label) => {
    expect(parseLoginName(name)).toEqual({ apiUser, label });
    expect(formatLoginName({ apiUser, label })).toBe(name);
  });

  it.each(['api_user#0', 'api_user#9007199254740993'])('%s has no label that can be', (name) => {
    expect(parseLoginName(name)).toBeNull();
  });
});
