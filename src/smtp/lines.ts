/** The lines of a message as its bytes stream by. */

import { MAX_LINE } from '../sendcloud.ts';

const CR = 0x0d;
const LF = 0x0a;

export class Lines {
  /** A line is longer than upstream leaves it. */
  hasLong = false;
  /** Of the line that has not ended yet. */
  #length = 0;
  #endsInCr = false;

  /**
   * Whether a CR stands alone in the message that goes on with these bytes (RFC 5321 section 2.3.8). A server that
   * takes it for a line end would read another message than ours, with a header more for instance.
   */
  hasLoneCr(chunk: Uint8Array): boolean {
    if (this.#endsInCr && chunk[0] !== LF) return true;
    const last = chunk.length - 1;
    for (let at = chunk.indexOf(CR); at !== -1 && at < last; at = chunk.indexOf(CR, at + 1)) {
      if (chunk[at + 1] !== LF) return true;
    }
    this.#measure(chunk);
    this.#endsInCr = chunk[last] === CR;
    return false;
  }

  #measure(chunk: Uint8Array): void {
    let from = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1 && !this.hasLong; lf = chunk.indexOf(LF, from)) {
      const isCrlf = lf === 0 ? this.#endsInCr : chunk[lf - 1] === CR;
      this.hasLong = this.#length + lf - from - (isCrlf ? 1 : 0) > MAX_LINE;
      this.#length = 0;
      from = lf + 1;
    }
    this.#length += chunk.length - from;
  }
}
