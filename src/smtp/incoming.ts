/** A message on its way in: what upstream reads, and how it ends where the client does not end it well. */

import { Transform, type TransformCallback } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { SMTPServerDataStream } from 'smtp-server';
import { HeaderEnd } from '../message/header-section.ts';
import { type Failure, failure } from '../outcome.ts';
import { MAX_LINE } from '../sendcloud.ts';
import { Lines } from './lines.ts';
import { detailReply, type Reply, replyOf } from './reply.ts';

/** Why a message does not go on: for the log, and in the words for the client. */
export interface Flaw {
  readonly failure: Failure;
  readonly reply: Reply;
}

/** What has come of a message before upstream is asked for. */
export interface Beginning {
  /** The header section, with the empty line at its end. */
  readonly header: Buffer;
  /** What has come behind it. */
  readonly body: Buffer;
  /** Nothing is to come. */
  readonly isWhole: boolean;
}

/** A message of up to this many bytes is complete before an upstream connection is taken for it. */
const AHEAD = 64 * 1024;

const LONE_CR: Reply = {
  code: 554,
  text: '5.6.0 Bare CR (RFC 5321 section 2.3.8): lines end in CRLF',
};

export const TIMED_OUT: Reply = { code: 421, text: '4.4.2 The message did not arrive in time' };

/**
 * The bytes of DATA, with transparency undone, read no faster than they are taken away. It ends only after the
 * client's final dot: reading it throws when the client goes away before, or sends what cannot be passed on,
 * so that upstream is never told that a broken message is complete.
 */
export class Incoming extends Transform {
  /** Null as long as nothing is wrong. */
  flaw: Flaw | null = null;
  /** Bytes that have come. */
  size = 0;
  readonly #source: SMTPServerDataStream;
  readonly #maxBytes: number;
  readonly #flawed = new AbortController();
  readonly #lines = new Lines();
  readonly #chunks: AsyncIterator<Buffer>;
  #isRead = false;

  constructor(source: SMTPServerDataStream, maxBytes: number) {
    super();
    this.#source = source;
    this.#maxBytes = maxBytes;
    this.#chunks = this.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
    // The reader learns of it; before there is one, an `error` without a listener would end the process.
    this.on('error', () => {});
    source.once('close', () => {
      if (source.readableEnded) return;
      this.fail(failure('invalid-message', 'The client went away before the end of the message.'));
    });
    source.pipe(this);
  }

  /** Aborts as soon as there is a flaw, so that no call is drawn for it where none was yet. */
  get flawed(): AbortSignal {
    return this.#flawed.signal;
  }

  /** The client's final dot has come. */
  get isComplete(): boolean {
    return this.#source.writableEnded;
  }

  /** What upstream may not show as it was written. */
  get warnings(): readonly string[] {
    return this.#lines.hasLong ? [`A line has more than ${MAX_LINE} bytes: upstream may break it up.`] : [];
  }

  /** Reads the header section, and a short message to its end; null where there is a flaw by then. */
  async begin(signal: AbortSignal): Promise<Beginning | null> {
    const onAbort = () =>
      this.fail(failure('invalid-message', 'The message did not arrive in time.'), TIMED_OUT);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.#readAhead();
    } catch (error) {
      if (this.flaw === null) throw error;
      return null;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /**
   * What begins with these bytes and goes on with those that have not been read. It can be iterated anew as long as
   * nothing was read of it: an attempt that ends before upstream's 354 leaves it whole for the next one.
   */
  after(bytes: Uint8Array): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => this.#readAfter(bytes) };
  }

  /** Gives the message up; the first flaw is the one that counts. */
  fail(failed: Failure, reply: Reply = replyOf(failed)): Failure {
    this.flaw ??= { failure: failed, reply };
    this.#flawed.abort();
    this.destroy(new Error(failed.detail));
    return this.flaw.failure;
  }

  /**
   * Gives up what has not been read yet, and lets the client write on to its final dot, for it reads no reply
   * before.
   *
   * @returns false when the dot has not come in time
   */
  async discard(milliseconds: number): Promise<boolean> {
    this.destroy();
    this.#source.unpipe(this);
    this.#source.resume();
    try {
      await finished(this.#source, { signal: AbortSignal.timeout(milliseconds) });
      return true;
    } catch {
      return false;
    }
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.size += chunk.length;
    if (this.size > this.#maxBytes) {
      this.fail(failure('message-too-large', `The message has more than ${this.#maxBytes} bytes.`));
    } else if (this.#lines.hasLoneCr(chunk)) {
      this.fail(failure('invalid-message', LONE_CR.text), LONE_CR);
    } else {
      done(null, chunk);
    }
  }

  async *#readAfter(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    if (this.#isRead) throw new Error('A message is read once');
    this.#isRead = true;
    yield bytes;
    for (let next = await this.#chunks.next(); !next.done; next = await this.#chunks.next()) yield next.value;
  }

  async #readAhead(): Promise<Beginning | null> {
    const read = new Gathered();
    const end = new HeaderEnd();
    let headerLength: number | null = null;
    let isWhole = false;
    while (headerLength === null || read.length < AHEAD) {
      const next = await this.#chunks.next();
      isWhole = next.done === true;
      if (isWhole) break;
      if (headerLength === null) {
        const found = end.find(next.value);
        if (found !== null) headerLength = read.length + found;
        else if (end.isTooLong) {
          const tooLong = failure('message-too-large', 'The header section is too long, or does not end.');
          this.fail(tooLong, detailReply(tooLong, '5.3.4'));
          return null;
        }
      }
      read.add(next.value);
    }
    const all = read.bytes;
    const header = all.subarray(0, headerLength ?? all.length);
    return { header, body: all.subarray(header.length), isWhole };
  }
}

/** Pieces that are gathered into one, however small they are. */
class Gathered {
  length = 0;
  #room = Buffer.allocUnsafe(4096);

  get bytes(): Buffer {
    return this.#room.subarray(0, this.length);
  }

  add(piece: Buffer): void {
    const length = this.length + piece.length;
    if (length > this.#room.length) {
      const room = Buffer.allocUnsafe(Math.max(length, 2 * this.#room.length));
      this.bytes.copy(room);
      this.#room = room;
    }
    piece.copy(this.#room, this.length);
    this.length = length;
  }
}
