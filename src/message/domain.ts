/** Domain names as DNS has them, and what is wrong with those that it cannot have. */

import { misleadingIn, nameOfCharacter } from './characters.ts';

/** RFC 5321 section 4.5.3.1.2, less the dot of the root. */
const MAX_DOMAIN = 253;

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const NOT_IN_DOMAIN = /[^A-Za-z0-9.\-\u0080-\u{10ffff}]/u;
const NUMBER_AT_END = /(?:^|\.)\d+$/;
const PLAIN_DOMAIN =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?!\d+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/**
 * A domain name as DNS has it: LDH labels (RFC 5890), lower case, IDN as punycode by the rules of URLs.
 * Those rules drop or replace characters that mislead; here such a domain is none.
 *
 * @returns null where it is no domain name; address literals and bare numbers are none
 */
export function asciiDomain(domain: string): string | null {
  if (domain.length <= MAX_DOMAIN && PLAIN_DOMAIN.test(domain)) return domain.toLowerCase();
  // Only what the URL parser takes as part of a host may reach it, and no "%41" that it would decode.
  if (domain.length > MAX_DOMAIN || NOT_IN_DOMAIN.test(domain) || lookAlikeIn(domain) !== null) return null;
  const url = URL.parse(`http://${domain}/`);
  if (url === null) return null;
  const host = url.hostname;
  const labels = host.split('.');
  // What looks like an IPv4 address comes out of the URL parser as one.
  if (host.length > MAX_DOMAIN || labels.length < 2 || NUMBER_AT_END.test(host)) return null;
  return labels.every((label) => LABEL.test(label)) ? host : null;
}

/** The dots of CJK keyboards, which part labels as "." does (RFC 3490 section 3.1); the full-width one misleads. */
const IDEOGRAPHIC_DOT = /[。｡]/g;
/** In some scripts these join or part the letters of a word (RFC 5892 appendix A): the URL parser knows where. */
const JOINERS = /[\u200c\u200d]/g;
/** Punctuation and signs that can pass for a hyphen, a dot or a slash, without those of words (RFC 5892 section 2.6). */
const MARK = /(?![·͵׳״་・])[\p{P}\p{Sm}\p{Sk}\p{Sc}](?<![\u{1f3fb}-\u{1f3ff}])/u;
const LATIN = /\p{Script=Latin}/u;
const LIKE_LATIN = /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}]/u;

/** What in a domain can be taken for something else, in words; null where nothing can. */
function lookAlikeIn(domain: string): string | null {
  const international = domain.replace(/[^\u0080-\u{10ffff}]+/gu, ' ').replace(IDEOGRAPHIC_DOT, '');
  const misleading = misleadingIn(international.replace(JOINERS, '')) ?? MARK.exec(international)?.[0];
  if (misleading !== undefined) return nameOfCharacter(misleading);
  for (const label of domain.split(/[.。｡]/)) {
    const like = LATIN.test(label) ? LIKE_LATIN.exec(label) : null;
    if (like !== null) return `${nameOfCharacter(like[0])} among Latin letters`;
  }
  return null;
}

/** The rules of host names (RFC 1123 section 2.1, RFC 5890 section 2.3.1), in the order that tells most. */
const DOMAIN_RULES: readonly (readonly [broken: RegExp, problem: string])[] = [
  [/^\[/, 'Use a domain name instead of an address literal.'],
  [NOT_IN_DOMAIN, 'Correct the domain name: it may contain only letters, digits, hyphens and dots.'],
  [/[.。]$/, 'Remove the dot at the end of the domain name.'],
  [/^\.|\.\./, 'Remove a dot from the domain name: it has an empty label.'],
  [NUMBER_AT_END, 'Use a domain name instead of an IP address.'],
  [/^[^.。]*$/, 'Use a domain name of at least two labels, such as "ifaxin.com".'],
  [/(?:^|\.)-|-(?:\.|$)/, 'Correct the domain name: no label starts or ends with a hyphen.'],
  [/[^.]{64}/, 'Shorten the labels of the domain name to at most 63 octets each.'],
  [/^.{254}/s, `Shorten the domain name to at most ${MAX_DOMAIN} octets.`],
];

/** What is wrong with a domain that `asciiDomain` refused. */
export function domainProblem(domain: string): string {
  const lookAlike = lookAlikeIn(domain);
  if (lookAlike !== null) return `Correct the domain name: it has ${lookAlike}.`;
  const rule = DOMAIN_RULES.find(([broken]) => broken.test(domain));
  if (rule !== undefined) return rule[1];
  const joiner = domain.match(JOINERS)?.[0];
  if (joiner !== undefined) return `Correct the domain name: it has ${nameOfCharacter(joiner)}.`;
  return 'Correct the domain name: DNS cannot hold it (its labels are too long in punycode, or no host names by RFC 5890).';
}
