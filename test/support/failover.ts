import type { Idempotency } from '../../src/idempotency.ts';
import type { Quota } from '../../src/quota.ts';
import { Availability } from '../../src/stores/failover/availability.ts';
import { standingClock } from './clock.ts';
import { Faulty } from './faulty.ts';

/**
 * A shared store that fails at will, and what one instance before it knows of it, all on one clock.
 *
 * @param make - an empty store on that clock: the shared one, or an instance's own
 */
export function failoverParts<Store extends Quota | Idempotency>(make: (now: () => number) => Store) {
  const { now, advance } = standingClock();
  /** Each change of the availability, with the error's message. */
  const changes: [available: boolean, message?: string][] = [];
  const newAvailability = () =>
    new Availability({
      now,
      onChange: (available, error) => changes.push(error ? [available, error.message] : [available]),
    });
  return {
    advance,
    changes,
    empty: () => make(now),
    shared: new Faulty(make(now)),
    /** Each instance has one. */
    newAvailability,
    availability: newAvailability(),
  };
}

export type FailoverParts<Store extends Quota | Idempotency> = ReturnType<typeof failoverParts<Store>>;
