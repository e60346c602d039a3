/** The message on its way out: what is read of it, and when, tells the phase of the transaction. */

import { type Duplex, Readable } from 'node:stream';
import type { Content } from '../transaction.ts';

/**
 * How far a message is: `unread` until 354 has come, `uninvited` where something else came in its place, `ended`
 * from the moment the final dot may be written.
 */
export type Progress = 'unread' | 'uninvited' | 'reading' | 'ended';

/** How much of a message is handed to the socket at a time, in bytes. */
const CHUNK = 64 * 1024;

/** Knows how far it is. */
export class Body extends Readable {
  progress: Progress = 'unread';
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #corked: Duplex | null;
  readonly #isInvited: () => boolean;

  /** @param isInvited - whether upstream's last reply was 354; asked once, before anything is read */
  constructor(content: Content, socket: Duplex | null, isInvited: () => boolean) {
    super({ highWaterMark: CHUNK });
    const whole = content instanceof Uint8Array;
    this.#chunks = whole ? slices(content) : content[Symbol.asyncIterator]();
    // A message of one chunk and its dot leave together: one TLS record and one system call fewer.
    this.#corked = whole && content.length <= CHUNK ? socket : null;
    this.#isInvited = isInvited;
    // Before any pipe's own listener, so that the phase is set when the dot is written.
    this.once('end', () => {
      this.progress = 'ended';
      setImmediate(() => this.#corked?.uncork());
    });
  }

  override async _read(): Promise<void> {
    try {
      if (this.progress === 'unread' && !(await this.#begin())) return;
      const { value, done } = await this.#chunks.next();
      this.push(done ? null : value);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /**
   * SMTPConnection takes any 2xx to DATA for 354: then a message would be read as commands. And what came with
   * the 354 was said before the message: it is heard before the dot can make an answer of it.
   */
  async #begin(): Promise<boolean> {
    if (!this.#isInvited()) {
      this.progress = 'uninvited';
      throw new Error('DATA was not answered with 354');
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (this.destroyed) return false;
    this.progress = 'reading';
    this.#corked?.cork();
    return true;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Tells a stream's producer that nobody reads any more.
    Promise.resolve(this.#chunks.return?.()).then(
      () => done(error),
      () => done(error),
    );
  }
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += CHUNK) yield bytes.subarray(start, start + CHUNK);
}
