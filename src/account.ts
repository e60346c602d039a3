/** Who may send: the account of an api_user, the upstream login, and the sender and label policy. */

import { type Failure, failure } from './outcome.ts';

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

/** What a connection to upstream is authenticated as. The label belongs to the login, not to the message. */
export interface Login {
  readonly apiUser: string;
  readonly apiKey: string;
  readonly label: number | null;
}

/**
 * Whether this can be an api_user: printable ASCII without spaces; without `#`, after which upstream reads a label,
 * and each label would have a quota of its own here; without `:`, which ends the name in HTTP Basic (RFC 7617).
 */
export const isApiUser = (name: string): boolean => /^[\x21\x22\x24-\x39\x3b-\x7e]+$/.test(name);

/** Without case: should upstream not mind it, another spelling would be a way around policy and quota. */
export const isSameApiUser = (one: string, other: string): boolean =>
  one.toLowerCase() === other.toLowerCase();

/** The user name of AUTH LOGIN: `api_user`, or `api_user#label_id`. */
export const loginName = (login: Login): string =>
  login.label === null ? login.apiUser : `${login.apiUser}#${login.label}`;

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
