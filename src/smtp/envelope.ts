/** MAIL and RCPT: what of them upstream can be told (RFC 5321 section 4.1.1). */

import type { SMTPServerAddress } from 'smtp-server';
import { asciiDomain } from '../message/domain.ts';
import { MAX_RECIPIENTS } from '../sendcloud.ts';
import type { Reply } from './reply.ts';

/** Of to, cc and bcc, which are all one list here. */
const MOST_RECIPIENTS = 3 * MAX_RECIPIENTS;

/** RFC 5321 section 4.5.3.1.3. */
const MAX_ADDRESS = 254;
const ASCII_ADDRESS = /^[\x21-\x7e]+@[\x21-\x7e]+$/;

/** AUTH is RFC 4954 section 5: part of announcing AUTH, and says nothing that matters here. */
const MAIL_PARAMETERS = ['SIZE', 'BODY', 'AUTH'];

/** Why MAIL is refused; null when it is not. */
export function mailProblem(sender: SMTPServerAddress): Reply | null {
  if (sender.address === '') {
    return { code: 553, text: '5.1.7 A sender address is required: upstream takes no bounces' };
  }
  if (onTheWire(sender.address) === null) {
    return { code: 553, text: '5.1.7 Not an ASCII sender address with a domain; no SMTPUTF8 here' };
  }
  return parameterProblem(sender, MAIL_PARAMETERS);
}

/** Why RCPT is refused, after `before` others were taken; null when it is not. */
export function rcptProblem(recipient: SMTPServerAddress, before: number): Reply | null {
  if (before >= MOST_RECIPIENTS) return { code: 452, text: '4.5.3 Too many recipients' };
  if (onTheWire(recipient.address) === null) {
    return { code: 553, text: '5.1.3 Not an ASCII recipient address with a domain; no SMTPUTF8 here' };
  }
  return parameterProblem(recipient, []);
}

/** RFC 5321 section 4.1.1.11: a parameter that was not announced is not ignored. */
function parameterProblem({ args }: SMTPServerAddress, known: readonly string[]): Reply | null {
  if (!args || Object.keys(args).every((name) => known.includes(name))) return null;
  return { code: 555, text: '5.5.4 Parameter not recognized' };
}

/**
 * The address as it was given. The server library shows a punycode domain decoded, which SMTP without SMTPUTF8
 * cannot carry; null for what is not ASCII otherwise, or has no domain.
 */
export function onTheWire(address: string): string | null {
  if (ASCII_ADDRESS.test(address)) return address;
  const at = address.lastIndexOf('@');
  const domain = asciiDomain(address.slice(at + 1));
  const encoded = `${address.slice(0, at)}@${domain}`;
  return domain !== null && ASCII_ADDRESS.test(encoded) && encoded.length <= MAX_ADDRESS ? encoded : null;
}

/** SIZE= of MAIL in octets (RFC 1870); null where it was not declared. */
export const declaredSize = ({ args }: SMTPServerAddress): number | null =>
  (args && Number(args.SIZE)) || null;

/** BODY=8BITMIME of MAIL (RFC 6152). */
export const isEightBit = ({ args }: SMTPServerAddress): boolean =>
  typeof args === 'object' && String(args.BODY).toUpperCase() === '8BITMIME';
