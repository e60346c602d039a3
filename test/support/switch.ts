/** A fixed port whose far end can be exchanged: one gateway meets a new upstream in each test. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

export interface Switch {
  readonly port: number;
  /** The port that new connections go to; null hangs up on them. */
  target: number | null;
  close(): Promise<void>;
}

export async function startSwitch(): Promise<Switch> {
  const open = new Set<{ destroy(): void }>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    near.on('error', () => {});
    if (state.target === null) return near.destroy();
    const far = connect({ port: state.target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    far.on('error', () => {});
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    near.pipe(far);
    far.pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', (failed) => (failed ? near.resetAndDestroy() : near.destroySoon()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const state: Switch = {
    port: (server.address() as AddressInfo).port,
    target: null,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return state;
}
