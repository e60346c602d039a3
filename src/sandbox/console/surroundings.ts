/** What the console shows of the gateway around it: handed in, since an edge imports no other. */

import type { OutboxRecord } from '../../outbox.ts';
import type { QuotaState } from '../../quota.ts';

export interface Surroundings {
  readonly apiUser: string;
  /** For the messages that Compose sends. */
  readonly token: string;
  readonly quota: {
    peek(): Promise<QuotaState>;
    /** Milliseconds after which a call is let go. */
    readonly spanMs: number;
    /** The share that queued messages leave to those sent at once. */
    readonly reserve: number;
  };
  /** Null where there is none. */
  readonly outbox: {
    /** Newest first. */
    list(): Promise<readonly OutboxRecord[]>;
    cancel(id: string): Promise<unknown>;
    /** Makes a message that waits due now. */
    hasten(id: string): Promise<unknown>;
  } | null;
  readonly hooks: readonly HookFacts[];
  /** The mail that a hook makes of a payload; null where it is skipped. */
  preview(
    name: string,
    payload: Uint8Array,
    headers: Readonly<Record<string, string>>,
  ): Promise<Readonly<Record<string, unknown>> | null>;
}

export interface HookFacts {
  readonly name: string;
  readonly preset: string;
  readonly scheme: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly label: number | null;
  readonly mode: string;
}
