/** What the middlewares and handlers of a request hand on to each other. */

import type { Context as HonoContext } from 'hono';
import type { Caller } from '../authenticate.ts';
import type { Failure } from '../outcome.ts';
import type { QuotaState } from '../quota.ts';
import type { Sent } from '../send.ts';

export interface Env {
  Variables: {
    requestId: string;
    /** The path that is the gateway's root for its clients: that of a stage or a proxy, without a last slash. */
    prefix: string;
    caller: Caller;
    /** What was sent, decoded; unset where nothing was read. */
    body: Uint8Array;
    /** The body is being read or was, with whatever result. */
    bodyTaken: boolean;
    /** What a handler's draw left; unset where none was made. */
    quotaState: QuotaState | null;
    /** What a message's steps took, for `Server-Timing`; unset where none was sent. */
    timing: Sent['timing'] | undefined;
    /** Answers a failure in another shape than a problem document, if it has one for it. */
    refuse: ((failed: Failure) => Response | null | undefined) | undefined;
    /** A message event tells what became of the request. */
    reported: boolean;
    /** What was answered, for the request's log line. */
    failed: Failure;
  };
}

export type Context = HonoContext<Env>;
