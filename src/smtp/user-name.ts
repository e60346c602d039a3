/** The user name of a login at the SMTP door. */
export interface UserName {
  readonly apiUser: string;
  readonly label: number | null;
}

/**
 * Reads `api_user` or `api_user#label_id`: the label is the last `#` with nothing but digits after it.
 *
 * @returns null where the label is no positive whole number that JavaScript can hold
 */
export function parseUserName(name: string): UserName | null {
  const [, apiUser, digits] = /^(.+)#(\d+)$/s.exec(name) ?? [];
  if (apiUser === undefined) return { apiUser: name, label: null };
  const label = Number(digits);
  return Number.isSafeInteger(label) && label > 0 ? { apiUser, label } : null;
}
