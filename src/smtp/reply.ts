/** An outcome in the words of SMTP. */

import { type Accepted, FAILURES, type Failure, kindOf, type Outcome } from '../outcome.ts';

/** One reply of one line (RFC 5321 section 4.2). */
export interface Reply {
  readonly code: number;
  readonly text: string;
  /** What the log has in place of a text with an address. */
  readonly logged?: string;
}

export const isReply = (result: object): result is Reply => 'code' in result && 'text' in result;

/** RFC 5321 section 4.5.3.1.5 allows 512 octets with the code, the space and CRLF. */
const MAX_TEXT = 500;

/** Upstream's own text where it took the message, or where the failure table passes it on. */
export function replyOf(outcome: Outcome): Reply {
  if (outcome.delivery !== 'accepted') return failureReply(outcome);
  return { code: 250, text: limited(textOf(outcome.reply.response) + refusedText(outcome)) };
}

function failureReply({ code, smtp }: Failure): Reply {
  const own: NonNullable<ReturnType<typeof kindOf>['smtp']> = kindOf(code).smtp ?? FAILURES.internal.smtp;
  const refused = own.upstream && smtp && smtp.code >= 400 && smtp.code <= 599;
  return refused
    ? { code: smtp.code, text: limited(textOf(smtp.response)) }
    : { code: own.code, text: own.text };
}

/** The table's reply code with what is wrong with this very message. */
export const detailReply = ({ code, detail }: Failure, enhanced: string): Reply => ({
  code: (kindOf(code).smtp ?? FAILURES.internal.smtp).code,
  text: limited(`${enhanced} ${textOf(detail).replace(/\.$/, '')}`),
});

/** SMTP has no reply for "taken for some": after DATA, the text of the 250 is the only place to say it. */
function refusedText({ rejected }: Accepted): string {
  if (rejected.length === 0) return '';
  const each = rejected.map(({ address, code, response }) => `<${address}> (${code} ${textOf(response)})`);
  return `; refused: ${each.join(', ')}`;
}

/** What a reply says after its codes, its lines joined, printable ASCII alone. */
const textOf = (response: string): string =>
  response
    .split(/\r?\n/)
    .map((line) => line.replace(/^\d{3}[ -]?/, '').trim())
    .join(' ')
    .replace(/[^\x20-\x7e]/g, '?');

const limited = (text: string): string =>
  text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 3)}...`;
