/** Who may send: the account of an api_user, the upstream login, and the sender and label policy. */

import { type Failure, failure } from './outcome.ts';
import type { LoginName } from './sendcloud.ts';

/** One SendCloud api_user and what may be sent in its name. */
export interface Account {
  readonly apiUser: string;
  readonly apiKey: string;
  /** Allowed senders: addresses or domains, lower case; null allows any. */
  readonly from: readonly string[] | null;
  /** Allowed label ids; null allows any, and none at all is always allowed. */
  readonly labels: readonly number[] | null;
  /** Calls per window. */
  readonly quota: number;
}

/** What a connection to upstream is authenticated as. */
export interface Login extends LoginName {
  readonly apiKey: string;
}

/**
 * Whether `account` may send as `sender` with `label`; null when it may.
 *
 * @param sender - the envelope's sender; a domain in the policy allows every address at it, not at its subdomains
 */
export function policyFailure(account: Account, sender: string, label: number | null): Failure | null {
  const address = sender.toLowerCase();
  const domain = address.slice(address.lastIndexOf('@') + 1);
  if (account.from && !account.from.includes(address) && !account.from.includes(domain)) {
    return failure('forbidden-sender', `This account may send from: ${account.from.join(', ')}.`, {
      errors: [{ pointer: '/from', message: 'not a sender of this account' }],
    });
  }
  if (account.labels && label !== null && !account.labels.includes(label)) {
    return failure('forbidden-label', `This account may use the labels: ${account.labels.join(', ')}.`, {
      errors: [{ pointer: '/label', message: 'not a label of this account' }],
    });
  }
  return null;
}
