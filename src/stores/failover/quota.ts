import {
  assertClosure,
  assertCost,
  type Draw,
  type Quota,
  type QuotaState,
  type WindowOptions,
} from '../../quota.ts';
import { StoreUnavailable } from '../../store.ts';
import { spanOf } from '../window.ts';
import type { Availability } from './availability.ts';

export interface QuotaFailoverOptions extends WindowOptions {
  /** The quota that all instances share. It bounds the time of its own calls. */
  readonly shared: Quota;
  /** This instance's own window, to go on with while the shared one is away; null refuses meanwhile. */
  readonly local: Quota | null;
  readonly availability: Availability;
}

/**
 * The shared quota, and what happens while it is away. No call waits longer than one call to the shared one.
 *
 * The local window holds every call that this instance draws, all the time. So going on alone hands out no
 * second quota: this instance alone never exceeds the limit, also not when the store comes back empty, because
 * for one window from then on both have to grant. What several instances draw while each is alone is not
 * known to the others: together they may reach the limit once per instance.
 */
export function createFailoverQuota({ shared, local, availability, ...window }: QuotaFailoverOptions): Quota {
  const span = spanOf(window);
  /** The shared window may lack calls that were drawn locally while it was away. */
  const isBehind = () => availability.sinceBackMs < span;

  function localInstead(error: unknown): Quota {
    if (local === null || !(error instanceof StoreUnavailable)) throw error;
    return local;
  }

  return {
    async draw(apiUser, limit, cost = 1) {
      assertCost(cost, limit);
      let draw: Draw;
      try {
        draw = await availability.ask(() => shared.draw(apiUser, limit, cost));
      } catch (error) {
        return localInstead(error).draw(apiUser, limit, cost);
      }
      if (local === null || !draw.granted) return draw;

      if (isBehind()) {
        const own = await local.draw(apiUser, limit, cost);
        return own.granted ? draw : own;
      }
      // Only counted. The local window lets go a little later than the shared one: with twice the limit it
      // has room for what the shared one has granted already.
      await local.draw(apiUser, 2 * limit, cost);
      return draw;
    },

    async peek(apiUser, limit) {
      let state: QuotaState;
      try {
        state = await availability.ask(() => shared.peek(apiUser, limit));
      } catch (error) {
        return localInstead(error).peek(apiUser, limit);
      }
      if (local === null || !isBehind()) return state;
      const own = await local.peek(apiUser, limit);
      return own.remaining < state.remaining ? own : state;
    },

    async close(apiUser, ms) {
      assertClosure(ms);
      await local?.close(apiUser, ms);
      await availability.ask(() => shared.close(apiUser, ms)).catch(localInstead);
    },

    ping: () => availability.ask(() => shared.ping()),
  };
}
