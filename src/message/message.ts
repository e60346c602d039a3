/** A message that can be sent as it is: what `parse` makes and `compose` writes. */

import type { FieldError } from '../outcome.ts';
import type { Mailbox } from './mailbox.ts';

/** A picture inside the message, for the HTML to refer to. */
export interface InlineImage {
  /** Without angle brackets. */
  readonly cid: string;
  readonly contentType: string;
  /** Canonical base64 (RFC 4648 section 4) without line breaks. */
  readonly content: string;
  readonly filename: string;
}

export interface Attachment {
  readonly filename: string;
  readonly contentType: string;
  /** Canonical base64 (RFC 4648 section 4) without line breaks. */
  readonly content: string;
  /** Without angle brackets; null where the part has none. */
  readonly cid: string | null;
}

/** An invitation (RFC 5546): goes out as an alternative of the text and as an .ics file. */
export interface Calendar {
  /** Upper case: REQUEST, CANCEL, REPLY … */
  readonly method: string;
  /** The iCalendar object (RFC 5545). */
  readonly content: string;
}

/** Everything is checked, and nothing is optional. */
export interface Message {
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  /** Never empty; one of `text` and `html` may be null. */
  readonly text: string | null;
  /** As `text`, with its data-URI pictures replaced by references to inline images. */
  readonly html: string | null;
  readonly label: number | null;
  /** The caller's, then those made from data URIs. */
  readonly inlineImages: readonly InlineImage[];
  readonly attachments: readonly Attachment[];
  readonly calendar: Calendar | null;
  /** The envelope's sender; null where it is that of `from`. */
  readonly returnPath: string | null;
  /** The caller's Message-ID with its angle brackets; null where the gateway makes one. */
  readonly messageId: string | null;
  /** In order; a name may stand several times. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Unix time in milliseconds before which it is not sent; null: at once. */
  readonly sendAt: number | null;
  /** How many distinct pictures were made from data URIs. */
  readonly embedded: number;
  /** What goes out and will not show everywhere. */
  readonly warnings: readonly FieldError[];
}

/** `<id@domain>`, the Message-ID of a message from that sender (RFC 5322 section 3.6.4). */
export const messageIdFor = (id: string, from: Mailbox): string =>
  `<${id}@${from.address.slice(from.address.lastIndexOf('@') + 1)}>`;
