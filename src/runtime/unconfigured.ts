/** What answers where the settings are wrong and the process cannot simply refuse to start. */

import { Hono } from 'hono';
import type { ConfigError } from '../config.ts';
import { PROBLEM_TYPE, problemOf } from '../http/problem.ts';
import { createLog } from '../log.ts';
import { failure } from '../outcome.ts';

/** Answers 500 and nothing of the settings; the log line of every request lists what is wrong. */
export function unconfigured({ problems }: ConfigError, writeLog: (line: string) => void): Hono {
  const log = createLog('error', writeLog);
  return new Hono().all('*', (c) => {
    const requestId = crypto.randomUUID();
    log.error('unconfigured', { requestId, problems });
    const failed = failure('misconfigured', 'The log of the gateway lists the settings that are wrong.');
    const problem = problemOf(failed, `${c.req.path}#${requestId}`);
    c.header('Request-Id', requestId);
    return c.body(JSON.stringify(problem), 500, { 'Content-Type': PROBLEM_TYPE });
  });
}
