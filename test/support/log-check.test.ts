import { describe, expect, it } from 'vitest';
import { problemsOf } from './log-check.ts';

const LINE = {
  time: '2026-01-01T00:00:00.000Z',
  level: 'info',
  event: 'request',
  path: '/v1/quota',
  detail: 'Something is wrong.',
};
const FOUND_IN = { secrets: ['token-of-a-test'], texts: ['Quarterly\nfigures'], known: ['own@ifaxin.com'] };

describe('the check of all logs', () => {
  it.each([
    ['nothing', {}, []],
    ['a token', { path: '/?token-of-a-test' }, ['a secret']],
    ['a part of a message', { detail: 'Quarterly\nfigures' }, ['a part of a message']],
    [
      'an address of the settings, and nothing',
      { detail: 'This account may send from: own@ifaxin.com.' },
      [],
    ],
    ['an address', { detail: 'ben@ifaxin.com is unknown.' }, ['an address in detail']],
    ['a new field', { body: '{}' }, ['an undocumented field body']],
    [
      'an address at its place',
      { event: 'message', smtp: { response: '550 <ben@ifaxin.com>' } },
      ['an undocumented field path'],
    ],
  ])('finds %s', (_, facts, problems) => {
    expect(problemsOf(JSON.stringify({ ...LINE, ...facts }), FOUND_IN)).toEqual(problems);
  });
});
