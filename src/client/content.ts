/** A message's files as the caller has them, made into the base64 of its JSON. */

import type { MessageInput } from '../message/schema.ts';

/** Base64 text, or the bytes themselves. */
export type Content = string | Uint8Array | ArrayBuffer | Blob;

type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;

type WithContent<Part> = Frozen<Omit<Part, 'content'>> & { readonly content: Content };

export type Attachment = WithContent<NonNullable<MessageInput['attachments']>[number]>;
export type InlineImage = WithContent<NonNullable<MessageInput['inlineImages']>[number]>;

/** One message: the gateway's own schema, but that a part's content may be bytes. */
export interface Message extends Frozen<Omit<MessageInput, 'attachments' | 'inlineImages' | 'sendAt'>> {
  readonly attachments?: readonly Attachment[] | null | undefined;
  readonly inlineImages?: readonly InlineImage[] | null | undefined;
}

/** A message for the outbox. */
export interface LaterMessage extends Message {
  /** RFC 3339, at most 30 days ahead; absent: as soon as possible. */
  readonly sendAt?: string | Date | null | undefined;
}

/** The same message with every content in base64. */
export async function encoded(message: LaterMessage): Promise<object> {
  const { attachments, inlineImages, sendAt } = message;
  return {
    ...message,
    // As JSON an invalid date would be null, which is at once.
    ...(sendAt instanceof Date && { sendAt: sendAt.toISOString() }),
    ...(attachments && { attachments: await Promise.all(attachments.map(encodedPart)) }),
    ...(inlineImages && { inlineImages: await Promise.all(inlineImages.map(encodedPart)) }),
  };
}

const encodedPart = async <Part extends { readonly content: Content }>(part: Part) => ({
  ...part,
  content: await base64Of(part.content),
});

async function base64Of(content: Content): Promise<string> {
  if (content instanceof Blob) return base64OfBytes(new Uint8Array(await content.arrayBuffer()));
  if (content instanceof ArrayBuffer) return base64OfBytes(new Uint8Array(content));
  if (content instanceof Uint8Array) return base64OfBytes(content);
  // Text, or what the gateway will find wrong by its place in the message.
  return content;
}

/** More arguments than this overflow the stack of some engine. */
const CHUNK = 0x8000;

function base64OfBytes(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    binary += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return btoa(binary);
}
