/** A TCP proxy that makes the way to a server as long as a real one, and counts how often it is taken. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface SlowProxy {
  readonly host: string;
  readonly port: number;
  /** Connections since the start. */
  readonly connections: number;
  /**
   * Round trips that clients waited for since the start, over all connections: one for each TCP connect, and one
   * each time that the server is heard after the client had spoken, or for the first time.
   */
  readonly roundTrips: number;
  close(): Promise<void>;
}

export interface SlowProxyOptions {
  readonly host: string;
  readonly port: number;
  /** Milliseconds that everything takes in either direction: half a round trip. */
  readonly delayMs: number;
}

/** Starts it on a free loopback port. */
export async function startProxy({ host, port, delayMs }: SlowProxyOptions): Promise<SlowProxy> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let roundTrips = 0;

  function bridge(client: Socket): void {
    const upstream = connect({ host, port, noDelay: true, allowHalfOpen: true });
    let last: 'client' | 'server' = 'client';
    client.on('data', () => {
      last = 'client';
    });
    const heard = () => {
      if (last === 'client') roundTrips += 1;
      last = 'server';
    };
    forward(client, upstream, delayMs, () => {});
    forward(upstream, client, delayMs, heard);
    keep(upstream);
  }

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  }

  const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    connections += 1;
    roundTrips += 1;
    keep(client);
    // SYN, SYN-ACK and ACK: the server knows of a connection after three ways.
    setTimeout(() => {
      if (!client.destroyed) bridge(client);
    }, 3 * delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    get roundTrips() {
      return roundTrips;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Timers of one duration fire in the order in which they were set, so nothing overtakes anything. */
function forward(from: Socket, to: Socket, delayMs: number, arrived: () => void): void {
  const later = (act: () => void) => setTimeout(() => !to.destroyed && act(), delayMs);
  from.on('data', (chunk) =>
    later(() => {
      arrived();
      to.write(chunk);
    }),
  );
  from.on('end', () => later(() => to.end()));
  from.on('close', (failed) => later(() => (failed ? to.resetAndDestroy() : to.destroySoon())));
  from.resume();
}
