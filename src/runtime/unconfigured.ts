/** What answers where the settings are wrong and the process cannot simply refuse to start. */

import type { ConfigError } from '../config.ts';
import { errorPages } from '../http/error-pages.ts';
import { respondProblem } from '../http/problem.ts';
import { createRoutes, type Routes } from '../http/routes.ts';
import { createLog } from '../log.ts';
import { failure } from '../outcome.ts';

/**
 * Answers 500 and nothing of the settings; the log line of every request lists what is wrong. What the answer's `type`
 * leads to is there, as ever.
 */
export function unconfigured({ problems }: ConfigError, writeLog: (line: string) => void): Routes {
  const log = createLog('error', writeLog);
  const app = createRoutes();
  app.use(async (c, next) => {
    c.set('requestId', crypto.randomUUID());
    c.set('prefix', '');
    c.header('Request-Id', c.get('requestId'));
    await next();
  });
  app.route('/docs', errorPages());
  app.all('*', (c) => {
    log.error('unconfigured', { requestId: c.get('requestId'), problems });
    const detail = 'The log of the gateway lists the settings that are wrong.';
    return respondProblem(c, failure('misconfigured', detail));
  });
  return app;
}
