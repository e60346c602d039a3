/**
 * The server's end of an SMTP connection, down to the bytes: lines and messages are awaited from it, and it can
 * be closed, reset or left silent at any of them.
 */
import type { Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';

export class Wire {
  readonly #raw: Socket;
  #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #gone = false;
  #tls: string | null = null;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#raw = socket;
    this.#socket = socket;
    // As long as it exists: an RST from the peer is an `error` that nobody may forget to listen for.
    socket.on('error', () => {});
    this.#listen(socket);
  }

  /** The TLS protocol in use, such as `TLSv1.2`, or null in the clear. */
  get tls(): string | null {
    // A closed socket no longer knows it.
    if (this.#socket instanceof TLSSocket) this.#tls = this.#socket.getProtocol() ?? this.#tls;
    return this.#tls;
  }

  get open(): boolean {
    return !this.#gone;
  }

  /** Waits for at least one byte; false when the peer is gone before. */
  async some(): Promise<boolean> {
    while (this.#received.length === 0) {
      if (this.#gone) return false;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return true;
  }

  /** The next line without its ending, or null when the peer is gone. */
  async line(): Promise<string | null> {
    for (let searched = 0; ; ) {
      const end = this.#received.indexOf('\n', searched);
      if (end >= 0) {
        const line = this.#received.toString('utf8', 0, end).replace(/\r$/, '');
        this.#received = this.#received.subarray(end + 1);
        return line;
      }
      searched = this.#received.length;
      if (!(await this.#more())) return null;
    }
  }

  /**
   * The message up to the lone dot, transparency undone (RFC 5321 section 4.5.2), or null when the peer is gone
   * before the dot.
   *
   * @param onPart - is told of every part's length
   */
  async message(onPart: (bytes: number) => void): Promise<Buffer | null> {
    // The CRLF of the DATA command, so that a dot that begins the very first line is seen too.
    const parts: Buffer[] = [Buffer.from('\r\n')];
    let tail: Buffer = Buffer.from('\r\n');
    let length = tail.length;
    while (await this.some()) {
      const part = this.#received;
      this.#received = Buffer.alloc(0);
      onPart(part.length);
      parts.push(part);
      length += part.length;
      const window: Buffer = Buffer.concat([tail, part]);
      const dot = window.indexOf('\r\n.\r\n');
      if (dot >= 0) {
        const end = length - window.length + dot + 2;
        const all = Buffer.concat(parts);
        this.#received = all.subarray(end + 3);
        return Buffer.from(
          all
            .toString('latin1', 0, end)
            .replace(/\r\n\./g, '\r\n')
            .slice(2),
          'latin1',
        );
      }
      tail = window.subarray(-4);
    }
    return null;
  }

  /** Resolves when the bytes have left for the kernel, or the peer is gone. */
  async write(bytes: string | Uint8Array): Promise<void> {
    if (!this.#socket.writable) return this.#leave();
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  /** Starts TLS as the server. What came in the clear before is forgotten (RFC 3207 section 4.2). */
  secure(options: TLSSocketOptions): void {
    this.#raw.removeAllListeners('data');
    this.#received = Buffer.alloc(0);
    this.#socket = new TLSSocket(this.#raw, { ...options, isServer: true });
    // A client that does not trust the certificate says so by an alert, which is an `error` here.
    this.#socket.on('error', () => {});
    this.#listen(this.#socket);
  }

  /** Hangs up, once what was written is on its way. */
  close(): void {
    this.#leave();
    this.#socket.destroySoon();
  }

  /** Sends FIN and reads on. */
  halfClose(): void {
    this.#socket.end();
  }

  /** Hangs up by RST. */
  reset(): void {
    this.#leave();
    this.#raw.resetAndDestroy();
    this.#socket.destroy();
  }

  /** Reads no more, so that the peer's writes pile up. */
  pause(): void {
    this.#socket.pause();
  }

  destroy(): void {
    this.#leave();
    this.#socket.destroy();
    this.#raw.destroy();
  }

  async #more(): Promise<boolean> {
    const before = this.#received;
    this.#received = Buffer.alloc(0);
    const came = await this.some();
    this.#received = Buffer.concat([before, this.#received]);
    return came;
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      if (this.#gone) return;
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('end', () => this.#leave());
    socket.on('close', () => this.#leave());
  }

  #leave(): void {
    this.#gone = true;
    this.#wake();
  }
}
