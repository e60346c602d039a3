import { expect, it } from 'vitest';
import { loginName } from '../../src/account.ts';
import { readLoginName } from '../../src/sandbox/login-name.ts';

it.each([
  ['api_user', 'api_user', null],
  ['api_user#31337', 'api_user', 31337],
  ['a#b#7', 'a#b', 7],
  ['api_user#', 'api_user#', null],
  ['api_user#x', 'api_user#x', null],
  ['#7', '#7', null],
])('%s', (name, apiUser, label) => {
  expect(readLoginName(name)).toEqual({ apiUser, label });
  expect(loginName({ apiUser, label, apiKey: '' })).toBe(name);
});
