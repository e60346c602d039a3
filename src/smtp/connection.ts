/** smtp-server's connection, with what the library has no option for. */

import type { Socket } from 'node:net';
import type { SMTPServer } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection';
import { splitPathCommand } from '../message/path.ts';
import type { Reply } from './reply.ts';

/** How a socket is secured: from the start (RFC 8314), by STARTTLS, or by STARTTLS where the client asks for it. */
export interface Security {
  readonly implicitTls: boolean;
  /** AUTH in the clear is taken from this machine itself. */
  readonly clearAuth: boolean;
}

export class Connection extends SMTPConnection {
  /** When the last reply was written, by the monotonic clock. */
  repliedAt = performance.now();
  readonly #takesClearAuth: boolean;

  constructor(engine: SMTPServer, socket: Socket, { implicitTls, clearAuth }: Security) {
    super(engine, socket);
    this.#takesClearAuth = clearAuth && isLoopback(this.remoteAddress);
    if (implicitTls) this.needsUpgrade = this.session.secure = this.secure = true;
  }

  get takesAuth(): boolean {
    return this.secure || this.#takesClearAuth;
  }

  /** The library refuses AUTH in the clear, but announces it: then a client has sent its password already. */
  override send(...[code, text, context]: Parameters<SMTPConnection['send']>): void {
    this.repliedAt = performance.now();
    const told = Array.isArray(text) && !this.takesAuth ? text.filter(isNotAuth) : text;
    super.send(code, told, context);
  }

  /** The library's own parser refuses quoted local parts (RFC 5321 section 4.1.2) and decodes punycode. */
  override _parseAddressCommand(name: string, line: Buffer | string) {
    const command = splitPathCommand(line.toString());
    if (command === null) return false;
    const { verb, address, parameters } = command;
    const parsed = super._parseAddressCommand(name, `${verb}:<a@b.example> ${parameters}`);
    return parsed && { ...parsed, address };
  }

  /** 421 closes the connection as well. */
  say({ code, text }: Reply): void {
    this.send(code, text);
  }

  /** Hangs up without waiting for the client's own end, so that it does not keep a descriptor. */
  drop(reply: Reply): void {
    this.say(reply);
    this.close();
    this._socket.destroySoon();
  }
}

const isNotAuth = (line: string): boolean => !line.startsWith('AUTH ');

const isLoopback = (address: string): boolean => address === '::1' || /^127\.[\d.]+$/.test(address);
