/** A message's files as the caller has them, made into the base64 of its JSON. */

import type { MessageInput } from '../message/schema.ts';

/** The bytes themselves, or a text: of a part its base64, of a whole message all of it. */
export type Content = string | ArrayBufferView | ArrayBuffer | Blob;

/** Whether it can be one, for callers without types. */
export const isContent = (content: unknown): boolean =>
  typeof content === 'string' ||
  content instanceof Blob ||
  content instanceof ArrayBuffer ||
  ArrayBuffer.isView(content);

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

/**
 * The same message with every content in base64. What else is wrong with it the gateway says, and where.
 *
 * @throws {TypeError} where it is no object
 */
export async function encoded(message: LaterMessage): Promise<object> {
  if (typeof message !== 'object' || message === null) throw new TypeError('Give the message as an object.');
  const { attachments, inlineImages, sendAt } = message;
  return {
    ...message,
    // As JSON an invalid date would be null, which is at once.
    ...(sendAt instanceof Date && { sendAt: sendAt.toISOString() }),
    ...(Array.isArray(attachments) && { attachments: await Promise.all(attachments.map(encodedPart)) }),
    ...(Array.isArray(inlineImages) && { inlineImages: await Promise.all(inlineImages.map(encodedPart)) }),
  };
}

const encodedPart = async <Part extends { readonly content: Content }>(part: Part) =>
  part && { ...part, content: await base64Of(part.content) };

async function base64Of(content: Content): Promise<string> {
  if (content instanceof Blob) return base64OfBytes(new Uint8Array(await content.arrayBuffer()));
  if (content instanceof ArrayBuffer) return base64OfBytes(new Uint8Array(content));
  if (ArrayBuffer.isView(content)) {
    return base64OfBytes(new Uint8Array(content.buffer, content.byteOffset, content.byteLength));
  }
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
