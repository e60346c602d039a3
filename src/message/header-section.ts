/**
 * The header section of a whole message, as a caller wrote it (RFC 5322 section 2.2): its fields, what of it a reader
 * further on might take for something else, and whether its senders are the account's.
 *
 * Upstream reads it with parsers that are not ours. So a policy lets only those sections pass that every parser reads
 * alike, and `X-SMTPAPI`, which would replace the recipients, is looked for in whatever any of them might see.
 */

import { type Account, policyFailure } from '../account.ts';
import { parseIdempotencyKey } from '../idempotency.ts';
import { type Failure, failure } from '../outcome.ts';
import { SMTPAPI_HEADER } from '../sendcloud.ts';
import { trimInvisibleEnd, trimInvisibleStart } from './characters.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import { addressIn, MAX_MAILBOX } from './mailbox.ts';

/** Far more than any mail has, in bytes and in lines; a longer section is not read to its end. */
const MAX_SECTION = 256 * 1024;
const MAX_SECTION_LINES = 10_000;

const CR = 0x0d;
const LF = 0x0a;

export const IDEMPOTENCY_KEY = 'idempotency-key';

/** RFC 5322 section 2.1.1, without the line end. */
const MAX_LINE = 998;
/** Haraka does not look at those that follow. */
const MAX_LINES = 1000;

/** Finds the end of a header section in a message that comes piece by piece. */
export class HeaderEnd {
  #hasText = false;
  #isEmptyLine = true;
  #bytes = 0;
  #lines = 0;

  /** More has come than any header section has. */
  get isTooLong(): boolean {
    return this.#bytes > MAX_SECTION || this.#lines > MAX_SECTION_LINES;
  }

  /** How much of this piece is header section, with the empty line behind it; null while it goes on, or is too long. */
  find(piece: Uint8Array): number | null {
    for (let from = 0; from < piece.length; ) {
      const lf = piece.indexOf(LF, from);
      const end = lf === -1 ? piece.length : lf;
      this.#bytes += (lf === -1 ? end : lf + 1) - from;
      if (this.isTooLong) return null;
      if (end - from > 1 || (end - from === 1 && piece[from] !== CR)) this.#isEmptyLine = false;
      if (lf === -1) return null;
      if (this.#isEmptyLine && this.#hasText) return lf + 1;
      this.#hasText ||= !this.#isEmptyLine;
      this.#lines++;
      this.#isEmptyLine = true;
      from = lf + 1;
    }
    return null;
  }
}

export interface HeaderField {
  /** In lower case; empty where the line has none, and is no field. */
  readonly name: string;
  /** Unfolded, one character a byte. */
  readonly value: string;
  /** Offsets into the section, the line end included. */
  readonly start: number;
  readonly end: number;
}

export interface HeaderSection {
  /** In their order, those that are none included. */
  readonly fields: readonly HeaderField[];
  /** Why parsers may read this section differently; null where they do not. */
  readonly ambiguity: string | null;
  /** Whether an X-SMTPAPI field is there, in the open or hidden. */
  readonly hasSmtpapi: boolean;
}

/** A header section that does not pass, and the status code that says why (RFC 3463). */
export interface HeaderProblem {
  readonly failure: Failure;
  readonly enhanced: '5.6.0' | '5.7.1';
}

/**
 * Reads a header section with the empty line at its end, where it has one. Empty lines in front belong to it: Haraka
 * reads on behind them.
 */
export function parseHeaderSection(bytes: Uint8Array): HeaderSection {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const fields: HeaderField[] = [];
  for (const [start, end] of logicalLines(text)) fields.push(fieldOf(text.slice(start, end), start));
  const isSuspect = namesSmtpapi(text);
  return {
    fields,
    ambiguity: ambiguityOf(text, fields),
    hasSmtpapi: isSuspect && fields.some((field) => isSmtpapi(text.slice(field.start, field.end), field)),
  };
}

/** Each line with those that continue it (RFC 5322 section 2.2.3), as offsets; empty lines are left out. */
function* logicalLines(text: string): Generator<[start: number, end: number]> {
  let start = -1;
  for (let at = 0; at < text.length; ) {
    const lf = text.indexOf('\n', at);
    const end = lf === -1 ? text.length : lf + 1;
    const isEmpty = text[at] === '\n' || (text[at] === '\r' && text[at + 1] === '\n');
    const continues = start !== -1 && (text[at] === ' ' || text[at] === '\t');
    if (start !== -1 && !continues) yield [start, at];
    if (isEmpty) start = -1;
    else if (!continues) start = at;
    at = end;
  }
  if (start !== -1) yield [start, text.length];
}

const FIELD = /^([\x21-\x39\x3b-\x7e]+)[\t ]*:/;

function fieldOf(line: string, start: number): HeaderField {
  const [front = '', name = ''] = FIELD.exec(line) ?? [];
  const value = trimBlanks(line.slice(front.length).replace(/\r?\n/g, ''));
  return { name: name.toLowerCase(), value, start, end: start + line.length };
}

/** `trim` would take a byte A0 away, which may be the end of a letter. */
function trimBlanks(value: string): string {
  const isBlank = (at: number) => ' \t\r'.includes(value.charAt(at));
  let end = value.length;
  while (end > 0 && isBlank(end - 1)) end--;
  let start = 0;
  while (start < end && isBlank(start)) start++;
  return value.slice(start, end);
}

// What some reader takes for the end of a line (Python's `splitlines`: VT, FF, FS, GS, RS, NEL, U+2028, U+2029).
const OTHER_LINE_END = '(?:[\\x0b\\x0c\\x1c-\\x1e\\x85]|\\xe2\\x80[\\xa8\\xa9])';
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to refuse
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)/;
const BLANK_LINE = /\n[\t ]+\r?(?:\n|$)/;
const HIDDEN_SENDER = new RegExp(
  `${OTHER_LINE_END}[\\t ]*(?:from|sender|resent-(?:from|sender))[\\t ]*:`,
  'i',
);

function ambiguityOf(text: string, fields: readonly HeaderField[]): string | null {
  if (CONTROL.test(text)) return 'The header section contains a control character.';
  if (/^\r?\n/.test(text) && fields.length > 0) return 'There is an empty line before the header section.';
  if (fields.some(({ name }) => name === '')) {
    return 'A line of the header section is not a field (RFC 5322 section 2.2); an empty line ends the section.';
  }
  if (fields.some(({ start, name }) => text[start + name.length] !== ':')) {
    return 'A field has white space before its colon.';
  }
  if (BLANK_LINE.test(text)) return 'A line of the header section has nothing but white space.';
  if (HIDDEN_SENDER.test(text)) return 'A field hides a second one behind a line separator.';
  const lines = text.split('\n');
  if (lines.length > MAX_LINES) return `The header section has more than ${MAX_LINES} lines.`;
  if (lines.some((line) => line.length > MAX_LINE + 1)) {
    return `A line of the header section has more than ${MAX_LINE} bytes.`;
  }
  return null;
}

/** Whether the name stands somewhere, where everything but visible ASCII is lost on the way. */
function namesSmtpapi(text: string): boolean {
  let matched = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code >= 0x7f) continue;
    const character = (text[at] as string).toLowerCase();
    // Its first letter stands in it once, so what did not match can only begin it anew.
    if (character === SMTPAPI_HEADER[matched]) matched++;
    else matched = character === SMTPAPI_HEADER[0] ? 1 : 0;
    if (matched === SMTPAPI_HEADER.length) return true;
  }
  return false;
}

const OTHER_LINE_ENDS = new RegExp(OTHER_LINE_END);

/** Of a line that has the name somewhere: only as a part of a plain field's value, or of another name, is it harmless. */
function isSmtpapi(line: string, { name }: HeaderField): boolean {
  if (!namesSmtpapi(line)) return false;
  if (name === '' || name === SMTPAPI_HEADER) return true;
  const isPlain = !CONTROL.test(line) && !OTHER_LINE_ENDS.test(line) && !BLANK_LINE.test(line);
  return !isPlain || line.split('\n').some((part) => part.length > MAX_LINE + 1);
}

/**
 * Why an account may not send a message with this header section; null when it may. An account with a sender policy
 * has to write a section that every parser reads alike, with one From, all of its addresses allowed, and so have
 * Sender, Resent-From and Resent-Sender.
 */
export function headerProblem(section: HeaderSection, account: Account): HeaderProblem | null {
  if (section.hasSmtpapi) {
    return invalid('An X-SMTPAPI header would replace the recipients; take it out.', '5.7.1');
  }
  if (account.from === null) return null;
  if (section.ambiguity !== null) return invalid(section.ambiguity, '5.6.0');
  const forbidden = senderFailure(section, account);
  return forbidden && { failure: forbidden, enhanced: '5.7.1' };
}

const invalid = (detail: string, enhanced: HeaderProblem['enhanced']): HeaderProblem => ({
  failure: failure('invalid-message', detail),
  enhanced,
});

/** RFC 5322 sections 3.6.2 and 3.6.6. */
function senderFailure({ fields }: HeaderSection, account: Account): Failure | null {
  const listsIn = (name: string) =>
    fields.filter((field) => field.name === name.toLowerCase()).map(plainAddressesIn);
  const lists = SENDERS.map((name) => [name, listsIn(name)] as const);
  const { From = [], Sender = [] } = Object.fromEntries(lists);

  if (From.length !== 1) return forbidden('From', 'The message needs exactly one From field.');
  if (Sender.length > 1) return forbidden('Sender', 'The message has more than one Sender field.');
  if (Sender.length === 0 && (From[0] ?? []).length > 1) {
    return forbidden('Sender', 'The message needs a Sender field, since From has several addresses.');
  }
  for (const [name, list] of lists.flatMap(([name, all]) => all.map((list) => [name, list] as const))) {
    const isList = list !== null && (list.length === 1 || (list.length > 1 && name.endsWith('From')));
    if (!isList) return forbidden(name, `The ${name} field is not a plain list of addresses.`);
    const foreign = list
      .map((address) => policyFailure(account, address, null))
      .find((failed) => failed !== null);
    if (foreign)
      return forbidden(
        name,
        `The ${name} field names a sender that this account may not use. ${foreign.detail}`,
      );
  }
  return null;
}

const SENDERS = ['From', 'Sender', 'Resent-From', 'Resent-Sender'] as const;

const forbidden = (name: string, detail: string): Failure =>
  failure('forbidden-sender', detail, {
    errors: [{ pointer: `/headers/${name}`, message: 'not allowed by the sender policy of this account' }],
  });

/** As `addressesIn`; null as well for what readers differ on: what shows nothing around an address, or an end of it within a name. */
function plainAddressesIn(field: HeaderField): string[] | null {
  const addresses = addressesIn(field);
  const isPlain =
    addresses &&
    splitList(field.value)?.every(
      (item) => !mayEndEarly(item) && item.bare.split(/[<>]/).slice(-2).every(isTrimmed),
    );
  return isPlain ? addresses : null;
}

/** `"a@b"[ <c@d>` is a@b to Python, encoded or quoted (RFC 2047); and to some, a bare backslash undoes a quote. */
function mayEndEarly({ text, bare }: ListItem): boolean {
  if (!/[[\]\\]/.test(bare)) return false;
  const decoded = decodeEncodedWords(text);
  return decoded.includes('=?') || decoded.split('@').length > 2;
}

/** But for spaces. Within a domain, some invisible characters are letters' own (RFC 5892 appendix A). */
function isTrimmed(text: string): boolean {
  const inner = text.replace(/^ +| +$/g, '');
  return trimInvisibleEnd(trimInvisibleStart(inner)) === inner;
}

/** The addresses of a field that is a list of mailboxes; null where it is none, and where it has a group. */
export function addressesIn(field: HeaderField): string[] | null {
  const list = splitList(field.value);
  if (list === null) return null;
  const addresses: string[] = [];
  for (const { text, bare } of list) {
    const mailbox = text.trim();
    if (mailbox === '') continue;
    // With several, readers differ on which of them is the address.
    const hasSeveralAts = bare.split('@').length > 2;
    const address = mailbox.length > MAX_MAILBOX || hasSeveralAts ? null : addressIn(mailbox);
    if (address === null) return null;
    addresses.push(address);
  }
  return addresses;
}

interface ListItem {
  readonly text: string;
  /** Without comments and what is quoted. */
  readonly bare: string;
}

/**
 * RFC 5322 section 3.4: `a@b, "C, D" <c@d>`. Null for bytes that are not UTF-8, for groups, and for what is quoted or
 * a comment without an end.
 */
function splitList(value: string): ListItem[] | null {
  const text = utf8(value)?.replaceAll('\t', ' ');
  if (text === undefined) return null;
  const items: ListItem[] = [];
  let from = 0;
  let bare = '';
  let isQuoted = false;
  let comments = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    const isBare = !isQuoted && comments === 0;
    if (character === '\\' && !isBare) at++;
    else if (character === '"' && comments === 0) isQuoted = !isQuoted;
    else if (isQuoted) continue;
    else if (character === '(') comments++;
    else if (character === ')') {
      if (isBare) return null;
      comments--;
    } else if (!isBare) continue;
    else if (character === ':' || character === ';') return null;
    else if (character === ',') {
      items.push({ text: text.slice(from, at), bare });
      from = at + 1;
      bare = '';
    } else bare += character;
  }
  return isQuoted || comments > 0 ? null : [...items, { text: text.slice(from), bare }];
}

function utf8(bytes: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined;
  }
}

/** The message's Idempotency-Key; null where it has none, or a failure where it has two or one that is no key. */
export function idempotencyKeyIn({ fields }: HeaderSection): string | null | Failure {
  const [field, ...more] = fields.filter(({ name }) => name === IDEMPOTENCY_KEY);
  if (field === undefined) return null;
  const key = more.length > 0 ? null : parseIdempotencyKey(field.value);
  return (
    key ?? failure('invalid-message', 'Give one Idempotency-Key of 1 to 255 printable ASCII characters.')
  );
}

/** The section's bytes without the fields of these names. */
export function withoutFields(
  bytes: Uint8Array,
  section: HeaderSection,
  names: readonly string[],
): Uint8Array {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const { name, start, end } of section.fields) {
    if (!names.includes(name)) continue;
    parts.push(bytes.subarray(from, start));
    from = end;
  }
  return from === 0 ? bytes : Buffer.concat([...parts, bytes.subarray(from)]);
}
