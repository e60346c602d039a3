/** One client's session at the SMTP door: its login, its envelopes and its messages. */

import type { SMTPServerAddress, SMTPServerAuthentication, SMTPServerDataStream } from 'smtp-server';
import { type Account, policyFailure } from '../account.ts';
import type { Authenticator } from '../authenticate.ts';
import { peerOf } from '../client-address.ts';
import { firstOf, withDeadline } from '../deadline.ts';
import { NO_TIME } from '../deliver.ts';
import type { Log } from '../log.ts';
import { type Emit, type MessageFacts, messageEvent, type Origin } from '../message-event.ts';
import { type Failure, failure, isFailure, type Outcome } from '../outcome.ts';
import type { Places, Seat } from '../places.ts';
import { canonicalApiUser, parseLoginName } from '../sendcloud.ts';
import type { Submit, Submitted } from '../submit.ts';
import type { Connection } from './connection.ts';
import { declaredSize, isEightBit, MOST_RECIPIENTS, readRecipient, readSender } from './envelope.ts';
import { Incoming, TIMED_OUT } from './incoming.ts';
import { isReply, type Reply, replyOf } from './reply.ts';
import { type Sender, submissionOf, type Transaction } from './submission.ts';
import type { Turns } from './turns.ts';

/** What the sessions of a door have in common. */
export interface SessionContext {
  readonly submit: Submit;
  readonly authenticator: Pick<Authenticator, 'login'>;
  /** Other ones after a reload: who has logged in before is then asked about again. */
  readonly accounts: () => readonly Account[];
  readonly emit: Emit;
  readonly log: Log;
  readonly maxMessageBytes: number;
  /** For a message from DATA to its reply. */
  readonly deadlineMs: number;
  /** Before the login, by address. */
  readonly strangers: Places;
  /** After the login, by api_user. */
  readonly guests: Places;
  /** The messages that keep an upstream connection while they arrive, by api_user. */
  readonly streams: Turns;
}

/** From connecting to a successful login, however many commands that takes. */
const MOST_LOGIN_MS = 30_000;

/** How long a client may go on writing a message whose fate is decided. */
const MOST_DISCARD_MS = 10_000;

const LOGIN_TIMED_OUT: Reply = { code: 421, text: '4.4.2 Login timed out' };
const SHUTTING_DOWN: Reply = { code: 421, text: '4.3.2 Shutting down, try again' };
export const CROWDED: Reply = { code: 421, text: '4.3.2 Too many connections, try again later' };
const NOT_IN_THE_CLEAR: Reply = { code: 538, text: '5.7.11 Encryption required: STARTTLS first' };
const TOO_MANY_RECIPIENTS: Reply = { code: 452, text: '4.5.3 Too many recipients' };

export class Session implements Seat {
  readonly #connection: Connection;
  readonly #context: SessionContext;
  readonly #loginTimer: NodeJS.Timeout;
  #sender: Sender | null = null;
  /** What the login came with, and the accounts at that time. */
  #given: SMTPServerAuthentication | null = null;
  #accounts: readonly Account[] = [];
  #isLoggingIn = false;
  #transaction: Transaction | null = null;
  #incoming: Incoming | null = null;
  #isLeaving = false;
  #isClosed = false;

  constructor(connection: Connection, context: SessionContext) {
    this.#connection = connection;
    this.#context = context;
    const loginMs = Math.min(2 * context.deadlineMs, MOST_LOGIN_MS);
    this.#loginTimer = setTimeout(() => connection.say(LOGIN_TIMED_OUT), loginMs).unref();
  }

  get waitingSince(): number | null {
    const isOurTurn = this.#isLoggingIn || this.#incoming?.isComplete === true;
    return isOurTurn ? null : this.#connection.repliedAt;
  }

  giveWay(): void {
    const crowdedOut = failure('overloaded', 'The connection was closed to make room for others.');
    if (this.#incoming) this.#incoming.fail(crowdedOut, CROWDED);
    else this.#connection.drop(CROWDED);
  }

  /** Ends the session, after the message that is on its way. */
  leave(): void {
    this.#isLeaving = true;
    if (!this.#incoming) this.#connection.say(SHUTTING_DOWN);
  }

  /** The connection has ended. */
  closed(): void {
    this.#isClosed = true;
    clearTimeout(this.#loginTimer);
    this.#leavePlace();
    this.#abandon();
  }

  /** AUTH. Resolves with why it is refused, null when it is not. */
  async logIn(given: SMTPServerAuthentication): Promise<Reply | null> {
    if (!this.#connection.takesAuth) return NOT_IN_THE_CLEAR;
    this.#isLoggingIn = true;
    const accounts = this.#context.accounts();
    const sender = await this.#authenticate(given).catch((error) => this.#internal(error));
    this.#isLoggingIn = false;
    if (isFailure(sender)) return this.#refuseLogin(sender);
    this.#leavePlace();
    if (this.#isClosed || !this.#context.guests.take(holderOf(sender), this)) return CROWDED;
    clearTimeout(this.#loginTimer);
    this.#sender = sender;
    this.#given = given;
    this.#accounts = accounts;
    return null;
  }

  /** MAIL. */
  async mail(sender: SMTPServerAddress): Promise<Reply | null> {
    this.#abandon();
    const revoked = await this.#checkAgain();
    if (revoked) return this.#refuseLogin(revoked);
    const path = readSender(sender);
    const transaction: Transaction = {
      requestId: crypto.randomUUID(),
      startedAt: performance.now(),
      from: isReply(path) ? sender.address : path.address,
      size: declaredSize(sender),
      eightBit: isEightBit(sender),
      recipients: new Map(),
      refused: [],
    };
    if (isReply(path)) {
      this.#report(transaction, failure('invalid-message', path.logged ?? path.text));
      return path;
    }
    const { caller, label } = this.#loggedIn;
    const forbidden = policyFailure(caller.account, path.canonical, label);
    if (forbidden) {
      this.#report(transaction, forbidden);
      return replyOf(forbidden);
    }
    this.#transaction = transaction;
    return null;
  }

  /** RCPT. */
  rcpt(recipient: SMTPServerAddress): Reply | null {
    const { recipients, refused } = this.#inTransaction;
    const path = readRecipient(recipient);
    const spelling = isReply(path) ? null : path.canonical.toLowerCase();
    const isNew = spelling !== null && !recipients.has(spelling);
    const refusal = isReply(path) ? path : isNew && recipients.size >= MOST_RECIPIENTS && TOO_MANY_RECIPIENTS;
    if (refusal) {
      refused.push(refusal.logged ?? refusal.text);
      return refusal;
    }
    if (isNew && !isReply(path)) recipients.set(spelling, path.address);
    return null;
  }

  /** DATA. Resolves with the reply once the client has written its dot; null where it heard it before. */
  async data(stream: SMTPServerDataStream): Promise<Reply | null> {
    const { deadlineMs, maxMessageBytes } = this.#context;
    const incoming = new Incoming(stream, maxMessageBytes);
    this.#incoming = incoming;
    const outcome = await this.#submit(this.#inTransaction, incoming);
    const { flaw } = incoming;
    const reply = outcome === flaw?.failure ? flaw.reply : replyOf(outcome);
    const arrived = await incoming.discard(reply === CROWDED ? 0 : Math.min(deadlineMs, MOST_DISCARD_MS));
    this.#incoming = null;
    if (arrived) {
      // Behind the reply to the message.
      if (this.#isLeaving) setImmediate(() => this.leave());
      return reply;
    }
    if (reply === CROWDED) {
      this.#connection.drop(reply);
      return null;
    }
    // What will never do is said even in the midst of DATA, or the client would try again for ever.
    this.#connection.say(reply.code < 500 ? TIMED_OUT : reply);
    this.#connection.close();
    return null;
  }

  async #authenticate(given: SMTPServerAuthentication): Promise<Sender | Failure> {
    const { username = '', password, authzid, authcid } = given;
    const name = parseLoginName(username);
    if (name === null) return failure('unauthorized', 'The label is not a positive whole number.');
    // RFC 4616 section 2: an authorization identity asks to act for somebody else.
    if (authzid && authcid && authzid !== authcid) {
      return failure('unauthorized', 'An api_user may not act for another.');
    }
    const { authenticator } = this.#context;
    const address = this.#connection.remoteAddress;
    const caller = await withDeadline(this.#context.deadlineMs, (signal) =>
      authenticator.login(name.apiUser, password ?? '', address, signal),
    );
    return isFailure(caller) ? caller : { caller, label: name.label };
  }

  /** Why the login would be refused by the accounts of today, after a reload; null where it would not. */
  async #checkAgain(): Promise<Failure | null> {
    const accounts = this.#context.accounts();
    if (accounts === this.#accounts || !this.#given) return null;
    const sender = await this.#authenticate(this.#given).catch((error) => this.#internal(error));
    if (isFailure(sender)) return sender;
    this.#sender = sender;
    this.#accounts = accounts;
    return null;
  }

  #refuseLogin(refused: Failure): Reply {
    this.#context.log.info('login refused', {
      door: 'smtp',
      clientAddress: this.#connection.remoteAddress,
      code: refused.code,
      detail: refused.detail,
    });
    return replyOf(refused);
  }

  /** The one place where a message goes to the use case. One that does not get there ends with the same event. */
  async #submit(transaction: Transaction, incoming: Incoming): Promise<Outcome> {
    this.#transaction = null;
    const origin = this.#originOf(transaction);
    try {
      const outcome = await withDeadline(this.#context.deadlineMs, (deadline) =>
        this.#deliver(transaction, incoming, origin, deadline),
      );
      if (!isFailure(outcome)) return outcome.outcome;
      const failed = incoming.flaw?.failure ?? outcome;
      this.#report(transaction, failed, { origin, size: incoming.size, warnings: incoming.warnings });
      return failed;
    } catch (error) {
      return this.#internal(error);
    }
  }

  /** A failure where the message did not get as far as the use case. */
  async #deliver(
    transaction: Transaction,
    incoming: Incoming,
    origin: Origin,
    deadline: AbortSignal,
  ): Promise<Submitted | Failure> {
    const signal = firstOf(deadline, incoming.flawed);
    const beginning = await incoming.begin(deadline);
    if (!beginning) return BROKEN_OFF;
    const submission = await submissionOf(this.#loggedIn, transaction, incoming, beginning, origin);
    if (isFailure(submission)) return submission;
    const isStream = !(submission.content instanceof Uint8Array);
    const done = isStream ? await this.#context.streams.take(holderOf(this.#loggedIn), signal) : () => {};
    if (done === null) return OTHERS_STREAM;
    try {
      return await this.#context.submit(submission, signal);
    } finally {
      done();
    }
  }

  /** A transaction that ended without a message has an event where that had a reason. */
  #abandon(): void {
    const transaction = this.#transaction;
    const refused = transaction?.refused[0];
    if (transaction && refused) this.#report(transaction, failure('invalid-message', refused));
    this.#transaction = null;
  }

  #originOf({ requestId, startedAt }: Transaction): Origin {
    const clientAddress = this.#connection.remoteAddress;
    return { requestId, door: 'smtp', clientAddress, startedAt };
  }

  #report(
    transaction: Transaction,
    failed: Failure,
    facts: Partial<Pick<MessageFacts, 'origin' | 'size' | 'warnings'>> = {},
  ): void {
    const { caller, label } = this.#loggedIn;
    const all = {
      origin: this.#originOf(transaction),
      id: null,
      apiUser: caller.account.apiUser,
      label,
      size: null,
      recipients: transaction.recipients.size,
      composeMs: 0,
      warnings: [],
      ...facts,
    };
    this.#context.emit(messageEvent(all, { outcome: failed, attempts: 0, timing: NO_TIME, replayed: false }));
  }

  #internal(error: unknown): Failure {
    const told = error instanceof Error ? error.stack : String(error);
    this.#context.log.error('internal', { door: 'smtp', error: told });
    return failure('internal', 'An error in the gateway.');
  }

  /** The stranger's, or that of an earlier login, which STARTTLS has ended (RFC 3207 section 4.2). */
  #leavePlace(): void {
    this.#context.strangers.leave(peerOf(this.#connection.remoteAddress), this);
    if (this.#sender) this.#context.guests.leave(holderOf(this.#sender), this);
  }

  get #loggedIn(): Sender {
    if (!this.#sender) throw new Error('No login before this command');
    return this.#sender;
  }

  get #inTransaction(): Transaction {
    if (!this.#transaction) throw new Error('No MAIL before this command');
    return this.#transaction;
  }
}

const BROKEN_OFF = failure('invalid-message', 'The message ended early.');
const OTHERS_STREAM = failure('overloaded', 'Other long messages of this api_user took too long.');

const holderOf = ({ caller }: Sender): string => canonicalApiUser(caller.account.apiUser);
