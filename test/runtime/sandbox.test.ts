/** The sandbox's doors: everybody knows its token, and its inbox asks for none. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { start } from '../../src/runtime/node.ts';

/** Null where somebody listens, or the reason why not. */
async function refusal(port: number | null, host: string): Promise<string | null> {
  const socket = connect(port ?? 0, host);
  try {
    await once(socket, 'connect');
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? '';
  } finally {
    socket.destroy();
  }
}

it('is there for this machine alone', async () => {
  const postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0' }, () => {});
  onTestFinished(() => postern.close());
  for (const port of [postern.port, postern.smtpPort]) {
    expect(await refusal(port, 'localhost')).toBeNull();
    // As good as an address in the machine's network: what listens everywhere listens there.
    expect(await refusal(port, '127.0.0.2')).toBe('ECONNREFUSED');
  }
  expect((await fetch(`http://localhost:${postern.port}/sandbox/messages`)).status).toBe(200);
});
