import { describe, expect, test } from 'vitest';
import { CALENDAR_METHODS } from '../../src/message/calendar.ts';
import { parseMessage } from '../../src/message/parse.ts';

const base = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Call', text: 'Call' };

const lines = (...inner: string[]): string[] => ['BEGIN:VCALENDAR', 'VERSION:2.0', ...inner, 'END:VCALENDAR'];
const event = ['BEGIN:VEVENT', 'UID:1@ifaxin.com', 'SUMMARY:Call', 'END:VEVENT'];
const invitation = lines('METHOD:REQUEST', ...event).join('\r\n');

const parsed = (calendar: unknown) => {
  const result = parseMessage({ ...base, calendar });
  if ('errors' in result) throw new Error(JSON.stringify(result.errors));
  return result.message.calendar;
};
const warningsOf = (calendar: unknown) => {
  const result = parseMessage({ ...base, calendar });
  return 'message' in result ? result.message.warnings : [];
};
const errorsOf = (calendar: unknown) => {
  const result = parseMessage({ ...base, calendar });
  return 'errors' in result ? result.errors.map(({ pointer, message }) => [pointer, message]) : [];
};

describe('a calendar', () => {
  test.each<[string, string]>([
    ['CRLF', `${invitation}\r\n`],
    ['no line break at the end', invitation],
    ['LF', invitation.replaceAll('\r\n', '\n')],
    ['CR', invitation.replaceAll('\r\n', '\r')],
    ['blank lines and white space around it', `\ufeff\n  ${invitation.replaceAll('\r\n', '\n\n')}\n\n `],
    [
      'folds in the middle of everything',
      invitation.replace('METHOD', 'MET\r\n HOD').replace('SUMM', 'SU\n\tMM'),
    ],
    ['white space at the ends of lines', invitation.replaceAll('\r\n', ' \r\n')],
    ['the indentation of a template', `\n    ${invitation.replaceAll('\r\n', '\n    ')}\n  `],
    ['its first line alone not indented', invitation.replaceAll('\r\n', '\r\n\t\t')],
    ['folds and an indentation', `\n  ${invitation.replace('Call', 'Ca\r\n ll').replaceAll('\r\n', '\n  ')}`],
    ['a blank line with spaces', invitation.replace('\r\n', '\r\n \r\n').replace('Call', 'C\r\n all')],
  ])('with %s', (_, content) => {
    expect(parsed({ method: 'REQUEST', content })).toEqual({
      method: 'REQUEST',
      content: `${invitation}\r\n`,
    });
  });

  test.each(CALENDAR_METHODS)('with the method %s, in any case', (method) => {
    const content = lines(`method:${method.toLowerCase()}`, ...event).join('\r\n');
    expect(parsed({ method: method.toLowerCase(), content })).toEqual({ method, content: `${content}\r\n` });
  });

  test('gets its method where it has none', () => {
    expect(parsed({ method: 'CANCEL', content: lines(...event).join('\n') })?.content).toBe(
      `${['BEGIN:VCALENDAR', 'METHOD:CANCEL', ...lines(...event).slice(1)].join('\r\n')}\r\n`,
    );
  });

  test('that can be answered has what a request needs, or a warning', () => {
    const needed = [
      'UID:1@ifaxin.com',
      'DTSTAMP:20270101T000000Z',
      'DTSTART;TZID=Asia/Shanghai:20270102T090000',
      'ORGANIZER:mailto:support@ifaxin.com',
      'attendee;RSVP=TRUE:mailto:ben@ifaxin.com',
    ];
    const zone = ['BEGIN:VTIMEZONE', 'TZID:Asia/Shanghai', 'DTSTART:19700101T000000', 'END:VTIMEZONE'];
    const of = (...inner: string[]) => lines(...zone, 'BEGIN:VEVENT', ...inner, 'END:VEVENT').join('\r\n');
    expect(warningsOf({ method: 'REQUEST', content: of(...needed) })).toEqual([]);
    for (const [index, line] of needed.entries()) {
      const [name = ''] = /^\w+/.exec(line) ?? [];
      const content = of(...needed.toSpliced(index, 1));
      expect(warningsOf({ method: 'request', content })).toEqual([
        { pointer: '/calendar/content', message: expect.stringContaining(`lacks ${name.toUpperCase()} (`) },
      ]);
      expect(warningsOf({ method: 'PUBLISH', content })).toEqual([]);
    }
    expect(warningsOf({ method: 'REQUEST', content: lines().join('\r\n') })).toMatchObject([
      { message: expect.stringContaining('lacks VEVENT') },
    ]);
    const todo = lines('BEGIN:VTODO', 'UID:1', 'END:VTODO').join('\r\n');
    expect(warningsOf({ method: 'REQUEST', content: todo })).toEqual([]);
  });

  test('has lines of at most 75 octets, and the same text', () => {
    const texts = [
      'a'.repeat(500),
      '张'.repeat(100),
      '😀'.repeat(60),
      `é${'ab é'.repeat(90)}`,
      'x'.repeat(67),
    ];
    for (const text of texts) {
      const { content = '' } = parsed({ method: 'REQUEST', content: invitation.replace('Call', text) }) ?? {};
      for (const line of content.split('\r\n')) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75);
      expect(content.isWellFormed()).toBe(true);
      expect(content.replaceAll('\r\n ', '')).toBe(`${invitation.replace('Call', text)}\r\n`);
    }
  });

  test('may have a METHOD of its own in a text', () => {
    const content = lines('METHOD;X-A=b:REQUEST', 'BEGIN:VEVENT', 'METHOD:CANCEL', 'END:VEVENT').join('\r\n');
    expect(parsed({ method: 'REQUEST', content })?.content).toBe(`${content}\r\n`);
  });

  test.each<[string, unknown, string, RegExp]>([
    ['no object', invitation, '/calendar', /Use a calendar/],
    ['a list', [invitation], '/calendar', /not a list/],
    ['no method', { content: invitation }, '/calendar/method', /required/],
    ['no content', { method: 'REQUEST' }, '/calendar/content', /required/],
    ['a null', { method: null, content: invitation }, '/calendar/method', /must be a string/],
    ['a number', { method: 'REQUEST', content: 1 }, '/calendar/content', /must be a string/],
    [
      'another field',
      { method: 'REQUEST', content: invitation, filename: 'a.ics' },
      '/calendar/filename',
      /method, content/,
    ],
    [
      'an unknown method',
      { method: 'INVITE', content: invitation },
      '/calendar/method',
      /Use one of PUBLISH, REQUEST/,
    ],
    ['another method', { method: 'CANCEL', content: invitation }, '/calendar/content', /METHOD:REQUEST/],
    [
      'two methods',
      { method: 'REQUEST', content: lines('METHOD:REQUEST', 'METHOD:REQUEST').join('\n') },
      '/calendar/content',
      /REQUEST, REQUEST/,
    ],
    ['an empty content', { method: 'REQUEST', content: '' }, '/calendar/content', /BEGIN:VCALENDAR/],
    [
      'base64',
      { method: 'REQUEST', content: Buffer.from(invitation).toString('base64') },
      '/calendar/content',
      /BEGIN:VCALENDAR/,
    ],
    [
      'an event alone',
      { method: 'REQUEST', content: event.join('\n') },
      '/calendar/content',
      /BEGIN:VCALENDAR/,
    ],
    [
      'no end',
      { method: 'REQUEST', content: invitation.replace('END:VCALENDAR', '') },
      '/calendar/content',
      /needs its END/,
    ],
    [
      'a component without its end',
      { method: 'REQUEST', content: invitation.replace('END:VEVENT\r\n', '') },
      '/calendar/content',
      /needs its END/,
    ],
    [
      'two calendars',
      { method: 'REQUEST', content: `${invitation}\r\n${invitation}` },
      '/calendar/content',
      /one iCalendar object/,
    ],
    [
      'lines that all continue the first',
      { method: 'REQUEST', content: invitation.replaceAll('\r\n', '\r ') },
      '/calendar/content',
      /one iCalendar object/,
    ],
    [
      'lines of which one continues the first',
      { method: 'REQUEST', content: invitation.replace('\r\n', ' ') },
      '/calendar/content',
      /BEGIN:VCALENDAR/,
    ],
    [
      'a text with a real line break',
      { method: 'REQUEST', content: invitation.replace('Call', 'Call\nme') },
      '/calendar/content',
      /"me".*"\\n"/,
    ],
    [
      'a control character',
      { method: 'REQUEST', content: invitation.replace('Call', '\u0001') },
      '/calendar/content',
      /control/,
    ],
    [
      'too many lines',
      { method: 'REQUEST', content: lines(...Array(20_000).fill('X:y')).join('\n') },
      '/calendar/content',
      /20000 lines/,
    ],
    [
      'too many characters',
      { method: 'REQUEST', content: lines(`X:${'y'.repeat(1_000_000)}`).join('\n') },
      '/calendar/content',
      /1000000 characters/,
    ],
    [
      'a lone surrogate',
      { method: 'REQUEST', content: invitation.replace('Call', '\ud800') },
      '/calendar/content',
      /surrogate/,
    ],
  ])('is refused with %s', (_, calendar, pointer, problem) => {
    expect(errorsOf(calendar)).toEqual([[pointer, expect.stringMatching(problem)]]);
  });

  test('is told all that is wrong with it', () => {
    const errors = errorsOf({ method: 'INVITE', content: { toString: 1 } });
    expect(errors.map(([pointer]) => pointer)).toEqual(['/calendar/content', '/calendar/method']);
    expect(errorsOf({ method: { toString: 1 }, content: '' })).toHaveLength(1);
  });

  test('needs a body beside it', () => {
    const { text: _, ...rest } = base;
    const result = parseMessage({ ...rest, calendar: { method: 'REQUEST', content: invitation } });
    expect(result).toMatchObject({ errors: [{ pointer: '/text' }] });
  });
});
