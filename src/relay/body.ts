/** The message as it goes over the wire: transparency (RFC 5321 section 4.5.2), CRLF, and the dot. */

const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;

/** How much of a message is handed to the socket at a time, in bytes. */
const SLICE = 128 * 1024;

/** Below this average, lines are read byte by byte: a native call for each costs more. */
const SHORT_LINE = 32;

/** A whole message in parts that leave room for others in between. */
export function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += SLICE) yield bytes.subarray(start, start + SLICE);
}

/**
 * Doubles a dot that begins a line, over the bounds of parts. An LF alone becomes CRLF: a server that took it for
 * the end of a line would see another message than we do.
 */
export class DotStuffer {
  /** The byte before; a message begins with a line. */
  #last = LF;

  stuff(part: Uint8Array): Uint8Array {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.length);
    const start = this.#firstDoubt(bytes);
    const stuffed = start === -1 ? bytes : this.#rewrite(bytes, start);
    this.#last = bytes.at(-1) ?? this.#last;
    return stuffed;
  }

  /** The dot, on a line of its own. */
  end(): Uint8Array {
    return Buffer.from(this.#last === LF ? '.\r\n' : '\r\n.\r\n');
  }

  /** Where bytes may have to be put in; -1 where all is well, which is nearly always. */
  #firstDoubt(bytes: Buffer): number {
    if (this.#last === LF && bytes[0] === DOT) return 0;
    let lines = Math.ceil(bytes.length / SHORT_LINE);
    for (let lf = bytes.indexOf(LF); lf !== -1; lf = bytes.indexOf(LF, lf + 1)) {
      const before = lf === 0 ? this.#last : bytes[lf - 1];
      if (before !== CR || bytes[lf + 1] === DOT || lines-- === 0) return lf;
    }
    return -1;
  }

  #rewrite(bytes: Buffer, start: number): Buffer {
    const out = Buffer.allocUnsafe(start + 2 * (bytes.length - start));
    let length = bytes.copy(out, 0, 0, start);
    let last = start === 0 ? this.#last : (bytes[start - 1] as number);
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (byte === LF && last !== CR) out[length++] = CR;
      if (byte === DOT && last === LF) out[length++] = DOT;
      out[length++] = byte;
      last = byte;
    }
    return out.subarray(0, length);
  }
}
