/** SendCloud's replies, read. */

import type { Phase, SmtpReply } from '../../outcome.ts';

/** A whole reply (RFC 5321 section 4.2), with its enhanced status code (RFC 3463) where it carries one. */
export function parseReply(response: string, phase: Phase): SmtpReply {
  const [, code = '0', enhanced = null] =
    /^(\d{3})(?:[ -]([245]\.\d{1,3}\.\d{1,3})(?=\s|$))?/.exec(response) ?? [];
  return { code: Number(code), enhanced, phase, response };
}

/** SendCloud's message id in the final reply: `250 #<id>#Queued`; null where upstream words it otherwise. */
export function parseQueueId(response: string): string | null {
  return /^250[ -](?:2\.\d{1,3}\.\d{1,3} )?#([^#\s]+)#/.exec(response)?.[1] ?? null;
}

/**
 * SendCloud's e-mail id of each recipient, which its webhooks and status API use: message id, index, `$`,
 * address. The index counts the accepted recipients in RCPT order: a refused one is not part of the
 * transaction that SendCloud numbers.
 */
export function emailIds(queueId: string, accepted: readonly string[]): Record<string, string> {
  return Object.fromEntries(accepted.map((address, index) => [address, `${queueId}${index}$${address}`]));
}
