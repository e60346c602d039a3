/** From a message to what SMTP carries: the envelope, and the bytes between DATA and the final dot. */

import MailComposer from 'nodemailer/lib/mail-composer';
import * as mimeFuncs from 'nodemailer/lib/mime-funcs';
import MimeNode from 'nodemailer/lib/mime-node';
import * as quotedPrintable from 'nodemailer/lib/qp';
import type { Message } from './message.ts';

export interface Composed {
  /** Each recipient once, in the order of to, cc and bcc: the order of RCPT. */
  readonly envelope: { readonly from: string; readonly to: string[] };
  /** The message with CRLF line ends, before dot-stuffing. */
  readonly bytes: Buffer;
  /** Octets as SIZE= counts them (RFC 1870 section 3): those of `bytes`. */
  readonly size: number;
}

/**
 * Composes the MIME message: `multipart/mixed` of `multipart/alternative` of `multipart/related`, as far
 * as its parts need them. No line is longer than 990 bytes, which upstream would break.
 */
export function compose(message: Message, ids: { messageId: string; date: Date }): Composed {
  const root = new MailComposer({
    from: message.from,
    to: [...message.to],
    cc: [...message.cc],
    replyTo: [...message.replyTo],
    subject: message.subject,
    messageId: ids.messageId,
    date: ids.date,
    // As long and as hard to guess as nodemailer's own, which draws random bytes for every node.
    baseBoundary: crypto.randomUUID().replaceAll('-', '').slice(-16),
    text: message.text === null ? undefined : withCrlf(message.text),
    html: message.html === null ? undefined : withCrlf(message.html),
    attachments: [
      // A file's name goes into the disposition, by RFC 2231, and into the content type as well, where RFC 2047
      // would not have it: QQ's webmail reads no other.
      ...message.inlineImages.map((image) => ({
        ...image,
        content: Buffer.from(image.content, 'base64'),
        contentDisposition: 'inline',
      })),
      ...message.attachments.map(({ cid, ...file }) => ({
        ...file,
        ...(cid !== null && { cid }),
        content: Buffer.from(file.content, 'base64'),
        contentDisposition: 'attachment',
      })),
    ],
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  const parts = message.headers.map(([name, value]) => `${headerField(name, value)}\r\n`);
  write(root, parts);
  const text = parts.join('');
  // All of it is ASCII by now (a test holds that), and UTF-8 would take four times as long to write it.
  const bytes = Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
  return { envelope: { from: message.from.address, to: recipients(message) }, bytes, size: bytes.length };
}

/** The line ends of a text body in transfer (RFC 2046 section 4.1.1). */
const withCrlf = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');

/**
 * A custom header, folded. A value of plain ASCII goes out as the caller wrote it: nodemailer would make an
 * encoded-word of any value with a double quote, which is right for prose and wrong for JSON or a
 * quoted-string, and it writes References and the case of names its own way.
 */
function headerField(name: string, value: string): string {
  const isAscii = /^[\x20-\x7e]*$/.test(value);
  return mimeFuncs.foldLines(`${name}: ${isAscii ? value : MimeNode.encodeHeaderValue(name, value)}`);
}

/**
 * Writes a node as `MimeNode.build` does, and without its streams: those take two thirds of the time of
 * a small message, waiting for the event loop. A test holds both results against each other.
 */
function write(node: MimeNode, parts: string[]): void {
  // Also decides the node's boundary and encoding.
  parts.push(node.buildHeaders(), '\r\n\r\n');
  if (node.content) parts.push(encodeBody(node));
  if (!node.multipart) return;
  for (const child of node.childNodes) {
    parts.push(child === node.childNodes[0] ? '--' : '\r\n--', node.boundary as string, '\r\n');
    write(child, parts);
  }
  parts.push('\r\n--', node.boundary as string, '--\r\n');
}

function encodeBody(node: MimeNode): string {
  const content = node.content as string | Buffer;
  switch (node.getTransferEncoding()) {
    case 'base64':
      return base64Lines(Buffer.isBuffer(content) ? content : Buffer.from(content));
    case 'quoted-printable':
      return quotedPrintable.wrap(quotedPrintable.encode(content));
    default:
      return content.toString();
  }
}

/** Lines of 76 characters (RFC 2045 section 6.8). nodemailer's own wraps by a pattern, in twice the time. */
function base64Lines(bytes: Buffer): string {
  const text = bytes.toString('base64');
  let lines = text.slice(0, 76);
  for (let at = 76; at < text.length; at += 76) lines += `\r\n${text.slice(at, at + 76)}`;
  return lines;
}

/** Once each: parseMessage has lowered the domains, and a local part means what its case says (RFC 5321 section 2.4). */
function recipients({ to, cc, bcc }: Message): string[] {
  return [...new Set([...to, ...cc, ...bcc].map(({ address }) => address))];
}
