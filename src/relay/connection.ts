/**
 * One SMTP session with upstream: STARTTLS, AUTH LOGIN, then transactions, on nodemailer's SMTPConnection.
 *
 * The phase of a transaction is known here and not guessed from an error: our own body stream is read
 * for the first time after 354, and its end is what makes SMTPConnection write the final dot.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import SMTPConnection, { type SMTPConnectionCustomAuthHandler } from 'nodemailer/lib/smtp-connection';
import type { Login } from '../account.ts';
import { type Accepted, type Failure, failure, isFailure } from '../outcome.ts';
import { emailIds, formatLoginName, parseQueueId } from '../sendcloud.ts';
import type { Content, Envelope } from '../transaction.ts';
import { Body, type Progress } from './body.ts';
import {
  loginFailure,
  OUT_OF_STEP,
  openingFailure,
  refusal,
  refusalPhase,
  rejection,
  type SmtpError,
  sessionRefused,
  unreachable,
} from './failures.ts';
import { parseReply, replyCode } from './reply.ts';

/** Upstream's address, and what its certificate must say. */
export interface Upstream {
  readonly host: string;
  /** The name that the certificate must carry, and SNI. */
  readonly servername: string;
  /** PEM of a CA to trust besides the runtime's own: the sandbox's. */
  readonly ca?: string;
}

/** An open, authenticated session. */
export interface Connection {
  /** False once the session has ended, whoever ended it. */
  readonly alive: boolean;
  readonly maxSize: number | null;
  /** By the wall clock, in milliseconds. */
  readonly openedAt: number;
  /** Runs when the session ends while nobody sends. */
  onEnd: () => void;
  send(envelope: Envelope, content: Content, signal: AbortSignal): Promise<Accepted | Failure>;
  /** Ends a refused transaction (RFC 5321 section 4.1.1.5); false when the session cannot be used again. */
  reset(signal: AbortSignal): Promise<boolean>;
  /** Says QUIT and waits for the end, two seconds at the most. */
  quit(): Promise<void>;
  close(): void;
}

/** SMTPConnection's own timers stand back: the deadline's AbortSignal decides. */
const NEVER_MS = 24 * 60 * 60 * 1000;

/**
 * Opens a session and logs in.
 *
 * @param helo - EHLO's argument; null says the loopback address literal
 * @param signal - aborts the whole opening
 */
export async function openConnection(
  upstream: Upstream,
  port: number,
  login: Login,
  helo: string | null,
  signal: AbortSignal,
): Promise<Connection | Failure> {
  const socket = await openSocket(upstream.host, port, signal);
  if (isFailure(socket)) return socket;

  let maxSize: number | null = null;
  const smtp = new SMTPConnection({
    connection: socket,
    host: upstream.host,
    port,
    name: helo ?? '[127.0.0.1]',
    requireTLS: true,
    servername: upstream.servername,
    tls: { minVersion: 'TLSv1.2', ...(upstream.ca === undefined ? {} : { ca: upstream.ca }) },
    connectionTimeout: NEVER_MS,
    greetingTimeout: NEVER_MS,
    socketTimeout: NEVER_MS,
    socketCloseTimeout: 1000,
    customAuth: {
      LOGIN: (session) => {
        maxSize = session.maxAllowedSize || null;
        return authLogin(session);
      },
    },
  });
  const session = new Session(smtp);

  // SMTPConnection listens from its next turn on; on workerd a socket can have closed by then.
  const onClose = () => session.lost();
  socket.once('close', onClose);
  const connected = await session.step((done) => smtp.connect(done), signal);
  socket.off('close', onClose);
  if (connected) {
    const upgrading = smtp.upgrading === true;
    smtp.close();
    return openingFailure(connected, `${upstream.host}:${port}`, upgrading);
  }
  const credentials = { user: formatLoginName(login), pass: login.apiKey };
  const loggedIn = await session.step(
    (done) => smtp.login({ ...credentials, method: 'LOGIN' }, done),
    signal,
  );
  if (loggedIn) {
    smtp.close();
    return loginFailure(loggedIn, login);
  }
  return new AuthenticatedConnection(smtp, session, maxSize);
}

/** By host name, so that the runtime knows the name: on workerd, SNI and the certificate check hang on it. */
function openSocket(host: string, port: number, signal: AbortSignal): Promise<Socket | Failure> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (result: Socket | Failure) => {
      socket.off('connect', onConnect).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    const fail = (failed: Failure) => {
      socket.on('error', () => {}).destroy();
      settle({ ...failed, again: true });
    };
    const onConnect = () => settle(socket);
    const onError = (error: Error) => fail(unreachable(`${host}:${port}`, error));
    const onAbort = () => fail(failure('upstream-timeout', `${host}:${port} did not answer in time.`));
    socket.once('connect', onConnect).once('error', onError);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Connects, reads upstream's greeting and leaves; null when it is 220. For the readiness probe. */
export async function readGreeting(
  upstream: Upstream,
  port: number,
  signal: AbortSignal,
): Promise<Failure | null> {
  const socket = await openSocket(upstream.host, port, signal);
  if (isFailure(socket)) return socket;
  try {
    const smtp = parseReply(await firstLine(socket, signal), 'greeting');
    return smtp.code === 220 ? null : sessionRefused(`${upstream.host}:${port}`, smtp);
  } catch (error) {
    return unreachable(`${upstream.host}:${port}`, error as Error);
  } finally {
    socket.on('error', () => {}).end('QUIT\r\n');
    setTimeout(() => socket.destroy(), 1000);
  }
}

/** A greeting may have more lines; its first one says it all. */
async function firstLine(socket: Socket, signal: AbortSignal): Promise<string> {
  let heard = '';
  const closed = once(socket, 'close', { signal }).then(() => Promise.reject(new Error('Connection closed')));
  while (!heard.includes('\n') && heard.length < 1000) {
    const [chunk] = (await Promise.race([once(socket, 'data', { signal }), closed])) as [Buffer];
    heard += chunk.toString('latin1');
  }
  return heard.split(/\r?\n/, 1)[0] as string;
}

/** `AUTH LOGIN` with the user name as initial response, which saves a round trip. */
const authLogin: SMTPConnectionCustomAuthHandler = async ({ auth, sendCommand, reject }) => {
  const user = Buffer.from(auth.credentials.user).toString('base64');
  let reply = await sendCommand(`AUTH LOGIN ${user}`);
  // A server that ignores the initial response asks for the user name: base64("Username:").
  if (reply.status === 334 && /^username:?$/i.test(Buffer.from(reply.text, 'base64').toString())) {
    reply = await sendCommand(user);
  }
  if (reply.status === 334) reply = await sendCommand(Buffer.from(auth.credentials.pass).toString('base64'));
  if (reply.status !== 235) reject('Login refused');
};

/** Settles each step once, however a dying connection speaks: by `error`, by `end`, by the callback, or twice. */
class Session {
  onEnd: () => void = () => {};
  #settle: ((error: SmtpError) => void) | null = null;
  readonly #smtp: SMTPConnection;

  constructor(smtp: SMTPConnection) {
    this.#smtp = smtp;
    // These listeners stay for good: an `error` without one would end the process.
    smtp.on('error', (error: SmtpError) => this.#ended(error));
    smtp.on('end', () => this.lost());
  }

  /** The connection has ended. The reply that a 421 is says more than the end it brings, and is told after it. */
  lost(): void {
    setImmediate(() => this.#ended(new Error('Connection closed')));
  }

  /** Runs one step to its callback; resolves with the error, or null. An abort closes the connection. */
  step(
    start: (done: (error?: Error | null) => void) => void,
    signal: AbortSignal,
  ): Promise<SmtpError | null> {
    return new Promise((resolve) => {
      const settle = (error: SmtpError | null) => {
        if (this.#settle !== settle) return;
        this.#settle = null;
        signal.removeEventListener('abort', onAbort);
        resolve(error);
      };
      const onAbort = () => {
        settle(Object.assign(new Error('Deadline passed'), { code: 'ABORT' }));
        this.#smtp.close();
      };
      this.#settle = settle;
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      start((error) => settle(error ?? null));
    });
  }

  #ended(error: SmtpError): void {
    if (this.#settle) this.#settle(error);
    else this.onEnd();
  }
}

class AuthenticatedConnection implements Connection {
  readonly maxSize: number | null;
  readonly openedAt = Date.now();
  readonly #smtp: SMTPConnection;
  readonly #session: Session;

  constructor(smtp: SMTPConnection, session: Session, maxSize: number | null) {
    this.#smtp = smtp;
    this.#session = session;
    this.maxSize = maxSize;
  }

  get alive(): boolean {
    return !this.#smtp.destroyed;
  }

  set onEnd(listener: () => void) {
    this.#session.onEnd = listener;
  }

  async send(envelope: Envelope, content: Content, signal: AbortSignal): Promise<Accepted | Failure> {
    const smtp = this.#smtp;
    const body = new Body(
      content,
      smtp._socket || null,
      () => replyCode(smtp.lastServerResponse || '') === 354,
    );
    // Public on SMTPConnection: still false afterwards means that MAIL was not answered.
    smtp.lastServerResponse = false;
    const smtpEnvelope = {
      from: envelope.from,
      to: [...envelope.to],
      use8BitMime: envelope.eightBit,
      ...(envelope.size === null ? {} : { size: envelope.size }),
    };
    let info: SMTPConnection.SentMessageInfo | null = null;
    const error = await this.#session.step(
      (done) =>
        smtp.send(smtpEnvelope, body, (failed, sent) => {
          if (!failed) info = sent;
          done(failed);
        }),
      signal,
    );
    const accepted = acceptedOf(info, body.progress);
    if (accepted) return accepted;
    const { progress } = body;
    body.destroy();
    return this.#sendFailure(error ?? answerOf(info), progress);
  }

  async reset(signal: AbortSignal): Promise<boolean> {
    return (await this.#session.step((done) => this.#smtp.reset(done), signal)) === null;
  }

  async quit(): Promise<void> {
    if (!this.alive) return;
    await this.#session.step(() => this.#smtp.quit(), AbortSignal.timeout(2000));
  }

  close(): void {
    this.#smtp.close();
  }

  #sendFailure(error: SmtpError, progress: Progress): Failure {
    const { response = '' } = error;
    const code = replyCode(response);
    if (code >= 400) {
      const phase = refusalPhase(error, progress);
      // Amid DATA upstream would take RSET for a line of the message.
      if (progress === 'reading') this.close();
      const failed = refusal(parseReply(response, phase), error.rejectedErrors?.map(rejection) ?? []);
      if (failed.code === 'upstream-credentials') this.close();
      return failed;
    }
    // A session that lost its step cannot be trusted with another message.
    this.close();
    if (progress === 'ended') {
      const what = error.code === 'ABORT' ? 'fell silent' : response ? 'answered nonsense' : 'was lost';
      const detail = `Upstream ${what} after the final dot: it may have the message.`;
      return failure('outcome-unknown', detail);
    }
    if (response || progress === 'uninvited') {
      return failure('upstream-unreachable', OUT_OF_STEP);
    }
    if (error.code === 'ESTREAM') {
      return failure('invalid-message', 'The message broke off before its end.');
    }
    if (error.code === 'ABORT') {
      const detail = 'The deadline passed before the message was complete; it was not sent.';
      return failure('upstream-timeout', detail);
    }
    const answered = this.#smtp.lastServerResponse !== false || progress !== 'unread';
    const detail = `Upstream closed the connection ${answered ? 'within the transaction' : 'before it answered MAIL'}.`;
    return failure('upstream-unreachable', detail, answered ? {} : { again: true });
  }
}

/** Upstream's 250 to the dot; null for any other answer, or one that came before the dot was written. */
function acceptedOf(info: SMTPConnection.SentMessageInfo | null, progress: Progress): Accepted | null {
  if (!info || progress !== 'ended' || replyCode(info.response) !== 250) return null;
  const queueId = parseQueueId(info.response);
  return {
    delivery: 'accepted',
    reply: parseReply(info.response, 'dot'),
    queueId,
    emailIds: queueId === null ? {} : emailIds(queueId, info.accepted),
    accepted: info.accepted,
    rejected: (info.rejectedErrors ?? []).map(rejection),
  };
}

/** An answer that SMTPConnection took for success and that is none. */
const answerOf = (info: SMTPConnection.SentMessageInfo | null): SmtpError =>
  Object.assign(new Error('No 250'), { response: info?.response ?? '' });
