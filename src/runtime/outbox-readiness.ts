import type { Readiness } from '../http/app.ts';
import type { Log } from '../log.ts';
import type { Outbox } from '../outbox.ts';

/** What stands against the outbox, for `/readyz`; the log has the error. */
export async function outboxReadiness(outbox: Pick<Outbox, 'ping'>, log: Log): Promise<Readiness> {
  try {
    await outbox.ping();
    return { outbox: null };
  } catch (error) {
    log.error('the outbox does not answer', { error: String((error as Error).cause ?? error) });
    return { outbox: 'The outbox does not answer: messages can only be sent at once.' };
  }
}
