/**
 * The SMTP door, for apps that speak SMTP already: TLS, a login as upstream has it, and each message passed on to
 * upstream as it comes.
 */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { SMTPServer, type SMTPServerError, type SMTPServerSession } from 'smtp-server';
import type { Account } from '../account.ts';
import type { Authenticator } from '../authenticate.ts';
import type { Certificate } from '../certificate.ts';
import { peerOf } from '../client-address.ts';
import type { Log } from '../log.ts';
import type { Emit } from '../message-event.ts';
import { Places } from '../places.ts';
import type { Submit } from '../submit.ts';
import { Connection } from './connection.ts';
import type { Reply } from './reply.ts';
import { CROWDED, Session, type SessionContext } from './session.ts';
import { Turns } from './turns.ts';

export interface SmtpDoorOptions {
  readonly submit: Submit;
  readonly authenticator: Pick<Authenticator, 'login'>;
  /** The configured ones, as they are now. */
  readonly accounts: () => readonly Account[];
  readonly certificate: Certificate;
  /** Announced as SIZE (RFC 1870), in octets. */
  readonly maxMessageBytes: number;
  /** For a message from DATA to its reply. */
  readonly deadlineMs: number;
  /** Most upstream connections of a login. */
  readonly smtp: { readonly connections: number };
  /** Most sockets at the same time. */
  readonly sockets: number;
  /** Takes AUTH without TLS from this machine itself: for a sandbox. */
  readonly clearAuth?: boolean;
  /** How long a client may be silent between two commands; as long as RFC 5321 wants it, if absent. */
  readonly idleMs?: number;
  /** For what is refused before it is submitted. */
  readonly emit: Emit;
  readonly log: Log;
}

export interface SmtpDoor {
  /**
   * Listens on `port`, or on a free one for 0, and resolves with it; rejects where it is taken. Without a host on
   * every address of the machine.
   */
  listen(port: number, host?: string): Promise<number>;
  /** As `listen`, with TLS from the first byte on (RFC 8314 section 3.3). */
  listenTls(port: number, host?: string): Promise<number>;
  /** Shows this certificate from now on; connections that stand go on with theirs. */
  renew(certificate: Certificate): void;
  /** Takes no new connection and no new message; those on their way end within the deadline. */
  close(): Promise<void>;
}

/**
 * The sockets' shares: clients that have not logged in, and those that have, of whom the last ones are of api_users
 * that have few. The rest is for those on their way out.
 */
const STRANGERS = 10 / 27;
const GUESTS = 12 / 27;
const RESERVED_FOR_FEW = 2 / 27;

/** The longest command is AUTH's line with user name and password. */
const MOST_COMMAND_BYTES = 4096;

/** Enough for a client that tries two mechanisms and a wrong password; a guesser has to connect again. */
const MOST_COMMANDS_BEFORE_LOGIN = 20;

/** RFC 5321 section 4.5.3.2.7: a server waits at least five minutes for the next command. */
const IDLE_MS = 5 * 60 * 1000;

/** Longer than any message takes with its deadline, for a client that does not leave. */
const GRACE_MS = 10_000;

export const createSmtpDoor = (options: SmtpDoorOptions): SmtpDoor => new Door(options);

class Door implements SmtpDoor {
  readonly #options: SmtpDoorOptions;
  readonly #context: SessionContext;
  readonly #engine: SMTPServer;
  readonly #sessions = new Map<SMTPServerSession, Session>();
  readonly #sockets = new Set<Socket>();
  readonly #servers: Server[] = [];

  constructor(options: SmtpDoorOptions) {
    this.#options = options;
    const share = (of: number) => Math.round(options.sockets * of);
    this.#context = {
      ...options,
      strangers: new Places(share(STRANGERS), 0),
      guests: new Places(share(GUESTS), share(RESERVED_FOR_FEW)),
      // One connection of a login is left to the messages that are complete.
      streams: new Turns(Math.max(1, options.smtp.connections - 1)),
    };
    this.#engine = this.#createEngine();
  }

  listen(port: number, host?: string): Promise<number> {
    return this.#listen(port, host, false);
  }

  listenTls(port: number, host?: string): Promise<number> {
    return this.#listen(port, host, true);
  }

  renew({ cert, key }: Certificate): void {
    this.#engine.updateSecureContext({ cert, key });
  }

  async close(): Promise<void> {
    const closed = this.#servers.map(async (server) => {
      const ended = once(server, 'close');
      server.close();
      await ended;
    });
    for (const session of this.#sessions.values()) session.leave();
    const late = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, this.#options.deadlineMs + GRACE_MS);
    await Promise.all(closed);
    clearTimeout(late);
  }

  async #listen(port: number, host: string | undefined, implicitTls: boolean): Promise<number> {
    const server = createServer((socket) => this.#accept(socket, implicitTls));
    server.maxConnections = this.#options.sockets;
    await once(server.listen(port, host), 'listening');
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  #accept(socket: Socket, implicitTls: boolean): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // A connection that breaks off, or fails at TLS, is the client's own affair.
    const onError = (error: Error) => this.#options.log.debug('smtp connection', { error: error.message });
    socket.on('error', onError);
    const clearAuth = this.#options.clearAuth === true;
    const connection = new Connection(this.#engine, socket, { implicitTls, clearAuth });
    connection.on('error', onError);
    const session = new Session(connection, this.#context);
    this.#sessions.set(connection.session, session);
    if (this.#context.strangers.take(peerOf(connection.remoteAddress), session)) {
      this.#engine.connections.add(connection);
      connection.init();
      return;
    }
    session.closed();
    this.#sessions.delete(connection.session);
    // Before the handshake nothing can be said.
    if (implicitTls) socket.destroy();
    else connection.drop(CROWDED);
  }

  #createEngine(): SMTPServer {
    const { certificate, maxMessageBytes, idleMs = IDLE_MS, clearAuth = false } = this.#options;
    const sessionOf = (of: SMTPServerSession) => this.#sessions.get(of) as Session;
    return new SMTPServer({
      cert: certificate.cert,
      key: certificate.key,
      minVersion: 'TLSv1.2',
      // Not the name of the machine, which is private.
      name: 'postern',
      size: maxMessageBytes,
      authMethods: ['LOGIN', 'PLAIN'],
      authRequiredMessage: '5.7.0 Authentication required: STARTTLS, then AUTH LOGIN or PLAIN',
      allowInsecureAuth: clearAuth,
      disabledCommands: ['WIZ', 'SHELL', 'KILL'],
      hideSMTPUTF8: true,
      disableReverseLookup: true,
      maxCommandLength: MOST_COMMAND_BYTES,
      maxAllowedUnauthenticatedCommands: MOST_COMMANDS_BEFORE_LOGIN,
      socketTimeout: idleMs,
      // Its lines are not for us: our own log says what happened to each message.
      logger: false,

      onAuth(given, session, callback) {
        void sessionOf(session)
          .logIn(given)
          .then((refused) => (refused ? callback(asError(refused)) : callback(null, { user: session.id })));
      },
      onMailFrom(sender, session, callback) {
        void sessionOf(session)
          .mail(sender)
          .then((refused) => callback(asErrorOrNull(refused)));
      },
      onRcptTo(recipient, session, callback) {
        callback(asErrorOrNull(sessionOf(session).rcpt(recipient)));
      },
      onData(stream, session, callback) {
        void sessionOf(session)
          .data(stream)
          .then(
            (reply) => reply && (reply.code === 250 ? callback(null, reply.text) : callback(asError(reply))),
          );
      },
      onClose: (session) => {
        sessionOf(session).closed();
        this.#sessions.delete(session);
      },
    });
  }
}

const asError = ({ code, text }: Reply): SMTPServerError =>
  Object.assign(new Error(text), { responseCode: code });

const asErrorOrNull = (reply: Reply | null): SMTPServerError | null => reply && asError(reply);
