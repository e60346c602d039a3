/** A message on its way in: what upstream reads, and how it ends where the client does not end it well. */

import { Transform, type TransformCallback } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { SMTPServerDataStream } from 'smtp-server';
import { type Failure, failure } from '../outcome.ts';

const CR = 0x0d;
const LF = 0x0a;

/**
 * The bytes of DATA, with transparency undone, read no faster than they are taken away. It ends only after the
 * client's final dot: reading it throws when the client goes away before, or sends what cannot be passed on,
 * so that upstream is never told that a broken message is complete.
 */
export class Incoming extends Transform {
  /** Why the message is not complete; null as long as nothing is wrong. */
  flaw: Failure | null = null;
  readonly #source: SMTPServerDataStream;
  readonly #maxBytes: number;
  readonly #flawed = new AbortController();
  #bytes = 0;
  #endsInCr = false;

  constructor(source: SMTPServerDataStream, maxBytes: number) {
    super();
    this.#source = source;
    this.#maxBytes = maxBytes;
    // Whoever reads learns of it; before anybody reads, an `error` without a listener would end the process.
    this.on('error', () => {});
    source.once('close', () => {
      if (source.readableEnded) return;
      this.destroy(this.#fail('invalid-message', 'The client went away before the end of the message.'));
    });
    source.pipe(this);
  }

  /** Aborts as soon as there is a flaw, so that no call is drawn for it where none was yet. */
  get flawed(): AbortSignal {
    return this.#flawed.signal;
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
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) {
      done(this.#fail('message-too-large', `The message has more than ${this.#maxBytes} bytes.`));
    } else if (this.#bareCr(chunk)) {
      done(this.#fail('invalid-message', 'A CR stands alone (RFC 5321 section 2.3.8): lines end in CRLF.'));
    } else {
      done(null, chunk);
    }
  }

  /** The SMTP client library would make a line end of it, in the middle of a header for instance. */
  #bareCr(chunk: Buffer): boolean {
    if (this.#endsInCr && chunk[0] !== LF) return true;
    this.#endsInCr = chunk[chunk.length - 1] === CR;
    const last = chunk.length - 1;
    for (let at = chunk.indexOf(CR); at !== -1 && at < last; at = chunk.indexOf(CR, at + 1)) {
      if (chunk[at + 1] !== LF) return true;
    }
    return false;
  }

  #fail(code: 'invalid-message' | 'message-too-large', detail: string): Error {
    this.flaw ??= failure(code, detail);
    this.#flawed.abort();
    return new Error(detail);
  }
}
