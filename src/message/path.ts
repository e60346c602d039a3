/** The paths of MAIL and RCPT (RFC 5321 section 4.1.2): the address between the angle brackets, and what it is for us. */

import { joinAddress } from './mailbox.ts';

/** `MAIL FROM:<…>` or `RCPT TO:<…>`, taken apart but not yet judged. */
export interface PathCommand {
  /** `MAIL FROM` or `RCPT TO`, as it was written. */
  readonly verb: string;
  /** What stands in the angle brackets, without a source route; empty for the null path. */
  readonly address: string;
  /** What follows the path, such as `SIZE=1000 BODY=8BITMIME`. */
  readonly parameters: string;
}

// A source route must be accepted and should be ignored (RFC 5321 appendix C). In quotes anything may stand.
const PATH_COMMAND =
  /^([a-z]+ [a-z]+)\s*:\s*<(?:@[^\s,:@<>"]+(?:,@[^\s,:@<>"]+)*:)?((?:"(?:[^"\\]|\\.)*"|[^"<>\s\\])*)>(?:\s+(.*))?$/i;

/** Null where the line is no such command. */
export function splitPathCommand(line: string): PathCommand | null {
  const [, verb, address, parameters = ''] = PATH_COMMAND.exec(line.trim()) ?? [];
  return verb === undefined || address === undefined ? null : { verb, address, parameters };
}

export interface Path {
  /** As it was given, but for a domain that was not ASCII: SMTP without SMTPUTF8 takes it as punycode. */
  readonly address: string;
  /** One spelling for every way to write this mailbox, but for the case of its local part. */
  readonly canonical: string;
}

const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*)"$/;
const DOT_STRING = /^[^\s"(),:;<>@[\\\]]+$/;

/** A mailbox as SMTP has it: a dot-string or a quoted string, and a domain name. Null for anything else. */
export function parsePath(address: string): Path | null {
  const at = address.lastIndexOf('@');
  const given = address.slice(0, Math.max(at, 0));
  const local = DOT_STRING.test(given) && !/^\.|\.$|\.\./.test(given) ? given : unquoted(given);
  const canonical = local === null ? null : joinAddress(local, address.slice(at + 1));
  if (canonical === null) return null;
  const domain = canonical.slice(canonical.lastIndexOf('@') + 1);
  const isAscii = /^[\x21-\x7e]+$/.test(address.slice(at + 1));
  return { address: isAscii ? address : `${given}@${domain}`, canonical };
}

const unquoted = (local: string): string | null => QUOTED.exec(local)?.[1]?.replace(/\\(.)/g, '$1') ?? null;
