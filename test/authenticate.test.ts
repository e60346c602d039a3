/** Who is asking, where upstream is asked about it: what the doors' own tests cannot bring about. */

import { describe, expect, it } from 'vitest';
import { createAuthenticator } from '../src/authenticate.ts';
import type { Deliverer } from '../src/deliver.ts';
import { failure, isFailure } from '../src/outcome.ts';

const authenticator = (verify: Deliverer['verify']) =>
  createAuthenticator({ accounts: [], basicAuth: true, quotaLimit: 20_000, deadlineMs: 1000, verify });

const WRONG = failure('upstream-credentials', 'Upstream refused it.');
const ADDRESS = '192.0.2.1';

describe('an own api_key', () => {
  it('is asked about again after an exception, and that is no failed login', async () => {
    let broken = true;
    const caller = authenticator(async () => {
      if (broken) throw new Error('a bug');
      return null;
    });
    for (let i = 0; i < 12; i++) await expect(caller.apiKey('own', 'key', ADDRESS)).rejects.toThrow('a bug');
    broken = false;
    expect(await caller.apiKey('own', 'key', ADDRESS)).toMatchObject({ ownKey: true });
  });
});
