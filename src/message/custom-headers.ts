/**
 * The caller's own header fields: which may stand, how often, and in what form.
 *
 * A field of a known structure is held to its RFC. What has one reading alone is put right, such as a missing angle
 * bracket, since mail clients pass over what they cannot read: the thread breaks, the unsubscribe button is gone.
 */

import { SMTPAPI_HEADER } from '../sendcloud.ts';
import { excerpt, nameOfCharacter } from './characters.ts';
import { decodeEncodedWords, hasEncodedWord } from './encoded-word.ts';
import { mailboxTokens } from './field.ts';
import { type FieldErrors, MAX_KEY, token } from './field-errors.ts';
import { foldingProblem, isAscii, MAX_FIELD, textProblem } from './header.ts';
import { parseMailbox } from './mailbox.ts';

export const MAX_HEADERS = 50;

/** What a caller sends: values by name, several where a field may repeat. */
export type HeadersInput = Readonly<Record<string, string | readonly string[] | null | undefined>>;

type Header = readonly [name: string, value: string];

/** The header fields in order, and every problem with them. */
export function resolveHeaders(headers: HeadersInput, errors: FieldErrors): Header[] {
  const resolved: Header[] = [];
  const names = new Map<string, string>();
  let characters = 0;
  for (const [name, input] of Object.entries(headers)) {
    if (input === null || input === undefined) continue;
    // A long name would take its time to be written as a pointer, and stands in none.
    const at = name.length > MAX_KEY ? '/headers' : `/headers${token(name)}`;
    const nameProblem = headerNameProblem(name);
    if (nameProblem !== null) {
      errors.add(at, nameProblem);
      continue;
    }
    const lower = name.toLowerCase();
    const field = FIELDS.get(lower);
    const values = isList(input) ? input : [input];
    for (const [index, value] of values.entries()) {
      const pointer = values === input ? `${at}/${index}` : at;
      // What the schema found wrong may be of any size and type; it passes over names such as "constructor".
      if (errors.at(pointer)) continue;
      if (typeof value !== 'string') {
        errors.add(pointer, 'The header value must be a string.');
        continue;
      }
      characters += name.length + value.length;
      if (characters > MAX_FIELD) continue;
      const earlier = names.get(lower);
      names.set(lower, name);
      if (earlier !== undefined && field !== undefined && field.repeats !== true) {
        errors.add(pointer, onceProblem(name, earlier));
        continue;
      }
      const checked = checkValue(name, value.trim(), field);
      if ('problem' in checked) errors.add(pointer, checked.problem);
      else resolved.push([name, checked.value]);
    }
  }
  if (resolved.length > MAX_HEADERS) errors.add('/headers', `Use at most ${MAX_HEADERS} headers.`);
  if (characters > MAX_FIELD) {
    errors.add('/headers', `Shorten the headers to at most ${MAX_FIELD} characters in all.`);
  }
  checkOneClick(resolved, errors);
  return resolved;
}

/** `Array.isArray`, which does not know readonly arrays. */
const isList = (value: string | readonly string[]): value is readonly string[] => Array.isArray(value);

const onceProblem = (name: string, earlier: string): string =>
  name === earlier
    ? 'Use this header once: a message must not have a second one.'
    : `Use this header once: "${excerpt(earlier)}" is the same name, since case does not count.`;

const MAX_NAME = 76;
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]+$/;

/** Headers that a message has of its own, and the field that sets each. */
const FIELD_OF: Readonly<Record<string, string>> = {
  from: 'from',
  to: 'to',
  cc: 'cc',
  bcc: 'bcc',
  'reply-to': 'replyTo',
  subject: 'subject',
  'message-id': 'messageId',
  'return-path': 'returnPath',
};
const OURS = /^(?:date|mime-version|content-(?!language$).*)$/;
const SERVERS = /^(?:received|dkim-signature)$/;

/** What is wrong with the name of a custom header (RFC 5322 section 3.6.8); null where nothing is. */
function headerNameProblem(name: string): string | null {
  if (name.length > MAX_NAME) {
    return `Shorten the header name "${excerpt(name)}" to at most ${MAX_NAME} characters.`;
  }
  if (!FIELD_NAME.test(name)) return 'Use printable ASCII without spaces and colons as the header name.';
  const lower = name.toLowerCase();
  if (Object.hasOwn(FIELD_OF, lower)) return `Use the field "${FIELD_OF[lower]}" for this header.`;
  if (lower === SMTPAPI_HEADER) return 'Remove this header: it would override the recipients.';
  if (OURS.test(lower)) return 'Remove this header: the gateway makes it from the message.';
  if (SERVERS.test(lower)) return 'Remove this header: the servers on the way write it.';
  if (lower === 'sender') return 'Remove this header: the sender is in "from".';
  if (/^resent-/.test(lower)) return 'Remove this header: send a message again whole, as message/rfc822.';
  return null;
}

type Checked = { readonly value: string } | { readonly problem: string };

/** One header field, beside those of which nothing is known. */
interface Field {
  /** Of a value of printable ASCII, without white space at its ends; for a field whose parts cannot be encoded. */
  readonly check?: (value: string) => Checked;
  /** Several may stand in one message. Fields that are not known may as well (RFC 5322 section 3.6). */
  readonly repeats?: true;
}

/** Fields whose parts cannot be encoded: an encoded-word must not stand for the whole (RFC 2047 section 5). */
const STRUCTURED = /^(?:.*-to|list-.*|x-list-.*|feedback-id)$/i;

function checkValue(name: string, value: string, field: Field | undefined): Checked {
  if (value === '') return { problem: 'Remove this header: it is blank.' };
  const unfolded = unfold(value, field);
  const problem = textProblem(unfolded);
  if (problem !== null) return { problem };
  const checked = field?.check?.(unfolded) ?? { value: unfolded };
  const kept = 'value' in checked ? checked.value : unfolded;
  const foreign = /[\u0080-\u{10ffff}]/u.exec(kept)?.[0];
  if ((field?.check !== undefined || STRUCTURED.test(name)) && foreign !== undefined) {
    return {
      problem: `Use ASCII in this header, without ${nameOfCharacter(foreign)}: its parts cannot be encoded. A name in it may be an RFC 2047 encoded-word.`,
    };
  }
  if ('problem' in checked) return checked;
  const folding = foldingProblem(checked.value);
  return folding === null ? checked : { problem: folding };
}

/** A structured value copied from another mail has that one's line breaks, which say nothing. */
function unfold(value: string, field: Field | undefined): string {
  if (field?.check === undefined) return value;
  return value.replace(field.check === messageIds ? /\s+/g : /\r?\n[ \t]+|\t/g, ' ');
}

/**
 * List-Unsubscribe-Post is for an https URL in List-Unsubscribe (RFC 8058 section 3.1): without one no client
 * offers the button.
 */
function checkOneClick(headers: readonly Header[], errors: FieldErrors): void {
  const post = headers.find(([name]) => /^list-unsubscribe-post$/i.test(name));
  if (
    post === undefined ||
    errors.list.some(({ pointer }) => /^\/headers\/list-unsubscribe(?:\/|$)/i.test(pointer))
  ) {
    return;
  }
  const unsubscribe = headers.find(([name]) => /^list-unsubscribe$/i.test(name));
  if (unsubscribe === undefined || !/<https:/i.test(unsubscribe[1])) {
    errors.add(
      `/headers${token(post[0])}`,
      'Add the header List-Unsubscribe with an https URL, or remove this one (RFC 8058).',
    );
  }
}

const WHITE_OR_SEPARATOR = /[ ,;]*/y;
const COMMENT = /\((?:[^()\\]|\\.)*\)/y;

/** The match of a sticky pattern at an index. */
function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/**
 * Cuts a value into its parts, with white space and separators between them left out, and comments added to the part
 * in front of them.
 *
 * @param part turns what stands at an index into a part and its length in the value; null where it is none
 * @returns null where something else stands there, or no part at all
 */
function partsOf(
  value: string,
  part: (at: number) => { readonly text: string; readonly length: number } | null,
): string[] | null {
  const parts: string[] = [];
  let front = '';
  let at = matchAt(WHITE_OR_SEPARATOR, value, 0)?.length ?? 0;
  while (at < value.length) {
    const comment = matchAt(COMMENT, value, at);
    const found = comment === undefined ? part(at) : { text: comment, length: comment.length };
    if (found === null) return null;
    if (comment === undefined) parts.push(front + found.text);
    else if (parts.length > 0) parts[parts.length - 1] += ` ${comment}`;
    front = parts.length > 0 ? '' : `${front}${found.text} `;
    at += found.length;
    at += matchAt(WHITE_OR_SEPARATOR, value, at)?.length ?? 0;
  }
  return parts.length > 0 ? parts : null;
}

// In brackets whatever other senders write, since an answer has to repeat their id to the letter; without brackets
// the form of RFC 5322 section 3.6.4 alone, which cannot be taken for anything else.
const BRACKETED_ID = /<(?:[^<>" ]+|"(?:[^"\\]|\\.)*")@[^<> ]+>/y;
const BARE_ID = /[\w!#$%&'*+\-/=?^`{|}~.]+@[\w.:[\]-]+(?=[ ,;<(]|$)/y;

/** In-Reply-To, References (RFC 5322 section 3.6.4): ids in angle brackets, a space between each two. */
function messageIds(value: string): Checked {
  const ids = partsOf(value, (at) => {
    const bracketed = matchAt(BRACKETED_ID, value, at);
    if (bracketed !== undefined) return { text: bracketed, length: bracketed.length };
    const bare = matchAt(BARE_ID, value, at);
    return bare === undefined ? null : { text: `<${bare}>`, length: bare.length };
  });
  return ids === null
    ? {
        problem:
          'Use message ids in angle brackets with spaces between them, such as "<1@ifaxin.com> <2@ifaxin.com>".',
      }
    : { value: ids.join(' ') };
}

const URLS =
  'Use URLs in angle brackets with commas between them, such as "<https://ifaxin.com/u/1>, <mailto:u@ifaxin.com>".';
const BARE_URL = /[^ <>]+/y;
const BRACKETED_URL = /<[^<>]*>/y;

/** List-… (RFC 2369 section 2): URLs in angle brackets, a comma between each two. */
function urls(value: string): Checked {
  const found = partsOf(value, (at) => {
    const bracketed = matchAt(BRACKETED_URL, value, at);
    const bare = bracketed === undefined ? matchAt(BARE_URL, value, at)?.replace(/[,;]+$/, '') : undefined;
    const url = urlOf(asUri(bracketed?.slice(1, -1).trim() ?? bare ?? ''));
    // A bare URL may have commas of its own, and they may part two of them.
    if (url === null || (bare !== undefined && /[,;](?:<|[a-z][a-z+.-]*:|.*@)/i.test(bare))) return null;
    return { text: `<${url}>`, length: (bracketed ?? bare ?? '').length };
  });
  return found === null ? { problem: URLS } : { value: found.join(', ') };
}

/** As a browser asks for what is outside ASCII: in Punycode in the host, percent-encoded elsewhere (RFC 3987 section 3.1). */
function asUri(iri: string): string {
  if (isAscii(iri) || iri.includes(' ') || !URL.canParse(iri)) return iri;
  const [, addresses, query = ''] = /^mailto:([^?]*)(.*)$/is.exec(iri) ?? [];
  if (addresses === undefined) return new URL(iri).href;
  // A browser takes their domains for no hosts.
  const ascii = addresses.split(',').map((address) => {
    const parsed = parseMailbox(address);
    return 'mailbox' in parsed ? parsed.mailbox.address : address;
  });
  return encodeURI(`mailto:${ascii.join(',')}${query}`).replaceAll('%25', '%');
}

/** With one "@", which may be encoded. Linear: an encoded one is looked for where there is no other. */
const ADDRESS = /^[^@]+@[^@]+$|^(?=[^@]*$).+%40./i;

/** A URL that a mail client can open; an address alone is a mailto: URL. */
function urlOf(text: string): string | null {
  if (/^https?:\/\/[^ ]+$/i.test(text)) return URL.canParse(text) ? text : null;
  const address = /^mailto:([^ ?]+)(?:\?[^ ]*)?$/i.exec(text)?.[1];
  if (address !== undefined) {
    // RFC 6068 section 2: one or several.
    return address.split(',').every((one) => ADDRESS.test(one)) ? text : null;
  }
  if (/^(?:ftp|news|nntp|imap):[^ ]+$/i.test(text)) return text;
  const parsed = text.includes(' ') || text.includes(':') ? null : parseMailbox(text);
  return parsed !== null && 'mailbox' in parsed
    ? `mailto:${encodeURI(parsed.mailbox.address).replaceAll('?', '%3F')}`
    : null;
}

/** List-Post may say that a list takes none, and why (RFC 2369 section 3.4). */
const postUrls = (value: string): Checked =>
  /^no *(?:\([^()]*\))?$/i.test(value) ? { value: `NO${value.slice(2)}` } : urls(value);

/** List-Id (RFC 2919 section 2): a name, or none, and an id in angle brackets. */
function listId(value: string): Checked {
  const open = value.endsWith('>') ? value.lastIndexOf('<') : -1;
  const id = open === -1 ? value : value.slice(open + 1, -1).trim();
  if (!DOT_ATOMS.test(id) || id.length > 255) {
    return { problem: 'Use an id in angle brackets, such as "Our news <news.ifaxin.com>" (RFC 2919).' };
  }
  const phrase = value.slice(0, Math.max(open, 0)).trim();
  if (phrase === '') return { value: `<${id}>` };
  if (PHRASE.test(phrase)) return { value: `${phrase} <${id}>` };
  return { value: mailboxTokens({ name: decodeEncodedWords(phrase), address: id }, 0).join(' ') };
}

const ATEXT = "\\w!#$%&'*+\\-/=?^`{|}~";
const DOT_ATOMS = new RegExp(`^[${ATEXT}]+(?:\\.[${ATEXT}]+)+$`);
/** Words (RFC 5322 section 3.2.5). */
const PHRASE = new RegExp(`^(?:[${ATEXT} ]|"(?:[^"\\\\]|\\\\.)*")+$`);

/** A list of mailboxes (RFC 5322 section 3.4). */
function mailboxes(value: string): Checked {
  const found: string[] = [];
  for (const text of value.match(/(?:"(?:[^"\\]|\\.)*"|\([^()]*\)|[^,"(]|["(])+/g) ?? []) {
    if (text.trim() === '') continue;
    const parsed = parseMailbox(text.trim());
    if ('problem' in parsed) return parsed;
    // An encoded-word stays as it is.
    const isEncoded = isAscii(text) && hasEncodedWord(text);
    found.push(isEncoded ? text.trim() : mailboxTokens(parsed.mailbox, 0).join(' '));
  }
  return { value: found.join(', ') };
}

/** One of these words, whatever its case. */
const oneOf =
  (...words: readonly string[]) =>
  (value: string): Checked =>
    words.some((word) => word.toLowerCase() === value.toLowerCase())
      ? { value }
      : { problem: `Use one of these values: ${words.join(', ')}.` };

/** A value that matches, or an example of one that does. */
const like =
  (pattern: RegExp, example: string) =>
  (value: string): Checked =>
    pattern.test(value) ? { value } : { problem: `Use a value such as ${example}.` };

/** RFC 8058 section 3.1: these characters and no others. */
const oneClick = (value: string): Checked =>
  /^"?list-unsubscribe *= *one-click"?$/i.test(value)
    ? { value: 'List-Unsubscribe=One-Click' }
    : { problem: 'Use the value "List-Unsubscribe=One-Click" (RFC 8058).' };

const PARAMETERS = '(?: *; *[\\w!#$%&\'*+.^`|~-]+ *= *(?:[\\w!#$%&\'*+.^`|~@-]+|"(?:[^"\\\\]|\\\\.)*"))*';

/** The fields of a known structure, and those of which a message has one at most. */
const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  // RFC 5322 section 3.6; RFC 2156 has the last two.
  ...['in-reply-to', 'references', 'supersedes', 'obsoletes'].map(
    (name) => [name, { check: messageIds }] as const,
  ),
  ['keywords', { check: (value) => ({ value }), repeats: true }],
  ...['list-unsubscribe', 'list-help', 'list-subscribe', 'list-owner', 'list-archive'].map(
    (name) => [name, { check: urls }] as const,
  ),
  ['list-post', { check: postUrls }],
  ['list-unsubscribe-post', { check: oneClick }],
  ['list-id', { check: listId }],
  // RFC 5064.
  ['archived-at', { check: urls, repeats: true }],
  // RFC 3834 section 5, RFC 5436 section 2.7.1.
  [
    'auto-submitted',
    {
      check: like(
        new RegExp(`^(?:no|auto-generated|auto-replied|auto-notified)(?: *\\([^()]*\\))?${PARAMETERS}$`, 'i'),
        '"auto-generated", "auto-replied" or "no" (RFC 3834)',
      ),
    },
  ],
  [
    'precedence',
    { check: oneOf('bulk', 'list', 'junk', 'first-class', 'special-delivery', 'normal', 'auto_reply') },
  ],
  // RFC 2156 section 5.3.
  ['importance', { check: oneOf('high', 'normal', 'low') }],
  ['priority', { check: oneOf('urgent', 'normal', 'non-urgent') }],
  ['sensitivity', { check: oneOf('personal', 'private', 'company-confidential') }],
  ['x-priority', { check: like(/^[1-5](?: *\([A-Za-z ]+\))?$/, '"1" (highest) to "5" (lowest)') }],
  ['x-msmail-priority', { check: oneOf('high', 'normal', 'low') }],
  // RFC 8098 section 2.1.
  ...[
    'disposition-notification-to',
    'return-receipt-to',
    'errors-to',
    'x-confirm-reading-to',
    'mail-followup-to',
    'mail-reply-to',
  ].map((name) => [name, { check: mailboxes }] as const),
  // RFC 3282 section 2.
  [
    'content-language',
    {
      check: like(
        /^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*(?: *, *[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)*$/,
        '"en" or "de-CH, fr"',
      ),
    },
  ],
  ...[
    'feedback-id',
    'organization',
    'user-agent',
    'x-mailer',
    'expires',
    'reply-by',
    'thread-topic',
    'thread-index',
  ].map((name) => [name, {}] as const),
]);
