import { describe, expect, it } from 'vitest';
import { type Account, policyFailure } from '../src/account.ts';

const FREE: Account = { apiUser: 'ifaxin', apiKey: 'the-key', from: null, labels: null, quota: 1 };
const HELD: Account = { ...FREE, from: ['allowed.example', 'one@other.example'], labels: [7, 31337] };

describe('the sender and label policy', () => {
  it.each([
    [FREE, 'anyone@anywhere.example', 1],
    [FREE, '', null],
    [HELD, 'ann@allowed.example', null],
    [HELD, 'Ann@ALLOWED.example', 7],
    [HELD, '"a@b"@allowed.example', 31337],
    [HELD, 'One@Other.example', 7],
    [{ ...HELD, from: null }, 'anyone@anywhere.example', 7],
    [{ ...HELD, labels: null }, 'ann@allowed.example', 8],
    [{ ...HELD, labels: [] }, 'ann@allowed.example', null],
  ])('%o may send as %j with the label %j', (account, sender, label) => {
    expect(policyFailure(account, sender, label)).toBeNull();
  });

  it.each([
    'two@other.example',
    'ann@sub.allowed.example',
    'ann@notallowed.example',
    'ann@allowed.example.bank.example',
    'ann@allowed.example@bank.example',
    'other.example',
    '',
  ])('no sender of another domain: %j', (sender) => {
    expect(policyFailure(HELD, sender, 7)).toEqual({
      code: 'forbidden-sender',
      delivery: 'not-sent',
      detail: 'This account may send from: allowed.example, one@other.example.',
      errors: [{ pointer: '/from', message: 'not a sender of this account' }],
    });
  });

  it('nobody may send where the policy names no sender', () => {
    expect(policyFailure({ ...FREE, from: [] }, 'ann@allowed.example', null)).toMatchObject({
      code: 'forbidden-sender',
    });
  });

  it.each([0, 8])('no other label: %j', (label) => {
    expect(policyFailure(HELD, 'ann@allowed.example', label)).toEqual({
      code: 'forbidden-label',
      delivery: 'not-sent',
      detail: 'This account may use the labels: 7, 31337.',
      errors: [{ pointer: '/label', message: 'not a label of this account' }],
    });
  });
});
