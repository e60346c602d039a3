/**
 * One mail transaction (RFC 5321 section 3.3) on a session that is logged in: MAIL, RCPT, DATA, the message, its dot.
 *
 * What became of the message hangs on one moment, the writing of the final dot. Before it nothing is sent, whatever
 * happens; after it only a reply tells, and where none comes the outcome is unknown.
 */

import { type Accepted, type Failure, failure, isFailure, type Phase, type Rejection } from '../outcome.ts';
import { emailIds, FREQUENCY_LIMITED, parseQueueId } from '../sendcloud.ts';
import type { Content, Envelope } from '../transaction.ts';
import { DotStuffer, slices } from './body.ts';
import { notSent, outcomeUnknown, outOfStep, refusal } from './failures.ts';
import { type Reply, smtpReply } from './reply.ts';
import { type Ending, nextTurn, type Session } from './session.ts';

/** What EHLO announced: keyword in upper case → its parameters. */
export type Extensions = ReadonlyMap<string, string>;

/** What follows the 354, and what has to happen before its dot: see `Lease.send`. */
export interface Message {
  readonly content: Content;
  readonly beforeDot?: (() => Promise<boolean>) | undefined;
}

interface Recipient {
  readonly address: string;
  readonly command: string;
}

/** How long the rest of an envelope's replies may take where the first one is doubtful. */
const DOUBT_MS = 1000;

/** How long MAIL may go unanswered on a session that has been used: it may be dead, and a new one is tried. */
const DEAF_MS = 3000;

export class MailTransaction {
  readonly #session: Session;
  readonly #extensions: Extensions;
  readonly #pipelined: boolean;
  readonly #reused: boolean;
  readonly #accepted: string[] = [];
  readonly #rejected: Rejection[] = [];
  /** Of all recipients' refusals the one that says most: the quota, then a deferral, then the last. */
  #refused: Reply | null = null;

  /** @param reused - the session has had a transaction before: what it says first may belong to that one */
  constructor(session: Session, extensions: Extensions, reused: boolean) {
    this.#session = session;
    this.#extensions = extensions;
    this.#pipelined = extensions.has('PIPELINING');
    this.#reused = reused;
  }

  async run(envelope: Envelope, message: Message): Promise<Accepted | Failure> {
    const mail = this.#mailCommand(envelope);
    const recipients = envelope.to.map((address) => ({ address, command: `RCPT TO:<${address}>` }));
    if (this.#pipelined) this.#session.command(mail, ...recipients.map(({ command }) => command), 'DATA');

    const refused =
      (await this.#sender(mail, recipients[0]?.command ?? 'DATA')) ??
      (await this.#recipients(recipients)) ??
      (await this.#invitation());
    if (refused) return refused;
    const last = await this.#body(message);
    return isFailure(last) ? last : this.#dot(last);
  }

  #mailCommand({ from, size, eightBit }: Envelope): string {
    const body = eightBit && this.#extensions.has('8BITMIME') ? ' BODY=8BITMIME' : '';
    const declared = size !== null && this.#extensions.has('SIZE') ? ` SIZE=${size}` : '';
    return `MAIL FROM:<${from}>${body}${declared}`;
  }

  /**
   * Pipelined commands are on their way already; others wait for the reply to the one before.
   *
   * @param ms - for how long to wait, where that is not the message's own deadline
   */
  #ask(command: string, ms?: number): Promise<Reply | null> {
    if (!this.#pipelined) this.#session.command(command);
    return ms === undefined ? this.#session.reply() : this.#session.replyIn(ms);
  }

  /** @param next - what follows it */
  async #sender(command: string, next: string): Promise<Failure | null> {
    const reply = await this.#ask(command, this.#reused ? DEAF_MS : undefined);
    if (reply === null) return this.#lostBeforeMail();
    if (isPositive(reply)) return null;
    if (!isNegative(reply)) return this.#outOfStep();
    if (this.#reused && (await this.#isDoubtful(reply, next))) return this.#outOfStep();
    return this.#refusedAt('mail', reply);
  }

  /** Nothing is sent and nothing refused, so another connection may be tried. Not where a new one is silent. */
  #lostBeforeMail(): Failure {
    return notSent(this.#ending, this.#ending.why === 'silent' && !this.#reused ? {} : { again: true });
  }

  /**
   * A refusal of MAIL may be about this old connection, or a stray one of the transaction before: where MAIL is
   * refused, so are RCPT and DATA.
   */
  async #isDoubtful(reply: Reply, next: string): Promise<boolean> {
    if (reply.code === 421) return true;
    const behind = await this.#ask(next, DOUBT_MS);
    return behind !== null && !isNegative(behind);
  }

  async #recipients(recipients: readonly Recipient[]): Promise<Failure | null> {
    for (const { address, command } of recipients) {
      const reply = await this.#ask(command);
      if (reply === null) return this.#lostAt('rcpt');
      if (isPositive(reply)) this.#accepted.push(address);
      else if (isNegative(reply)) this.#reject(address, reply);
      else return this.#outOfStep();
      if (reply.code === 421) return this.#refusedAt('rcpt', reply);
    }
    return this.#accepted.length === 0 && this.#refused ? this.#refusedAt('rcpt', this.#refused) : null;
  }

  #reject(address: string, reply: Reply): void {
    this.#rejected.push({ address, code: reply.code, response: reply.response });
    if (this.#refused === null || weight(reply) >= weight(this.#refused)) this.#refused = reply;
  }

  /** Until 354 nothing of the message is read; and what came with the 354 was said before the message. */
  async #invitation(): Promise<Failure | null> {
    const reply = await this.#ask('DATA');
    if (reply === null) return this.#lostAt('data');
    if (isNegative(reply)) return this.#refusedAt('data', reply);
    if (reply.code !== 354) return this.#outOfStep();
    await nextTurn();
    return this.#session.ending && this.#lostAt('data');
  }

  /**
   * Hands the message to the socket, but for its last part, which leaves together with the dot where nothing has to
   * happen in between.
   */
  async #body({ content, beforeDot }: Message): Promise<Uint8Array | Failure> {
    const chunks: Iterator<Uint8Array> | AsyncIterator<Uint8Array> =
      content instanceof Uint8Array ? slices(content) : content[Symbol.asyncIterator]();
    const stuffer = new DotStuffer();
    let last: Uint8Array | null = null;
    try {
      for (;;) {
        const next = await this.#session.orEnd(Promise.resolve(chunks.next()));
        if (next === null) return this.#lostAt('data');
        if (next.done) break;
        if (last) await this.#session.write(last);
        last = stuffer.stuff(next.value);
      }
    } catch {
      this.#session.close();
      return failure('invalid-message', 'The message ended early.');
    } finally {
      // Tells a stream's producer that it is read no further.
      Promise.resolve(chunks.return?.()).catch(() => {});
    }
    const dot = stuffer.end();
    if (!beforeDot) return last ? Buffer.concat([last, dot]) : dot;
    if (last) await this.#session.write(last);
    return (await this.#released(beforeDot)) ?? dot;
  }

  /** Asks whether the dot may be written; null where it may. */
  async #released(beforeDot: () => Promise<boolean>): Promise<Failure | null> {
    if (this.#session.ending) return this.#lostAt('data');
    const released = await this.#session.orEnd(beforeDot().catch(() => false));
    if (released === null) return this.#lostAt('data');
    if (released) return null;
    this.#session.close();
    return failure(
      'request-in-progress',
      'The message was held back right before its final dot; it was not sent.',
    );
  }

  async #dot(last: Uint8Array): Promise<Accepted | Failure> {
    const session = this.#session;
    // Half a reply so far: it is none to this dot.
    if (session.isHearing) await session.over();
    if (session.ending) return this.#lostAt('data');
    session.finish(last);
    const reply = await session.reply();
    if (reply === null) return outcomeUnknown(this.#ending, this.#refusals());
    if (reply.code === 250) return this.#acceptance(reply);
    if (isNegative(reply) && !(await this.#isContradicted())) return this.#refusedAt('dot', reply);
    session.close();
    return outcomeUnknown(null, this.#refusals());
  }

  /** Behind a refusal comes an acceptance: one of them was said before the dot, and which one is not known. */
  async #isContradicted(): Promise<boolean> {
    await nextTurn();
    const unasked = this.#session.ending?.unasked;
    return unasked !== undefined && isPositive(unasked);
  }

  #acceptance(reply: Reply): Accepted {
    const queueId = parseQueueId(reply.response);
    return {
      delivery: 'accepted',
      reply: smtpReply(reply, 'dot'),
      queueId,
      emailIds: queueId === null ? {} : emailIds(queueId, this.#accepted),
      accepted: this.#accepted,
      rejected: this.#rejected,
    };
  }

  #refusedAt(phase: Phase, reply: Reply): Failure {
    const failed = refusal(smtpReply(reply, phase), this.#rejected);
    // Neither can be used for another message.
    if (reply.code === 421 || failed.code === 'upstream-credentials') this.#session.close();
    return failed;
  }

  /** Upstream's words say more than the end that followed them. */
  #lostAt(phase: Phase): Failure {
    const { unasked } = this.#ending;
    if (phase === 'data' && unasked && isNegative(unasked)) return this.#refusedAt('data', unasked);
    const refused = this.#accepted.length === 0 ? this.#refused : null;
    if (refused && weight(refused) > 0) return this.#refusedAt('rcpt', refused);
    return notSent(this.#ending, {
      ...(refused && { smtp: smtpReply(refused, 'rcpt') }),
      ...this.#refusals(),
    });
  }

  #refusals(): Pick<Failure, 'rejected'> {
    return this.#rejected.length > 0 ? { rejected: this.#rejected } : {};
  }

  /** Such a session cannot be trusted with a message. On an old one, the answers of two transactions may have mixed. */
  #outOfStep(): Failure {
    this.#session.close();
    return outOfStep(this.#reused ? { again: true } : {});
  }

  /** For those who have seen that there is one. */
  get #ending(): Ending {
    return this.#session.ending as Ending;
  }
}

const isPositive = ({ code }: Reply): boolean => code >= 200 && code < 300;
const isNegative = ({ code }: Reply): boolean => code >= 400;

/** How much one of several recipients' refusals says of them all. */
function weight({ code }: Reply): number {
  if (code === FREQUENCY_LIMITED.code) return 2;
  return code < 500 ? 1 : 0;
}
