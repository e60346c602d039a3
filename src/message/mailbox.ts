/** Mailboxes: from what a caller writes to a name and an address that SMTP without SMTPUTF8 can carry. */

import {
  excerpt,
  misleadingIn,
  nameOfCharacter,
  trimInvisibleEnd,
  trimInvisibleStart,
} from './characters.ts';
import { asciiDomain, domainProblem } from './domain.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import { encodedTextProblem, quoted, textProblem } from './header.ts';

/** `address` is ready for SMTP: ASCII, its domain in punycode and lower case. `name` may be empty. */
export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

/** A mailbox string (RFC 5322 section 3.4), or its two parts. */
export type MailboxInput = string | { readonly name?: string | null | undefined; readonly address: string };

/** `at` is the JSON Pointer of the faulty part inside the input. */
export type ParsedMailbox =
  | { readonly mailbox: Mailbox }
  | { readonly problem: string; readonly at: '' | '/name' | '/address' };

export const MAX_MAILBOX = 1000;
export const MAX_NAME = 255;
/** RFC 5321 section 4.5.3.1, with erratum 1690 on RFC 3696 for the whole path. */
const MAX_LOCAL = 64;
const MAX_ADDRESS = 254;

const NOT_A_MAILBOX =
  'Write one address, such as "ben@ifaxin.com" or "Ben <ben@ifaxin.com>", with a name in double quotes if it has special characters.';
const SEVERAL = 'Write one address in each string, and several as a list where the field takes one.';

/**
 * Reads one mailbox (RFC 5322 section 3.4), in linear time. The name keeps all that stands beside the address:
 * comments in their parentheses, characters that a phrase would have to quote, encoded-words decoded. A comment
 * alone is the name, as in `ben@ifaxin.com (Ben)`. Groups, routes and address literals are refused.
 */
export function parseMailbox(input: MailboxInput): ParsedMailbox {
  if (typeof input === 'string') {
    const split = splitMailbox(input);
    return 'problem' in split ? { problem: split.problem, at: '' } : finish(split, '', '');
  }
  const split = splitMailbox(input.address);
  if ('problem' in split) return { problem: split.problem, at: '/address' };
  if (split.name !== '' || input.address.includes('<')) {
    return { problem: 'Write the address alone here, and the name in "name".', at: '/address' };
  }
  return finish({ ...split, name: (input.name ?? '').trim() }, '/name', '/address');
}

/** More than a name and an address of the longest need: a message has up to 304 mailboxes to read. */
const MAX_TOKENS = 200;

interface Problem {
  readonly problem: string;
}

interface Split {
  readonly name: string;
  /** The local part without quotes. */
  readonly local: string;
  readonly domain: string;
}

/** A lexical token (RFC 5322 sections 3.2.1 to 3.2.4). */
interface Token {
  readonly kind: 'atom' | 'quoted' | 'comment' | 'special';
  /** Without quotes, parentheses and the backslashes of quoted pairs. */
  readonly text: string;
  /** White space stands in front of it. */
  readonly spaced: boolean;
}

const ATEXT = "A-Za-z0-9!#$%&'*+\\-/=?^_`{|}~";
const DOT_ATOM = new RegExp(`^[${ATEXT}]+(?:\\.[${ATEXT}]+)*$`);

// Most mailboxes. The rest takes ten times as long.
const COMMON = new RegExp(
  `^(?:([A-Za-z0-9]+(?: [A-Za-z0-9]+)*) <)?([${ATEXT}]+(?:\\.[${ATEXT}]+)*)@([A-Za-z0-9.-]+)(>?)$`,
);

function splitMailbox(input: string): Split | Problem {
  const [, common, local = '', domain = '', close] = COMMON.exec(input) ?? [];
  if (local !== '' && (common === undefined) === (close === '')) return { name: common ?? '', local, domain };
  // A tab is white space as a space is (RFC 5322 section 3.2.2).
  const text = trimInvisibleEnd(trimInvisibleStart(input)).replaceAll('\t', ' ');
  const problem = textProblem(text);
  if (problem !== null) return { problem };
  const tokens = tokenize(text);
  if ('problem' in tokens) return tokens;
  if (tokens.length > MAX_TOKENS) {
    return { problem: 'Simplify this mailbox, or write it as {"name": "Ben", "address": "ben@ifaxin.com"}.' };
  }
  const open = tokens.findIndex(is('<'));
  if (isGroup(tokens)) return { problem: 'List the members of the group one by one.' };
  return open === -1 ? splitBare(tokens, text) : splitNamed(tokens, open, text);
}

const is =
  (special: string) =>
  ({ kind, text }: Token): boolean =>
    kind === 'special' && text === special;
const isComment = ({ kind }: Token): boolean => kind === 'comment';
const isSeparator = ({ kind, text }: Token): boolean => kind === 'special' && (text === ',' || text === ';');

/** `Friends: …;` (RFC 5322 section 3.4). A colon alone may stand in a name. */
function isGroup(tokens: readonly Token[]): boolean {
  const last = tokens.findLast((token) => !isComment(token));
  return last !== undefined && is(';')(last) && tokens.some(is(':'));
}

/** An address with or without comments. */
function splitBare(tokens: readonly Token[], text: string): Split | Problem {
  const words = tokens.filter((token) => !isComment(token));
  const address = splitAddress(tokens);
  if (address === null) return { problem: notAMailbox(words, text) };
  const comments = tokens.filter(isComment);
  const only = comments.length === 1 ? comments[0] : undefined;
  return { ...address, name: only === undefined ? nameOf(comments) : decodeEncodedWords(only.text).trim() };
}

/** `name <address>`, with comments anywhere. */
function splitNamed(tokens: readonly Token[], open: number, text: string): Split | Problem {
  const close = tokens.findIndex(is('>'));
  const name = tokens.slice(0, open);
  const inner = tokens.slice(open + 1, close);
  const behind = tokens.slice(close + 1);
  const words = tokens.filter((token) => !isComment(token));
  if (close < open || behind.some((token) => !isComment(token))) return { problem: notAMailbox(words, text) };
  if (inner[0] !== undefined && is('@')(inner[0])) {
    return { problem: 'Remove the route in front of the address.' };
  }
  const address = splitAddress(inner);
  if (address === null) return { problem: notAMailbox(inner, text) };
  if (name.some(isSeparator)) {
    if (name.some(is('@'))) return { problem: SEVERAL };
    const quoted = nameOf(name).replace(/["\\]/g, '\\$&');
    const whole = `"${excerpt(quoted)}" <${excerpt(`${address.local}@${address.domain}`)}>`;
    return { problem: `Put the name in double quotes: ${whole}.` };
  }
  const only =
    name.length === 1 && name[0]?.kind === 'comment' ? [{ ...name[0], kind: 'atom' as const }] : name;
  return { ...address, name: nameOf([...only, ...inner.filter(isComment), ...behind]) };
}

/** What stands beside the address, as a reader is to see it. */
function nameOf(tokens: readonly Token[]): string {
  let name = '';
  let plain = '';
  for (const { kind, text, spaced } of tokens) {
    if (kind === 'atom' || kind === 'special') {
      plain += spaced ? ` ${text}` : text;
      continue;
    }
    name += decodeEncodedWords(plain);
    plain = '';
    name += (spaced ? ' ' : '') + (kind === 'comment' ? `(${decodeEncodedWords(text)})` : text);
  }
  return (name + decodeEncodedWords(plain)).trim();
}

/** The two parts of an address with comments around them; null for anything else. */
function splitAddress(tokens: readonly Token[]): Omit<Split, 'name'> | null {
  const at = tokens.findIndex(is('@'));
  if (at === -1) return null;
  const local = withoutComments(tokens.slice(0, at));
  const domain = withoutComments(tokens.slice(at + 1));
  if (local === null || domain === null || !isDotted(local) || !domain.every(isInDomain)) return null;
  const localText = textOf(local);
  return {
    local: local[0]?.kind === 'quoted' ? localText : trimInvisibleStart(localText),
    domain: trimInvisibleEnd(textOf(domain)),
  };
}

const textOf = (tokens: readonly Token[]): string => tokens.map(({ text }) => text).join('');

/** Whatever else is wrong with it is told of the domain. */
const isInDomain = ({ kind, text }: Token): boolean =>
  kind === 'atom' || (kind === 'special' && '.[]:'.includes(text));

/** Without the comments at both ends; null where a comment or white space parts what is left (obsolete syntax). */
function withoutComments(tokens: readonly Token[]): readonly Token[] | null {
  const first = tokens.findIndex((token) => !isComment(token));
  const rest =
    first === -1 ? [] : tokens.slice(first, tokens.findLastIndex((token) => !isComment(token)) + 1);
  return rest.some((token, index) => isComment(token) || (index > 0 && token.spaced)) ? null : rest;
}

/** Words with a dot between each two (RFC 5322 section 3.4.1, obs-local-part). */
const isDotted = (tokens: readonly Token[]): boolean =>
  tokens.length % 2 === 1 &&
  tokens.every((token, index) =>
    index % 2 === 1 ? is('.')(token) : token.kind === 'atom' || token.kind === 'quoted',
  );

/** Brackets and signs that a keyboard or a word processor writes for those of an address. */
const LIKE_SYNTAX = /[＜＞＠﹤﹥﹫〈〉《》‹›«»⟨⟩“”„＂，；、]/u;

/** The most helpful words for what is no mailbox. */
function notAMailbox(words: readonly Token[], text: string): string {
  const ats = words.filter(is('@')).length;
  const like = LIKE_SYNTAX.exec(text)?.[0];
  if (like !== undefined) return `Correct the address: it has ${nameOfCharacter(like)}.`;
  if (ats > 1 && words.some(isSeparator)) return SEVERAL;
  const unquoted = ats === 1 ? unquotedLocalPart(words) : null;
  return unquoted === null ? NOT_A_MAILBOX : `Put the local part in double quotes: ${unquoted}.`;
}

/** The address with its local part in quotes, where dots alone keep it from standing without (RFC 5321 section 4.1.2). */
function unquotedLocalPart(words: readonly Token[]): string | null {
  const at = words.findIndex(is('@'));
  const local = words.slice(0, at);
  const isWhole = local.every((token, index) => isAtomOrDot(token) && !(index > 0 && token.spaced));
  if (!isWhole || isDotted(local) || local.every(is('.'))) return null;
  return `"${excerpt(textOf(local))}"@${excerpt(textOf(words.slice(at + 1)))}`;
}

const isAtomOrDot = (token: Token): boolean => token.kind === 'atom' || is('.')(token);

const SPECIALS = '<>@,;:[].\\)';
const ATOM = /[^ "()<>@,;:[\].\\]+/y;

function tokenize(text: string): Token[] | Problem {
  const tokens: Token[] = [];
  let spaced = false;
  for (let at = 0; at < text.length; ) {
    const char = text[at] as string;
    if (char === ' ') {
      spaced = true;
      at += 1;
      continue;
    }
    if (char === '"' || char === '(') {
      const end = char === '"' ? endOfQuoted(text, at) : endOfComment(text, at);
      if (end === -1) {
        return {
          problem:
            char === '"'
              ? 'Close the double quotes, or write a double quote as \\".'
              : 'Close the parenthesis.',
        };
      }
      const inner = text.slice(at + 1, end - 1).replace(/\\(.)/g, '$1');
      tokens.push({ kind: char === '"' ? 'quoted' : 'comment', text: inner, spaced });
      at = end;
    } else if (SPECIALS.includes(char)) {
      tokens.push({ kind: 'special', text: char, spaced });
      at += 1;
    } else {
      ATOM.lastIndex = at;
      const atom = ATOM.exec(text)?.[0] as string;
      tokens.push({ kind: 'atom', text: atom, spaced });
      at += atom.length;
    }
    spaced = false;
  }
  return tokens;
}

/** The index behind the closing quote; -1 where there is none. */
function endOfQuoted(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return -1;
}

/** As `endOfQuoted`, for a comment, which may hold others. */
function endOfComment(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '(') depth += 1;
    else if (text[at] === ')') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

function finish(
  { name, local, domain }: Split,
  atName: '' | '/name',
  atAddress: '' | '/address',
): ParsedMailbox {
  if (name.length > MAX_NAME)
    return { problem: `Shorten the name to at most ${MAX_NAME} characters.`, at: atName };
  const nameProblem = name === '' ? null : encodedTextProblem(name);
  if (nameProblem !== null) return { problem: nameProblem, at: atName };
  const localText = localPart(local);
  if (typeof localText !== 'string') return { problem: localText.problem, at: atAddress };
  const ascii = asciiDomain(domain);
  if (ascii === null)
    return { problem: domain === '' ? NOT_A_MAILBOX : domainProblem(domain), at: atAddress };
  const address = `${localText}@${ascii}`;
  if (address.length > MAX_ADDRESS) {
    return { problem: `Shorten the address to at most ${MAX_ADDRESS} octets.`, at: atAddress };
  }
  return { mailbox: { name, address } };
}

/** A dot-atom goes bare, anything else quoted (RFC 5321 section 4.1.2). */
function localPart(local: string): string | Problem {
  if (DOT_ATOM.test(local) && local.length <= MAX_LOCAL) return local;
  const misleading = misleadingIn(local);
  if (misleading !== null)
    return { problem: `Correct the local part of the address: it has ${nameOfCharacter(misleading)}.` };
  const foreign = /[\u0080-\u{10ffff}]/u.exec(local)?.[0];
  if (foreign !== undefined) {
    return {
      problem: `Use an address with an ASCII local part, without ${nameOfCharacter(foreign)}: upstream offers no SMTPUTF8.`,
    };
  }
  if (local === '') return { problem: NOT_A_MAILBOX };
  if (/[<>]/.test(local)) return { problem: 'Use an address without angle brackets in its local part.' };
  const text = DOT_ATOM.test(local) ? local : quoted(local);
  return text.length > MAX_LOCAL
    ? { problem: `Shorten the local part to at most ${MAX_LOCAL} octets.` }
    : text;
}

/** A local part, without its quotes, and a domain as one address for SMTP; null where they make none. */
export function joinAddress(local: string, domain: string): string | null {
  const parsed = finish({ name: '', local, domain }, '', '');
  return 'mailbox' in parsed ? parsed.mailbox.address : null;
}

/** The address alone of a mailbox in a header field, where a name may be encoded (RFC 2047); null where it has none. */
export function addressIn(mailbox: string): string | null {
  const split = splitMailbox(mailbox);
  return 'problem' in split ? null : joinAddress(split.local, split.domain);
}
