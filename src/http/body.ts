/** A request's body: read into memory that all callers share, and thrown away where it is refused. */

import type { MiddlewareHandler } from 'hono';
import { type Failure, failure, isFailure } from '../outcome.ts';
import { Pace } from '../pace.ts';
import { canonicalApiUser } from '../sendcloud.ts';
import type { BodyMemory } from './body-memory.ts';
import type { Context, Env } from './context.ts';
import { respondProblem } from './problem.ts';

/** So much of a body is taken as it comes, in bytes; beyond, room for all of it is reserved first. */
const SMALL = 64 * 1024;

/** A refused body is read on, or a client that still writes would never read its answer: so much and so long. */
const DISCARDED = 2;
const DISCARDING_MS = 10_000;

/** A body piece by piece, as `ReadableStreamDefaultReader` hands it out. */
export interface BodyReader {
  /** @throws where the client has gone */
  read(): Promise<{ readonly done: true } | { readonly done: false; readonly value: Uint8Array }>;
  cancel(): Promise<unknown>;
}

/** What reads the body of a `Request`; null where there is none, or it is read already. */
export function requestBody({ req: { raw } }: Context): BodyReader | null {
  const { body } = raw;
  return body && !raw.bodyUsed && !body.locked ? (body.getReader() as BodyReader) : null;
}

const OVERLOADED = failure('overloaded', 'Too many bytes are in flight; nothing was sent.', {
  retryAfterMs: 1000,
});
const BROKEN_OFF = failure('invalid-request', 'The body ended early.');
const tooLarge = (maxSize: number): Failure =>
  failure('message-too-large', `The body is larger than ${maxSize} bytes.`);

export interface BodyOptions {
  /** The largest body, in bytes. */
  readonly maxMessageBytes: number;
  readonly memory: BodyMemory;
  readonly bodyReader: (c: Context) => BodyReader | null;
  /** How long this request may take, in milliseconds. */
  readonly deadlineMs: (c: Context) => number;
  readonly clientAddress: (c: Context) => string;
}

/** Reads the body of an authenticated request, in the memory of its api_user. */
export const readBody = (options: BodyOptions): MiddlewareHandler<Env> =>
  bodyReader(options, (c) => canonicalApiUser(c.get('caller').account.apiUser));

/** Reads the body of a request that says in it who it is from, in the memory of its address. */
export const readStrangersBody = (options: BodyOptions): MiddlewareHandler<Env> =>
  // An api_user has no colon.
  bodyReader(options, (c) => `address:${options.clientAddress(c)}`);

/**
 * Puts the body into `c.get('body')`, decoded, at most MAX_MESSAGE_BYTES; answers why not. A body waits for memory
 * at its sender's, half of the deadline at most.
 */
function bodyReader(options: BodyOptions, ownerOf: (c: Context) => string): MiddlewareHandler<Env> {
  const { memory, deadlineMs } = options;
  return async function readBody(c, next) {
    if (['GET', 'HEAD', 'DELETE', 'OPTIONS'].includes(c.req.method)) return next();
    const room = new Room(memory, ownerOf(c), deadlineMs(c) / 2);
    try {
      const body = await bodyOf(c, options, room);
      if (isFailure(body)) return respondProblem(c, body);
      c.set('body', body);
      await next();
    } finally {
      room.leave();
    }
  };
}

/** What one request holds of the memory. */
class Room {
  readonly #memory: BodyMemory;
  readonly #owner: string;
  readonly #patienceMs: number;
  #bytes = 0;
  #reservations = 0;

  constructor(memory: BodyMemory, owner: string, patienceMs: number) {
    this.#memory = memory;
    this.#owner = owner;
    this.#patienceMs = patienceMs;
  }

  take(bytes: number): boolean {
    const taken = this.#memory.take(this.#owner, bytes);
    if (taken) this.#bytes += bytes;
    return taken;
  }

  /** @param bytes - of the whole body, what was taken of it included */
  async reserve(bytes: number): Promise<boolean> {
    const more = Math.max(0, bytes - this.#bytes);
    const reserved = await this.#memory.reserve(this.#owner, more, this.#patienceMs);
    if (!reserved) return false;
    this.#bytes += more;
    this.#reservations += 1;
    return true;
  }

  /** Keeps room for `bytes` alone: a body of unknown length was smaller than the largest. */
  shrink(bytes: number): void {
    const surplus = this.#bytes - bytes;
    if (surplus <= 0) return;
    this.#memory.give(this.#owner, surplus, 0);
    this.#bytes = bytes;
  }

  leave(): void {
    this.#memory.give(this.#owner, this.#bytes, this.#reservations);
  }
}

async function bodyOf(c: Context, options: BodyOptions, room: Room): Promise<Uint8Array | Failure> {
  const encoding = encodingOf(c);
  if (encoding !== 'identity' && !isDecodable(encoding)) {
    c.header('Accept-Encoding', ENCODINGS.join(', '));
    return failure('unsupported-media-type', `Send the body as it is, or in ${ENCODINGS.join(' or ')}.`);
  }
  const sent = await sentBody(c, options, room);
  if (isFailure(sent) || !isDecodable(encoding)) return sent;
  // Some clients leave the zlib wrapper away, whose first byte says so (RFC 9110 section 8.4.1.2, RFC 1950 section 2.2).
  const isRaw = encoding === 'deflate' && ((sent[0] ?? 0) & 15) !== 8;
  const decoded = new Blob([sent as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream(isRaw ? 'deflate-raw' : encoding));
  const reader = decoded.getReader() as BodyReader;
  const body = await collect(reader, null, options.maxMessageBytes, room);
  return body === BROKEN_OFF ? failure('invalid-request', `The body is not ${encoding}.`) : body;
}

/** RFC 9110 section 8.4.1; what every runtime decodes. */
const ENCODINGS = ['gzip', 'deflate'] as const;

/** `x-gzip` is an old name of gzip (RFC 9110 section 8.4.1.3). */
const encodingOf = (c: Context): string =>
  (c.req.header('Content-Encoding') || 'identity')
    .trim()
    .toLowerCase()
    .replace(/^x-gzip$/, 'gzip');

const isDecodable = (encoding: string): encoding is (typeof ENCODINGS)[number] =>
  (ENCODINGS as readonly string[]).includes(encoding);

async function sentBody(
  c: Context,
  { maxMessageBytes: maxSize, bodyReader }: BodyOptions,
  room: Room,
): Promise<Uint8Array | Failure> {
  const length = declaredLength(c);
  if (length !== null && length > maxSize) return tooLarge(maxSize);
  c.set('bodyTaken', true);
  // Where it comes in one piece, a reader costs more than the body.
  if (length !== null && length <= SMALL && room.take(length)) {
    const body = await c.req.arrayBuffer().catch(() => null);
    return body === null ? BROKEN_OFF : new Uint8Array(body);
  }
  const reader = bodyReader(c);
  if (!reader) return new Uint8Array(0);
  const body = await collect(reader, length, maxSize, room);
  if (isFailure(body) && body !== BROKEN_OFF) await discard(reader, maxSize);
  return body;
}

/** Believed, since the HTTP parser holds the body to it; null for chunks. */
function declaredLength(c: Context): number | null {
  const length = c.req.header('Content-Length') ?? '';
  return /^\d+$/.test(length) && !c.req.header('Transfer-Encoding') ? Number(length) : null;
}

/** All that comes. A declared length that does not arrive holds no memory: it is reserved after a first part. */
async function collect(
  reader: BodyReader,
  length: number | null,
  maxSize: number,
  room: Room,
): Promise<Uint8Array | Failure> {
  const parts: Uint8Array[] = [];
  let size = 0;
  let reserved = false;
  let whole: Buffer | null = null;
  let filled = 0;
  try {
    for (;;) {
      const part = await reader.read();
      if (part.done) break;
      parts.push(part.value);
      size += part.value.length;
      if (size > (length ?? maxSize)) return tooLarge(maxSize);
      if (!reserved && (size > SMALL || !room.take(part.value.length))) {
        reserved = await room.reserve(length ?? maxSize);
        if (!reserved) return OVERLOADED;
      }
      if (!reserved || length === null) continue;
      // Put together as it comes: in one go at the end, a large body would hold up all others.
      whole ??= Buffer.allocUnsafe(length);
      for (const one of parts.splice(0)) {
        whole.set(one, filled);
        filled += one.length;
      }
    }
  } catch {
    return BROKEN_OFF;
  }
  if (whole) return whole.subarray(0, filled);
  if (length === null) room.shrink(size);
  const pace = new Pace();
  const body = Buffer.concat(parts, size);
  await pace.giveWay();
  return body;
}

/** Reads on and keeps nothing, for a bounded size and time. */
async function discard(reader: BodyReader, maxSize: number): Promise<void> {
  const timer = setTimeout(() => void reader.cancel().catch(() => {}), DISCARDING_MS);
  try {
    for (let size = 0; size <= DISCARDED * maxSize; ) {
      const part = await reader.read();
      if (part.done) return;
      size += part.value.length;
    }
  } catch {
    // The client has gone: there is no one left to answer.
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Reads what is left of a body that was refused unread (401, 404, 413, 415), before the answer is written: clients
 * that write their whole request first (Python's urllib, PHP's streams, Java's) would meet a closed connection.
 */
export function discardUnread({
  maxMessageBytes,
  bodyReader,
}: Pick<BodyOptions, 'maxMessageBytes' | 'bodyReader'>): MiddlewareHandler<Env> {
  return async function discardUnread(c, next) {
    await next();
    if (c.res.status < 400 || c.get('bodyTaken') || ['GET', 'HEAD'].includes(c.req.method)) return;
    const reader = bodyReader(c);
    if (reader) await discard(reader, maxMessageBytes);
  };
}
