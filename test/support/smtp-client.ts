/**
 * An SMTP client that writes what it is told, byte for byte, and sees how much of it the server takes. What mail
 * libraries would never send, or would mend, is sent with it.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as secure } from 'node:tls';

export class SmtpClient {
  readonly #raw: Socket;
  #socket: Socket;
  #received = '';
  /** How the server ended the connection, or null. */
  ended: 'closed' | 'reset' | null = null;
  readonly #end: Promise<void>;
  #wake: () => void = () => {};

  /** @param address - where to connect, and from where: loopback has many addresses */
  constructor(port: number, address: { readonly host?: string; readonly localAddress?: string } = {}) {
    this.#raw = connect({ port, host: '127.0.0.1', noDelay: true, ...address });
    this.#socket = this.#raw;
    this.#end = new Promise((resolve) => {
      this.#raw.on('close', () => {
        this.ended ??= 'closed';
        this.#wake();
        resolve();
      });
    });
    this.#listen();
  }

  /** The next whole reply, without the last CRLF; rejects when the connection ends before. */
  async reply(): Promise<string> {
    for (;;) {
      const [whole] = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#received) ?? [];
      if (whole !== undefined) {
        this.#received = this.#received.slice(whole.length);
        return whole.slice(0, -2);
      }
      if (this.ended) throw new Error(`${this.ended}, unread: ${JSON.stringify(this.#received)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  /** Resolves when the bytes have left for the kernel; false when the server has hung up. */
  write(bytes: string | Uint8Array): Promise<boolean> {
    return new Promise((resolve) => this.#socket.write(bytes, (error) => resolve(!error)));
  }

  /** Sends a line and awaits its reply. */
  ask(line: string): Promise<string> {
    this.send(`${line}\r\n`);
    return this.reply();
  }

  /** Without `ca` those are trusted that this process trusts. */
  async startTls(ca?: string, options: ConnectionOptions = {}): Promise<void> {
    this.#socket.removeAllListeners('data');
    const trust = ca === undefined ? {} : { ca };
    const wrapped = secure({ socket: this.#raw, servername: 'localhost', ...trust, ...options });
    this.#socket = wrapped;
    this.#listen();
    await once(wrapped, 'secureConnect');
  }

  /** Greeting to the second EHLO and, where a user is given, AUTH LOGIN with the initial response. */
  async open(ca: string, user?: string, key = ''): Promise<void> {
    await this.reply();
    await this.ask('ehlo ifaxin.com');
    await this.ask('STARTTLS');
    await this.startTls(ca);
    await this.ask('ehlo ifaxin.com');
    if (user === undefined) return;
    await this.ask(`AUTH LOGIN ${base64(user)}`);
    await this.ask(base64(key));
  }

  /** Waits for the server's end. */
  async end(): Promise<'closed' | 'reset' | null> {
    await this.#end;
    return this.ended;
  }

  /** Ends the connection in order. */
  close(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#raw.resetAndDestroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listen(): void {
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      // Without a system call it is TLS's own complaint about an orderly end.
      if (error.code === 'ECONNRESET' && error.syscall !== undefined) this.ended = 'reset';
    });
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
  }
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64');
