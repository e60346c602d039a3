/**
 * A client of the SMTP door that writes what it is told, byte for byte, and sees how much of it the door takes.
 * What mail libraries would never send, or would mend, is sent with it.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as secure, type TLSSocket } from 'node:tls';
import { authority, TOKEN } from '../support/postern.ts';

export class Client {
  readonly #raw: Socket;
  #socket: Socket;
  #received = '';
  #gone = false;
  #wake: () => void = () => {};

  constructor(port: number) {
    this.#raw = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket = this.#raw;
    this.#raw.on('close', () => {
      this.#gone = true;
      this.#wake();
    });
    this.#listen();
  }

  /** The next whole reply, without the last CRLF; null when the door has hung up. */
  async reply(): Promise<string | null> {
    for (;;) {
      const [whole] = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#received) ?? [];
      if (whole !== undefined) {
        this.#received = this.#received.slice(whole.length);
        return whole.slice(0, -2);
      }
      if (this.#gone) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Resolves when the bytes have left for the kernel; false when the door has hung up. */
  write(bytes: string | Uint8Array): Promise<boolean> {
    return new Promise((resolve) => this.#socket.write(bytes, (error) => resolve(!error)));
  }

  /** Sends a line and awaits its reply. */
  async ask(line: string): Promise<string | null> {
    await this.write(`${line}\r\n`);
    return this.reply();
  }

  /** Greeting, EHLO, STARTTLS and EHLO again: the two replies to EHLO. */
  async secure(maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'): Promise<(string | null)[]> {
    await this.reply();
    const before = await this.ask('EHLO client.example');
    await this.ask('STARTTLS');
    await this.handshake({ maxVersion });
    return [before, await this.ask('EHLO client.example')];
  }

  async handshake(options: object): Promise<TLSSocket> {
    this.#socket.removeAllListeners('data');
    const wrapped = secure({ socket: this.#raw, servername: 'localhost', ca: authority.cert, ...options });
    this.#socket = wrapped;
    this.#listen();
    await once(wrapped, 'secureConnect');
    return wrapped;
  }

  /** AUTH PLAIN, and its reply. */
  auth(user = 'ifaxin', password = TOKEN): Promise<string | null> {
    return this.ask(`AUTH PLAIN ${base64(`\0${user}\0${password}`)}`);
  }

  /** Everything up to the 354 of DATA. */
  async toData(mail = 'MAIL FROM:<support@ifaxin.com>'): Promise<string | null> {
    await this.secure();
    await this.auth();
    await this.ask(mail);
    await this.ask('RCPT TO:<ben@ifaxin.com>');
    return this.ask('DATA');
  }

  /** A whole transaction, from the greeting on: the first reply that is a refusal, or the last one. */
  async deliver(given: Delivery = {}): Promise<string | null> {
    const { user, password, mail = '<support@ifaxin.com>', recipients = ['ben@ifaxin.com'] } = given;
    await this.secure();
    let reply = await this.auth(user, password);
    for (const line of [`MAIL FROM:${mail}`, ...recipients.map((to) => `RCPT TO:<${to}>`), 'DATA']) {
      if (isRefusal(reply)) return reply;
      reply = await this.ask(line);
    }
    if (isRefusal(reply)) return reply;
    await this.write(given.body ?? MESSAGE);
    return this.ask('.');
  }

  /** Ends the connection in order. */
  close(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    this.#raw.resetAndDestroy();
  }

  #listen(): void {
    this.#socket.on('error', () => {});
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
  }
}

export interface Delivery {
  readonly user?: string;
  readonly password?: string;
  /** What follows `MAIL FROM:`. */
  readonly mail?: string;
  readonly recipients?: readonly string[];
  /** As written, up to the line end before the dot. */
  readonly body?: string;
}

export const MESSAGE = 'Subject: A test\r\n\r\nSome text.\r\n';

const isRefusal = (reply: string | null): boolean => reply === null || reply >= '4';

export const base64 = (text: string): string => Buffer.from(text).toString('base64');
