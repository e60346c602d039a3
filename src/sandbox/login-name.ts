/**
 * Reads the user name of a login: `api_user`, or `api_user#label_id`. The label of a name is its last `#` with
 * nothing but digits after it; every other `#` belongs to the api_user.
 */
export function readLoginName(name: string): { apiUser: string; label: number | null } {
  const [, apiUser, digits] = /^(.+)#(\d+)$/s.exec(name) ?? [];
  return apiUser === undefined ? { apiUser: name, label: null } : { apiUser, label: Number(digits) };
}
