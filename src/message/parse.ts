/**
 * From what a caller sends to the message that comes out of it.
 *
 * Validation has two steps, and one answer lists what both find. The schema says the shape, and the API
 * description is made from it; `resolve` checks what a schema cannot say (addresses, bytes against
 * their type, the HTML against its pictures) and makes the `Message`.
 */

import { safeParse } from 'valibot';
import type { FieldError } from '../outcome.ts';
import { MAX_RECIPIENTS, MAX_REPLY_TO } from '../sendcloud.ts';
import { base64Problem, decodeBase64 } from './base64.ts';
import { addIssue, FieldErrors, token } from './field-errors.ts';
import { encodedTextProblem, headerNameProblem, headerValueProblem } from './header.ts';
import { type ScannedHtml, scanHtml } from './html.ts';
import {
  type Mailbox,
  type MailboxInput,
  type ParserAllowance,
  parseMailbox,
  parserAllowance,
} from './mailbox.ts';
import type { Attachment, InlineImage, Message } from './message.ts';
import { pictureProblem } from './picture.ts';
import {
  AttachmentSchema,
  InlineImageSchema,
  MAX_HEADERS,
  MAX_PARTS,
  MailboxSchema,
  type MessageInput,
  MessageSchema,
} from './schema.ts';
import { parseSendAt } from './send-at.ts';

/** A message, or all that is wrong with it: at most 100 errors, at least one. */
export type ParsedMessage = { readonly message: Message } | { readonly errors: readonly FieldError[] };

/** Validates what a caller sent: any JSON value. */
export function parseMessage(input: unknown): ParsedMessage {
  if (!isObject(input)) return { errors: [{ pointer: '', message: 'Give the message as a JSON object.' }] };
  const errors = new FieldErrors();
  const bounded = withinLimits(input);
  // One error a field: text that is too long need not match a pattern as well.
  const shape = safeParse(MessageSchema, bounded, { abortPipeEarly: true });
  if (!shape.success) for (const issue of shape.issues) addIssue(errors, issue, '', fieldsAt);
  const message = resolve(bounded as MessageInput, errors);
  return errors.list.length > 0 ? { errors: errors.list } : { message };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const LISTS = [
  ['to', MAX_RECIPIENTS],
  ['cc', MAX_RECIPIENTS],
  ['bcc', MAX_RECIPIENTS],
  ['replyTo', MAX_REPLY_TO],
  ['inlineImages', MAX_PARTS],
  ['attachments', MAX_PARTS],
] as const;

/**
 * The input with its lists cut one behind their limit: the schema still sees that they are too long,
 * and a list of millions costs no more than that.
 */
function withinLimits(input: Record<string, unknown>): Record<string, unknown> {
  let bounded = input;
  for (const [field, max] of LISTS) {
    const list = input[field];
    if (Array.isArray(list) && list.length > max) bounded = { ...bounded, [field]: list.slice(0, max + 1) };
  }
  if (isObject(input.headers)) {
    const names = Object.keys(input.headers);
    if (names.length > MAX_HEADERS) {
      const some = Object.entries(input.headers).slice(0, MAX_HEADERS + 1);
      bounded = { ...bounded, headers: Object.fromEntries(some) };
    }
  }
  return bounded;
}

function fieldsAt(pointer: string): string[] {
  if (pointer === '') return Object.keys(MessageSchema.entries);
  if (pointer.startsWith('/inlineImages/')) return Object.keys(InlineImageSchema.entries);
  if (pointer.startsWith('/attachments/')) return Object.keys(AttachmentSchema.entries);
  return Object.keys(MailboxSchema.options[1].entries);
}

/**
 * Checks what the schema cannot say, and makes the message. What has the wrong shape is passed over, so
 * the message is whole only where no error was found.
 */
function resolve(input: MessageInput, errors: FieldErrors): Message {
  const allowance = parserAllowance();
  const from = resolveMailboxes(input.from, '/from', allowance, errors)[0] as Mailbox;
  const to = resolveMailboxes(input.to, '/to', allowance, errors);
  const cc = resolveMailboxes(input.cc, '/cc', allowance, errors);
  const bcc = resolveMailboxes(input.bcc, '/bcc', allowance, errors);
  if (isNone(input.to) && isNone(input.cc) && isNone(input.bcc)) {
    errors.add('/to', 'Add a recipient in to, cc or bcc.');
  }
  const replyTo = resolveMailboxes(input.replyTo, '/replyTo', allowance, errors);
  const subject = resolveHeaderText(input.subject, '/subject', errors);
  const text = resolveBody(input.text, '/text', errors);
  const html = resolveBody(input.html, '/html', errors);
  if (text === null && html === null && !errors.at('/text') && !errors.at('/html')) {
    errors.add('/text', 'Add text or html: a message needs a body.');
  }
  const inlineImages = resolveInlineImages(input.inlineImages, errors);
  const scanned = crossCheck(html, input.inlineImages, errors);
  return {
    from,
    to,
    cc,
    bcc,
    replyTo,
    subject,
    text,
    html: scanned === null ? html : scanned.html,
    label: resolveLabel(input.label, errors),
    sendAt: resolveSendAt(input.sendAt, errors),
    inlineImages: scanned === null ? inlineImages : inlineImages.concat(scanned.embedded),
    attachments: resolveAttachments(input.attachments, errors),
    headers: resolveHeaders(input.headers, errors),
    messageId: null,
    embedded: scanned === null ? 0 : scanned.embedded.length,
    warnings: [],
  };
}

const isNone = (list: unknown): boolean => list === undefined || (Array.isArray(list) && list.length === 0);

function resolveMailboxes(
  input: MailboxInput | readonly MailboxInput[] | undefined,
  pointer: string,
  allowance: ParserAllowance,
  errors: FieldErrors,
): Mailbox[] {
  if (input === undefined) return [];
  const mailboxes: Mailbox[] = [];
  const inputs = isList(input) ? input : [input];
  for (const [index, one] of inputs.entries()) {
    const at = inputs === input ? `${pointer}/${index}` : pointer;
    if (!isMailboxInput(one, at, errors)) continue;
    const parsed = parseMailbox(one, allowance);
    if ('mailbox' in parsed) mailboxes.push(parsed.mailbox);
    else errors.add(at + parsed.at, parsed.problem);
  }
  return mailboxes;
}

function isMailboxInput(value: unknown, at: string, errors: FieldErrors): value is MailboxInput {
  if (typeof value === 'string') return !errors.at(at);
  return (
    isObject(value) &&
    typeof value.address === 'string' &&
    !errors.at(`${at}/address`) &&
    !errors.at(`${at}/name`)
  );
}

/** `Array.isArray`, which does not know readonly arrays. */
const isList = <T>(value: T | readonly T[]): value is readonly T[] => Array.isArray(value);

/** Text for a header, without white space around it, which no header keeps. */
function resolveHeaderText(value: string | undefined, pointer: string, errors: FieldErrors): string {
  if (typeof value !== 'string' || errors.at(pointer)) return '';
  const problem = value.trim() === '' ? 'Give this field a text: it is blank.' : encodedTextProblem(value);
  if (problem !== null) errors.add(pointer, problem);
  return value.trim();
}

function resolveBody(value: string | undefined, pointer: string, errors: FieldErrors): string | null {
  if (typeof value !== 'string' || value === '') return null;
  if (value.includes('\0')) errors.add(pointer, 'Remove the NUL characters.');
  if (!value.isWellFormed()) {
    errors.add(pointer, 'Remove the lone surrogates: the text must be well-formed Unicode.');
  }
  return value;
}

function resolveLabel(label: number | string | undefined, errors: FieldErrors): number | null {
  if (label === undefined || errors.at('/label')) return null;
  const id = Number(label);
  if (!Number.isSafeInteger(id)) errors.add('/label', `Give a label of at most ${Number.MAX_SAFE_INTEGER}.`);
  return id;
}

function resolveSendAt(value: string | undefined, errors: FieldErrors): number | null {
  if (typeof value !== 'string' || errors.at('/sendAt')) return null;
  const time = parseSendAt(value);
  if (typeof time === 'number') return time;
  errors.add('/sendAt', time.problem);
  return null;
}

function resolveBytes(base64: string, pointer: string, errors: FieldErrors): Buffer | null {
  if (typeof base64 !== 'string') return null;
  const bytes = decodeBase64(base64);
  if (bytes === null) errors.add(pointer, base64Problem(base64));
  return bytes;
}

function resolveFilename(value: string | undefined, pointer: string, errors: FieldErrors): string {
  const filename = resolveHeaderText(value, pointer, errors);
  if (/[/\\]/.test(filename) || filename === '.' || filename === '..') {
    errors.add(pointer, 'Give the name of the file alone, without a path.');
  }
  return filename;
}

function resolveInlineImages(images: MessageInput['inlineImages'], errors: FieldErrors): InlineImage[] {
  if (!Array.isArray(images)) return [];
  return images.flatMap((image, index) => {
    if (!isObject(image)) return [];
    const at = `/inlineImages/${index}`;
    const filename =
      image.filename === undefined ? null : resolveFilename(image.filename, `${at}/filename`, errors);
    const content = resolveBytes(image.content, `${at}/content`, errors);
    if (content === null || errors.at(`${at}/contentType`)) return [];
    const problem = pictureProblem(content, image.contentType);
    if (problem !== null) errors.add(`${at}/content`, problem);
    return [{ cid: image.cid, contentType: image.contentType, content, filename }];
  });
}

function resolveAttachments(attachments: MessageInput['attachments'], errors: FieldErrors): Attachment[] {
  if (!Array.isArray(attachments)) return [];
  return attachments.flatMap((attachment, index) => {
    if (!isObject(attachment)) return [];
    const at = `/attachments/${index}`;
    const filename = resolveFilename(attachment.filename, `${at}/filename`, errors);
    if (/^(?:multipart|message)\//i.test(attachment.contentType)) {
      // MIME allows no base64 for these (RFC 2046 sections 5.1 and 5.2), so their bytes could change on the way.
      errors.add(`${at}/contentType`, 'Use "application/octet-stream" for a file of this type.');
    }
    const content = resolveBytes(attachment.content, `${at}/content`, errors);
    return content === null ? [] : [{ filename, contentType: attachment.contentType, content }];
  });
}

const TOO_MANY_PICTURES = `Use at most ${MAX_PARTS} inline images, those in data URIs included.`;

/** Holds the HTML's `cid:` references and the inline images against each other. */
function crossCheck(
  html: string | null,
  images: MessageInput['inlineImages'],
  errors: FieldErrors,
): ScannedHtml | null {
  const cids = new Set<string>();
  const list: readonly unknown[] = Array.isArray(images) ? images : [];
  list.forEach((image, index) => {
    if (!isObject(image) || typeof image.cid !== 'string') return;
    if (cids.has(image.cid)) {
      errors.add(
        `/inlineImages/${index}/cid`,
        'Give each inline image its own Content-ID: this one is taken.',
      );
    }
    cids.add(image.cid);
  });
  if (html === null) {
    if (list.length > 0 && !errors.at('/html')) {
      errors.add('/inlineImages', 'Add html that refers to the inline images, or send them as attachments.');
    }
    return null;
  }
  const scanned = scanHtml(html, cids);
  if (scanned === null) {
    if (list.length <= MAX_PARTS) errors.add('/html', TOO_MANY_PICTURES);
    return null;
  }
  for (const problem of scanned.problems) errors.add('/html', problem);
  if (list.length <= MAX_PARTS && list.length + scanned.embedded.length > MAX_PARTS) {
    errors.add('/html', TOO_MANY_PICTURES);
  }
  if (images === undefined || Array.isArray(images)) {
    for (const cid of scanned.references) {
      if (!cids.has(cid))
        errors.add('/html', `Add the inline image for "cid:${cid}", or remove the reference.`);
    }
  }
  list.forEach((image, index) => {
    const at = `/inlineImages/${index}/cid`;
    if (
      !isObject(image) ||
      typeof image.cid !== 'string' ||
      errors.at(at) ||
      scanned.references.has(image.cid)
    )
      return;
    errors.add(at, `Refer to "cid:${image.cid}" in the html, or send the picture as an attachment.`);
  });
  return scanned;
}

function resolveHeaders(headers: MessageInput['headers'], errors: FieldErrors): [string, string][] {
  if (headers === undefined) return [];
  if (!isObject(headers)) {
    // The schema takes a list for an object.
    if (!errors.at('/headers')) errors.add('/headers', 'Give the headers as an object of strings.');
    return [];
  }
  const resolved: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    const at = `/headers${token(name)}`;
    const nameProblem = headerNameProblem(name);
    if (nameProblem !== null) errors.add(at, nameProblem);
    // A value that the schema found too long may be one of megabytes, and the checks below are for short ones.
    if (errors.at(at)) continue;
    // The schema passes over keys like "constructor".
    const valueProblem =
      typeof value === 'string' ? headerValueProblem(name, value) : 'Give the header value as a string.';
    if (valueProblem !== null) errors.add(at, valueProblem);
    else resolved.push([name, value.trim()]);
  }
  return resolved;
}
