/**
 * One SMTP session with upstream: STARTTLS, AUTH LOGIN, then transactions, on nodemailer's SMTPConnection.
 *
 * The phase of a transaction is known here and not guessed from an error: our own body stream is read
 * for the first time after 354, and its end is what makes SMTPConnection write the final dot.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Duplex, Readable } from 'node:stream';
import SMTPConnection, { type SMTPConnectionCustomAuthHandler } from 'nodemailer/lib/smtp-connection';
import { type Login, loginName } from '../../account.ts';
import { type Content, type Envelope, type Fault, final, retryable } from '../../deliver.ts';
import {
  type Accepted,
  type Failure,
  failure,
  type Phase,
  type Rejection,
  type SmtpReply,
} from '../../outcome.ts';
import { emailIds, parseQueueId, parseReply, replyCode } from './reply.ts';

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
  send(envelope: Envelope, content: Content, signal: AbortSignal): Promise<Accepted | Fault>;
  /** Ends a refused transaction (RFC 5321 section 4.1.1.5); false when the session cannot be used again. */
  reset(signal: AbortSignal): Promise<boolean>;
  /** Says QUIT and waits for the end, two seconds at the most. */
  quit(): Promise<void>;
  close(): void;
}

/** The fields that nodemailer's errors carry. */
interface SmtpError extends Error {
  code?: string;
  originalCode?: string;
  command?: string;
  response?: string;
  responseCode?: number;
  rejectedErrors?: readonly RecipientError[];
}
interface RecipientError {
  readonly message: string;
  readonly recipient?: string | undefined;
  readonly response?: string | undefined;
  readonly responseCode?: number | undefined;
}

/** SMTPConnection's own timers stand back: the deadline's AbortSignal decides. */
const NEVER_MS = 24 * 60 * 60 * 1000;

/** How much of a message is handed to the socket at a time, in bytes. */
const CHUNK = 64 * 1024;

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
): Promise<Connection | Fault> {
  const socket = await openSocket(upstream.host, port, signal);
  if ('failure' in socket) return socket;

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
    return openingFault(connected, upstream, port, upgrading);
  }
  const credentials = { user: loginName(login), pass: login.apiKey };
  const loggedIn = await session.step(
    (done) => smtp.login({ ...credentials, method: 'LOGIN' }, done),
    signal,
  );
  if (loggedIn) {
    smtp.close();
    return loginFault(loggedIn, login);
  }
  return new AuthenticatedConnection(smtp, session, maxSize);
}

/** By host name, so that the runtime knows the name: on workerd, SNI and the certificate check hang on it. */
function openSocket(host: string, port: number, signal: AbortSignal): Promise<Socket | Fault> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (result: Socket | Fault) => {
      socket.off('connect', onConnect).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    const fail = (failed: Failure) => {
      socket.on('error', () => {}).destroy();
      settle(retryable(failed));
    };
    const onConnect = () => settle(socket);
    const onError = (error: Error) => fail(unreachable(host, port, error));
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
  if ('failure' in socket) return socket.failure;
  try {
    const smtp = parseReply(await firstLine(socket, signal), 'greeting');
    return smtp.code === 220 ? null : sessionRefused(`${upstream.host}:${port}`, smtp);
  } catch (error) {
    return unreachable(upstream.host, port, error as Error);
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

  async send(envelope: Envelope, content: Content, signal: AbortSignal): Promise<Accepted | Fault> {
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
    return this.#sendFault(error ?? answerOf(info), progress);
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

  #sendFault(error: SmtpError, progress: Progress): Fault {
    const { response = '' } = error;
    const code = replyCode(response);
    if (code >= 400) {
      const phase = refusalPhase(error, progress);
      // Amid DATA upstream would take RSET for a line of the message.
      if (progress === 'reading') this.close();
      const failed = refusal(parseReply(response, phase), error.rejectedErrors?.map(rejection) ?? []);
      if (failed.code === 'upstream-credentials') this.close();
      return final(failed);
    }
    // A session that lost its step cannot be trusted with another message.
    this.close();
    if (progress === 'ended') {
      const what = error.code === 'ABORT' ? 'fell silent' : response ? 'answered nonsense' : 'was lost';
      const detail = `Upstream ${what} after the final dot: it may have the message.`;
      return final(failure('outcome-unknown', detail));
    }
    if (response || progress === 'uninvited') {
      return final(failure('upstream-unreachable', OUT_OF_STEP));
    }
    if (error.code === 'ESTREAM') {
      return final(failure('invalid-message', 'The message broke off before its end.'));
    }
    if (error.code === 'ABORT') {
      const detail = 'The deadline passed before the message was complete; it was not sent.';
      return final(failure('upstream-timeout', detail));
    }
    const answered = this.#smtp.lastServerResponse !== false || progress !== 'unread';
    const detail = `Upstream closed the connection ${answered ? 'within the transaction' : 'before it answered MAIL'}.`;
    return { failure: failure('upstream-unreachable', detail), again: !answered };
  }
}

const OUT_OF_STEP = 'Upstream answered what belongs to no command; nothing was sent.';

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

/**
 * How far a message is: `unread` until 354 has come, `uninvited` where something else came in its place, `ended`
 * from the moment the final dot may be written.
 */
type Progress = 'unread' | 'uninvited' | 'reading' | 'ended';

/** The message on its way out, which knows how far it is. */
class Body extends Readable {
  progress: Progress = 'unread';
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #corked: Duplex | null;
  readonly #isInvited: () => boolean;

  /** @param isInvited - whether upstream's last reply was 354; asked once, before anything is read */
  constructor(content: Content, socket: Duplex | null, isInvited: () => boolean) {
    super({ highWaterMark: CHUNK });
    const whole = content instanceof Uint8Array;
    this.#chunks = whole ? slices(content) : content[Symbol.asyncIterator]();
    // A message of one chunk and its dot leave together: one TLS record and one system call fewer.
    this.#corked = whole && content.length <= CHUNK ? socket : null;
    this.#isInvited = isInvited;
    // Before any pipe's own listener, so that the phase is set when the dot is written.
    this.once('end', () => {
      this.progress = 'ended';
      setImmediate(() => this.#corked?.uncork());
    });
  }

  override async _read(): Promise<void> {
    try {
      if (this.progress === 'unread' && !(await this.#begin())) return;
      const { value, done } = await this.#chunks.next();
      this.push(done ? null : value);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /**
   * SMTPConnection takes any 2xx to DATA for 354: then a message would be read as commands. And what came with
   * the 354 was said before the message: it is heard before the dot can make an answer of it.
   */
  async #begin(): Promise<boolean> {
    if (!this.#isInvited()) {
      this.progress = 'uninvited';
      throw new Error('DATA was not answered with 354');
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (this.destroyed) return false;
    this.progress = 'reading';
    this.#corked?.cork();
    return true;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Tells a stream's producer that nobody reads any more.
    Promise.resolve(this.#chunks.return?.()).then(
      () => done(error),
      () => done(error),
    );
  }
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += CHUNK) yield bytes.subarray(start, start + CHUNK);
}

const rejection = (error: RecipientError) => ({
  address: error.recipient ?? '',
  code: error.responseCode ?? 0,
  response: error.response ?? error.message,
});

/** Where upstream said no, from what was running. */
function refusalPhase(error: SmtpError, progress: Progress): Phase {
  if (progress === 'ended') return 'dot';
  if (progress === 'reading') return 'data';
  if (error.command === 'MAIL FROM') return 'mail';
  return error.command === 'RCPT TO' ? 'rcpt' : 'data';
}

/** Upstream's 4xx or 5xx within a transaction, by its code. */
function refusal(smtp: SmtpReply, rejected: readonly Rejection[]): Failure {
  const { code, phase, response } = smtp;
  const more = { smtp, ...(rejected.length > 0 ? { rejected } : {}) };
  if (code === 536 || rejected.some((one) => one.code === 536)) {
    return failure('quota-exceeded', 'Upstream says that the quota is spent.', more);
  }
  if (code < 500) return busy('Upstream deferred the message; it was not sent.', smtp, more);
  if (phase === 'mail' && (code === 530 || code === 535)) {
    return failure('upstream-credentials', 'Upstream no longer knows the login of this session.', more);
  }
  // At RCPT a 552 is about the mailbox. By its text as well: Haraka says 550 for what RFC 1870 has 552.
  if (phase !== 'rcpt' && (code === 552 || /^550[ -].*message too big/i.test(response))) {
    return failure('message-too-large', 'Upstream says that the message is too large.', more);
  }
  if (phase === 'rcpt') return failure('recipients-refused', 'Upstream refused every recipient.', more);
  return failure('message-refused', 'Upstream refused the message; it was not sent.', more);
}

/** Upstream's 4xx says no time; half a minute is what its own deferrals take at least. */
const busy = (detail: string, smtp: SmtpReply, more: Partial<Failure> = {}): Failure =>
  failure('upstream-busy', detail, { retryAfterMs: 30_000, ...more, smtp });

const unreachable = (host: string, port: number, error: SmtpError): Failure =>
  failure(
    'upstream-unreachable',
    `${host}:${port} cannot be reached (${error.originalCode ?? error.code ?? 'closed'}).`,
  );

/** Between TCP's connect and a session that is secured and ready for AUTH. */
function openingFault(error: SmtpError, upstream: Upstream, port: number, upgrading: boolean): Fault {
  const at = `${upstream.host}:${port}`;
  if (error.code === 'ABORT') {
    return retryable(failure('upstream-timeout', `${at} did not answer in time.`));
  }
  if (error.response) {
    return final(sessionRefused(at, parseReply(error.response, openingPhase(error))));
  }
  // Closed or reset amid the handshake is a lost connection; whatever else TLS said is about trust.
  const cause = error.originalCode ?? error.code ?? '';
  if (upgrading && !['ETLS', 'ECONNRESET', 'EPIPE', ''].includes(cause)) {
    return final(failure('upstream-insecure', `${at} offers no trustworthy TLS (${cause}).`));
  }
  return retryable(unreachable(upstream.host, port, error));
}

function openingPhase(error: SmtpError): Phase {
  if (error.command === 'STARTTLS') return 'starttls';
  return error.command === 'EHLO' ? 'ehlo' : 'greeting';
}

/** Upstream will not have this session, or not securely. */
function sessionRefused(at: string, smtp: SmtpReply): Failure {
  const detail = `${at} refused the session.`;
  if (smtp.code === 536) return failure('quota-exceeded', detail, { smtp });
  if (smtp.phase === 'starttls') return failure('upstream-insecure', detail, { smtp });
  if (smtp.code >= 500) return failure('upstream-unreachable', detail, { smtp });
  if (smtp.code >= 400) return busy(detail, smtp);
  return failure('upstream-unreachable', `${at} does not speak SMTP as it should.`, { smtp });
}

/** AUTH LOGIN went wrong. */
function loginFault(error: SmtpError, login: Login): Fault {
  if (error.code === 'ABORT') {
    return retryable(failure('upstream-timeout', 'Upstream did not answer the login in time.'));
  }
  if (error.response === undefined) {
    return retryable(failure('upstream-unreachable', 'Upstream closed the connection at the login.'));
  }
  const smtp = parseReply(error.response, 'auth');
  if (smtp.code === 536) {
    return final(failure('quota-exceeded', 'Upstream says that the quota is spent.', { smtp }));
  }
  if (smtp.code < 400) return final(failure('upstream-unreachable', OUT_OF_STEP, { smtp }));
  if (smtp.code < 500) return final(busy('Upstream cannot take the login now.', smtp));
  const label = login.label === null ? '' : `, or the label ${login.label} does not exist`;
  const detail = `Upstream refused the login ${loginName(login)}: the api_key is wrong${label}.`;
  return final(failure('upstream-credentials', detail, { smtp }));
}
