/**
 * The pictures of an HTML body: which inline images it refers to, and those it carries as data URIs.
 *
 * Nothing here rebuilds the HTML. Tags are found by their shape alone, so what a mail client shows from
 * a conditional comment counts as well, and nothing but the data URIs is replaced.
 */

import { base64Problem, decodeBase64 } from './base64.ts';
import { isPictureType, PICTURE_TYPES, type PictureType, pictureProblem } from './picture.ts';
import { MAX_PARTS } from './schema.ts';

/** A picture that stood in the HTML as a data URI. */
interface EmbeddedPicture {
  readonly cid: string;
  readonly contentType: PictureType;
  readonly content: Buffer;
  readonly filename: null;
}

export interface ScannedHtml {
  /** With every `<img src="data:…">` replaced by its `cid:`. */
  readonly html: string;
  /** The Content-IDs that the HTML refers to, decoded (RFC 2392); without those of `embedded`. */
  readonly references: ReadonlySet<string>;
  /** Distinct pictures: one that stands in the HTML twice is here once. */
  readonly embedded: readonly EmbeddedPicture[];
  readonly problems: readonly string[];
}

/**
 * Finds `cid:` references in attribute values and in CSS `url(…)`, and takes the data-URI pictures out.
 *
 * @param taken Content-IDs that a new picture must not get
 * @returns null where the HTML has more pictures of either kind than a message can carry
 */
export function scanHtml(html: string, taken: ReadonlySet<string>): ScannedHtml | null {
  const references = new Set<string>();
  if (!/cid:|data:/i.test(html)) return { html, references, embedded: [], problems: [] };

  const dataUris: Attribute[] = [];
  for (const attribute of attributes(html)) {
    const head = html.slice(attribute.start, Math.min(attribute.end, attribute.start + MAX_REFERENCE));
    if (attribute.tag === 'img' && attribute.name === 'src' && /^\s*data:/i.test(head)) {
      dataUris.push(attribute);
    } else if (attribute.name.endsWith('srcset')) {
      for (const found of html.slice(attribute.start, attribute.end).matchAll(CANDIDATE)) {
        addReference(found[1] as string, references);
        if (references.size > MAX_PARTS) return null;
      }
    } else {
      addReference(head.trim(), references);
    }
    if (references.size > MAX_PARTS) return null;
  }
  for (const found of html.matchAll(CSS_URL)) {
    addReference(found[1] as string, references);
    if (references.size > MAX_PARTS) return null;
  }

  const embedded = new Map<string, EmbeddedPicture>();
  const problems = new Set<string>();
  let rewritten = '';
  let from = 0;
  for (const { start, end } of dataUris) {
    const picture = embed(html.slice(start, end), embedded, (number) => freshCid(number, taken, references));
    if (typeof picture === 'string') {
      problems.add(picture);
      continue;
    }
    if (embedded.size > MAX_PARTS) return null;
    rewritten += `${html.slice(from, start)}cid:${picture.cid}`;
    from = end;
  }
  return {
    html: rewritten + html.slice(from),
    references,
    embedded: [...embedded.values()],
    problems: [...problems],
  };
}

interface Attribute {
  /** Lower case. */
  readonly tag: string;
  /** Lower case. */
  readonly name: string;
  /** Where the value stands in the HTML, without its quotes. */
  readonly start: number;
  readonly end: number;
}

/** The attributes with a value, in order (HTML standard, sections 13.2.5.6 to 13.2.5.38, roughly). Linear. */
function* attributes(html: string): Generator<Attribute> {
  const open = /<([a-z][^\s/>]*)/gi;
  const next = /[\s/]*(?:(=?[^\s/>=]+)\s*(=\s*)?|=)?/y;
  const unquoted = /[^\s>]*/y;
  for (let found = open.exec(html); found; found = open.exec(html)) {
    const tag = (found[1] as string).toLowerCase();
    next.lastIndex = open.lastIndex;
    for (let part = next.exec(html); part?.[0]; part = next.exec(html)) {
      if (part[2] === undefined) continue;
      const quote = html[next.lastIndex];
      let start = next.lastIndex;
      let end: number;
      if (quote === '"' || quote === "'") {
        start += 1;
        end = html.indexOf(quote, start);
        // The value never ends, so a client drops the tag and all that follows.
        if (end === -1) return;
        next.lastIndex = end + 1;
      } else {
        unquoted.lastIndex = start;
        unquoted.exec(html);
        end = unquoted.lastIndex;
        next.lastIndex = end;
      }
      yield { tag, name: (part[1] as string).toLowerCase(), start, end };
    }
    open.lastIndex = Math.max(open.lastIndex, next.lastIndex);
  }
}

/**
 * What is read of a reference: more than a Content-ID of 200 characters can take, percent-encoded. The cut
 * end of a longer one finds no image either, and a pattern over megabytes overflows the matcher's stack.
 */
const MAX_REFERENCE = 1000;
const CSS_URL = /url\(\s*(?:(?:["']|&quot;|&#3[49];)\s*)?(cid:(?:(?!&quot;|&#3[49];)[^\s"')]){1,1000})/gi;
/** The URL of an image candidate (HTML standard, section 4.8.4.2.1). */
const CANDIDATE = /(?:^|,)\s*(cid:[^\s,]{1,1000})/gi;

/** A URL that is `cid:` and an id without white space; anything else is prose. */
function addReference(url: string, references: Set<string>): void {
  const cid = /^cid:(\S+)$/i.exec(url)?.[1];
  if (cid === undefined) return;
  const text = cid.replace(/&amp;/gi, '&');
  try {
    references.add(decodeURIComponent(text));
  } catch {
    references.add(text);
  }
}

/** The picture of a data URI, made or found among those made before; or what to do about a bad one. */
function embed(
  uri: string,
  embedded: Map<string, EmbeddedPicture>,
  cidOf: (number: number) => string,
): EmbeddedPicture | string {
  const comma = uri.slice(0, 200).indexOf(',');
  const [type, ...parameters] = uri
    .slice(0, Math.max(comma, 0))
    .trim()
    .slice('data:'.length)
    .toLowerCase()
    .split(';');
  const contentType = type === 'image/jpg' ? 'image/jpeg' : (type ?? '').trim();
  if (comma === -1 || !isPictureType(contentType)) {
    return `Use one of ${PICTURE_TYPES.join(', ')} in <img src="data:…">, or link the picture by its URL.`;
  }
  if (parameters.pop()?.trim() !== 'base64')
    return `Give the data URI of the ${contentType} picture in base64.`;
  // What a browser does to the URL: line breaks and tabs go, and "%2B" is a plus.
  const text = uri
    .slice(comma + 1)
    .replace(/[\t\r\n]+/g, '')
    .trim();
  const base64 = text.includes('%')
    ? text.replace(/%([0-7][0-9a-f])/gi, (_, hex) => unescapeByte(hex))
    : text;
  const key = `${contentType},${base64}`;
  const known = embedded.get(key);
  if (known !== undefined) return known;
  const content = decodeBase64(base64);
  if (content === null) return `Correct the data URI of the ${contentType} picture. ${base64Problem(base64)}`;
  const problem = pictureProblem(content, contentType);
  if (problem !== null) return `Correct the data URI of the ${contentType} picture. ${problem}`;
  const picture = { cid: cidOf(embedded.size + 1), contentType, content, filename: null };
  embedded.set(key, picture);
  return picture;
}

const unescapeByte = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16));

/** A Content-ID nobody has: `embedded-1`, or with as many dashes more as it takes. */
function freshCid(number: number, ...sets: ReadonlySet<string>[]): string {
  let cid = `embedded-${number}`;
  while (sets.some((set) => set.has(cid))) cid += '-';
  return cid;
}
