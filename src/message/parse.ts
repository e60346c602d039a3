/**
 * From what a caller sends to the message that comes out of it.
 *
 * Validation has two steps, and one answer lists what both find. The schema says the shape, and the API
 * description is made from it; `resolve` checks what a schema cannot say (addresses, bytes against
 * their type, the HTML against its pictures) and makes the `Message`.
 */

import { safeParse } from 'valibot';
import type { FieldError } from '../outcome.ts';
import { canonicalBase64 } from './base64.ts';
import { bounded } from './bounds.ts';
import { CALENDAR_METHODS, resolveCalendar } from './calendar.ts';
import { excerpt } from './characters.ts';
import { type HeadersInput, resolveHeaders } from './custom-headers.ts';
import { dataUriType, readDataUri } from './data-uri.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import { addIssue, FieldErrors, NOT_A_LIST } from './field-errors.ts';
import type { ReadFiles } from './files.ts';
import { encodedTextProblem } from './header.ts';
import { MOST_PLACES, type ScannedHtml, scanHtml } from './html-pictures.ts';
import { type Mailbox, type MailboxInput, parseMailbox } from './mailbox.ts';
import { essenceOf, formatMediaType, type MediaType, parseMediaType } from './media-type.ts';
import type { Attachment, Calendar, InlineImage, Message } from './message.ts';
import {
  extensionOf,
  isPictureType,
  PICTURE_TYPES,
  type PictureType,
  pictureProblem,
  pictureWarning,
} from './picture.ts';
import {
  AttachmentSchema,
  CalendarSchema,
  InlineImageSchema,
  MAX_PARTS,
  MailboxSchema,
  type MessageInput,
  MessageSchema,
} from './schema.ts';
import { parseSendAt } from './send-at.ts';

/** A message, or all that is wrong with it: at most 100 errors, at least one. */
export type ParsedMessage = { readonly message: Message } | { readonly errors: readonly FieldError[] };

const NONE: ReadFiles = new Map();

/**
 * Validates what a caller sent: any JSON value.
 *
 * @param files - those of it that were read already
 */
export function parseMessage(input: unknown, files = NONE): ParsedMessage {
  if (!isObject(input)) return { errors: [{ pointer: '', message: 'The message must be a JSON object.' }] };
  const errors = new FieldErrors();
  const visible = bounded(input);
  // One error a field: text that is too long need not match a pattern as well.
  const shape = safeParse(MessageSchema, visible, { abortPipeEarly: true });
  if (!shape.success) for (const issue of shape.issues) addIssue(errors, issue, '', fieldsAt);
  const message = resolve(visible as MessageInput, files, errors);
  return errors.list.length > 0 ? { errors: errors.list } : { message };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function fieldsAt(pointer: string): string[] {
  if (pointer === '') return Object.keys(MessageSchema.entries);
  if (pointer === '/calendar') return Object.keys(CalendarSchema.entries);
  if (pointer.startsWith('/inlineImages/')) return Object.keys(InlineImageSchema.entries);
  if (pointer.startsWith('/attachments/')) return Object.keys(AttachmentSchema.entries);
  return Object.keys(MailboxSchema.options[1].entries);
}

/**
 * Checks what the schema cannot say, and makes the message. What has the wrong shape is passed over, so
 * the message is whole only where no error was found.
 */
function resolve(input: MessageInput, files: ReadFiles, errors: FieldErrors): Message {
  const from = resolveMailboxes(input.from, '/from', errors)[0] as Mailbox;
  const to = resolveMailboxes(input.to, '/to', errors);
  const cc = resolveMailboxes(unlessBlank(input.cc), '/cc', errors);
  const bcc = resolveMailboxes(unlessBlank(input.bcc), '/bcc', errors);
  if ([input.to, input.cc, input.bcc].every((list) => isNone(unlessBlank(list))) && !errors.at('/to')) {
    errors.add('/to', 'Add a recipient in to, cc or bcc.');
  }
  const replyTo = resolveMailboxes(unlessBlank(input.replyTo), '/replyTo', errors);
  const subject = resolveHeaderText(input.subject, '/subject', errors);
  const text = resolveBody(input.text, '/text', errors);
  const html = resolveBody(input.html, '/html', errors);
  if (text === null && html === null && !errors.at('/text') && !errors.at('/html')) {
    errors.add('/text', 'Add text or html: a message needs a body.');
  }
  const inlineImages = resolveInlineImages(input.inlineImages, files, errors);
  const attachments = resolveAttachments(input.attachments, files, errors);
  // Without a sender there is an error, and no message that has this domain.
  const domain = from?.address.slice(from.address.lastIndexOf('@') + 1) ?? 'invalid';
  const scanned = crossCheck(html, domain, input, errors);
  const isShown = (file: Attachment): file is InlineImage => isShownBy(scanned, file);
  const warnings = [...inlineImages.warnings, ...checkShown(attachments, isShown, errors)];
  for (const message of scanned?.warnings ?? []) warnings.push({ pointer: '/html', message });
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
    inlineImages: [
      ...withNames([...inlineImages.list, ...(scanned?.embedded ?? [])], attachments),
      ...attachments.filter(isShown),
    ],
    attachments: attachments.filter((file) => !isShown(file)),
    calendar: resolveInvitation(input.calendar, warnings, errors),
    returnPath: resolveReturnPath(input.returnPath, errors),
    messageId: resolveMessageId(input.messageId, errors),
    headers: resolveCustomHeaders(input.headers, errors),
    embedded: scanned === null ? 0 : scanned.embedded.length,
    warnings,
  };
}

function resolveCustomHeaders(headers: unknown, errors: FieldErrors): Message['headers'] {
  if (isObject(headers)) return resolveHeaders(headers as HeadersInput, errors);
  // Some languages write an empty object as a list; the schema takes any list for an object.
  if (Array.isArray(headers) && headers.length > 0) errors.add('/headers', NOT_A_LIST);
  return [];
}

/** null and an absent field are the same. */
const isNone = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0);

/** What a form or a typed client sends for a field that was not filled in. */
const unlessBlank = <T>(value: T): T | undefined => (value === '' ? undefined : value);

function resolveMailboxes(
  input: MailboxInput | readonly MailboxInput[] | null | undefined,
  pointer: string,
  errors: FieldErrors,
): Mailbox[] {
  if (input === undefined || input === null) return [];
  const mailboxes: Mailbox[] = [];
  const inputs = isList(input) ? input : [input];
  for (const [index, one] of inputs.entries()) {
    const at = inputs === input ? `${pointer}/${index}` : pointer;
    if (!isMailboxInput(one, at, errors)) continue;
    const parsed = parseMailbox(one);
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
function resolveHeaderText(value: string | null | undefined, pointer: string, errors: FieldErrors): string {
  if (typeof value !== 'string' || errors.at(pointer)) return '';
  const text = value.trim();
  const problem = text === '' ? 'This field must not be blank.' : encodedTextProblem(text);
  if (problem !== null) errors.add(pointer, problem);
  return text;
}

function resolveBody(value: string | null | undefined, pointer: string, errors: FieldErrors): string | null {
  if (typeof value !== 'string' || value === '') return null;
  if (value.includes('\0')) errors.add(pointer, 'Remove the NUL characters.');
  if (!value.isWellFormed()) {
    errors.add(pointer, 'Remove the lone surrogates: the text must be well-formed Unicode.');
  }
  return value;
}

function resolveLabel(label: number | string | null | undefined, errors: FieldErrors): number | null {
  if (label === undefined || label === null || errors.at('/label')) return null;
  const id = Number(label);
  if (!Number.isSafeInteger(id)) {
    errors.add('/label', `The label must be at most ${Number.MAX_SAFE_INTEGER}.`);
  }
  return id;
}

function resolveSendAt(value: string | null | undefined, errors: FieldErrors): number | null {
  if (typeof value !== 'string' || errors.at('/sendAt')) return null;
  const time = parseSendAt(value);
  if (typeof time === 'number') return time;
  errors.add('/sendAt', time.problem);
  return null;
}

function resolveReturnPath(value: string | null | undefined, errors: FieldErrors): string | null {
  if (typeof value !== 'string' || errors.at('/returnPath')) return null;
  const parsed = parseMailbox(value);
  if ('problem' in parsed) {
    errors.add('/returnPath', parsed.problem);
    return null;
  }
  if (parsed.mailbox.name !== '') errors.add('/returnPath', 'Use the address alone, without a name.');
  return parsed.mailbox.address;
}

const ATEXT = "[\\w!#$%&'*+\\-/=?^`{|}~]+";
const DOT_ATOM = `${ATEXT}(?:\\.${ATEXT})*`;
/** RFC 5322 section 3.6.4, with or without the angle brackets. */
const MESSAGE_ID = new RegExp(`^(<?)(${DOT_ATOM}@(?:${DOT_ATOM}|\\[[\\x21-\\x5a\\x5e-\\x7e]+\\]))(>?)$`);

function resolveMessageId(value: string | null | undefined, errors: FieldErrors): string | null {
  if (typeof value !== 'string' || value === '' || errors.at('/messageId')) return null;
  const [, open, id, close] = MESSAGE_ID.exec(value.trim()) ?? [];
  if (id === undefined || (open === '') !== (close === '')) {
    errors.add('/messageId', 'Use a message id such as "<order-17@ifaxin.com>" (RFC 5322 section 3.6.4).');
    return null;
  }
  return `<${id}>`;
}

function resolveInvitation(
  calendar: MessageInput['calendar'],
  warnings: FieldError[],
  errors: FieldErrors,
): Calendar | null {
  if (!isObject(calendar)) return null;
  const method = errors.at('/calendar/method') ? null : calendar.method.trim().toUpperCase();
  if (method !== null && !(CALENDAR_METHODS as readonly string[]).includes(method)) {
    errors.add('/calendar/method', `Use one of ${CALENDAR_METHODS.join(', ')}.`);
  }
  if (method === null || errors.at('/calendar')) return null;
  const resolved = resolveCalendar(method, calendar.content);
  if ('problem' in resolved) {
    errors.add('/calendar/content', resolved.problem);
    return null;
  }
  const { content, lacks } = resolved;
  if (lacks.length > 0) {
    const message = `Mail clients may offer no answer to it: it lacks ${lacks.join(', ')} (RFC 5546 section 3.2.2).`;
    warnings.push({ pointer: '/calendar/content', message });
  }
  return { method, content };
}

/** The bytes of a part in canonical base64; a data URI in their place must not say another type. */
function resolveContent(
  file: { readonly content: unknown },
  files: ReadFiles,
  type: MediaType | null,
  pointer: string,
  errors: FieldErrors,
): string | null {
  const { content } = file;
  if (typeof content !== 'string') return null;
  const claimed = dataUriType(content);
  const read = files.get(file) ?? (claimed === null ? canonicalBase64(content) : readDataUri(content));
  if ('problem' in read) {
    errors.add(pointer, read.problem);
    return null;
  }
  if (claimed !== null && type !== null && !agree(claimed, type.essence)) {
    errors.add(
      pointer,
      `The data URI says ${excerpt(claimed)}, and contentType ${excerpt(type.essence)}: correct one of them.`,
    );
  }
  return read.base64;
}

/** Browsers write the general type, or none, for a file of which they know nothing. */
const agree = (claimed: string, type: string): boolean =>
  [claimed, type].some((one) => one === '' || one === 'application/octet-stream') || claimed === type;

function resolveMediaType(value: unknown, pointer: string, errors: FieldErrors): MediaType | null {
  if (typeof value !== 'string' || errors.at(pointer)) return null;
  const type = parseMediaType(value);
  if (type === null) {
    errors.add(pointer, 'Use a content type such as "application/pdf" or "text/csv; charset=utf-8".');
  }
  return type;
}

function resolveFilename(value: string | null | undefined, pointer: string, errors: FieldErrors): string {
  const filename = resolveHeaderText(value, pointer, errors);
  if (/[/\\]/.test(filename) || filename === '.' || filename === '..') {
    errors.add(pointer, 'Use the name of the file alone, without a path.');
  }
  return filename;
}

interface UnnamedImage {
  readonly cid: string;
  readonly contentType: PictureType;
  readonly content: string;
  readonly filename?: string | null;
}

function resolveInlineImages(
  images: MessageInput['inlineImages'],
  files: ReadFiles,
  errors: FieldErrors,
): { readonly list: UnnamedImage[]; readonly warnings: FieldError[] } {
  const list: UnnamedImage[] = [];
  const warnings: FieldError[] = [];
  for (const [index, image] of Array.isArray(images) ? images.entries() : []) {
    if (!isObject(image)) continue;
    const at = `/inlineImages/${index}`;
    const filename = isNone(unlessBlank(image.filename))
      ? null
      : resolveFilename(image.filename, `${at}/filename`, errors);
    const type = resolveMediaType(image.contentType, `${at}/contentType`, errors);
    const content = resolveContent(image, files, type, `${at}/content`, errors);
    if (type === null || content === null) continue;
    const { essence: contentType } = type;
    if (!isPictureType(contentType)) {
      errors.add(
        `${at}/contentType`,
        `Use one of ${PICTURE_TYPES.join(', ')}, or send the file as an attachment.`,
      );
      continue;
    }
    const problem = pictureProblem(content, contentType);
    if (problem !== null) errors.add(`${at}/content`, problem);
    const warning = pictureWarning(contentType);
    if (warning !== null) warnings.push({ pointer: at, message: warning });
    list.push({ cid: image.cid, contentType, content, filename });
  }
  return { list, warnings };
}

/** Names by their type those that have none, since clients show one: `image-1.png`. */
function withNames(images: readonly UnnamedImage[], attachments: readonly Attachment[]): InlineImage[] {
  const taken = new Set([...images, ...attachments].map(({ filename }) => filename?.toLowerCase()));
  let number = 0;
  return images.map((image) => {
    let filename = image.filename ?? null;
    while (filename === null) {
      number += 1;
      const name = `image-${number}.${extensionOf(image.contentType)}`;
      if (!taken.has(name)) filename = name;
    }
    return { cid: image.cid, contentType: image.contentType, content: image.content, filename };
  });
}

function resolveAttachments(
  attachments: MessageInput['attachments'],
  files: ReadFiles,
  errors: FieldErrors,
): Attachment[] {
  if (!Array.isArray(attachments)) return [];
  return attachments.flatMap((attachment, index) => {
    if (!isObject(attachment)) return [];
    const at = `/attachments/${index}`;
    const filename = resolveFilename(attachment.filename, `${at}/filename`, errors);
    const type = resolveMediaType(attachment.contentType, `${at}/contentType`, errors);
    if (type !== null && /^(?:multipart|message)\//.test(type.essence)) {
      // MIME allows no base64 for these (RFC 2046 sections 5.1 and 5.2), so their bytes could change on the way.
      errors.add(`${at}/contentType`, 'Use "application/octet-stream" for a file of this type.');
    }
    const content = resolveContent(attachment, files, type, `${at}/content`, errors);
    if (type === null || content === null) return [];
    const contentType = formatMediaType(withoutName(type, filename, `${at}/contentType`, errors));
    return [{ filename, contentType, content, cid: attachment.cid || null }];
  });
}

/** A file has one name: the parameter of the old form says the same or nothing. */
function withoutName(type: MediaType, filename: string, pointer: string, errors: FieldErrors): MediaType {
  const name = type.parameters.find((parameter) => /^name=/i.test(parameter));
  if (name === undefined) return type;
  const value = name
    .slice('name='.length)
    .replace(/^"(.*)"$/s, '$1')
    .replace(/\\(.)/g, '$1');
  if (decodeEncodedWords(value) !== filename)
    errors.add(pointer, 'Remove the parameter "name": the name of the file is in "filename".');
  return { ...type, parameters: type.parameters.filter((parameter) => parameter !== name) };
}

/**
 * Whether the HTML shows a file as a picture. Then it is an inline image: mail clients look for its part beside the HTML
 * (RFC 2387), and some for none among the files.
 */
const isShownBy = (scanned: ScannedHtml | null, { cid, contentType }: Attachment): boolean =>
  cid !== null && scanned?.references.has(cid) === true && contentType.startsWith('image/');

/** An attachment that the HTML shows is held to what an inline image is. */
function checkShown(
  attachments: readonly Attachment[],
  isShown: (file: Attachment) => boolean,
  errors: FieldErrors,
): FieldError[] {
  return attachments.flatMap((file, index) => {
    if (!isShown(file)) return [];
    const type = essenceOf(file.contentType.replace(/;.*$/s, ''));
    const at = `/attachments/${index}`;
    if (!isPictureType(type)) {
      errors.add(`${at}/contentType`, `The html shows this file: use one of ${PICTURE_TYPES.join(', ')}.`);
      return [];
    }
    const problem = pictureProblem(file.content, type);
    if (problem !== null) errors.add(`${at}/content`, problem);
    const warning = pictureWarning(type);
    return warning === null ? [] : [{ pointer: at, message: warning }];
  });
}

const TOO_MANY_PICTURES = `Use at most ${MAX_PARTS} inline images, those in data URIs included, at ${MOST_PLACES} places in all.`;

/** Holds the HTML's `cid:` references against the inline images, and the attachments with a Content-ID. */
function crossCheck(
  html: string | null,
  domain: string,
  { inlineImages, attachments }: MessageInput,
  errors: FieldErrors,
): ScannedHtml | null {
  const images: readonly unknown[] = Array.isArray(inlineImages) ? inlineImages : [];
  const files: readonly unknown[] = Array.isArray(attachments) ? attachments : [];
  const cids = new Set<string>();
  for (const [pointer, parts] of [
    ['/inlineImages', images],
    ['/attachments', files],
  ] as const) {
    for (const [index, part] of parts.entries()) {
      if (!isObject(part) || typeof part.cid !== 'string' || part.cid === '') continue;
      if (cids.has(part.cid)) {
        errors.add(`${pointer}/${index}/cid`, 'Use another Content-ID: this one is taken.');
      }
      cids.add(part.cid);
    }
  }
  if (html === null) {
    if (images.length > 0 && !errors.at('/html')) {
      errors.add('/inlineImages', 'Add html that refers to the inline images, or send them as attachments.');
    }
    return null;
  }
  const scanned = scanHtml(html, domain);
  if (scanned === null) {
    if (images.length <= MAX_PARTS) errors.add('/html', TOO_MANY_PICTURES);
    return null;
  }
  for (const problem of scanned.problems) errors.add('/html', problem);
  if (images.length <= MAX_PARTS && images.length + scanned.embedded.length > MAX_PARTS) {
    errors.add('/html', TOO_MANY_PICTURES);
  }
  if ((isNone(inlineImages) || images.length > 0) && (isNone(attachments) || files.length > 0)) {
    for (const cid of scanned.references) {
      if (cids.has(cid)) continue;
      errors.add('/html', `Add the inline image for "cid:${excerpt(cid)}", or remove the reference.`);
    }
  }
  for (const [index, image] of images.entries()) {
    const at = `/inlineImages/${index}/cid`;
    if (!isObject(image) || typeof image.cid !== 'string' || errors.at(at)) continue;
    if (scanned.references.has(image.cid) || scanned.mentions.has(image.cid)) continue;
    errors.add(at, `Refer to "cid:${excerpt(image.cid)}" in the html, or send the picture as an attachment.`);
  }
  return scanned;
}
