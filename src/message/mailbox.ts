/** Mailboxes: from what a caller writes to a name and an address that SMTP without SMTPUTF8 can carry. */

import emailAddresses from 'email-addresses';
import { encodedTextProblem, textProblem } from './header.ts';

/** `address` is ready for SMTP: ASCII, its domain in punycode and lower case. `name` may be empty. */
export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

/** A mailbox string (RFC 5322 section 3.4), or its two parts. */
export type MailboxInput = string | { readonly name?: string | undefined; readonly address: string };

/** `at` is the JSON Pointer of the faulty part inside the input. */
export type ParsedMailbox =
  | { readonly mailbox: Mailbox }
  | { readonly problem: string; readonly at: '' | '/name' | '/address' };

export const MAX_MAILBOX = 1000;
export const MAX_NAME = 255;
const MAX_PARSED = 320;
/** Ten mailboxes of the longest, or a hundred of common length: some 60 ms at worst. */
const MAX_PARSED_PER_MESSAGE = 3200;
/** RFC 5321 section 4.5.3.1, with erratum 1690 on RFC 3696 for the whole path. */
const MAX_LOCAL = 64;
const MAX_DOMAIN = 253;
const MAX_ADDRESS = 254;

/** What the full parser may still read of one message, in characters. */
export interface ParserAllowance {
  characters: number;
}

/**
 * One for each message: the parser takes up to 20 µs a character, on the one thread that serves everyone,
 * and a message has up to 304 mailboxes.
 */
export const parserAllowance = (): ParserAllowance => ({ characters: MAX_PARSED_PER_MESSAGE });

/**
 * Reads one mailbox. Route addresses, groups and address literals are refused. Comments are dropped, also
 * where a name was meant by one, as in `ben@ifaxin.com (Ben)`: they carry no meaning (RFC 5322 section 3.2.2).
 *
 * @param allowance shared by all mailboxes of one message, and drawn upon
 */
export function parseMailbox(input: MailboxInput, allowance = parserAllowance()): ParsedMailbox {
  if (typeof input === 'string') {
    const split = splitMailbox(input, allowance);
    if ('problem' in split) return { problem: split.problem, at: '' };
    return finish(split, '', '');
  }
  const name = (input.name ?? '').trim();
  const split = splitMailbox(input.address, allowance);
  if ('problem' in split) return { problem: split.problem, at: '/address' };
  if (split.name !== null || input.address.includes('<')) {
    return { problem: 'Give the address alone here, and the name in "name".', at: '/address' };
  }
  return finish({ ...split, name }, '/name', '/address');
}

interface Split {
  readonly name: string | null;
  /** The local part without quotes and comments. */
  readonly local: string;
  readonly domain: string;
}

const NOT_A_MAILBOX =
  'Give one address like "ben@ifaxin.com" or "Ben <ben@ifaxin.com>"; put a name with special characters in double quotes.';

const SEVERAL = 'Give one address in each string; where several are allowed, use a list.';

// The common forms, a subset of what the full parser takes and with the same result (a test holds both
// against each other): it is a hundred times slower.
const ATEXT = "A-Za-z0-9!#$%&'*+\\-/=?^_`{|}~";
const WORD = `[${ATEXT}\\u0080-\\uffff.]+`;
const BARE = new RegExp(`^ *([${ATEXT}]+(?:\\.[${ATEXT}]+)*)@([A-Za-z0-9.\\-\\u0080-\\uffff]+) *$`);
const NAMED = new RegExp(`^ *(?:(?:((?!\\.)${WORD}(?: +${WORD})*)|"((?:[^"\\\\]|\\\\.)*)") *)?<([^<>]+)> *$`);

function splitMailbox(text: string, allowance: ParserAllowance): Split | { readonly problem: string } {
  const bare = BARE.exec(text);
  if (bare) return { name: null, local: bare[1] as string, domain: bare[2] as string };
  const named = NAMED.exec(text);
  const inner = named && BARE.exec(named[3] as string);
  if (inner) {
    const name = named[1] ?? (named[2] ?? '').replace(/\\(.)/g, '$1');
    return { name: withSingleSpaces(name), local: inner[1] as string, domain: inner[2] as string };
  }
  return parseFully(text, allowance);
}

const withSingleSpaces = (name: string): string => name.replace(/ {2,}/g, ' ').trim();

function parseFully(text: string, allowance: ParserAllowance): Split | { readonly problem: string } {
  const problem = textProblem(text);
  if (problem !== null) return { problem };
  // The parser takes far longer for comments in comments.
  if (text.length > Math.min(MAX_PARSED, allowance.characters) || text.split('(').length > 5) {
    return { problem: 'Simplify this mailbox, or give it as {"name": "Ben", "address": "ben@ifaxin.com"}.' };
  }
  allowance.characters -= text.length;
  const parsed = emailAddresses({ input: text, rfc6532: true, startAt: 'address' })?.addresses[0];
  if (parsed === undefined) {
    return { problem: /^[^@]*@[^,;]*[,;][^@]*@/.test(text) ? SEVERAL : NOT_A_MAILBOX };
  }
  if (parsed.type === 'group') return { problem: 'List the members of the group one by one.' };
  const { name, local, domain } = parsed.parts;
  if (contains(parsed.node, 'obs-route')) return { problem: 'Remove the route in front of the address.' };
  const localText = localOf(local);
  if (localText === null) return { problem: NOT_A_MAILBOX };
  return {
    name: name === null ? null : withSingleSpaces(nameOf(name)),
    local: localText,
    domain: domain.semantic.trim(),
  };
}

type Node = emailAddresses.ASTNode;

const contains = (node: Node | null | undefined, name: string): boolean =>
  !!node && (node.name === name || node.children.some((child) => contains(child, name)));

/** The display name. The parser's own loses the space beside a quoted word: `A "B" C` became `A BC`. */
function nameOf(node: Node): string {
  if (node.name === 'quoted-string') {
    return (node.tokens.startsWith('"') ? '' : ' ') + node.semantic + (node.tokens.endsWith('"') ? '' : ' ');
  }
  if (node.name === 'atom' || node.name === 'cfws' || node.children.length === 0) return node.semantic;
  return node.children.map(nameOf).join('');
}

/** The local part without quotes; null for obsolete forms, with white space or comments between its words. */
function localOf(node: Node): string | null {
  const semantic = node.semantic.trim();
  if (!/[\s"\\]/.test(semantic) && !semantic.includes('..')) return semantic;
  // The parser folds white space, which is right for a name and would change a quoted local part.
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(node.tokens.trim())?.[1];
  return quoted === undefined ? null : quoted.replace(/\\(.)/g, '$1');
}

function finish(split: Split, atName: '' | '/name', atAddress: '' | '/address'): ParsedMailbox {
  const name = split.name ?? '';
  if (name.length > MAX_NAME)
    return { problem: `Shorten the name to at most ${MAX_NAME} characters.`, at: atName };
  const nameProblem = name === '' ? null : encodedTextProblem(name);
  if (nameProblem !== null) return { problem: nameProblem, at: atName };
  const local = localPart(split.local);
  if ('problem' in local) return { problem: local.problem, at: atAddress };
  const domain = asciiDomain(split.domain);
  if (domain === null) return { problem: domainProblem(split.domain), at: atAddress };
  const address = `${local.text}@${domain}`;
  if (address.length > MAX_ADDRESS) {
    return { problem: `Shorten the address to at most ${MAX_ADDRESS} octets.`, at: atAddress };
  }
  return { mailbox: { name, address } };
}

const DOT_ATOM = new RegExp(`^[${ATEXT}]+(?:\\.[${ATEXT}]+)*$`);

/** A dot-atom goes bare, anything else quoted (RFC 5321 section 4.1.2). */
function localPart(local: string): { text: string } | { problem: string } {
  const text = DOT_ATOM.test(local) ? local : `"${local.replace(/["\\]/g, '\\$&')}"`;
  if (!/^[\x20-\x7e]*$/.test(text)) {
    return {
      problem:
        'Use an address with an ASCII local part: upstream offers no SMTPUTF8, so this one cannot be sent.',
    };
  }
  if (local === '') return { problem: NOT_A_MAILBOX };
  if (/[<>]/.test(text)) return { problem: 'Use an address without angle brackets in its local part.' };
  if (text.length > MAX_LOCAL) return { problem: `Shorten the local part to at most ${MAX_LOCAL} octets.` };
  return { text };
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const NOT_IN_DOMAIN = /[^A-Za-z0-9.\-\u0080-\u{10ffff}]/u;
const NUMBER_AT_END = /(?:^|\.)\d+$/;
const PLAIN_DOMAIN =
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A domain name as DNS has it: LDH labels (RFC 5890), lower case, IDN as punycode by the rules of URLs.
 *
 * @returns null where it is no domain name; address literals and bare numbers are none
 */
export function asciiDomain(domain: string): string | null {
  const plain = domain.toLowerCase();
  if (plain.length <= MAX_DOMAIN && PLAIN_DOMAIN.test(plain)) return plain;
  // Only what the URL parser takes as part of a host may reach it, and no "%41" that it would decode.
  if (domain.length > MAX_DOMAIN || NOT_IN_DOMAIN.test(domain)) return null;
  const url = URL.parse(`http://${domain}/`);
  if (url === null) return null;
  const host = url.hostname;
  const labels = host.split('.');
  // What looks like an IPv4 address comes out of the URL parser as one.
  if (host.length > MAX_DOMAIN || labels.length < 2 || NUMBER_AT_END.test(host)) return null;
  return labels.every((label) => LABEL.test(label)) ? host : null;
}

/** The rules of host names (RFC 1123 section 2.1, RFC 5890 section 2.3.1), in the order that tells most. */
const DOMAIN_RULES: readonly (readonly [broken: RegExp, problem: string])[] = [
  [/^\[/, 'Give a domain name: an address literal is not taken.'],
  [NOT_IN_DOMAIN, 'Correct the domain name: it takes letters, digits, hyphens and dots alone.'],
  [/[.。]$/, 'Remove the dot at the end of the domain name.'],
  [/^\.|\.\./, 'Remove a dot from the domain name: it has an empty label.'],
  [NUMBER_AT_END, 'Give a domain name: an IP address is not taken.'],
  [/^[^.。]*$/, 'Give a domain name of at least two labels, like "ifaxin.com".'],
  [/(?:^|\.)-|-(?:\.|$)/, 'Correct the domain name: no label starts or ends with a hyphen.'],
  [/[^.]{64}/, 'Shorten the labels of the domain name to at most 63 octets each.'],
  [/^.{254}/s, `Shorten the domain name to at most ${MAX_DOMAIN} octets.`],
];

/** What is wrong with a domain that `asciiDomain` refused. */
const domainProblem = (domain: string): string =>
  DOMAIN_RULES.find(([broken]) => broken.test(domain))?.[1] ??
  'Give a domain name that DNS can hold: its labels are too long in punycode, or no host name (RFC 5890).';

/** A local part, without its quotes, and a domain as one address for SMTP; null where they make none. */
export function joinAddress(local: string, domain: string): string | null {
  const parsed = finish({ name: null, local, domain }, '', '');
  return 'mailbox' in parsed ? parsed.mailbox.address : null;
}

/** The address alone of a mailbox in a header field, where a name may be encoded (RFC 2047); null where it has none. */
export function addressIn(mailbox: string, allowance: ParserAllowance): string | null {
  const split = splitMailbox(mailbox, allowance);
  return 'problem' in split ? null : joinAddress(split.local, split.domain);
}
