/** Postern on AWS Lambda: API Gateway (REST and HTTP), function URLs and load balancers. */

import type { Hono } from 'hono';
import { getConnInfo, handle, type LambdaContext, type LambdaEvent } from 'hono/aws-lambda';
import hooks from '../../hooks.json' with { type: 'json' };
import { type Config, ConfigError, type Environment, parseConfig } from '../config.ts';
import { createDeliverer } from '../deliver.ts';
import { requestBody } from '../http/body.ts';
import type { Context } from '../http/context.ts';
import { UI_ON_CDN } from '../http/docs.ts';
import { createLog, type Log } from '../log.ts';
import type { Outbox } from '../outbox.ts';
import { Pool } from '../relay/pool.ts';
import { openAwsOutbox } from './aws-outbox.ts';
import { createGateway } from './gateway.ts';
import { outboxReadiness } from './outbox-readiness.ts';
import { createStores } from './stores.ts';
import { unconfigured } from './unconfigured.ts';

/** One connection: a container has one invocation at a time. */
const DEFAULTS = { connections: 1, ports: '587,2525,25', outbox: 'on', hooks };

/**
 * A container is frozen between invocations, and a connection that sleeps with it dies unseen. One that was
 * idle for longer than this, by the wall clock, is not trusted, in milliseconds.
 */
const IDLE_MS = 20_000;

/** What an invocation keeps of its time for the answer, in milliseconds. */
const ANSWERING_MS = 1000;

type Handler = (event: LambdaEvent, context: LambdaContext) => ReturnType<ReturnType<typeof handle>>;

export const handler = createHandler(process.env);

/** A handler that reads the settings of `environment` at the first event. */
export function createHandler(environment: Environment): Handler {
  let answer: Promise<Handler> | null = null;
  return async (event, context) => {
    answer ??= open(environment);
    return (await answer)(belowStage(event), context);
  };
}

async function open(environment: Environment): Promise<Handler> {
  try {
    return await openGateway(environment);
  } catch (error) {
    if (error instanceof ConfigError) return handle(unconfigured(error, writeLog) as unknown as Hono);
    throw error;
  }
}

async function openGateway(environment: Environment): Promise<Handler> {
  const config = parseConfig(environment, DEFAULTS);
  const log = createLog(config.logLevel, writeLog);
  const pool = new Pool({ ...config.smtp, upstream: config.smtp, idleMs: IDLE_MS });
  const stores = createStores(config, log);
  const outbox = openOutbox(config, log);
  const { app } = await createGateway(config, {
    ...stores,
    ready: async () => ({
      ...(await stores.ready()),
      ...(outbox && (await outboxReadiness(outbox, log))),
    }),
    deliverer: createDeliverer({ relay: pool, quota: stores.quota }),
    log,
    greeting: (signal) => pool.greeting(signal),
    prefix: prefixOf,
    referenceUi: UI_ON_CDN,
    bodyReader: requestBody,
    clientAddress: (c) => getConnInfo(c).remote.address ?? '',
    // SQS wakes the function that sends: `lambda-outbox.ts`.
    outbox: outbox && { outbox, wake: () => {} },
    // Never longer than the invocation's own time.
    deadlineMs: (c) =>
      Math.min(config.deadlineMs, lambdaContext(c).getRemainingTimeInMillis() - ANSWERING_MS),
  });
  // Only a function with an extension is told of its end.
  process.once('SIGTERM', () => void pool.close().then(() => process.exit()));

  return handle(app as unknown as Hono);
}

function openOutbox({ outbox }: Config, log: Log): Outbox | null {
  if (!outbox) return null;
  if (outbox.aws) return openAwsOutbox(outbox.aws, outbox.keepMs);
  log.warn('no outbox', { reason: 'OUTBOX_BUCKET and OUTBOX_QUEUE_URL are not set' });
  return null;
}

/** What the adapter binds of the invocation. */
const lambdaContext = (c: Context): LambdaContext =>
  (c.env as { lambdaContext: LambdaContext }).lambdaContext;

/** The event as if the API's stage were the root: an HTTP API has the stage in front of its paths, a REST API has not. */
function belowStage(event: LambdaEvent): LambdaEvent {
  if (!('rawPath' in event)) return event;
  const { apiId, domainPrefix, stage } = event.requestContext;
  // Below a domain of one's own the path has no stage.
  const isBelow = domainPrefix === apiId && event.rawPath.startsWith(`/${stage}/`);
  return isBelow ? { ...event, rawPath: event.rawPath.slice(stage.length + 1) } : event;
}

/** What clients have in front of the path: all that they asked for, less the path. */
function prefixOf(c: Context): string {
  const { event } = c.env as { event: LambdaEvent };
  const { path: asked } = 'rawPath' in event ? event.requestContext.http : (event.requestContext as Asked);
  const path = 'rawPath' in event ? event.rawPath : event.path;
  return asked?.endsWith(path) ? asked.slice(0, -path.length) : '';
}

/** A REST API's; a load balancer names none. */
type Asked = { readonly path?: string };

/** Past the console, to which Lambda would add a level of its own. */
function writeLog(line: string): void {
  process.stdout.write(`${line}\n`);
}
