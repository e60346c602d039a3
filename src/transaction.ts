/** What `deliver` and the relay agree on: the envelope, the content, and a lease for one transaction. */

import type { Login } from './account.ts';
import type { Accepted, Failure } from './outcome.ts';

/** RFC 5321 section 2.3.1: what MAIL and RCPT say. */
export interface Envelope {
  readonly from: string;
  readonly to: readonly string[];
  /** Octets as transferred, for SIZE= (RFC 1870); null where a stream's size was not declared. */
  readonly size: number | null;
  /** The content has octets over 127, for BODY=8BITMIME (RFC 6152). */
  readonly eightBit: boolean;
}

/** The message as RFC 5322 text with CRLF line ends. A stream is read once, after upstream's 354. */
export type Content = Uint8Array | AsyncIterable<Uint8Array>;

/** An authenticated connection, for one transaction at a time. */
export interface Lease {
  /**
   * One transaction. The connection takes care of itself afterwards, whatever the result.
   *
   * @param beforeDot - called once all of the message is on its way, and awaited before its final dot is written.
   * False, or a rejection, keeps the dot back: the message is not sent.
   */
  send(
    envelope: Envelope,
    content: Content,
    signal: AbortSignal,
    beforeDot?: () => Promise<boolean>,
  ): Promise<Accepted | Failure>;
  /** Gives the connection back unused. */
  release(): void;
  /** The largest message upstream takes, in octets (RFC 1870); null where it does not say. */
  readonly maxSize: number | null;
}

/** What kind of connection is asked for. */
export interface Asked {
  /** The domain of the sender, for EHLO when the connection is new; null where there is no message yet. */
  readonly helo: string | null;
  /** Logged in now: after a loss the warm ones are not trusted. */
  readonly fresh: boolean;
}

/** Where leases come from. */
export interface Relay {
  /** An authenticated connection, warm or new. */
  lease(login: Login, asked: Asked, signal: AbortSignal): Promise<Lease | Failure>;
  /** Logs in, which alone proves a key. Until upstream has accepted it, it takes no connection of its api_user. */
  prove(login: Login, signal: AbortSignal): Promise<Failure | null>;
}
