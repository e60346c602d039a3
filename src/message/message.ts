/** A message that can be sent as it is: what `parse` makes and `compose` writes. */

import type { FieldError } from '../outcome.ts';
import type { Mailbox } from './mailbox.ts';
import type { PictureType } from './picture.ts';

/** A picture inside the message. `cid` has no angle brackets. */
export interface InlineImage {
  readonly cid: string;
  readonly contentType: PictureType;
  readonly content: Buffer;
  readonly filename: string | null;
}

export interface Attachment {
  readonly filename: string;
  readonly contentType: string;
  readonly content: Buffer;
}

/** A message that can be sent as it is: everything is checked, and nothing is optional. */
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
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The caller's Message-ID with its angle brackets; null where the gateway makes one. */
  readonly messageId: string | null;
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
