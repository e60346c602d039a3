/** MAIL and RCPT: what of them upstream can be told (RFC 5321 section 4.1.1). */

import type { SMTPServerAddress } from 'smtp-server';
import { parseMailbox } from '../message/mailbox.ts';
import { type Path, parsePath } from '../message/path.ts';
import { MAX_RECIPIENTS } from '../sendcloud.ts';
import type { Reply } from './reply.ts';

/** Of to, cc and bcc, which are all one list here. */
export const MOST_RECIPIENTS = 3 * MAX_RECIPIENTS;

/** AUTH is RFC 4954 section 5: part of announcing AUTH, and says nothing that matters here. */
const MAIL_PARAMETERS = ['SIZE', 'BODY', 'AUTH'];

/** MAIL's path, or why it is refused. */
export function readSender(sender: SMTPServerAddress): Path | Reply {
  if (sender.address === '') {
    return { code: 553, text: '5.1.7 A sender address is required: upstream takes no bounces' };
  }
  const path = parsePath(sender.address);
  if (path === null) return notTaken('5.1.7', sender);
  return parameterProblem(sender, MAIL_PARAMETERS) ?? path;
}

/** RCPT's path, or why it is refused. */
export function readRecipient(recipient: SMTPServerAddress): Path | Reply {
  const path = parsePath(recipient.address);
  if (path === null) return notTaken('5.1.3', recipient);
  return parameterProblem(recipient, []) ?? path;
}

/** As the HTTP door says it, in ASCII; that door passes over more around an address. */
function notTaken(enhanced: string, { address }: SMTPServerAddress): Reply {
  const parsed = parseMailbox(address);
  const problem =
    'problem' in parsed ? parsed.problem : 'Use an ASCII address alone, without white space around it';
  return {
    code: 553,
    text: `${enhanced} ${problem.replace(/[^\x20-\x7e]/g, '?').replace(/\.$/, '')}`,
    logged: `${enhanced} Not an ASCII address with a domain`,
  };
}

/** RFC 5321 section 4.1.1.11: a parameter that was not announced is not ignored. */
function parameterProblem({ args }: SMTPServerAddress, known: readonly string[]): Reply | null {
  if (!args || Object.keys(args).every((name) => known.includes(name))) return null;
  return { code: 555, text: '5.5.4 Parameter not recognized' };
}

/** SIZE= of MAIL in octets (RFC 1870); null where it was not declared. */
export const declaredSize = ({ args }: SMTPServerAddress): number | null =>
  (args && Number(args.SIZE)) || null;

/** BODY=8BITMIME of MAIL (RFC 6152). */
export const isEightBit = ({ args }: SMTPServerAddress): boolean =>
  typeof args === 'object' && String(args.BODY).toUpperCase() === '8BITMIME';
