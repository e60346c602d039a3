/**
 * The pictures of an HTML body: which inline images it refers to, and those it carries as data URIs.
 *
 * Mail clients show no data URIs (Gmail, Outlook), but follow a `cid:` in `<img>` with src and srcset, `<input>`, VML,
 * the attribute `background` and CSS: there a data URI becomes an inline image. Anywhere else it stays, with a
 * warning. Nothing but the data URIs is replaced.
 */

import { decodeReferences } from './character-references.ts';
import { excerpt } from './characters.ts';
import { cssUrls } from './css.ts';
import { dataUriType, readDataUri } from './data-uri.ts';
import { type Attribute, walkHtml } from './html.ts';
import {
  isPictureType,
  PICTURE_TYPES,
  type PictureType,
  pictureProblem,
  pictureType,
  pictureWarning,
} from './picture.ts';

/** A picture that stood in the HTML as a data URI. */
interface EmbeddedPicture {
  readonly cid: string;
  readonly contentType: PictureType;
  /** Canonical base64. */
  readonly content: string;
}

export interface ScannedHtml {
  /** With the data URIs replaced that became inline images. */
  readonly html: string;
  /** The Content-IDs that the HTML needs, decoded (RFC 2392); without those of `embedded`. */
  readonly references: ReadonlySet<string>;
  /** Content-IDs in attributes that need not be URLs, such as those of scripts for lazy loading. */
  readonly mentions: ReadonlySet<string>;
  /** Distinct pictures: one that stands in the HTML twice is here once. */
  readonly embedded: readonly EmbeddedPicture[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** Distinct references, pictures, problems and warnings that one message can have; more end the search. */
const MOST = 200;

/** Places where pictures stand, however often each: far more than a mail has, and each takes some time. */
export const MOST_PLACES = 10_000;

/**
 * Finds the references of the HTML, and takes the data-URI pictures out.
 *
 * @param domain makes the new Content-IDs unique in the world (RFC 2045 section 7), with a random part
 * @returns null where the HTML has more pictures of either kind than a message can carry
 */
export function scanHtml(html: string, domain: string): ScannedHtml | null {
  const scan = new Scan(html, domain);
  if (POSSIBLE.test(html)) {
    walkHtml(html, {
      isWorthwhile: (source) => !scan.isDone && POSSIBLE.test(source),
      tag: (tag, attributes) => scan.tag(tag, attributes),
      style: (start, end) => scan.css(html.slice(start, end), (index) => start + index),
    });
  }
  return scan.result();
}

// Part of every `cid:` and `data:`, in whatever spelling: browsers pass over tabs and line breaks in a URL, and each
// character may be a reference or an escape.
const POSSIBLE = new RegExp(
  [
    'c[\\t\\r\\n]*i[\\t\\r\\n]*d',
    'd[\\t\\r\\n]*a[\\t\\r\\n]*t[\\t\\r\\n]*a',
    '&#(?:x0*(?:3a|4[1349]|54|6[1349]|74|[9ad])(?![0-9a-f])|0*(?:58|6[578]|73|84|9[79]?|1[03]|100|105|116)(?!\\d))',
    '&(?:Tab|NewLine);',
    '\\\\',
    '(?:blob|file):',
    ';base64,',
  ].join('|'),
  'i',
);

const CID = /^\s*c[\t\r\n]*i[\t\r\n]*d[\t\r\n]*:/i;
const PLAIN_CID = /^cid:([\w.@+=$~-]{1,200})$/;
/** What is read of a reference: more than a Content-ID can take, percent-encoded. */
const LONGEST_REFERENCE = 1000;

/** Where a URL may stand; namespaces such as "xlink:" in front. */
const URL_ATTRIBUTE = /^(?:[\w-]+:)?(?:src|href|data|poster|lowsrc|dynsrc|longdesc|icon)$/;
/** Elements whose `src` mail clients follow to a part; `<image>` is another way to write `<img>`. */
const PICTURE_ELEMENT = /^(?:img|image|input|v:.*)$/;
/** As template engines write quotes that are none of HTML's or CSS's: `url(&quot;data:…&quot;)` in a style sheet. */
const QUOTED_ONCE_MORE = /^(?:[^\w&]|&#?\w{1,9};){1,20}data:image\//i;
/** What only the author's own page or disk has, and a data URI without its scheme. */
const NOT_SENT = /^\s*(?:(?:blob|file):|image\/[\w.+-]+;base64,)/i;
const DATA_PICTURE = /data:image\/[\w.+-]+[;,]/i;

/** The Content-ID that a URL refers to, decoded; null where it is no `cid:` URL. */
function cidOf(url: string): string | null {
  const plain = PLAIN_CID.exec(url)?.[1];
  if (plain !== undefined) return plain;
  const head = url.slice(0, LONGEST_REFERENCE);
  const scheme = CID.exec(head)?.[0];
  if (scheme === undefined) return null;
  const id = head
    .slice(scheme.length)
    .replace(/[\t\r\n]+/g, '')
    .replace(/#.*$/s, '')
    .trim();
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** Types of what else a style sheet may hold, such as fonts. */
const NO_PICTURE = /^(?:application|audio|text|video|(?:x-)?font)\//;

/** Whether a URL of a style sheet may be a picture's: a font is often called a stream of bytes, and its bytes tell. */
function isForPicture(url: string): boolean {
  const type = dataUriType(url);
  if (type === null || !isUntyped(type)) return type === null || !NO_PICTURE.test(type);
  const data = readDataUri(url);
  return 'base64' in data && pictureType(data.base64) !== null;
}

const isUntyped = (type: string): boolean => type === '' || type === 'application/octet-stream';

function withoutCommasAtEnd(url: string): string {
  let end = url.length;
  while (url[end - 1] === ',') end -= 1;
  return url.slice(0, end);
}

class Scan {
  readonly #html: string;
  readonly #domain: string;
  readonly #references = new Set<string>();
  readonly #mentions = new Set<string>();
  #referred = 0;
  /** By what they hold, which says their type too. */
  readonly #embedded = new Map<string, EmbeddedPicture>();
  readonly #problems: string[] = [];
  readonly #warnings: string[] = [];
  /** What takes the place of a part of the HTML, in order. */
  readonly #replacements: { readonly start: number; readonly end: number; readonly text: string }[] = [];
  #random: string | null = null;
  #count = 0;
  /** It has more of something than one message can have. */
  #isFull = false;

  constructor(html: string, domain: string) {
    this.#html = html;
    this.#domain = domain;
  }

  /** What is still to come changes nothing. */
  get isDone(): boolean {
    return this.#isFull || this.#problems.length >= MOST;
  }

  result(): ScannedHtml | null {
    if (this.#isFull) return null;
    let html = '';
    let from = 0;
    for (const { start, end, text } of this.#replacements) {
      html += this.#html.slice(from, start) + text;
      from = end;
    }
    return {
      html: html + this.#html.slice(from),
      references: this.#references,
      mentions: this.#mentions,
      embedded: [...this.#embedded.values()],
      problems: this.#problems,
      warnings: this.#warnings,
    };
  }

  tag(tag: string, attributes: readonly Attribute[]): void {
    for (const { name, start, end } of attributes) {
      if (this.isDone) return;
      const { text, sourceOf } = decodeReferences(this.#html.slice(start, end));
      const place = (index: number) => start + sourceOf(index);
      if (name === 'style') {
        this.css(text, place);
      } else if (name === 'srcset' || name === 'imagesrcset') {
        this.#candidates(text, place, tag !== 'link' ? null : `<${tag} ${name}>`);
      } else if (name === 'background' || (name === 'src' && PICTURE_ELEMENT.test(tag))) {
        this.#url(text, start, end, null);
      } else if (URL_ATTRIBUTE.test(name)) {
        this.#url(text, start, end, `<${excerpt(tag)} ${name}>`);
      } else {
        this.#other(text, start, `<${excerpt(tag)} ${excerpt(name)}>`);
      }
    }
  }

  /** @param place the index in the HTML of an index in the style sheet */
  css(css: string, place: (index: number) => number): void {
    if (!POSSIBLE.test(css)) return;
    for (const { start, end, url, isBroken } of cssUrls(css)) {
      if (this.isDone) return;
      if (!isForPicture(url)) continue;
      this.#url(url, place(start), place(end), isBroken ? 'url() without quotes' : null);
    }
  }

  /** The candidates of a srcset (HTML standard, section 4.8.4.2.1). */
  #candidates(srcset: string, place: (index: number) => number, elsewhere: string | null): void {
    const candidate = /[\s,]*(\S+)/y;
    const descriptors = /[^,]*/y;
    for (let found = candidate.exec(srcset); found !== null && !this.isDone; found = candidate.exec(srcset)) {
      const [, url = ''] = found;
      const end = candidate.lastIndex;
      const trimmed = withoutCommasAtEnd(url);
      this.#url(trimmed, place(end - url.length), place(end - url.length + trimmed.length), elsewhere);
      if (trimmed.length === url.length) {
        descriptors.lastIndex = end;
        descriptors.exec(srcset);
        candidate.lastIndex = descriptors.lastIndex;
      }
    }
  }

  /** @param elsewhere names a place where mail clients follow no `cid:`; null where they do */
  #url(url: string, start: number, end: number, elsewhere: string | null): void {
    const cid = cidOf(url);
    if (cid !== null) {
      this.#references.add(cid);
      this.#referred += 1;
      this.#isFull ||= this.#references.size > MOST || this.#referred > MOST_PLACES;
      return;
    }
    const type = dataUriType(url);
    if (type === null) {
      if (QUOTED_ONCE_MORE.test(url)) this.#leave(this.#nameOf(url, start), 'a URL with quotes of its own');
      if (elsewhere === null && NOT_SENT.test(url)) {
        this.#warn(`The picture at character ${start + 1} ("${excerpt(url.trim())}") is not in the message.`);
      }
      return;
    }
    if (elsewhere === null) {
      this.#embed(url, type, start, end);
      return;
    }
    if (!type.startsWith('image/')) return;
    const name = this.#nameOf(url, start);
    if (isPictureType(type)) this.#leave(name, elsewhere);
    else this.#problem(`${name}: ${USE_ONE_OF}`);
  }

  /** An attribute that holds no URL by itself, such as a whole document in `srcdoc`. */
  #other(text: string, start: number, where: string): void {
    if (/^\s*cid:\S+\s*$/i.test(text.slice(0, LONGEST_REFERENCE))) {
      if (this.#mentions.size <= MOST) this.#mentions.add(cidOf(text) ?? '');
      return;
    }
    const found = DATA_PICTURE.exec(text)?.index;
    if (found !== undefined) this.#leave(this.#nameOf(text.slice(found), start), where);
  }

  #leave(name: string, where: string): void {
    this.#warn(`${name} is sent unchanged: mail clients show no such picture in ${where}.`);
  }

  #embed(uri: string, type: string, start: number, end: number): void {
    const name = this.#nameOf(uri, start);
    const picture = this.#pictureOf(uri, type);
    if ('problem' in picture) {
      this.#problem(`${name}: ${picture.problem}`);
      return;
    }
    this.#replacements.push({ start, end, text: `cid:${picture.cid}${picture.fragment}` });
    this.#isFull ||= this.#replacements.length > MOST_PLACES;
    if (!picture.isNew) return;
    const warning = pictureWarning(picture.contentType);
    if (warning !== null) this.#warn(`${name}: ${warning}`);
  }

  /** The picture of a data URI, made or found among those made before. */
  #pictureOf(
    uri: string,
    type: string,
  ):
    | (EmbeddedPicture & { readonly fragment: string; readonly isNew: boolean })
    | { readonly problem: string } {
    if (!isUntyped(type) && !isPictureType(type)) return { problem: USE_ONE_OF };
    const data = readDataUri(uri);
    if ('problem' in data) return data;
    const { base64: content, fragment } = data;
    const contentType = isUntyped(type) ? pictureType(content) : (type as PictureType);
    if (contentType === null) return { problem: USE_ONE_OF };
    const known = this.#embedded.get(content);
    if (known?.contentType === contentType) return { ...known, fragment, isNew: false };
    const problem = pictureProblem(content, contentType);
    if (problem !== null) return { problem };
    const picture = { cid: this.#newCid(), contentType, content };
    this.#embedded.set(content, picture);
    this.#isFull ||= this.#embedded.size > MOST;
    return { ...picture, fragment, isNew: true };
  }

  #newCid(): string {
    this.#random ??= crypto.randomUUID();
    return `${this.#random}.${this.#embedded.size + 1}@${this.#domain}`;
  }

  /** Which one it is: by its order, its place and its first characters. */
  #nameOf(uri: string, start: number): string {
    this.#count += 1;
    return `Data URI ${this.#count}, at character ${start + 1} ("${excerpt(uri.trim())}")`;
  }

  #problem(text: string): void {
    this.#problems.push(text);
  }

  #warn(text: string): void {
    if (this.#warnings.length < MOST) this.#warnings.push(text);
  }
}

const USE_ONE_OF = `Use one of ${PICTURE_TYPES.join(', ')}, or link the picture by its URL.`;
