/**
 * Delivery in a Durable Object. A Worker's sockets end with the request that opened them; an object's live on,
 * so the warm connections of a login are kept there.
 */

import { DurableObject, type DurableObjectNamespace, type DurableObjectState } from 'cloudflare:workers';
import type { Login } from '../../account.ts';
import { remainingMs, withDeadline } from '../../deadline.ts';
import { createDeliverer, type Delivered, type Deliverer, type Delivery, NO_TIME } from '../../deliver.ts';
import { sha256 } from '../../digest.ts';
import { createLog, type Log } from '../../log.ts';
import { type Failure, failure } from '../../outcome.ts';
import { Pool } from '../../relay/pool.ts';
import { formatLoginName } from '../../sendcloud.ts';
import type { RemoteDelivery } from './bindings.ts';
import { type Environment, IDLE_MS, readSettings } from './settings.ts';
import { createWorkerStores } from './stores.ts';

/** Exported by the Worker's entry; wrangler.toml binds it as DELIVERY. */
export class DeliveryObject extends DurableObject<Environment> implements RemoteDelivery {
  readonly #deliverer: Deliverer;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    const config = readSettings(env);
    const { quota } = createWorkerStores(config, env, createLog(config.logLevel, console.log));
    const relay = new Pool({ ...config.smtp, upstream: config.smtp, idleMs: IDLE_MS });
    this.#deliverer = createDeliverer({ relay, quota });
  }

  deliver(delivery: Delivery, remainingMs: number): Promise<Delivered> {
    return withDeadline(remainingMs, (signal) => this.#deliverer.deliver(delivery, signal));
  }

  verify(login: Login, remainingMs: number): Promise<Failure | null> {
    return withDeadline(remainingMs, (signal) => this.#deliverer.verify(login, signal));
  }
}

/**
 * A deliverer whose work is done in Durable Objects, each named after a login and one of `shards`.
 *
 * The first shard for a login is random in each isolate, so that many isolates use all of them, and the next one
 * is taken only while as many messages are on their way to it from here as it has connections: what comes one
 * after the other meets a warm one.
 */
export function createRemoteDeliverer(options: {
  objects: DurableObjectNamespace<RemoteDelivery>;
  shards: number;
  /** Most connections per login and object. */
  connections: number;
  log: Log;
}): Deliverer {
  const { objects, shards, connections, log } = options;
  /** Messages on their way to each object. */
  const inFlight = new Map<string, number>();
  let home: number | null = null;

  /** @param owner - the name that all objects of a login begin with */
  const objectFor = (owner: string): string => {
    // Drawn at the first request: no import may make random numbers.
    home ??= Math.floor(Math.random() * shards);
    const first = home;
    const names = Array.from({ length: shards }, (_, index) => `${owner}/${(first + index) % shards}`);
    const load = (candidate: string) => inFlight.get(candidate) ?? 0;
    const leastBusy = names.reduce((least, candidate) => (load(candidate) < load(least) ? candidate : least));
    return names.find((candidate) => load(candidate) < connections) ?? leastBusy;
  };

  const withObject = async <T>(login: Login, work: (object: RemoteDelivery) => Promise<T>): Promise<T> => {
    const owner = await nameOf(login);
    // Chosen and counted in one turn, or many at once would all choose the same.
    const name = objectFor(owner);
    inFlight.set(name, (inFlight.get(name) ?? 0) + 1);
    try {
      return await work(objects.getByName(name));
    } finally {
      const left = (inFlight.get(name) ?? 1) - 1;
      if (left > 0) inFlight.set(name, left);
      else inFlight.delete(name);
    }
  };

  return {
    async deliver(delivery, signal) {
      // Not within `try`: a bug there would read as a lost object.
      const left = remainingMs(signal);
      try {
        return await withObject(delivery.login, (object) => object.deliver(delivery, left));
      } catch (error) {
        return { outcome: lostFailure(error as ObjectError, log), quota: null, timing: NO_TIME, attempts: 1 };
      }
    },
    async verify(login, signal) {
      const left = remainingMs(signal);
      try {
        return await withObject(login, (object) => object.verify(login, left));
      } catch (error) {
        const lost = lostFailure(error as ObjectError, log);
        if (lost.code === 'overloaded') return lost;
        return failure('upstream-unreachable', 'The Durable Object that logged in was lost.');
      }
    },
  };
}

/** Cloudflare's marks on an error of a call to an object. */
interface ObjectError extends Error {
  /** Thrown by the object's own code. */
  readonly remote?: boolean;
  /** Too much waits for the object: the call was not made. */
  readonly overloaded?: boolean;
}

/** An object that ended amid its work may have sent the message; only one that never began has not. */
function lostFailure(error: ObjectError, log: Log): Failure {
  if (error.remote) throw error;
  if (error.overloaded) {
    return failure('overloaded', 'Too many messages wait for this login.', { retryAfterMs: 1000 });
  }
  log.error('a delivery object was lost', { error: String(error) });
  return failure(
    'outcome-unknown',
    'The Durable Object was lost while it sent; upstream may have the message.',
  );
}

/** A wrong api_key must not reach an object with connections that the right one has opened. */
async function nameOf(login: Login): Promise<string> {
  return `${formatLoginName(login)}/${await sha256(login.apiKey)}`;
}
