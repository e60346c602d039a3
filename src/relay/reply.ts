/** SMTP replies, read from bytes (RFC 5321 section 4.2): whole, bounded, and clean enough for a log. */

import { isUtf8 } from 'node:buffer';
import type { Phase, SmtpReply } from '../outcome.ts';

export interface Reply {
  /** The code, the same on all of its lines; 0 for anything that is no reply. */
  readonly code: number;
  /** As upstream wrote it, without the codes. */
  readonly texts: readonly string[];
  /** As upstream wrote it, lines joined by CRLF; control characters replaced, and no longer than `KEPT`. */
  readonly response: string;
}

/** What one reply may take, blank lines before it included. Real ones have some hundred bytes. */
const MOST_BYTES = 64 * 1024;
const MOST_LINES = 200;

/** How much of a reply is kept, in characters: receipts, records and log lines hold it. */
const KEPT = 4096;

/** Section 4.2.1: a line may be the code alone; a hyphen after it says that more lines follow. */
const LINE = /^([2-5]\d\d)(?:([ -])(.*))?$/s;

/** What a terminal or a log viewer would obey rather than show; HTAB is text (section 4.2). */
const CONTROL = /[^\P{Cc}\t]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Splits what upstream sends into replies. */
export class ReplyReader {
  /** Of the line that has not ended yet. */
  #line = '';
  /** Of the reply that has not ended yet. */
  #lines: string[] = [];
  #bytes = 0;
  #blank = 0;

  /** Bytes of a reply that is not whole yet. */
  get partial(): boolean {
    return this.#bytes > 0;
  }

  /**
   * The replies that these bytes make whole; one without an end is cut off, and is none. Who has heard enough stops
   * asking, and nothing more is read.
   */
  *read(chunk: Buffer): Generator<Reply> {
    const heard = chunk.toString('latin1');
    for (let start = 0; start < heard.length; ) {
      const end = heard.indexOf('\n', start);
      const stop = end === -1 ? heard.length : end + 1;
      this.#bytes += stop - start;
      this.#line += heard.slice(start, end === -1 ? stop : end);
      start = stop;
      const reply = this.#bytes > MOST_BYTES ? this.#nonsense() : end === -1 ? null : this.#endLine();
      if (reply) yield reply;
    }
  }

  /**
   * A refusal that the connection's end cut off behind its code; null for everything else. A 250 that is not whole is
   * not believed.
   */
  end(): Reply | null {
    return /^[45]\d\d /.test(this.#line) && this.#lines.length === 0 ? this.#endLine() : null;
  }

  #endLine(): Reply | null {
    const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
    this.#line = '';
    if (line === '' && this.#lines.length === 0 && ++this.#blank < MOST_LINES) return null;
    this.#lines.push(line);
    const [, code, separator] = LINE.exec(line) ?? [];
    if (code === undefined || !this.#lines[0]?.startsWith(code)) return this.#nonsense();
    if (separator !== '-') return this.#whole(Number(code));
    return this.#lines.length < MOST_LINES ? null : this.#nonsense();
  }

  #nonsense(): Reply {
    if (this.#line) this.#lines.push(this.#line);
    return this.#whole(0);
  }

  #whole(code: number): Reply {
    const lines = this.#lines;
    this.#line = '';
    this.#lines = [];
    this.#bytes = 0;
    this.#blank = 0;
    const response = lines.map(legible).join('\r\n');
    return {
      code,
      texts: lines.map((line) => line.slice(4)),
      response: response.length <= KEPT ? response : response.slice(0, KEPT).trimEnd().toWellFormed(),
    };
  }
}

/** Reply texts have no charset; today's servers write UTF-8. */
function legible(latin1: string): string {
  if (/^[\t\x20-\x7e]*$/.test(latin1)) return latin1;
  const bytes = Buffer.from(latin1, 'latin1');
  return (isUtf8(bytes) ? bytes.toString('utf8') : latin1).replace(CONTROL, '\ufffd');
}

/** With its enhanced status code (RFC 3463), where it carries one. */
export function smtpReply({ code, response }: Reply, phase: Phase): SmtpReply {
  const enhanced = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/.exec(response)?.[1] ?? null;
  return { code, enhanced, phase, response };
}
