/**
 * What of an HTML body may refer to something: the attributes of its tags and its style sheets.
 *
 * A tokenizer by the HTML standard (section 13.2.5), without the tree that a browser would build. Comments hold
 * nothing, except Outlook's conditional ones, whose content is HTML to Outlook. Linear in time.
 */

export interface Attribute {
  /** Lower case. */
  readonly name: string;
  /** Where the value stands in the HTML, without its quotes. */
  readonly start: number;
  readonly end: number;
}

export interface HtmlVisitor {
  /** A start tag, and those of its attributes that `isWorthwhile` picks. */
  readonly tag: (tag: string, attributes: readonly Attribute[]) => void;
  /** Where the text of a `<style>` stands. */
  readonly style: (start: number, end: number) => void;
  /** Whether a visit can be of use: tells by the source of a tag, or of a value. */
  readonly isWorthwhile: (source: string) => boolean;
}

/**
 * Elements whose text is no markup, and what ends it (sections 13.2.6.4.4 and 13.2.6.4.7). Mail clients run no scripts,
 * so the text of noscript is markup.
 */
const RAW_TEXT: ReadonlyMap<string, RegExp> = new Map(
  ['style', 'script', 'textarea', 'title', 'xmp', 'iframe', 'noembed', 'noframes'].map((tag) => [
    tag,
    new RegExp(`</${tag}(?=[\\s/>])`, 'gi'),
  ]),
);

/** Visits the tags and style sheets of HTML, in order. */
export function walkHtml(html: string, visitor: HtmlVisitor): void {
  walk(html, 0, false, visitor);
}

/**
 * @param offset where `html` begins in the whole body
 * @param isConditional whether it is what a conditional comment holds
 */
function walk(html: string, offset: number, isConditional: boolean, visitor: HtmlVisitor): void {
  let at = html.indexOf('<');
  while (at !== -1) {
    const next = html.charCodeAt(at + 1);
    if (isLetter(next)) at = startTag(html, at, offset, visitor);
    else if (next === SLASH && isLetter(html.charCodeAt(at + 2))) at = endTag(html, at);
    else if (next === BANG && html.startsWith('--', at + 2))
      at = comment(html, at, offset, isConditional, visitor);
    // A bogus comment (section 13.2.5.41), among them "<![if !mso]>" and "<![endif]-->".
    else if (next === BANG || next === SLASH || next === QUESTION_MARK) at = behind(html, '>', at + 2);
    else at += 1;
    if (html.charCodeAt(at) !== LESS_THAN) at = html.indexOf('<', at);
  }
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const FORM_FEED = 0x0c;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const BANG = 0x21;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const SLASH = 0x2f;
const LESS_THAN = 0x3c;
const EQUALS = 0x3d;
const GREATER_THAN = 0x3e;
const QUESTION_MARK = 0x3f;

const isLetter = (code: number): boolean => (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
const isWhite = (code: number): boolean =>
  code === SPACE || code === LINE_FEED || code === TAB || code === CARRIAGE_RETURN || code === FORM_FEED;

/** The index behind the next such text; the end where there is none. */
function behind(html: string, text: string, from: number): number {
  const found = html.indexOf(text, from);
  return found === -1 ? html.length : found + text.length;
}

/** Behind a comment (section 13.2.5.43); what stands in Outlook's conditional ones is visited. */
function comment(
  html: string,
  at: number,
  offset: number,
  isConditional: boolean,
  visitor: HtmlVisitor,
): number {
  const start = at + '<!--'.length;
  if (html[start] === '>') return start + 1;
  if (html.startsWith('->', start)) return start + 2;
  const condition = isIf(html, start) ? CONDITION.exec(html.slice(start, start + LONGEST_CONDITION)) : null;
  const content = start + (condition?.[0].length ?? 0);
  // Comments do not nest, so one in a conditional comment has no end of its own.
  if (condition !== null && isConditional) return content;
  const end = endOfComment(html, start);
  if (condition !== null && content <= end) walk(html.slice(content, end), offset + content, true, visitor);
  return Math.min(behind(html, '>', end), html.length);
}

const isIf = (html: string, at: number): boolean => /^\[if/i.test(html.slice(at, at + 3));

/** Where `-->` or `--!>` stands. */
function endOfComment(html: string, from: number): number {
  for (let at = html.indexOf('--', from); at !== -1; at = html.indexOf('--', at + 1)) {
    if (html[at + 2] === '>' || html.startsWith('!>', at + 2)) return at;
  }
  return html.length;
}

const CONDITION = /^\[if\s[^\]>]*\]>/i;
/** `[if (gte mso 9)|(IE)]>` and longer ones. */
const LONGEST_CONDITION = 500;

/** Behind a start tag, and behind the text of an element that has no markup. */
function startTag(html: string, at: number, offset: number, visitor: HtmlVisitor): number {
  let nameEnd = at + 1;
  while (nameEnd < html.length && !endsName(html.charCodeAt(nameEnd))) nameEnd += 1;
  const tag = html.slice(at + 1, Math.min(nameEnd, at + LONGEST_NAME)).toLowerCase();
  const values: number[] = [];
  const end = readTag(html, nameEnd, values);
  if (end === -1) return html.length;
  if (values.length > 0 && visitor.isWorthwhile(html.slice(nameEnd, end))) {
    const attributes = attributesOf(html, values, offset, visitor);
    if (attributes.length > 0) visitor.tag(tag, attributes);
  }
  const close = RAW_TEXT.get(tag);
  if (close === undefined) return end;
  close.lastIndex = end;
  const closed = close.exec(html)?.index ?? html.length;
  if (tag === 'style') visitor.style(offset + end, offset + closed);
  return closed;
}

/** Behind an end tag: it may have attributes, which count for nothing. */
function endTag(html: string, at: number): number {
  const end = readTag(html, at + 2, null);
  return end === -1 ? html.length : end;
}

const endsName = (code: number): boolean => isWhite(code) || code === SLASH || code === GREATER_THAN;

/** Longer than any name that matters. */
const LONGEST_NAME = 50;

/** More than any tag of a mail has. */
const MOST_ATTRIBUTES = 50;

/** The attributes that `isWorthwhile` picks; of those with one name the first counts (section 13.2.5.33). */
function attributesOf(
  html: string,
  values: readonly number[],
  offset: number,
  { isWorthwhile }: HtmlVisitor,
): Attribute[] {
  const attributes: Attribute[] = [];
  let picked = 0;
  for (let index = 0; index < values.length && picked < MOST_ATTRIBUTES; index += 4) {
    const start = values[index + 2] as number;
    const end = values[index + 3] as number;
    if (!isWorthwhile(html.slice(start, end))) continue;
    picked += 1;
    if (isRepeated(html, values, index)) continue;
    attributes.push({ name: nameAt(html, values, index), start: offset + start, end: offset + end });
  }
  return attributes;
}

function nameAt(html: string, values: readonly number[], index: number): string {
  const start = values[index] as number;
  return html.slice(start, Math.min(values[index + 1] as number, start + LONGEST_NAME)).toLowerCase();
}

/** Whether an attribute in front has the same name. */
function isRepeated(html: string, values: readonly number[], index: number): boolean {
  const length = (values[index + 1] as number) - (values[index] as number);
  const first = html.charCodeAt(values[index] as number) | 0x20;
  for (let before = 0; before < index; before += 4) {
    const start = values[before] as number;
    if ((values[before + 1] as number) - start !== length || (html.charCodeAt(start) | 0x20) !== first)
      continue;
    if (nameAt(html, values, before) === nameAt(html, values, index)) return true;
  }
  return false;
}

/**
 * Reads the attributes of a tag (sections 13.2.5.32 to 13.2.5.40).
 *
 * @param values gets four indexes for each attribute with a value: start and end of its name and of its value
 * @returns the index behind the tag; -1 where it does not end, and a client drops it
 */
function readTag(html: string, from: number, values: number[] | null): number {
  let at = from;
  for (;;) {
    let code = html.charCodeAt(at);
    while (isWhite(code) || code === SLASH) code = html.charCodeAt(++at);
    if (code === GREATER_THAN) return at + 1;
    if (at >= html.length) return -1;
    const nameStart = at;
    // An equals sign in front is part of the name.
    do code = html.charCodeAt(++at);
    while (at < html.length && code !== EQUALS && code !== SLASH && code !== GREATER_THAN && !isWhite(code));
    const nameEnd = at;
    while (isWhite(code)) code = html.charCodeAt(++at);
    if (code !== EQUALS) continue;
    do code = html.charCodeAt(++at);
    while (isWhite(code));
    let start = at;
    if (code === DOUBLE_QUOTE || code === SINGLE_QUOTE) {
      start += 1;
      at = html.indexOf(code === DOUBLE_QUOTE ? '"' : "'", start);
      if (at === -1) return -1;
      values?.push(nameStart, nameEnd, start, at);
      at += 1;
    } else {
      while (at < html.length && code !== GREATER_THAN && !isWhite(code)) code = html.charCodeAt(++at);
      values?.push(nameStart, nameEnd, start, at);
    }
  }
}
