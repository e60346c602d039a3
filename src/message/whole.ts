/**
 * A whole message as its author wrote it (message/rfc822): it goes out byte for byte, but for Bcc, which is taken out.
 *
 * The envelope is the caller's, or else that of the header section (RFC 5322 section 3.6).
 */

import type { Account } from '../account.ts';
import type { FieldError } from '../outcome.ts';
import { type Failure, failure } from '../outcome.ts';
import { Pace } from '../pace.ts';
import { MAX_LINE, MAX_RECIPIENTS } from '../sendcloud.ts';
import { FieldErrors } from './field-errors.ts';
import {
  addressesIn,
  HeaderEnd,
  type HeaderField,
  type HeaderSection,
  headerProblem,
  IDEMPOTENCY_KEY,
  parseHeaderSection,
  withoutFields,
} from './header-section.ts';
import { parseMailbox } from './mailbox.ts';

export interface WholeInput {
  readonly bytes: Uint8Array;
  /** The envelope's, each a mailbox; null and empty take it from the header section. */
  readonly from: string | null;
  readonly to: readonly string[];
  /** Digits; null without a label. */
  readonly label: string | null;
}

export interface WholeMessage {
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  readonly bytes: Uint8Array;
  readonly eightBit: boolean;
  readonly label: number | null;
  /** Null where the message has none. */
  readonly messageId: string | null;
  readonly warnings: readonly FieldError[];
}

const LONG_LINE: FieldError = {
  pointer: '',
  message: `A line has more than ${MAX_LINE} bytes: upstream may break it up.`,
};

/** What a sender policy would refuse; without one it goes out as its author wrote it. */
const ambiguous = (ambiguity: string): FieldError => ({
  pointer: '',
  message: `${ambiguity} Mail clients may read it in another way.`,
});

const CR = 0x0d;
const LF = 0x0a;

/** Of to, cc and bcc, which are one list in an envelope. */
const MOST_RECIPIENTS = 3 * MAX_RECIPIENTS;

/** Reads a whole message; everything wrong with it in one failure. Others have a turn between slices of a large one. */
export async function parseWhole(input: WholeInput, account: Account): Promise<WholeMessage | Failure> {
  const pace = new Pace();
  const errors = new FieldErrors();
  const bytes = await withCrlf(input.bytes, pace);
  const looked = await look(bytes, pace);
  if (looked.hasNul) errors.add('', 'Remove the NUL characters.');
  if (looked.hasLoneEnd) {
    errors.add('', 'End every line with CRLF (RFC 5321 section 2.3.8): there is a bare CR or LF.');
  }
  const headerBytes = headerOf(bytes);
  if (headerBytes === null) {
    errors.add('', 'Shorten the header section to at most 256 KiB and 10,000 lines.');
    return invalid(errors);
  }
  if (hasByteOrderMark(headerBytes)) errors.add('', 'Remove the byte order mark.');
  const section = parseHeaderSection(headerBytes);
  if (!section.fields.some(({ name }) => name !== ''))
    errors.add('', 'Begin the message with a header section (RFC 5322).');
  if (section.fields.some(({ name }) => name === IDEMPOTENCY_KEY)) {
    errors.add('', 'Send the Idempotency-Key as a header of the request, and take it out of the message.');
  }
  const label = labelOf(input.label, errors);
  const named = envelopeFields(input, section, errors);
  const from = senderOf(input, named, errors);
  const to = recipientsOf(input, named, errors);
  if (errors.list.length > 0) return invalid(errors);

  const problem = headerProblem(section, account);
  if (problem) return problem.failure;
  const header = withoutFields(headerBytes, section, ['bcc', 'resent-bcc']);
  const isAsItCame = header === headerBytes;
  const whole = isAsItCame ? bytes : Buffer.concat([header, bytes.subarray(headerBytes.length)]);
  // What was taken out says nothing of what goes out.
  const { eightBit, longest } = isAsItCame ? looked : await look(whole, pace);
  const { ambiguity } = isAsItCame ? section : parseHeaderSection(header);
  return {
    envelope: { from, to },
    bytes: whole,
    eightBit,
    label,
    messageId: section.fields.find(({ name }) => name === 'message-id')?.value ?? null,
    warnings: [
      ...(longest > MAX_LINE ? [LONG_LINE] : []),
      ...(ambiguity === null ? [] : [ambiguous(ambiguity)]),
    ],
  };
}

const invalid = ({ list }: FieldErrors): Failure =>
  failure(
    'invalid-message',
    `The message has ${list.length === 1 ? 'an error' : `${list.length} errors`}; nothing was sent.`,
    {
      errors: list,
    },
  );

/** Bytes that are looked at in one go. */
const SLICE = 1024 * 1024;

function* slicesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += SLICE) yield bytes.subarray(start, start + SLICE);
}

/** Files on Unix end their lines in LF: where all do, there is one reading. A mixture may be read in two ways. */
async function withCrlf(bytes: Uint8Array, pace: Pace): Promise<Uint8Array> {
  if (!bytes.includes(CR)) return withCrs(bytes, pace);
  return bytes.at(-1) === LF ? bytes : Buffer.concat([bytes, Buffer.from('\r\n')]);
}

/** Every LF with a CR before it, at the end as well. */
async function withCrs(bytes: Uint8Array, pace: Pace): Promise<Uint8Array> {
  let lines = 0;
  for (const slice of slicesOf(bytes)) {
    lines += countLines(slice);
    await pace.giveWay();
  }
  const isEnded = bytes.at(-1) === LF;
  const text = Buffer.allocUnsafe(bytes.length + lines + (isEnded ? 0 : 2));
  let length = 0;
  for (const slice of slicesOf(bytes)) {
    length = writeWithCrs(slice, text, length);
    await pace.giveWay();
  }
  if (!isEnded) text.write('\r\n', length);
  return text;
}

// Bytes by their index: an iterator of theirs takes ten times as long.

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] === LF) lines++;
  return lines;
}

function writeWithCrs(bytes: Uint8Array, out: Buffer, at: number): number {
  for (let from = 0; from < bytes.length; from++) {
    const byte = bytes[from] as number;
    if (byte === LF) out[at++] = CR;
    out[at++] = byte;
  }
  return at;
}

/** Looks at a message byte by byte: a native search for each line costs as much as 60 bytes, and lines may be empty. */
class Look {
  hasNul = false;
  /** A CR or an LF stands without the other. */
  hasLoneEnd = false;
  eightBit = false;
  /** Of the longest line, without its end. */
  longest = 0;
  #length = 0;
  #last = 0;

  add(slice: Uint8Array): void {
    let { hasNul, hasLoneEnd, longest } = this;
    let length = this.#length;
    let last = this.#last;
    let bits = 0;
    for (let at = 0; at < slice.length; at++) {
      const byte = slice[at] as number;
      bits |= byte;
      if (byte === 0) hasNul = true;
      if ((byte === LF) !== (last === CR)) hasLoneEnd = true;
      length++;
      if (byte === LF) {
        if (length - 2 > longest) longest = length - 2;
        length = 0;
      }
      last = byte;
    }
    this.hasNul = hasNul;
    this.hasLoneEnd = hasLoneEnd;
    this.longest = longest;
    this.eightBit ||= bits >= 0x80;
    this.#length = length;
    this.#last = last;
  }
}

async function look(bytes: Uint8Array, pace: Pace): Promise<Look> {
  const looked = new Look();
  for (const slice of slicesOf(bytes)) {
    looked.add(slice);
    await pace.giveWay();
  }
  return looked;
}

/** Of UTF-8, in front of a line. It hides a field from us, which may be Bcc, and from few others. */
const hasByteOrderMark = (header: Uint8Array): boolean => {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.length);
  return /^\xef\xbb\xbf/m.test(bytes.toString('latin1'));
};

/** The header section with the empty line behind it; null where it is too long. */
function headerOf(bytes: Uint8Array): Uint8Array | null {
  const end = new HeaderEnd();
  const length = end.find(bytes);
  if (end.isTooLong) return null;
  return length === null ? bytes : bytes.subarray(0, length);
}

function labelOf(label: string | null, errors: FieldErrors): number | null {
  if (label === null) return null;
  const id = Number(label);
  if (/^[1-9]\d{0,15}$/.test(label) && Number.isSafeInteger(id)) return id;
  errors.add('/label', 'Give the label as a positive whole number.');
  return null;
}

/** Finds the fields that the envelope is made from. */
type Named = (name: 'sender' | 'from' | 'to' | 'cc' | 'bcc') => readonly HeaderField[];

/** Those of the resending, where the message was resent: its own say who got it before (RFC 5322 section 3.6.6). */
function envelopeFields(input: WholeInput, { fields }: HeaderSection, errors: FieldErrors): Named {
  const resendings = fields.filter(({ name }) => name === 'resent-from').length;
  if (resendings > 1 && (input.from === null || input.to.length === 0)) {
    errors.add('/to', 'Give sender and recipients as ?from=…&to=…: the message was resent more than once.');
  }
  return (name) => fields.filter((field) => field.name === (resendings > 0 ? `resent-${name}` : name));
}

/** The envelope's sender: Sender where the message has one, since From may be several (RFC 5322 section 3.6.2). */
function senderOf(input: WholeInput, named: Named, errors: FieldErrors): string {
  if (input.from !== null) return addressOf(input.from, '/from', errors);
  const [field] = [...named('sender'), ...named('from')];
  const [address] = field ? (addressesIn(field) ?? []) : [];
  if (address !== undefined) return address;
  errors.add(
    '/from',
    field
      ? `Give the sender as ?from=…: no address can be read from the ${field.name} field.`
      : 'Give the sender as ?from=…, or a From field with an address.',
  );
  return '';
}

/** Each mailbox once, whatever the case it is written in. */
function recipientsOf(input: WholeInput, named: Named, errors: FieldErrors): string[] {
  const all =
    input.to.length > 0
      ? input.to.slice(0, MOST_RECIPIENTS + 1).map((one) => addressOf(one, '/to', errors))
      : (['to', 'cc', 'bcc'] as const).flatMap(named).flatMap((field) => listed(field, errors));
  if (all.length > MOST_RECIPIENTS) errors.add('/to', `List at most ${MOST_RECIPIENTS} recipients.`);
  const seen = new Set<string>();
  const unique = all.filter((address) => {
    const isNew = !seen.has(address.toLowerCase());
    seen.add(address.toLowerCase());
    return isNew;
  });
  if (unique.length === 0 && !errors.at('/to')) {
    errors.add('/to', 'Give the recipients as ?to=…, or in the fields To, Cc and Bcc.');
  }
  return unique;
}

/** A group, such as "Team: a@b.example, c@d.example;" and "undisclosed-recipients:;" (RFC 5322 section 3.4). */
const GROUP = /^(?:[^:<>@"(),]*|"[^"\\]*" *):([^:;]*);$/;

function listed(field: HeaderField, errors: FieldErrors): readonly string[] {
  const [, members = field.value] = GROUP.exec(field.value) ?? [];
  const addresses = addressesIn({ ...field, value: members });
  if (addresses === null) {
    const detail = `the ${field.name} field is not addresses with commas between them.`;
    errors.add('/to', `Give the recipients as ?to=…: ${detail}`);
  }
  return addresses ?? [];
}

/** A space before the "@" is what a query makes of a "+" that is not percent-encoded. */
const hasDecodedPlus = (mailbox: string): boolean =>
  /^[^<>",@]*@/.test(mailbox) && mailbox.slice(0, mailbox.indexOf('@')).includes(' ');

function addressOf(mailbox: string, pointer: string, errors: FieldErrors): string {
  const parsed = parseMailbox(mailbox);
  if ('mailbox' in parsed) return parsed.mailbox.address;
  const hint = hasDecodedPlus(mailbox) ? ' In a query, write "+" as %2B.' : '';
  errors.add(pointer, parsed.problem + hint);
  return '';
}
