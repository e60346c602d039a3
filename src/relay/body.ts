/** The message as it goes over the wire: transparency (RFC 5321 section 4.5.2), CRLF, and the dot. */

const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;

/** How much of a message is handed to the socket at a time, in bytes. */
const SLICE = 128 * 1024;

/** A native call costs as much as a look at so many bytes. */
const NEAR = 32;

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
    const first = this.#nextLack(bytes, 0);
    const stuffed = first === bytes.length ? bytes : this.#rewrite(bytes, first);
    this.#last = bytes.at(-1) ?? this.#last;
    return stuffed;
  }

  /** The dot, on a line of its own. */
  end(): Uint8Array {
    return Buffer.from(this.#last === LF ? '.\r\n' : '\r\n.\r\n');
  }

  /** The byte in front of which one is lacking: an LF without its CR, or a dot at the front of a line. */
  #nextLack(bytes: Buffer, from: number): number {
    if (bytes[from] === DOT && this.#before(bytes, from) === LF) return from;
    for (let lf = nextLf(bytes, from); lf !== -1; lf = nextLf(bytes, lf + 1)) {
      if (this.#before(bytes, lf) !== CR) return lf;
      if (bytes[lf + 1] === DOT) return lf + 1;
    }
    return bytes.length;
  }

  #before(bytes: Buffer, at: number): number {
    return at === 0 ? this.#last : (bytes[at - 1] as number);
  }

  /** Byte by byte while lines are short; from a long one on to the next place where a byte is lacking. */
  #rewrite(bytes: Buffer, first: number): Buffer {
    const out = Buffer.allocUnsafe(first + 2 * (bytes.length - first));
    let length = bytes.copy(out, 0, 0, first);
    let last = this.#before(bytes, first);
    let column = 0;
    for (let at = first; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (byte === LF && last !== CR) out[length++] = CR;
      if (byte === DOT && last === LF) out[length++] = DOT;
      out[length++] = byte;
      last = byte;
      column = byte === LF ? 0 : column + 1;
      if (column < NEAR) continue;
      const next = this.#nextLack(bytes, at + 1);
      length += bytes.copy(out, length, at + 1, next);
      at = next - 1;
      last = bytes[at] as number;
      column = 0;
    }
    return out.subarray(0, length);
  }
}

function nextLf(bytes: Buffer, from: number): number {
  const near = Math.min(from + NEAR, bytes.length);
  for (let at = from; at < near; at++) if (bytes[at] === LF) return at;
  return bytes.indexOf(LF, near);
}
