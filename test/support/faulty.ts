import type { Idempotency } from '../../src/idempotency.ts';
import type { Quota } from '../../src/quota.ts';
import { StoreUnavailable } from '../../src/store.ts';

/** A store that can be away, lose its replies, or keep its callers waiting. */
export class Faulty<Store extends Quota | Idempotency> {
  /** Calls so far. */
  asked = 0;
  fault: 'away' | 'reply lost' | null = null;
  held: PromiseWithResolvers<void> | null = null;
  /** What answers. */
  inner: Store;
  readonly store: Store;

  constructor(inner: Store) {
    this.inner = inner;
    this.store = new Proxy({} as Store, {
      get:
        (_, method) =>
        (...args: unknown[]) =>
          this.#call(method as keyof Store, args),
    });
  }

  async #call(method: keyof Store, args: unknown[]): Promise<unknown> {
    this.asked += 1;
    const call = this.asked;
    await this.held?.promise;
    if (this.fault === 'away') throw new StoreUnavailable(`away at call ${call}`);
    const step = this.inner[method] as (...args: unknown[]) => Promise<unknown>;
    const answer = await step.apply(this.inner, args);
    if (this.fault) throw new StoreUnavailable(`${this.fault} at call ${call}`);
    return answer;
  }
}
