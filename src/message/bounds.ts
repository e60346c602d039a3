/** What validation looks at of a caller's JSON, so that its time does not grow with what is wrong. */

/** One more than any list of a message can have: a list that is cut is still too long for its own limit. */
const MOST_ITEMS = 101;
/** More than any object of a message can have, so that what is cut off is one of many errors. */
const MOST_KEYS = 1000;
/** Message, its fields, the items of a list: below these the schema looks at no lists and objects. */
const DEPTH = 2;

/** The value with its lists and objects cut to a little more than can be right; the value itself where none is. */
export function bounded(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > DEPTH) return value;
  if (Array.isArray(value)) {
    const items: unknown[] = value.slice(0, MOST_ITEMS);
    const cut = items.map((item) => bounded(item, depth + 1));
    return value.length === cut.length && cut.every((item, index) => item === items[index]) ? value : cut;
  }
  const keys = Object.keys(value);
  const entries = (keys.length > MOST_KEYS ? keys.slice(0, MOST_KEYS) : keys).map(
    (key): [string, unknown] => [key, (value as Record<string, unknown>)[key]],
  );
  const cut = entries.map(([key, item]): [string, unknown] => [key, bounded(item, depth + 1)]);
  const isSame = keys.length === cut.length && cut.every(([, item], index) => item === entries[index]?.[1]);
  // A key "__proto__" stays a key.
  return isSame ? value : Object.fromEntries(cut);
}
