/** What can be wrong with a request before its message is looked at: the size, the media type, the JSON, the key. */

import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { parseIdempotencyKey } from '../idempotency.ts';
import { type Failure, failure } from '../outcome.ts';
import { respondProblem } from './problem.ts';

/** What a middleware ends with: an answer of its own, or nothing where the handlers gave one. */
type Answer = Awaited<ReturnType<MiddlewareHandler>>;

/**
 * The largest bodies that may be in memory at once. A body takes some five times its size while it is read,
 * checked and composed, and its message waits for a connection with all of that.
 */
const MOST_LARGEST = 4;

/** What a body without a length counts as while it arrives, in parts of the largest: most in chunks are small. */
const UNDECLARED_PART = 16;

/**
 * Answers 413 to a body of more than `maxSize` bytes, and `overloaded` to one for which there is no memory.
 *
 * A declared length is believed, since the HTTP parser holds the body to it. Hono's middleware counts the
 * rest; it is not asked about every request because on Node its look at the stream costs a whole `Request`.
 */
export function limitBody(maxSize: number): MiddlewareHandler {
  const tooLarge = (c: Context) =>
    respondProblem(c, failure('message-too-large', `The body is larger than ${maxSize} bytes.`));
  const count = bodyLimit({ maxSize, onError: tooLarge });
  let inMemory = 0;

  const holding = async (c: Context, size: number, work: () => Promise<Answer>): Promise<Answer> => {
    if (inMemory + size > MOST_LARGEST * maxSize) {
      const detail = 'The messages under way fill the memory that they may take; nothing was sent.';
      return respondProblem(c, failure('overloaded', detail, { retryAfterMs: 1000 }));
    }
    inMemory += size;
    try {
      return await work();
    } finally {
      inMemory -= size;
    }
  };

  return async function limitBody(c, next) {
    if (c.req.method !== 'POST') return next();
    const length = c.req.header('Content-Length') ?? '';
    if (/^\d+$/.test(length) && !c.req.header('Transfer-Encoding')) {
      return Number(length) > maxSize ? tooLarge(c) : holding(c, Number(length), next);
    }
    const refused = await holding(c, maxSize / UNDECLARED_PART, () =>
      count(c, async () => {}).catch(() => respondProblem(c, brokenOff())),
    );
    if (refused) return refused;
    const { byteLength } = await c.req.arrayBuffer();
    return holding(c, byteLength, next);
  };
}

/** The parsed JSON (RFC 8259), or why there is none. */
export async function readJson(c: Context): Promise<{ readonly json: unknown } | Failure> {
  const mediaType = c.req.header('Content-Type')?.split(';')[0]?.trim().toLowerCase();
  if (mediaType !== 'application/json') {
    return failure('unsupported-media-type', 'Send the message as Content-Type: application/json.');
  }
  const body = await c.req.arrayBuffer().catch(() => null);
  if (body === null) return brokenOff();
  const text = decodeUtf8(body);
  if (text === null) return failure('invalid-request', 'The body is not UTF-8.');
  try {
    return { json: JSON.parse(text) };
  } catch (error) {
    // The engine quotes what stood there, and a part of the message is nothing for a log: only the place is told.
    const [place = ''] = /(?: at position \d+.*)?$/.exec((error as SyntaxError).message) ?? [];
    return failure('invalid-request', `The body is not JSON${place}.`);
  }
}

/** For the log: who sent it is not there any more. */
const brokenOff = (): Failure => failure('invalid-request', 'The body broke off.');

function decodeUtf8(bytes: ArrayBuffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
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
