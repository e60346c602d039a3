/**
 * The SMTP door, for apps that speak SMTP already: STARTTLS, a login as upstream has it, and each message
 * streamed through to upstream as it comes.
 */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  SMTPServer,
  type SMTPServerAddress,
  type SMTPServerAuthentication,
  type SMTPServerDataStream,
  type SMTPServerError,
  type SMTPServerSession,
} from 'smtp-server';
import type { SMTPConnection } from 'smtp-server/lib/smtp-connection';
import { policyFailure } from '../account.ts';
import type { Authenticator, Caller } from '../authenticate.ts';
import { firstOf } from '../deadline.ts';
import type { Log } from '../log.ts';
import { type Failure, failure, isFailure, type Outcome } from '../outcome.ts';
import { parseLoginName } from '../sendcloud.ts';
import type { Submit } from '../submit.ts';
import type { Certificate } from './certificate.ts';
import { declaredSize, isEightBit, mailProblem, onTheWire, rcptProblem } from './envelope.ts';
import { Incoming } from './incoming.ts';
import { type Reply, replyOf } from './reply.ts';

export interface SmtpDoorOptions {
  readonly submit: Submit;
  readonly authenticator: Pick<Authenticator, 'login'>;
  readonly certificate: Certificate;
  /** Announced as SIZE (RFC 1870), in octets. */
  readonly maxMessageBytes: number;
  /** For a message from DATA to its reply; twice as long for a client to log in. */
  readonly deadlineMs: number;
  readonly log: Log;
}

export interface SmtpDoor {
  /**
   * Listens on `port`, or on a free one for 0, and resolves with it; rejects where it is taken. Without a host on
   * every address of the machine.
   */
  listen(port: number, host?: string): Promise<number>;
  /** Takes no new connection and no new message; those on their way end within the deadline. */
  close(): Promise<void>;
}

/** What a session is logged in as. */
interface Sender {
  readonly caller: Caller;
  readonly label: number | null;
}

const MOST_CONNECTIONS = 200;

/** The longest command is AUTH's line with user name and password. */
const MOST_COMMAND_BYTES = 4096;

/** Enough for a client that tries two mechanisms and a wrong password; a guesser has to connect again. */
const MOST_COMMANDS_BEFORE_LOGIN = 20;

/** RFC 5321 section 4.5.3.2.7: a server waits at least five minutes for the next command. */
const IDLE_MS = 5 * 60 * 1000;

/** How long a client may go on writing a message whose fate is decided. */
const MOST_DISCARD_MS = 10_000;

const TIMED_OUT: Reply = { code: 421, text: '4.4.2 The message did not arrive in time' };
const LOGIN_TIMED_OUT: Reply = { code: 421, text: '4.4.2 No login in time' };
const SHUTTING_DOWN: Reply = { code: 421, text: '4.3.2 Shutting down, try again' };

export function createSmtpDoor(options: SmtpDoorOptions): SmtpDoor {
  const { submit, authenticator, maxMessageBytes, deadlineMs, log } = options;
  const discardMs = Math.min(deadlineMs, MOST_DISCARD_MS);
  const connections = new WeakMap<SMTPServerSession, SMTPConnection>();
  const loginTimers = new WeakMap<SMTPServerSession, NodeJS.Timeout>();
  /** Sessions with a message on its way. */
  const sending = new Set<SMTPServerSession>();
  let closing = false;

  const server = new SMTPServer({
    cert: options.certificate.cert,
    key: options.certificate.key,
    minVersion: 'TLSv1.2',
    // Not the name of the machine, which is nobody's business.
    name: 'postern',
    size: maxMessageBytes,
    authMethods: ['LOGIN', 'PLAIN'],
    authRequiredMessage: '5.7.0 Authentication required: STARTTLS, then AUTH LOGIN or PLAIN',
    disabledCommands: ['WIZ', 'SHELL', 'KILL'],
    hideSMTPUTF8: true,
    disableReverseLookup: true,
    maxClients: MOST_CONNECTIONS,
    maxCommandLength: MOST_COMMAND_BYTES,
    maxAllowedUnauthenticatedCommands: MOST_COMMANDS_BEFORE_LOGIN,
    socketTimeout: IDLE_MS,
    closeTimeout: deadlineMs + discardMs,
    // Its lines are not for us: our own log says what happened to each message.
    logger: false,

    onConnect(session, callback) {
      for (const connection of server.connections) {
        if (connection.session === session) admit(connection);
      }
      callback();
    },
    onAuth(authentication, session, callback) {
      logIn(authentication, session.remoteAddress).then(
        (result) => {
          if (!isFailure(result)) return callback(null, { user: result });
          log.info('login refused', {
            door: 'smtp',
            address: session.remoteAddress,
            code: result.code,
            detail: result.detail,
          });
          callback(asError(replyOf(result)));
        },
        (error) => callback(asError(replyOf(internal(error)))),
      );
    },
    onMailFrom(sender, session, callback) {
      const { caller, label } = session.user as Sender;
      const problem = mailProblem(sender);
      if (problem) return callback(asError(problem));
      const forbidden = policyFailure(caller.account, wire(sender), label);
      callback(forbidden && asError(replyOf(forbidden)));
    },
    onRcptTo(recipient, session, callback) {
      const problem = rcptProblem(recipient, session.envelope.rcptTo.length);
      callback(problem && asError(problem));
    },
    onData(stream, session, callback) {
      void take(stream, session, callback);
    },
    onClose(session) {
      clearTimeout(loginTimers.get(session));
    },
  });
  // A connection that breaks off, or fails at TLS, is the client's own affair.
  server.on('error', (error) => log.debug('smtp connection', { error: error.message }));

  function admit(connection: SMTPConnection): void {
    const { session } = connection;
    connections.set(session, connection);
    const timer = setTimeout(() => {
      if (!session.user) say(connection, LOGIN_TIMED_OUT);
    }, 2 * deadlineMs);
    loginTimers.set(session, timer.unref());

    // The library refuses AUTH in the clear, but announces it: then a client has sent its password already.
    const send = connection.send.bind(connection);
    connection.send = (code, text, context) => {
      const told = Array.isArray(text) && !connection.secure ? text.filter(isNotAuth) : text;
      send(code, told, context);
    };
  }

  async function logIn(given: SMTPServerAuthentication, address: string): Promise<Sender | Failure> {
    const { username = '', password, authzid, authcid } = given;
    const name = parseLoginName(username);
    if (name === null) return failure('unauthorized', 'The label is not a positive whole number.');
    // RFC 4616 section 2: an authorization identity asks to act for somebody else.
    if (authzid && authcid && authzid !== authcid) {
      return failure('unauthorized', 'Nobody may act for another api_user.');
    }
    const caller = await authenticator.login(
      name.apiUser,
      password ?? '',
      address,
      AbortSignal.timeout(deadlineMs),
    );
    return isFailure(caller) ? caller : { caller, label: name.label };
  }

  async function take(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    callback: (error: Error | null, text?: string) => void,
  ): Promise<void> {
    sending.add(session);
    const incoming = new Incoming(stream, maxMessageBytes);
    const outcome = await forward(incoming, session).catch(internal);
    const { flaw } = incoming;
    const reply = outcome === flaw?.failure ? flaw.reply : replyOf(outcome);

    const arrived = await incoming.discard(discardMs);
    sending.delete(session);
    const connection = connections.get(session);
    if (!arrived && connection) {
      // What will never do is said even in the midst of DATA, or the client would try again for ever.
      say(connection, reply.code < 500 ? TIMED_OUT : reply);
      connection.close();
    } else {
      if (reply.code === 250) callback(null, reply.text);
      else callback(asError(reply));
      if (closing && connection) say(connection, SHUTTING_DOWN);
    }
  }

  async function forward(incoming: Incoming, session: SMTPServerSession): Promise<Outcome> {
    const { caller, label } = session.user as Sender;
    const { mailFrom, rcptTo } = session.envelope;
    if (!mailFrom) throw new Error('DATA without MAIL');
    const { outcome } = await submit(
      {
        caller,
        label,
        envelope: {
          from: wire(mailFrom),
          to: rcptTo.map(wire),
          size: declaredSize(mailFrom),
          eightBit: isEightBit(mailFrom),
        },
        content: incoming,
        idempotency: null,
        facts: {
          origin: {
            requestId: crypto.randomUUID(),
            door: 'smtp',
            clientAddress: session.remoteAddress,
            startedAt: performance.now(),
          },
          id: null,
          composeMs: 0,
        },
        flaw: () => incoming.flaw?.failure ?? null,
      },
      firstOf(AbortSignal.timeout(deadlineMs), incoming.flawed),
    );
    return outcome;
  }

  function internal(error: unknown): Failure {
    log.error('internal', { door: 'smtp', error: error instanceof Error ? error.stack : String(error) });
    return failure('internal', 'An error in the gateway.');
  }

  return {
    async listen(port, host) {
      const listening = server.listen(port, host);
      await once(listening, 'listening');
      return (listening.address() as AddressInfo).port;
    },
    async close() {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(resolve));
      for (const connection of [...server.connections]) {
        if (!sending.has(connection.session)) say(connection, SHUTTING_DOWN);
      }
      await closed;
    },
  };
}

/** 421 closes the connection as well. */
const say = (connection: SMTPConnection, { code, text }: Reply): void => connection.send(code, text);

const asError = ({ code, text }: Reply): SMTPServerError =>
  Object.assign(new Error(text), { responseCode: code });

const isNotAuth = (line: string): boolean => !line.startsWith('AUTH ');

/** An address that passed `mailProblem` or `rcptProblem`. */
const wire = ({ address }: SMTPServerAddress): string => onTheWire(address) as string;
