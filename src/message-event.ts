/** The one event of a message, whatever its door: what the log, the metrics and the console tell of it. */

import type { Delivered, Timing } from './deliver.ts';
import type { FailureCode, Outcome, Rejection, SmtpReply } from './outcome.ts';
import type { TraceContext } from './trace-context.ts';

/** Where a message came in. */
export interface Origin {
  readonly requestId: string;
  readonly door: 'http' | 'smtp' | 'outbox';
  readonly clientAddress: string;
  /** By `performance.now()`. */
  readonly startedAt: number;
  /** The caller's trace; absent at a door that has none. */
  readonly trace?: TraceContext | null;
}

/** Nothing of the message itself and no value of a field; of recipients those alone that upstream refused. */
export interface MessageEvent {
  readonly requestId: string;
  /** Of the caller's `traceparent`; null without one. */
  readonly traceId: string | null;
  readonly spanId: string | null;
  /** The message's own id; null where it was refused before it got one, and at the SMTP door. */
  readonly id: string | null;
  readonly door: Origin['door'];
  readonly clientAddress: string;
  readonly apiUser: string;
  readonly label: number | null;
  /** Bytes as transferred; null where they are not known. */
  readonly size: number | null;
  readonly recipients: number | null;
  readonly outcome: Outcome['delivery'] | 'queued';
  /** Null for an accepted message. */
  readonly code: FailureCode | null;
  /** One sentence on a failure; upstream's words are in `smtp`. */
  readonly detail: string | null;
  /** The fields at fault, as JSON Pointers. */
  readonly pointers: readonly string[];
  /** Upstream's reply: the last one to the message. */
  readonly smtp: Pick<SmtpReply, 'code' | 'phase' | 'response'> | null;
  readonly queueId: string | null;
  /** Recipients that upstream refused, the first ten. */
  readonly rejected: readonly Rejection[];
  /** Tries to hand the message over: 0 where it was refused here or replayed. */
  readonly attempts: number;
  readonly replayed: boolean;
  /** What went out and will not arrive everywhere as it was meant. */
  readonly warnings: readonly string[];
  /** In each step, and from the request's start to its outcome. */
  readonly milliseconds: Timing & { readonly compose: number; readonly total: number };
}

export type Emit = (event: MessageEvent) => void;

/** What a door knows of a message apart from its outcome. */
export interface MessageFacts {
  readonly origin: Origin;
  readonly id: string | null;
  readonly apiUser: string;
  readonly label: number | null;
  readonly size: number | null;
  readonly recipients: number | null;
  readonly composeMs: number;
  readonly warnings: readonly string[];
}

/** How a message ended at its door: `queued` has its outcome later. */
export interface MessageEnd extends Omit<Delivered, 'quota' | 'outcome'> {
  readonly outcome: Outcome | 'queued';
  readonly replayed: boolean;
}

export function messageEvent(
  { origin, composeMs, ...facts }: MessageFacts,
  { outcome, attempts, timing, replayed }: MessageEnd,
): MessageEvent {
  const { requestId, door, clientAddress, startedAt, trace } = origin;
  const ended = outcome === 'queued' ? null : outcome;
  const accepted = ended?.delivery === 'accepted' ? ended : null;
  const failed = ended?.delivery === 'accepted' ? null : ended;
  const smtp = accepted?.reply ?? failed?.smtp;
  return {
    requestId,
    traceId: trace?.traceId ?? null,
    spanId: trace?.parentId ?? null,
    door,
    clientAddress,
    ...facts,
    outcome: ended?.delivery ?? 'queued',
    code: failed?.code ?? null,
    detail: failed?.detail ?? null,
    pointers: (failed?.errors ?? []).map(({ pointer }) => pointer),
    smtp: smtp ? { code: smtp.code, phase: smtp.phase, response: smtp.response } : null,
    queueId: accepted?.queueId ?? null,
    rejected: (ended?.rejected ?? []).slice(0, MOST_REJECTED),
    attempts,
    replayed,
    milliseconds: {
      compose: rounded(composeMs),
      lease: rounded(timing.lease),
      draw: rounded(timing.draw),
      send: rounded(timing.send),
      total: rounded(performance.now() - startedAt),
    },
  };
}

const MOST_REJECTED = 10;

const rounded = (milliseconds: number): number => Math.round(milliseconds * 10) / 10;
