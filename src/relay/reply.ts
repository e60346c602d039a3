/** SMTP replies, read. */

import type { Phase, SmtpReply } from '../outcome.ts';

/** A whole reply (RFC 5321 section 4.2), with its enhanced status code (RFC 3463) where it carries one. */
export function parseReply(response: string, phase: Phase): SmtpReply {
  const enhanced = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/.exec(response)?.[1] ?? null;
  return { code: replyCode(response), enhanced, phase, response };
}

/**
 * The code of a reply, the same on all of its lines (RFC 5321 section 4.2.1); 0 for anything that is no reply.
 */
export function replyCode(response: string): number {
  const lines = response.split(/\r?\n/);
  const code = /^([2-5]\d\d)(?:[ -]|$)/.exec(response)?.[1];
  return code !== undefined && lines.every((line) => line.startsWith(code)) ? Number(code) : 0;
}
