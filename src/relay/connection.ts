/** Connections to upstream: opened, secured (STARTTLS, RFC 3207) and logged in, then for one message at a time. */

import { connect } from 'node:net';
import type { Login } from '../account.ts';
import { type Accepted, type Failure, isFailure, type Phase } from '../outcome.ts';
import { formatLoginName } from '../sendcloud.ts';
import type { Envelope } from '../transaction.ts';
import {
  handshakeFailed,
  insecure,
  loginLost,
  loginRefused,
  openingLost,
  sessionRefused,
  unreachable,
} from './failures.ts';
import { type Extensions, MailTransaction, type Message } from './mail-transaction.ts';
import { type Reply, smtpReply } from './reply.ts';
import { type Ending, nextTurn, Session } from './session.ts';

/** Upstream's address, and what its certificate must say. */
export interface Upstream {
  readonly host: string;
  /** The name that the certificate must carry, and SNI. */
  readonly servername: string;
  /** PEM of a CA to trust besides the runtime's own: the sandbox's. */
  readonly ca?: string;
}

/** A session inside TLS that awaits a login. */
export interface Secured {
  readonly session: Session;
  readonly extensions: Extensions;
  readonly port: number;
  close(): void;
}

const KEEP_ALIVE_MS = 30_000;

/** Connects and reads the greeting. */
export async function greet(
  upstream: Upstream,
  port: number,
  signal: AbortSignal,
): Promise<Session | Failure> {
  const at = `${upstream.host}:${port}`;
  const session = await openSession(upstream.host, port, signal);
  if (isFailure(session)) return session;
  const greeting = await session.within(signal, () => answer(session, 220, 'greeting', at));
  return isFailure(greeting) ? greeting : session;
}

/**
 * Opens a session up to the EHLO inside TLS.
 *
 * @param helo - EHLO's argument; null says the loopback address literal
 * @param signal - aborts the whole opening
 */
export async function openSecured(
  upstream: Upstream,
  port: number,
  helo: string | null,
  signal: AbortSignal,
): Promise<Secured | Failure> {
  const at = `${upstream.host}:${port}`;
  const session = await greet(upstream, port, signal);
  if (isFailure(session)) return session;
  return session.within(signal, async () => {
    const hello = await ehlo(session, helo, at);
    if (isFailure(hello)) return hello;
    const obstacle = await secure(session, hello, upstream, at);
    if (obstacle) return obstacle;
    // Only what is said inside TLS counts.
    const extensions = await ehlo(session, helo, at);
    if (isFailure(extensions)) return extensions;
    return { session, extensions, port, close: () => session.close() };
  });
}

/** Logs in, and proves the api_key by that. */
export async function logIn(
  secured: Secured,
  login: Login,
  signal: AbortSignal,
): Promise<Connection | Failure> {
  const { session } = secured;
  const failed = await session.within(signal, () => authenticate(session, login));
  if (!failed) return new Connection(secured);
  session.close();
  return failed;
}

/** An open, authenticated session. */
export class Connection {
  readonly port: number;
  /** The largest message upstream takes (RFC 1870); null where it does not say. */
  readonly maxSize: number | null;
  /** By the wall clock, in milliseconds. */
  readonly openedAt = Date.now();
  /** A transaction was begun here before. */
  isUsed = false;
  /** A refused transaction is still open upstream. */
  needsReset = false;
  readonly #session: Session;
  readonly #extensions: Extensions;

  constructor({ session, extensions, port }: Secured) {
    this.port = port;
    this.maxSize = Number(extensions.get('SIZE')) || null;
    this.#session = session;
    this.#extensions = extensions;
    session.rest();
  }

  /** False once the session has ended, at either end. */
  get alive(): boolean {
    return this.#session.ending === null;
  }

  /** Runs when the session ends. */
  set onEnd(listener: () => void) {
    this.#session.onEnd = listener;
  }

  send(envelope: Envelope, message: Message, signal: AbortSignal): Promise<Accepted | Failure> {
    return this.#session.within(signal, async () => {
      // What upstream said of its own accord is heard before MAIL is, and taken for no answer to it.
      await nextTurn();
      this.#session.resume();
      const transaction = new MailTransaction(this.#session, this.#extensions, this.isUsed);
      this.isUsed = true;
      const result = await transaction.run(envelope, message);
      // Section 4.1.1.4: the reply to the dot ends the transaction, whatever it says.
      this.needsReset = isFailure(result) && result.smtp?.phase !== 'dot';
      if (!this.needsReset) this.#session.rest();
      return result;
    });
  }

  /** Ends a refused transaction (RFC 5321 section 4.1.1.5), or the connection where that cannot be done. */
  async reset(signal: AbortSignal): Promise<void> {
    const session = this.#session;
    await session.within(signal, async () => {
      // What was pipelined behind the refused command must have been refused too.
      while (!session.isSettled) {
        const reply = await session.reply();
        if (reply === null || reply.code < 400) return session.close();
      }
      session.command('RSET');
      const reply = await session.reply();
      if (reply?.code !== 250) return session.close();
      this.needsReset = false;
      session.rest();
    });
  }

  /** Says QUIT, and closes when that was answered. */
  quit(): Promise<void> {
    return this.#session.quit();
  }

  close(): void {
    this.#session.close();
  }
}

/** By host name, so that the runtime knows the name: on workerd, SNI and the certificate check hang on it. */
function openSession(host: string, port: number, signal: AbortSignal): Promise<Session | Failure> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (result: Session | Failure) => {
      socket.off('connect', onConnect).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    const fail = (failed: Failure) => {
      settle(failed);
      socket.on('error', () => {}).destroy();
    };
    const onConnect = () => settle(new Session(socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)));
    const onError = ({ code }: NodeJS.ErrnoException) => fail(unreachable(`${host}:${port}`, code));
    const onAbort = () => fail(openingLost({ why: 'silent' }, `${host}:${port}`));
    socket.once('connect', onConnect).once('error', onError);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The reply that the next step needs, with nothing behind it; any other ends the session. */
async function answer(session: Session, code: number, phase: Phase, at: string): Promise<Reply | Failure> {
  const reply = await session.reply();
  if (reply === null || (session.ending && reply.code === code)) {
    return openingLost(session.ending as Ending, at);
  }
  if (reply.code === code) return reply;
  session.close();
  return sessionRefused(at, smtpReply(reply, phase));
}

/** What upstream announces (RFC 5321 section 4.1.1.1). */
async function ehlo(session: Session, helo: string | null, at: string): Promise<Extensions | Failure> {
  session.command(`EHLO ${helo ?? '[127.0.0.1]'}`);
  const reply = await answer(session, 250, 'ehlo', at);
  if (isFailure(reply)) return reply;
  return new Map(
    reply.texts.slice(1).map((line) => {
      const [keyword = '', ...parameters] = line.trim().split(/\s+/);
      return [keyword.toUpperCase(), parameters.join(' ')];
    }),
  );
}

async function secure(
  session: Session,
  offered: Extensions,
  { host, servername, ca }: Upstream,
  at: string,
): Promise<Failure | null> {
  if (!offered.has('STARTTLS')) {
    session.close();
    return insecure(at, 'no STARTTLS');
  }
  const trusted = { host, servername, minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) } as const;
  const ready = await session.startTls(trusted);
  if (ready === null) return handshakeFailed(session.ending as Ending, at);
  if (ready.code === 220) return null;
  session.close();
  return sessionRefused(at, smtpReply(ready, 'starttls'));
}

/** `AUTH LOGIN` with the user name as initial response, which saves a round trip. */
async function authenticate(session: Session, login: Login): Promise<Failure | null> {
  const user = base64(formatLoginName(login));
  session.command(`AUTH LOGIN ${user}`);
  let reply = await session.reply();
  // A server that ignores the initial response asks for the user name.
  if (reply && asksForUser(reply)) {
    session.command(user);
    reply = await session.reply();
  }
  const keySent = reply?.code === 334;
  if (keySent) {
    session.command(base64(login.apiKey));
    reply = await session.reply();
  }
  if (reply && !(keySent && reply.code === 235)) return loginRefused(reply, login);
  // What came with the 235 is heard before anything is drawn or sent.
  await nextTurn();
  return session.ending && loginLost(session.ending);
}

const asksForUser = ({ code, texts }: Reply): boolean =>
  code === 334 && /^username:?$/i.test(Buffer.from(texts.at(-1) ?? '', 'base64').toString());

const base64 = (text: string): string => Buffer.from(text).toString('base64');
