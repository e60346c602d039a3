/** The lines of a message as its bytes stream by, and which of them upstream must not see. */

import { SMTPAPI_HEADER } from '../sendcloud.ts';
import type { Reply } from './reply.ts';

const CR = 0x0d;
const LF = 0x0a;

/** The SMTP client library would make a line end of it, in the middle of a header for instance. */
const LONE_CR: Reply = {
  code: 554,
  text: '5.6.0 A CR stands alone (RFC 5321 section 2.3.8): lines end in CRLF',
};

/**
 * Without CRLF. Upstream breaks up lines of more than 990 bytes: those up to here, which are few, do not arrive byte
 * for byte, but a client is within its rights to send them.
 */
const MOST_LINE_BYTES = 998;
const LONG_LINE: Reply = {
  code: 554,
  text: `5.6.0 A line has more than ${MOST_LINE_BYTES} bytes (RFC 5321 section 4.5.3.1.6)`,
};

/** Upstream would send to the recipients in this header instead of the envelope's. */
const SMTPAPI = new RegExp(`^${SMTPAPI_HEADER}(?:[\\t :]|$)`, 'i');
const SMTPAPI_BYTES = `${SMTPAPI_HEADER}:`.length;
const SMTPAPI_TAKEN: Reply = {
  code: 554,
  text: '5.7.1 An X-SMTPAPI header would replace the recipients; take it out',
};

export class Lines {
  #endsInCr = false;
  /** Of the line that has not ended yet: its bytes so far, without CR. */
  #length = 0;
  #start = '';
  /** RFC 5322 section 2.1: until the first empty line. */
  #inHeader = true;

  /** Why the message is refused that goes on with these bytes; null when it is not. */
  problem(chunk: Buffer): Reply | null {
    if (this.#loneCr(chunk)) return LONE_CR;
    for (let from = 0; from < chunk.length; ) {
      const lf = chunk.indexOf(LF, from);
      const end = lf === -1 ? chunk.length : lf;
      const textEnd = end > from && chunk[end - 1] === CR ? end - 1 : end;
      this.#length += textEnd - from;
      if (this.#length > MOST_LINE_BYTES) return LONG_LINE;
      if (this.#inHeader && this.#isSmtpapi(chunk.subarray(from, textEnd), lf !== -1)) return SMTPAPI_TAKEN;
      if (lf === -1) return null;

      if (this.#length === 0) this.#inHeader = false;
      this.#length = 0;
      this.#start = '';
      from = lf + 1;
    }
    return null;
  }

  #loneCr(chunk: Buffer): boolean {
    if (this.#endsInCr && chunk[0] !== LF) return true;
    const last = chunk.length - 1;
    this.#endsInCr = chunk[last] === CR;
    for (let at = chunk.indexOf(CR); at !== -1 && at < last; at = chunk.indexOf(CR, at + 1)) {
      if (chunk[at + 1] !== LF) return true;
    }
    return false;
  }

  /** Known as soon as the name's end is there, which may be the line's. */
  #isSmtpapi(more: Buffer, ended: boolean): boolean {
    this.#start += more.toString('latin1', 0, SMTPAPI_BYTES - this.#start.length);
    return (ended || this.#start.length === SMTPAPI_BYTES) && SMTPAPI.test(this.#start);
  }
}
