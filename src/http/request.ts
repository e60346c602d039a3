/** What can be wrong with a request before its message is looked at: the media type, the JSON, the key. */

import { parseIdempotencyKey } from '../idempotency.ts';
import { parseJson } from '../json.ts';
import { type Failure, failure } from '../outcome.ts';
import type { MessageSource } from '../send.ts';
import type { Context } from './context.ts';

const mediaTypeOf = (c: Context): string | undefined =>
  c.req.header('Content-Type')?.split(';')[0]?.trim().toLowerCase();

/** One message: JSON, or a whole one with its envelope in the query. */
export async function readMessage(c: Context): Promise<MessageSource | Failure> {
  const { searchParams } = new URL(c.req.url);
  const isWhole = mediaTypeOf(c) === 'message/rfc822';
  const names = [...searchParams.keys()];
  const surplus = names.find((name, index) => {
    const isEnvelope = ['from', 'to', 'label'].includes(name);
    // In JSON these would be fields, and be passed over here.
    return isWhole ? !isEnvelope || (name !== 'to' && names.indexOf(name) < index) : isEnvelope;
  });
  if (surplus !== undefined) {
    const advice = isWhole
      ? 'only from and label, once each, and to are allowed'
      : 'it is for message/rfc822';
    return failure('invalid-request', `Remove the parameter "${surplus.slice(0, 50)}": ${advice}.`);
  }
  if (!isWhole) return readJson(c, 'Send the message as Content-Type: application/json or message/rfc822.');
  return {
    whole: {
      bytes: c.get('body'),
      from: searchParams.get('from'),
      to: searchParams.getAll('to').flatMap(mailboxesIn),
      label: searchParams.get('label'),
    },
  };
}

/** A quoted local part may have a comma (RFC 5322 section 3.4.1). */
const mailboxesIn = (list: string): string[] =>
  (list.match(/(?:"(?:[^"\\]|\\.)*"?|[^,"])+/g) ?? ['']).map((one) => one.trim());

/** The parsed JSON (RFC 8259), or why there is none. */
export async function readJson(
  c: Context,
  expected = 'Send the body as Content-Type: application/json.',
): Promise<{ readonly json: unknown } | Failure> {
  if (mediaTypeOf(c) !== 'application/json') return failure('unsupported-media-type', expected);
  return parseJson(c.get('body'));
}

/** The Idempotency-Key; null where there is none. */
export function idempotencyKey(c: Context): string | null | Failure {
  const header = c.req.header('Idempotency-Key');
  if (header === undefined) return null;
  const key = parseIdempotencyKey(header);
  if (key !== null) return key;
  if (header.includes(',')) {
    // RFC 9110 section 5.2: that is what two headers of one name look like.
    return failure('invalid-request', 'Give one Idempotency-Key; put one that has a comma in quotes.');
  }
  return failure('invalid-request', 'Give an Idempotency-Key of 1 to 255 printable ASCII characters.');
}
