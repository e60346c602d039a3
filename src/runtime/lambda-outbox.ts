/** The second function on AWS Lambda: sends what waits in the outbox. SQS calls it with a batch of wakes. */

import type { Log } from '../log.ts';
import type { Claim } from '../outbox.ts';
import { StoreUnavailable } from '../store.ts';
import type { AwsOutbox } from '../stores/aws/outbox.ts';

/** Of what SQS hands over. */
export interface QueueEvent {
  readonly Records: readonly { readonly messageId: string; readonly body: string }[];
}

/** Names the wakes that must come again; the others are removed (`ReportBatchItemFailures`). */
export interface QueueAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

export interface Invocation {
  getRemainingTimeInMillis(): number;
}

/** What an invocation keeps of its time to write down how the messages ended, in milliseconds. */
const SETTLING_MS = 15_000;

/** A lease outlasts the invocation that took it by this, in milliseconds: then no one is left to use it. */
const LEASE_MARGIN_MS = 1_000;

/** All messages of a batch are sent at once; the pool's connections are their measure. */
export function createConsumer(options: {
  readonly outbox: Pick<AwsOutbox, 'claimWoken'>;
  /** Sends a claimed message, and settles or postpones it. Rejects where the store is away. */
  readonly attempt: (claim: Claim, signal: AbortSignal) => Promise<void>;
  readonly deadlineMs: number;
  readonly log: Log;
}): (event: QueueEvent, invocation: Invocation) => Promise<QueueAnswer> {
  const { outbox, attempt, deadlineMs, log } = options;
  return async ({ Records: records }, invocation) => {
    const handled = await Promise.allSettled(
      records.map(async ({ body }) => {
        const claim = await outbox.claimWoken(body, invocation.getRemainingTimeInMillis() + LEASE_MARGIN_MS);
        if (!claim) return;
        const left = invocation.getRemainingTimeInMillis() - SETTLING_MS;
        await attempt(claim, AbortSignal.timeout(Math.max(0, Math.min(deadlineMs, left))));
      }),
    );
    const failures = handled.flatMap((one, index) => {
      const itemIdentifier = records[index]?.messageId;
      if (one.status === 'fulfilled' || itemIdentifier === undefined) return [];
      const isAway = one.reason instanceof StoreUnavailable;
      const facts = { wake: itemIdentifier, error: String(one.reason) };
      log.error(isAway ? 'the outbox is away' : 'a queued message failed', facts);
      return [{ itemIdentifier }];
    });
    return { batchItemFailures: failures };
  };
}
