/** What answers where the settings are wrong and the process cannot simply refuse to start. */

import type { ConfigError } from '../config.ts';
import { PROBLEM_TYPE, problemOf } from '../http/problem.ts';
import { createLog } from '../log.ts';
import { failure } from '../outcome.ts';

/** Answers 500 and nothing of the settings; the log line of every request lists what is wrong. */
export function unconfigured({ problems }: ConfigError): (request: Request) => Response {
  const log = createLog('error');
  return (request) => {
    const requestId = crypto.randomUUID();
    log.error('unconfigured', { requestId, problems });
    const failed = failure(
      'internal',
      'The gateway is not set up; its log lists the settings that are wrong.',
    );
    const instance = `${new URL(request.url).pathname}#${requestId}`;
    return Response.json(problemOf({ ...failed, delivery: 'not-sent' }, instance), {
      status: 500,
      headers: { 'Content-Type': PROBLEM_TYPE, 'Request-Id': requestId },
    });
  };
}
