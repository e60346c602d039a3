/** Reads unknown JSON: whatever the payload's types are, a read gives a value or null and never throws. */

/** The value at a path such as `commits.0.author.name`; own keys only. `undefined` where the path ends early. */
export function at(json: unknown, path: string): unknown {
  let value = json;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** The text at a path; a number or a boolean as text, null for a blank text and for every other type. */
export function text(json: unknown, path?: string): string | null {
  const value = path === undefined ? json : at(json, path);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
}

/** The finite number at a path. */
export function number(json: unknown, path: string): number | null {
  const value = at(json, path);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The elements of the array at a path, none where there is no array. */
export function list(json: unknown, path: string): readonly unknown[] {
  const value = at(json, path);
  return Array.isArray(value) ? value : [];
}

/** The keys with a text in the object at a path, as pairs. */
export function texts(json: unknown, path: string): readonly (readonly [string, string])[] {
  const value = at(json, path);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const found = text(member);
    return found === null ? [] : [[key, found] as const];
  });
}
