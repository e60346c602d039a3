/** `sendAt`: a time to come (RFC 3339 section 5.6). */

const DAY_MS = 24 * 60 * 60 * 1000;
const MOST_DAYS = 30;

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** Unix time in milliseconds, or what is wrong with it. A time that has passed means at once. */
export function parseSendAt(text: string, now = Date.now()): number | { readonly problem: string } {
  const time = RFC_3339.test(text) ? Date.parse(text.replace(' ', 'T').toUpperCase()) : Number.NaN;
  if (Number.isNaN(time) || !isCalendarDay(text)) {
    return { problem: 'Use a time with its offset, like "2026-12-24T18:00:00+08:00" (RFC 3339).' };
  }
  if (time > now + MOST_DAYS * DAY_MS)
    return { problem: `The time must be at most ${MOST_DAYS} days ahead.` };
  return time;
}

/** `Date.parse` takes 30 February for 2 March. */
function isCalendarDay(text: string): boolean {
  const day = text.slice(0, 10);
  return new Date(`${day}T00:00:00Z`).toISOString().slice(0, 10) === day;
}
