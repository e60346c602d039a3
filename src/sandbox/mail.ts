/** A received message, parsed by a library that did not make it. */

import PostalMime, { type Attachment, type Email } from 'postal-mime';
import { decodeReferences } from '../message/character-references.ts';
import { cssUrls } from '../message/css.ts';
import { walkHtml } from '../message/html.ts';
import type { ReceivedMessage } from './inbox.ts';

/** What a list shows of a message, and what is searched. */
export interface Glance {
  readonly subject: string;
  /** The display name, or the address. */
  readonly from: string;
  /** The beginning of the text. */
  readonly excerpt: string;
  readonly parts: number;
  /** In lower case. */
  readonly words: string;
}

const glances = new WeakMap<ReceivedMessage, Promise<Glance>>();

const MOST_EXCERPT = 160;
/** A message may have megabytes, and its text comes first. */
const MOST_GLANCED = 1_000_000;
const MOST_WORDS = 200_000;

/** Of the messages that were looked at last: a large one takes seconds, and each of its tabs and pictures asks. */
const emails = new Map<ReceivedMessage, Promise<Email>>();
const MOST_EMAILS = 3;

export function parse(message: ReceivedMessage): Promise<Email> {
  const email = emails.get(message) ?? parseRaw(message.raw);
  emails.delete(message);
  emails.set(message, email);
  for (const oldest of [...emails.keys()].slice(0, -MOST_EMAILS)) emails.delete(oldest);
  return email;
}

/** What cannot be parsed as a whole is shown by its header section. */
const parseRaw = (raw: Buffer): Promise<Email> =>
  PostalMime.parse(raw).catch(() => {
    const end = raw.indexOf('\r\n\r\n');
    const header = raw
      .subarray(0, end < 0 ? raw.length : end)
      .subarray(0, MOST_GLANCED)
      .toString('latin1');
    return PostalMime.parse(`${header.replace(/^content-type:/gim, 'X-Content-Type:')}\r\n\r\n`);
  });

export function glanceAt(message: ReceivedMessage): Promise<Glance> {
  const known = glances.get(message);
  if (known) return known;
  const glance = glanced(message);
  glances.set(message, glance);
  return glance;
}

async function glanced({ raw, envelope }: ReceivedMessage): Promise<Glance> {
  const { subject = '', from, text, html = '', attachments } = await parseRaw(raw.subarray(0, MOST_GLANCED));
  const plain = text || html.replace(/<style[\s\S]*?<\/style>|<[^>]*>/gi, ' ');
  const excerpt = plain.slice(0, MOST_WORDS).replace(/\s+/g, ' ').trim();
  const { address, name } = from && 'address' in from ? from : { address: '', name: '' };
  return {
    subject,
    from: name || address || envelope.from || '<>',
    excerpt: excerpt.slice(0, MOST_EXCERPT),
    parts: attachments.length,
    words: [subject, name, address, envelope.from, ...envelope.to, excerpt].join('\n').toLowerCase(),
  };
}

/** Attachments and inline images are bytes or text. */
export const bytesOf = ({ content }: Attachment): Buffer =>
  typeof content === 'string' ? Buffer.from(content) : Buffer.from(new Uint8Array(content));

export interface Framed {
  readonly html: string;
  /** Pictures and style sheets that lie elsewhere, and are not fetched. */
  readonly remote: number;
}

const frames = new WeakMap<Email, Framed>();

/** The HTML with its own pictures in it, as data URIs, so that it needs nothing else. */
export function framed(email: Email): Framed {
  const known = frames.get(email) ?? frame(email);
  frames.set(email, known);
  return known;
}

function frame({ html = '', attachments }: Email): Framed {
  const pictures = new Map(
    attachments
      .filter(({ contentId }) => contentId)
      .map((part) => [
        (part.contentId ?? '').replace(/^<|>$/g, ''),
        () => `data:${part.mimeType.replace(/[^\w/+.-]/g, '')};base64,${bytesOf(part).toString('base64')}`,
      ]),
  );
  const replacements: { readonly start: number; readonly end: number; readonly url: string }[] = [];
  let remote = 0;
  const visit = (start: number, end: number, url: string) => {
    const [, cid] = /^\s*cid:(.*)$/is.exec(url) ?? [];
    const picture = cid === undefined ? undefined : pictures.get(decoded(cid.trim()));
    if (picture) replacements.push({ start, end, url: picture() });
    else if (/^\s*(?:https?:)?\/\//i.test(url)) remote += 1;
  };
  const css = (source: string, sourceOf: (index: number) => number) => {
    for (const found of cssUrls(source)) visit(sourceOf(found.start), sourceOf(found.end), found.url);
  };
  walkHtml(html, {
    isWorthwhile: () => true,
    tag(tag, attributes) {
      for (const { name, start, end } of attributes) {
        const value = decodeReferences(html.slice(start, end));
        if (name === 'style') css(value.text, (index) => start + value.sourceOf(index));
        // Chromium preconnects in spite of a Content-Security-Policy.
        else if (tag === 'link' && name === 'rel') replacements.push({ start, end, url: 'blocked' });
        else if (SOURCES.has(name) || (name === 'href' && tag === 'link')) visit(start, end, value.text);
      }
    },
    style: (start, end) => css(html.slice(start, end), (index) => start + index),
  });
  let result = '';
  let at = 0;
  for (const { start, end, url } of replacements.toSorted((one, other) => one.start - other.start)) {
    result += html.slice(at, start) + url;
    at = end;
  }
  return { html: result + html.slice(at), remote };
}

const SOURCES = new Set(['src', 'srcset', 'background', 'poster']);

function decoded(cid: string): string {
  try {
    return decodeURIComponent(cid);
  } catch {
    return cid;
  }
}
