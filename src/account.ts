/** Who may send: the account of an api_user, the upstream login, and the sender and label policy. */

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

/** The user name of AUTH LOGIN: `api_user`, or `api_user#label_id`. */
export const loginName = (login: Login): string =>
  login.label === null ? login.apiUser : `${login.apiUser}#${login.label}`;
