/** The second function on AWS Lambda: sends what waits in the outbox. SQS hands it a batch of wakes. */

import { ConfigError, type Environment, parseConfig } from '../config.ts';
import { withDeadline } from '../deadline.ts';
import { createDeliverer } from '../deliver.ts';
import { createLog } from '../log.ts';
import { createSendClaim } from '../outbox-worker.ts';
import { Pool } from '../relay/pool.ts';
import { openAwsOutbox } from './aws-outbox.ts';
import { createStores } from './stores.ts';

/** What an event source mapping makes of SQS's messages, as far as it is read. */
export interface QueueEvent {
  readonly Records: readonly { readonly messageId: string; readonly body: string }[];
}

/** Names the wakes that must come again, and has the others removed (`ReportBatchItemFailures`). */
export interface QueueAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

export interface Invocation {
  getRemainingTimeInMillis(): number;
}

type Handler = (event: QueueEvent, invocation: Invocation) => Promise<QueueAnswer>;

/** A batch of ten is sent at once. */
const DEFAULTS = { connections: 10, ports: '587,2525,25', outbox: 'on' };

/** See `lambda.ts`: a connection that slept through a freeze is dead unseen. */
const IDLE_MS = 20_000;

/** What an invocation keeps of its time to write down how the messages ended, in milliseconds. */
const SETTLING_MS = 15_000;

/** A lease ends this long before the invocation, for it to say what could not be written down. */
const ANSWERING_MS = 1_000;

export const handler = createHandler(process.env);

/** A handler that reads the settings of `environment` at the first event, and fails where they are wrong. */
export function createHandler(environment: Environment): Handler {
  let consume: Handler | null = null;
  return async (event, invocation) => {
    consume ??= open(environment);
    return consume(event, invocation);
  };
}

function open(environment: Environment): Handler {
  const config = parseConfig(environment, DEFAULTS);
  const { outbox: settings, accounts, deadlineMs, quota } = config;
  if (!settings?.aws) throw new ConfigError(['OUTBOX_BUCKET: missing, and needed with OUTBOX_QUEUE_URL']);
  const log = createLog(config.logLevel, (line) => process.stdout.write(`${line}\n`));
  const pool = new Pool({ ...config.smtp, upstream: config.smtp, idleMs: IDLE_MS });
  const stores = createStores(config, log);
  const outbox = openAwsOutbox(settings.aws, settings.keepMs);
  const send = createSendClaim({
    ...settings,
    outbox,
    deliver: createDeliverer({ relay: pool, quota: stores.quota }).deliver,
    accounts: () => accounts,
    quotaLimit: quota.limit,
    emit: (event) => log.info('message', { ...event }),
    log,
  });
  /** The api_users whose window is spent, until then: their wakes are sent on without a look at the message. */
  const resting = new Map<string, number>();

  const handle = async (wake: string, invocation: Invocation): Promise<void> => {
    const left = invocation.getRemainingTimeInMillis();
    const claim = await outbox.claimWoken(wake, left - ANSWERING_MS, resting);
    if (!claim) return;
    const ms = Math.max(0, Math.min(deadlineMs, left - SETTLING_MS));
    const postponed = await withDeadline(ms, (signal) => send(claim, signal));
    if (postponed?.code === 'quota-exceeded') resting.set(claim.apiUser, postponed.until);
    else resting.delete(claim.apiUser);
  };

  return async ({ Records: records }, invocation) => {
    const failures = await Promise.all(
      records.map(async ({ messageId, body }) => {
        try {
          await handle(body, invocation);
          return [];
        } catch (error) {
          log.error('a wake of the outbox failed', { messageId, error: String(error) });
          return [{ itemIdentifier: messageId }];
        }
      }),
    );
    return { batchItemFailures: failures.flat() };
  };
}
