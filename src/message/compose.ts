/** From a message to what SMTP carries: the envelope, and the bytes between DATA and the final dot. */

import { Pace } from '../pace.ts';
import { contentTypeField, dispositionField, mailboxField, parameterField, textField } from './field.ts';
import type { Attachment, Calendar, InlineImage, Message } from './message.ts';
import { textBody } from './text-body.ts';
import { type Body, base64Body } from './transfer.ts';

export interface Composed {
  /** Each recipient once, in the order of to, cc and bcc: the order of RCPT. */
  readonly envelope: { readonly from: string; readonly to: string[] };
  /** Octets as SIZE= counts them (RFC 1870 section 3): those of `bytes`. */
  readonly size: number;
  /** The message with CRLF line ends, before dot-stuffing; null where it has more than was allowed. */
  readonly bytes: Buffer | null;
}

/**
 * Composes the MIME message: `multipart/mixed` of `multipart/alternative` of `multipart/related`, as far as its parts
 * need them. All of it is ASCII, and no line is longer than 990 bytes, which upstream would break. Others have a turn
 * between two slices of a large one.
 *
 * @param maxBytes - a larger message is measured and not written
 */
export async function compose(
  message: Message,
  { messageId, date }: { messageId: string; date: Date },
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<Composed> {
  const pace = new Pace();
  const pieces: Piece[] = [headerOf(message, message.messageId ?? messageId, date)];
  write(rootOf(message, await textsOf(message, pace)), pieces, boundaries());
  let size = 0;
  for (const piece of pieces) size += typeof piece === 'string' ? piece.length : piece.size;
  const last = pieces.at(-1) as Piece;
  // A closing boundary ends its line already; a lone text that is ended twice would get an empty line more.
  if (typeof last !== 'string' && !last.isEnded) {
    pieces.push('\r\n');
    size += 2;
  }
  const envelope = { from: message.returnPath ?? message.from.address, to: recipients(message) };
  return { envelope, size, bytes: size > maxBytes ? null : await assemble(pieces, size, pace) };
}

/** Text of a header, a boundary or an empty line, all ASCII; or a body that was measured. */
type Piece = string | Body;

async function assemble(pieces: readonly Piece[], size: number, pace: Pace): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  let text = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      text += piece;
      continue;
    }
    at += bytes.write(text, at, 'latin1');
    text = '';
    at = await piece.write(bytes, at, pace);
  }
  bytes.write(text, at, 'latin1');
  return bytes;
}

function headerOf(message: Message, messageId: string, date: Date): string {
  const { from, to, cc, replyTo, subject, headers } = message;
  let header = mailboxField('From', [from]);
  if (to.length > 0) header += mailboxField('To', to);
  // Without To and Cc some servers add one of their own, and filters count it as a fault (RFC 5322 section 3.4).
  else if (cc.length === 0) header += 'To: undisclosed-recipients:;\r\n';
  if (cc.length > 0) header += mailboxField('Cc', cc);
  if (replyTo.length > 0) header += mailboxField('Reply-To', replyTo);
  header += textField('Subject', subject);
  header += `Message-ID: ${messageId}\r\n`;
  header += `Date: ${date.toUTCString().replace('GMT', '+0000')}\r\n`;
  for (const [name, value] of headers) header += textField(name, value);
  return `${header}MIME-Version: 1.0\r\n`;
}

/** A part: its own header fields, and its body or its parts. */
type Node =
  | { readonly fields: string; readonly body: Body }
  | { readonly subtype: string; readonly parameters?: readonly string[]; readonly parts: readonly Node[] };

/** The bodies of a message's texts. */
interface Texts {
  readonly text: Body | null;
  readonly html: Body | null;
  readonly calendar: Body | null;
}

const textsOf = async ({ text, html, calendar }: Message, pace: Pace): Promise<Texts> => ({
  text: text === null ? null : await textBody(text, pace),
  html: html === null ? null : await textBody(html, pace),
  calendar: calendar && (await textBody(calendar.content, pace)),
});

function rootOf(message: Message, texts: Texts): Node {
  const files = message.attachments.map(attachmentPart);
  if (message.calendar) files.push(calendarFile(message.calendar));
  return only('mixed', [bodyOf(message, texts), ...files]);
}

function bodyOf({ inlineImages, calendar }: Message, texts: Texts): Node {
  const alternatives: Node[] = [];
  if (texts.text) alternatives.push(textPart('text/plain', texts.text));
  if (texts.html) {
    const page = textPart('text/html', texts.html);
    alternatives.push(
      inlineImages.length === 0
        ? page
        : // RFC 2387 section 3.1.
          {
            subtype: 'related',
            parameters: ['type="text/html"'],
            parts: [page, ...inlineImages.map(imagePart)],
          },
    );
  }
  // The last alternative is the one that a client prefers, where it knows it (RFC 2046 section 5.1.4).
  if (calendar && texts.calendar) {
    alternatives.push(textPart('text/calendar', texts.calendar, [`method=${calendar.method}`]));
  }
  return only('alternative', alternatives);
}

const only = (subtype: string, parts: readonly Node[]): Node =>
  parts.length === 1 ? (parts[0] as Node) : { subtype, parts };

function textPart(type: string, body: Body, parameters: readonly string[] = []): Node {
  const field = parameterField('Content-Type', type, ['charset=utf-8', ...parameters]);
  return { fields: `${field}Content-Transfer-Encoding: ${body.encoding}\r\n`, body };
}

const BASE64 = 'Content-Transfer-Encoding: base64\r\n';

const imagePart = ({ cid, contentType, content, filename }: InlineImage): Node => ({
  fields: `${contentTypeField(contentType, filename)}${BASE64}Content-ID: <${cid}>\r\n${dispositionField('inline', filename)}`,
  body: base64Body(content),
});

const attachmentPart = ({ cid, contentType, content, filename }: Attachment): Node => ({
  fields: `${contentTypeField(contentType, filename)}${BASE64}${cid === null ? '' : `Content-ID: <${cid}>\r\n`}${dispositionField('attachment', filename)}`,
  body: base64Body(content),
});

/** The same invitation as a file: Outlook opens the alternative, Gmail and others look for this one. */
const calendarFile = ({ method, content }: Calendar): Node => ({
  fields: `${contentTypeField(`application/ics; method=${method}`, 'invite.ics')}${BASE64}${dispositionField('attachment', 'invite.ics')}`,
  body: base64Body(Buffer.from(content).toString('base64')),
});

function write(node: Node, pieces: Piece[], nextBoundary: () => string): void {
  if ('body' in node) {
    pieces.push(node.fields, '\r\n', node.body);
    return;
  }
  const boundary = nextBoundary();
  const parameters = [...(node.parameters ?? []), `boundary="${boundary}"`];
  pieces.push(parameterField('Content-Type', `multipart/${node.subtype}`, parameters), '\r\n');
  for (const [index, part] of node.parts.entries()) {
    pieces.push(`${index === 0 ? '' : '\r\n'}--${boundary}\r\n`);
    write(part, pieces, nextBoundary);
  }
  pieces.push(`\r\n--${boundary}--\r\n`);
}

/**
 * Boundaries of one message. `=_` stands in no quoted-printable and no base64 (RFC 2045 section 6.7), and a text that
 * goes out as it is cannot guess the random part.
 */
function boundaries(): () => string {
  const base = randomHex();
  let count = 0;
  return () => `=_${base}_${++count}`;
}

/** Random bytes are drawn for many messages at once: a draw costs as much as composing one. */
const POOL_BYTES = 4096;
const HEX_DIGITS = 24;
let pool = '';

function randomHex(): string {
  if (pool.length < HEX_DIGITS) {
    pool = Buffer.from(crypto.getRandomValues(new Uint8Array(POOL_BYTES))).toString('hex');
  }
  const taken = pool.slice(0, HEX_DIGITS);
  pool = pool.slice(HEX_DIGITS);
  return taken;
}

/** Once each, whatever the case it is written in: the first spelling stands. */
function recipients({ to, cc, bcc }: Message): string[] {
  const seen = new Map<string, string>();
  for (const { address } of [...to, ...cc, ...bcc]) {
    const key = address.toLowerCase();
    if (!seen.has(key)) seen.set(key, address);
  }
  return [...seen.values()];
}
