/** The outbox on Node, by the settings, and what wakes its worker. */

import type { Config } from '../config.ts';
import type { Readiness } from '../http/app.ts';
import type { Outbox } from '../outbox.ts';
import {
  createOutboxWorker,
  createSendClaim,
  type OutboxWorker,
  type SenderOptions,
} from '../outbox-worker.ts';
import { openSqliteOutbox, type SqliteOutbox } from '../stores/sqlite/outbox.ts';
import { openAwsOutbox } from './aws-outbox.ts';
import { outboxReadiness } from './outbox-readiness.ts';

export interface RunningOutbox {
  readonly outbox: Outbox;
  /** Makes a message that waits due now, where it is kept in this process. */
  hasten(apiUser: string, id: string): Promise<boolean>;
  /** Has the worker look for what is due. */
  wake(): void;
  ready(): Promise<Readiness>;
  /** Claims nothing more, and waits for what is being sent. Messages can be put until `close`. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** How long the worker sleeps at most, in milliseconds: then it sees a clock that was set, and sweeps. */
const LONGEST_SLEEP_MS = 60_000;

/**
 * @param accounts - the configured ones, as they are now
 * @throws {ConfigError} where the file of OUTBOX cannot be used
 */
export function openOutbox(
  settings: NonNullable<Config['outbox']>,
  config: Config,
  edges: Pick<SenderOptions, 'deliver' | 'accounts' | 'emit' | 'observe' | 'log'>,
): RunningOutbox {
  const { log } = edges;
  const { deadlineMs, smtp, quota } = config;
  let outbox: Outbox;
  let sqlite: SqliteOutbox | null = null;
  if (settings.aws) {
    outbox = openAwsOutbox(settings.aws, settings.keepMs);
  } else {
    sqlite = openSqliteOutbox({ ...settings, path: settings.location, log });
    outbox = sqlite;
  }
  const send = createSendClaim({ ...edges, ...settings, outbox, quotaLimit: quota.limit });
  const worker = createOutboxWorker({ outbox, send, connections: smtp.connections, deadlineMs, log });
  const { wake, stop } = keepRunning(worker);

  return {
    outbox,
    wake,
    stop,
    ready: () => outboxReadiness(outbox, log),
    async hasten(apiUser, id) {
      const isDue = (await sqlite?.hasten(apiUser, id)) ?? false;
      wake();
      return isDue;
    },
    async close() {
      await sqlite?.close();
    },
  };
}

/** Runs the worker whenever it is woken, and when the time has come that it gave. */
function keepRunning(worker: OutboxWorker): Pick<RunningOutbox, 'wake' | 'stop'> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const sleepUntil = (time: number | null) => {
    clearTimeout(timer);
    if (stopped) return;
    const ms = time === null ? LONGEST_SLEEP_MS : Math.max(0, time - Date.now());
    timer = setTimeout(wake, Math.min(ms, LONGEST_SLEEP_MS));
    timer.unref();
  };
  const wake = () => {
    if (!stopped) void worker.run().then(sleepUntil);
  };
  return {
    wake,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await worker.close();
    },
  };
}
