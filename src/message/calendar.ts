/** Invitations: an iCalendar object (RFC 5545) with the method of its exchange (RFC 5546). */

import { excerpt } from './characters.ts';

/** RFC 5546 section 1.4. */
export const CALENDAR_METHODS = [
  'PUBLISH',
  'REQUEST',
  'REPLY',
  'ADD',
  'CANCEL',
  'REFRESH',
  'COUNTER',
  'DECLINECOUNTER',
] as const;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to refuse
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** More than a year of daily events, and few enough to be read at once. */
export const MAX_CALENDAR = 1_000_000;
const MAX_LINES = 20_000;

/** The indentation of a template. No line can continue the first one, so it is that of the second. */
const INDENTED = /^BEGIN:VCALENDAR\s*[\r\n]([ \t]+)(?=\S)/i;

/** The name of a property, and what its value begins behind (RFC 5545 section 3.1). */
const CONTENT_LINE = /^([A-Za-z0-9-]{1,100})[;:]/;
const METHOD_LINE = /^METHOD(?:;[^:]*)?:\s*(.*?)\s*$/i;

/**
 * Makes the text of an iCalendar object fit for sending: CRLF line ends, lines folded at 75 octets, and the METHOD
 * that the part's content type has to repeat (RFC 6047 section 2.4), added where it is missing.
 *
 * `lacks` names what a request needs for mail clients to offer an answer, and has not.
 */
export function resolveCalendar(
  method: string,
  text: string,
): { readonly content: string; readonly lacks: readonly string[] } | { readonly problem: string } {
  const source = text.replace(/^\ufeff?\s*/, '').trimEnd();
  if (!/^BEGIN:VCALENDAR\s*[\r\n]/i.test(source.slice(0, 100))) {
    return { problem: 'Use the text of an iCalendar object: it starts with BEGIN:VCALENDAR.' };
  }
  if (CONTROL.test(source)) return { problem: 'Remove the control characters from the calendar.' };
  if (!source.isWellFormed())
    return { problem: 'Remove the lone surrogates: the text must be well-formed Unicode.' };
  const [, indentation = ''] = INDENTED.exec(source) ?? [];
  const unfolded = source
    .replaceAll(`\n${indentation}`, '\n')
    .replace(/(?:\r\n|\r|\n)[ \t]/g, '')
    .split(/[\r\n]+/, MAX_LINES + 1);
  if (unfolded.length > MAX_LINES) return { problem: `Shorten the calendar to at most ${MAX_LINES} lines.` };
  const lines = unfolded.map((line) => line.trimEnd());
  const broken = lines.findIndex((line) => !CONTENT_LINE.test(line));
  if (broken !== -1) {
    return {
      problem: `Correct the line "${excerpt(lines[broken] ?? '')}" of the calendar: it has no property name. A line break in a text is written as "\\n".`,
    };
  }
  if (!isNested(lines)) {
    return { problem: 'Use one iCalendar object: each BEGIN needs its END, and END:VCALENDAR comes last.' };
  }
  const own = lines.slice(
    1,
    lines.findIndex((line, index) => index > 0 && /^(?:BEGIN|END):/i.test(line)),
  );
  const methods = own.flatMap((line) => METHOD_LINE.exec(line)?.[1]?.toUpperCase() ?? []);
  if (methods.length === 0) lines.splice(1, 0, `METHOD:${method}`);
  else if (methods.length > 1 || methods[0] !== method) {
    return {
      problem: `Use the same method here as in "method": the calendar has METHOD:${excerpt(methods.join(', '))}.`,
    };
  }
  return {
    content: `${lines.map(fold).join('\r\n')}\r\n`,
    lacks: method === 'REQUEST' ? lacksOf(lines) : [],
  };
}

/** RFC 5546 section 3.2.2. */
const NEEDED = ['UID', 'DTSTAMP', 'DTSTART', 'ORGANIZER', 'ATTENDEE'];

function lacksOf(lines: readonly string[]): string[] {
  const begin = lines.findIndex((line) => /^BEGIN:\s*VEVENT$/i.test(line));
  if (begin === -1)
    return lines.some((line) => /^BEGIN:\s*V(?:TODO|JOURNAL|FREEBUSY)$/i.test(line)) ? [] : ['VEVENT'];
  const event = lines.slice(
    begin,
    lines.findIndex((line) => /^END:\s*VEVENT$/i.test(line)),
  );
  const names = new Set(event.map((line) => CONTENT_LINE.exec(line)?.[1]?.toUpperCase()));
  return NEEDED.filter((name) => !names.has(name));
}

/** Whether components are nested, in a single VCALENDAR. */
function isNested(lines: readonly string[]): boolean {
  const open: string[] = [];
  for (const [index, line] of lines.entries()) {
    const [, verb, name] = /^(BEGIN|END):\s*([A-Za-z0-9-]+)\s*$/i.exec(line) ?? [];
    if (verb?.toUpperCase() === 'BEGIN') open.push((name as string).toUpperCase());
    else if (verb && open.pop() !== name?.toUpperCase()) return false;
    if (open.length === 0 && (verb === undefined || index < lines.length - 1)) return false;
  }
  return open.length === 0;
}

/** Octets of a line without its line break (RFC 5545 section 3.1). */
const MAX_LINE = 75;

/** Folds a content line between characters. */
function fold(line: string): string {
  // Three octets for each UTF-16 code unit at most.
  if (line.length * 3 <= MAX_LINE || Buffer.byteLength(line) <= MAX_LINE) return line;
  let folded = '';
  let from = 0;
  let octets = 0;
  for (let at = 0; at < line.length; ) {
    const code = line.codePointAt(at) as number;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (octets + size > MAX_LINE) {
      folded += `${line.slice(from, at)}\r\n `;
      from = at;
      octets = 1;
    }
    octets += size;
    at += code < 0x10000 ? 1 : 2;
  }
  return folded + line.slice(from);
}
