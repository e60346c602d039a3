/** A message on its way in: what upstream reads, and how it ends where the client does not end it well. */

import { Transform, type TransformCallback } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { SMTPServerDataStream } from 'smtp-server';
import { type Failure, failure } from '../outcome.ts';
import { Lines } from './lines.ts';
import { type Reply, replyOf } from './reply.ts';

/** Why a message is not complete: for the log, and in the words for the client. */
interface Flaw {
  readonly failure: Failure;
  readonly reply: Reply;
}

/**
 * The bytes of DATA, with transparency undone, read no faster than they are taken away. It ends only after the
 * client's final dot: reading it throws when the client goes away before, or sends what cannot be passed on,
 * so that upstream is never told that a broken message is complete.
 */
export class Incoming extends Transform {
  /** Null as long as nothing is wrong. */
  flaw: Flaw | null = null;
  readonly #source: SMTPServerDataStream;
  readonly #maxBytes: number;
  readonly #flawed = new AbortController();
  readonly #lines = new Lines();
  #bytes = 0;

  constructor(source: SMTPServerDataStream, maxBytes: number) {
    super();
    this.#source = source;
    this.#maxBytes = maxBytes;
    // Whoever reads learns of it; before anybody reads, an `error` without a listener would end the process.
    this.on('error', () => {});
    source.once('close', () => {
      if (source.readableEnded) return;
      const detail = 'The client went away before the end of the message.';
      this.destroy(this.#fail(failure('invalid-message', detail)));
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
    const problem = this.#lines.problem(chunk);
    if (this.#bytes > this.#maxBytes) {
      const detail = `The message has more than ${this.#maxBytes} bytes.`;
      done(this.#fail(failure('message-too-large', detail)));
    } else if (problem) {
      done(this.#fail(failure('invalid-message', problem.text), problem));
    } else {
      done(null, chunk);
    }
  }

  #fail(failed: Failure, reply: Reply = replyOf(failed)): Error {
    this.flaw ??= { failure: failed, reply };
    this.#flawed.abort();
    return new Error(failed.detail);
  }
}
