/** What Postern counts of its messages, its quota and what it keeps; every label has a bounded set of values. */

import type { Account } from '../account.ts';
import type { Emit, Origin } from '../message-event.ts';
import type { Depth } from '../outbox.ts';
import { FAILURES } from '../outcome.ts';
import type { Quota } from '../quota.ts';
import { canonicalApiUser, isApiUser } from '../sendcloud.ts';
import { Registry } from './registry.ts';

/** The upstream connections of a pool. */
export interface PoolStats {
  /** Connections in all: in use, idle and being opened. */
  readonly open: number;
  readonly idle: number;
  /** Messages that wait for one. */
  readonly waiting: number;
  /** Logins made so far. */
  readonly logins: number;
}

export interface Metrics {
  readonly registry: Registry;
  /** Counts a message. */
  readonly observe: Emit;
  /** The same quota, with its draws counted. */
  counted(quota: Quota): Quota;
  /** Shows what is left of each account's quota. */
  watchQuota(quota: Quota): void;
  watchPool(stats: () => PoolStats): void;
  watchOutbox(depth: () => Promise<Depth>): void;
}

/** Upper bounds in seconds: from a warm connection to the deadline. */
const STEP_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25];

/** Accounts whose quota is read at a scrape: each may be a question to a store. */
const MOST_WATCHED = 100;

const DOORS: readonly Origin['door'][] = ['http', 'smtp', 'outbox'];

/** @param accounts - the configured ones, as they are now: an api_user that a caller brought is `other` */
export function createMetrics(accounts: () => readonly Pick<Account, 'apiUser' | 'quota'>[]): Metrics {
  const registry = new Registry();
  const messages = registry.counter(
    'postern_messages_total',
    'Messages by door, outcome and failure code; replayed ones are not among them.',
  );
  const replays = registry.counter(
    'postern_replays_total',
    'Messages answered with the outcome of an earlier one, by their Idempotency-Key.',
  );
  const attempts = registry.counter('postern_attempts_total', 'Tries to hand a message to upstream.');
  const bytes = registry.counter(
    'postern_message_bytes_total',
    'Bytes of the messages that upstream accepted.',
  );
  const steps = registry.histogram(
    'postern_step_duration_seconds',
    'Time that a message took in each step, and from its request to its outcome.',
    STEP_BUCKETS,
  );
  const calls = registry.counter(
    'postern_quota_calls_total',
    'Calls that were drawn from the quota by this process, and calls that it refused.',
  );

  // From the start, so that a rate knows of the first one.
  for (const door of DOORS) {
    messages.add({ door, outcome: 'accepted', code: '' }, 0);
    for (const [code, { delivery }] of Object.entries(FAILURES)) {
      messages.add({ door, outcome: delivery, code }, 0);
    }
    replays.add({ door }, 0);
    attempts.add({ door }, 0);
  }

  const nameOf = (apiUser: string): string => {
    const canonical = canonicalApiUser(apiUser);
    const configured = accounts().find((account) => canonicalApiUser(account.apiUser) === canonical);
    return configured?.apiUser ?? 'other';
  };

  return {
    registry,

    observe({ door, outcome, code, replayed, attempts: tries, size, milliseconds }) {
      if (replayed) return replays.add({ door });
      messages.add({ door, outcome, code: code ?? '' });
      attempts.add({ door }, tries);
      if (outcome === 'accepted') bytes.add({ door }, size ?? 0);
      const { compose, total, ...delivery } = milliseconds;
      // A step that was not reached took no time, and would make the others look fast.
      if (tries > 0) {
        for (const [step, ms] of Object.entries(delivery)) steps.observe({ step }, ms / 1000);
      }
      if (compose > 0) steps.observe({ step: 'compose' }, compose / 1000);
      steps.observe({ step: 'total' }, total / 1000);
    },

    counted: (quota) => ({
      async draw(apiUser, limit, cost) {
        const draw = await quota.draw(apiUser, limit, cost);
        // Windows with other names count something else.
        if (isApiUser(apiUser)) {
          calls.add({ api_user: nameOf(apiUser), result: draw.granted ? 'drawn' : 'refused' }, cost ?? 1);
        }
        return draw;
      },
      peek: (apiUser, limit) => quota.peek(apiUser, limit),
      close: (apiUser, ms) => quota.close(apiUser, ms),
      ping: () => quota.ping(),
    }),

    watchQuota(quota) {
      const figure = (read: (account: Pick<Account, 'apiUser' | 'quota'>) => Promise<number>) => async () => {
        const watched = accounts().slice(0, MOST_WATCHED);
        return Promise.all(
          watched.map(async (account) => ({
            labels: { api_user: account.apiUser },
            value: await read(account),
          })),
        );
      };
      registry.read(
        'postern_quota_limit',
        'gauge',
        'Calls per window of an api_user.',
        figure(async ({ quota: limit }) => limit),
      );
      registry.read(
        'postern_quota_remaining',
        'gauge',
        'Calls that could be drawn now.',
        figure(async ({ apiUser, quota: limit }) => (await quota.peek(apiUser, limit)).remaining),
      );
    },

    watchPool(stats) {
      const figure = (name: keyof PoolStats) => () => [{ labels: {}, value: stats()[name] }];
      const help = {
        open: 'Connections to upstream: in use, idle and being opened.',
        idle: 'Connections to upstream that are logged in and idle.',
        waiting: 'Messages that wait for a connection.',
      };
      for (const name of ['open', 'idle', 'waiting'] as const) {
        registry.read(`postern_upstream_${name}`, 'gauge', help[name], figure(name));
      }
      registry.read('postern_upstream_logins_total', 'counter', 'Logins to upstream.', figure('logins'));
    },

    watchOutbox(depth) {
      registry.read(
        'postern_outbox_messages',
        'gauge',
        'Messages in the outbox that have not ended.',
        async () => [{ labels: {}, value: (await depth()).waiting }],
      );
      registry.read(
        'postern_outbox_oldest_due_seconds',
        'gauge',
        'For how long the message that has waited longest has been due.',
        async () => {
          const { oldestDueAt } = await depth();
          return [
            { labels: {}, value: oldestDueAt === null ? 0 : Math.max(0, Date.now() - oldestDueAt) / 1000 },
          ];
        },
      );
    },
  };
}
