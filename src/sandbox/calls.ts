/** The calls of the window by second and door, and when upstream closed it: what the quota itself does not keep. */

import type { MessageEvent, Origin } from '../message-event.ts';
import type { Quota } from '../quota.ts';
import { isApiUser } from '../sendcloud.ts';

/** `reported` are calls made elsewhere, of which `POST /v1/quota/calls` told. */
export type CallDoor = Origin['door'] | 'reported';

export interface Second {
  /** Unix time in whole seconds. */
  readonly at: number;
  readonly calls: Readonly<Record<CallDoor, number>>;
}

const KEPT_SECONDS = 120;

/** Where a call had been drawn before upstream spoke. */
const DRAWN: ReadonlySet<string> = new Set(['mail', 'rcpt', 'data', 'dot']);

export class Calls {
  /** Oldest first. */
  #seconds: { at: number; calls: Record<CallDoor, number> }[] = [];
  #closedUntil = 0;

  /** Unix time in milliseconds until which upstream's 536 keeps the window closed. */
  get closedUntil(): number {
    return this.#closedUntil;
  }

  /** The seconds with calls, oldest first. */
  get seconds(): readonly Second[] {
    return this.#seconds;
  }

  /**
   * The same quota, with its draws noted.
   *
   * @param full - calls in a window that messages sent at once may draw: the outbox leaves some of them
   */
  counted(quota: Quota, full: number): Quota {
    return {
      peek: (apiUser, limit) => quota.peek(apiUser, limit),
      ping: () => quota.ping(),
      draw: async (apiUser, limit, cost) => {
        const draw = await quota.draw(apiUser, limit, cost);
        // Windows with other names count something else.
        if (draw.granted && isApiUser(apiUser)) {
          const door = cost !== undefined ? 'reported' : limit < full ? 'outbox' : 'http';
          this.#second().calls[door] += cost ?? 1;
        }
        return draw;
      },
      close: async (apiUser, ms) => {
        await quota.close(apiUser, ms);
        this.#closedUntil = Math.max(this.#closedUntil, Date.now() + ms);
      },
    };
  }

  /** A draw does not tell the door; the event of its message does. */
  observe({ door, outcome, smtp }: MessageEvent): void {
    const isDrawn = outcome !== 'not-sent' || (smtp !== null && DRAWN.has(smtp.phase));
    if (door !== 'smtp' || !isDrawn) return;
    const drawn = this.#seconds.findLast(({ calls }) => calls.http > 0);
    if (!drawn) return;
    drawn.calls.http -= 1;
    drawn.calls.smtp += 1;
  }

  #second(): { at: number; calls: Record<CallDoor, number> } {
    const at = Math.floor(Date.now() / 1000);
    const last = this.#seconds.at(-1);
    if (last?.at === at) return last;
    const second = { at, calls: { http: 0, smtp: 0, outbox: 0, reported: 0 } };
    this.#seconds = [...this.#seconds.filter((one) => one.at > at - KEPT_SECONDS), second];
    return second;
  }
}
