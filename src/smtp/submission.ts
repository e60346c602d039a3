/** From what a client said and wrote to what `submit` takes. */

import type { Caller } from '../authenticate.ts';
import { sha256 } from '../digest.ts';
import {
  type HeaderSection,
  headerProblem,
  IDEMPOTENCY_KEY,
  idempotencyKeyIn,
  parseHeaderSection,
  withoutFields,
} from '../message/header-section.ts';
import type { Origin } from '../message-event.ts';
import { type Failure, isFailure } from '../outcome.ts';
import type { Submission } from '../submit.ts';
import type { Beginning, Incoming } from './incoming.ts';
import { detailReply } from './reply.ts';

/** What a session is logged in as. */
export interface Sender {
  readonly caller: Caller;
  readonly label: number | null;
}

/** From MAIL to the end of its message. */
export interface Transaction {
  readonly requestId: string;
  /** By `performance.now()`. */
  readonly startedAt: number;
  readonly from: string;
  /** As declared by SIZE= and BODY=. */
  readonly size: number | null;
  readonly eightBit: boolean;
  /** As they were given, by their one spelling: a person who is named twice is sent the message once. */
  readonly recipients: Map<string, string>;
  /** The texts of the replies to those that were not taken. */
  readonly refused: string[];
}

/** Replies to recipients that were not taken, as the event tells them. */
const MOST_REFUSED_TOLD = 10;

/** Checks the header section, takes the Idempotency-Key out of it, and puts the message together. */
export async function submissionOf(
  { caller, label }: Sender,
  transaction: Transaction,
  incoming: Incoming,
  { header, body, isWhole }: Beginning,
  origin: Origin,
): Promise<Submission | Failure> {
  const section = parseHeaderSection(header);
  const problem = headerProblem(section, caller.account);
  if (problem) return incoming.fail(problem.failure, detailReply(problem.failure, problem.enhanced));
  const key = idempotencyKeyIn(section);
  if (isFailure(key)) return incoming.fail(key, detailReply(key, '5.6.0'));

  const { from, recipients, size, eightBit } = transaction;
  const to = [...recipients.values()];
  const read = Buffer.concat([withoutFields(header, section, [IDEMPOTENCY_KEY]), body]);
  return {
    caller,
    label,
    envelope: { from, to, size: size ?? (isWhole ? read.length : null), eightBit },
    content: isWhole ? read : incoming.after(read),
    idempotency:
      key === null ? null : { key, index: null, fingerprint: await fingerprint(from, to, section) },
    facts: { origin, id: null, composeMs: 0, warnings: [] },
    read: () => ({
      flaw: incoming.flaw?.failure ?? null,
      size: incoming.size,
      warnings: [...incoming.warnings, ...transaction.refused.slice(0, MOST_REFUSED_TOLD)],
    }),
  };
}

/**
 * What two tries of one message have in common: the envelope, and the fields that say from whom, to whom and about
 * what it is. Clients write a new Date, Message-ID and new boundaries at each try, so the rest cannot be compared.
 */
const fingerprint = (from: string, to: readonly string[], { fields }: HeaderSection): Promise<string> =>
  sha256(
    JSON.stringify([
      from,
      to.toSorted(),
      ...['from', 'to', 'cc', 'subject'].map((name) =>
        fields.filter((field) => field.name === name).map(({ value }) => value),
      ),
    ]),
  );
