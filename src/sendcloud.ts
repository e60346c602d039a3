/** All that is SendCloud's: its address and limits, login names, the words for its quota, and its ids. */

export const SMTP_HOST = 'smtp.sendcloud.net';

/** Calls per api_user and window, API and SMTP together, where an account has no other limit. */
export const QUOTA_CALLS = 20_000;
export const QUOTA_WINDOW_MS = 60_000;

/** The largest message, in bytes as transferred. */
export const MAX_MESSAGE_BYTES = 16_000_000;

/** The longest line that upstream leaves as it is, in bytes without its end: less than RFC 5321 allows. */
export const MAX_LINE = 990;

/** Addresses each in to, cc and bcc, and in Reply-To. */
export const MAX_RECIPIENTS = 100;
export const MAX_REPLY_TO = 3;

/** The reply code over the quota, at whatever stage it comes, and its text. */
export const FREQUENCY_LIMITED = { code: 536, text: 'frequency limited' } as const;

/** The header with which SendCloud sends to other recipients than the envelope's; in lower case. */
export const SMTPAPI_HEADER = 'x-smtpapi';

/**
 * Whether this can be an api_user: printable ASCII without spaces; without `#`, after which upstream reads a label,
 * and each label would have a quota of its own here; without `:`, which ends the name in HTTP Basic (RFC 7617).
 */
export const isApiUser = (name: string): boolean => /^[\x21\x22\x24-\x39\x3b-\x7e]+$/.test(name);

/** One spelling for all of an api_user: should upstream ignore case, another would evade its policy and quota. */
export const canonicalApiUser = (name: string): string => name.toLowerCase();

/** What the user name of AUTH LOGIN says. The label belongs to the login, not to the message. */
export interface LoginName {
  readonly apiUser: string;
  readonly label: number | null;
}

/** Writes the user name of AUTH LOGIN: `api_user`, or `api_user#label_id`. */
export const formatLoginName = ({ apiUser, label }: LoginName): string =>
  label === null ? apiUser : `${apiUser}#${label}`;

/**
 * Reads `api_user` or `api_user#label_id`: the label is the last `#` with nothing but digits after it.
 *
 * @returns null where the label is not a positive whole number that JavaScript can hold
 */
export function parseLoginName(name: string): LoginName | null {
  const [, apiUser, digits] = /^(.+)#(\d+)$/s.exec(name) ?? [];
  if (apiUser === undefined) return { apiUser: name, label: null };
  const label = Number(digits);
  return Number.isSafeInteger(label) && label > 0 ? { apiUser, label } : null;
}

/** SendCloud's message id in the final reply: `250 #<id>#Queued`; null where upstream words it otherwise. */
export function parseQueueId(response: string): string | null {
  return /^250[ -](?:2\.\d{1,3}\.\d{1,3} )?#([^#\s]{1,200})#/m.exec(response)?.[1] ?? null;
}

/**
 * SendCloud's e-mail id of each recipient, which its webhooks and status API use: message id, index, `$`,
 * address. The index counts the accepted recipients in RCPT order: a refused one is not part of the
 * transaction that SendCloud numbers.
 */
export function emailIds(queueId: string, accepted: readonly string[]): Record<string, string> {
  return Object.fromEntries(accepted.map((address, index) => [address, `${queueId}${index}$${address}`]));
}
