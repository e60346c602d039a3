/** What a client can hold of Node's HTTP server: places, answers that it does not read, requests ahead of their turn. */

import { once } from 'node:events';
import { Agent, type RequestListener, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseNetwork } from '../../src/client-address.ts';
import { type ConnectionRules, createBoundedServer } from '../../src/runtime/http-connections.ts';

const answerAtOnce: RequestListener = (_request, response) => void response.end('answer');

async function startServer(rules: Partial<ConnectionRules> = {}, handle = answerAtOnce) {
  const all = { most: 20, trustedProxies: [], readingMs: 60_000, ...rules };
  const server = createBoundedServer(all, { keepAliveTimeout: 60_000 }, handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const open = (localAddress = '127.0.0.1'): Socket => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {});
    onTestFinished(() => void socket.destroy());
    return socket;
  };
  /** Asks on a connection of its own; the status, or the code of the error. */
  const ask = (localAddress: string, agent = new Agent()): Promise<number | string> =>
    new Promise((resolve) => {
      request({ port, host: '127.0.0.1', localAddress, agent })
        .on('response', (response) => void text(response).then(() => resolve(response.statusCode ?? 0)))
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
        .end();
    });
  return { port, open, ask };
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

describe('places', () => {
  it('go from the longest idle connection of the address with most to a new one', async () => {
    const { open, ask } = await startServer();
    const idle = Array.from({ length: 30 }, () => open());
    await expect.poll(() => idle.filter(({ closed }) => closed).length).toBe(12);
    expect(await ask('127.0.0.2')).toBe(200);
    expect(await ask('127.0.0.1')).toBe(200);
    expect(idle.findIndex(({ closed }) => !closed)).toBeGreaterThanOrEqual(12);
    const [newest] = idle.slice(-1) as [Socket];
    newest.write(GET);
    expect(String((await once(newest, 'data'))[0])).toMatch(/^HTTP\/1.1 200 /);
  });

  it.each([
    ['a header', 'GET / HTTP/1.1\r\nHost:'],
    ['a body', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbeginning'],
  ])('are not held by %s that does not come', async (_, beginning) => {
    const { open, ask } = await startServer({}, (incoming, response) => {
      incoming.resume().on('end', () => response.end());
    });
    const dripping = Array.from({ length: 30 }, () => open());
    for (const socket of dripping) socket.write(beginning);
    await expect.poll(() => dripping.filter(({ closed }) => closed).length).toBeGreaterThan(9);
    expect(await ask('127.0.0.2')).toBe(200);
  });

  it('stay with those whose request is being answered, and the last ones are for others', async () => {
    let asked = 0;
    const { open, ask } = await startServer({}, ({ url }, response) => {
      if (url === '/slow') asked++;
      else response.end();
    });
    const busy = Array.from({ length: 20 }, () => open());
    for (const socket of busy) socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => asked).toBe(18);
    expect(await ask('127.0.0.1')).toBe(503);
    expect(await ask('127.0.0.2')).toBe(200);
    expect(busy.filter(({ closed }) => !closed)).toHaveLength(18);
  });

  it('are all for a proxy that is trusted: each of its connections is another client', async () => {
    let asked = 0;
    const trustedProxies = [parseNetwork('127.0.0.0/8')].filter((network) => network !== null);
    const { open, ask } = await startServer({ trustedProxies }, ({ url }, response) => {
      if (url === '/slow') asked++;
      else response.end();
    });
    const busy = Array.from({ length: 19 }, () => open());
    for (const socket of busy) socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => asked).toBe(19);
    expect(await ask('127.0.0.1')).toBe(200);
    const idle = [open(), open()];
    await expect.poll(() => idle.filter(({ closed }) => closed).length).toBe(1);
    expect(await ask('127.0.0.1')).toBe(200);
  });

  it('are kept between requests, as load balancers do, and left', async () => {
    const { ask } = await startServer();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    let connections = 0;
    agent.on('free', () => {
      connections = Object.values(agent.freeSockets).flat().length;
    });
    for (let i = 0; i < 50; i++) expect(await ask('127.0.0.1', agent)).toBe(200);
    expect(connections).toBe(1);
    for (let i = 0; i < 50; i++) expect(await ask('127.0.0.1')).toBe(200);
  });
});

describe('a client that ends its side after its request', () => {
  const answerLater: RequestListener = (_request, response) =>
    void setTimeout(() => response.end('answer'), 100);

  it('gets its answers, and the connection ends with them', async () => {
    const { open } = await startServer({}, answerLater);
    for (const requests of [1, 3]) {
      const answers = await text(open().end(GET.repeat(requests)));
      expect(answers.match(/HTTP\/1.1 200 /g)).toHaveLength(requests);
    }
  });

  it('keeps no place where its request is not whole, or its answer is not read', async () => {
    const { open } = await startServer({ readingMs: 300 }, (_request, response) => {
      response.end(Buffer.alloc(20_000_000, 'x'));
    });
    for (const beginning of ['', 'GET / HTTP/1.1\r\nHost:']) {
      const broken = open().resume().end(beginning);
      await once(broken, 'close');
    }
    const deaf = open().pause().end(GET);
    const gone = once(deaf, 'close');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    deaf.resume();
    await gone;
    expect(deaf.bytesRead).toBeLessThan(20_000_000);
  });
});

describe('an answer', () => {
  const LARGE = Buffer.alloc(20_000_000, 'x');
  const ASK_LARGE = 'GET /large HTTP/1.1\r\nHost: x\r\n\r\n';

  it('that is not read in time ends the connection', async () => {
    const { open, ask } = await startServer({ readingMs: 300 }, ({ url }, response) => {
      response.end(url === '/large' ? LARGE : 'small');
    });
    const deaf = open().pause();
    deaf.write(ASK_LARGE);
    const gone = once(deaf, 'close');
    // A paused socket learns of its end when it reads on.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    deaf.resume();
    await gone;
    expect(deaf.bytesRead).toBeLessThan(LARGE.length);
    expect(await ask('127.0.0.1')).toBe(200);
  });

  it('is dropped where all of them together take too much memory, of who has most', async () => {
    let written = 0;
    const { open, ask } = await startServer({}, ({ url }, response) => {
      response.end(url === '/large' ? LARGE : 'small');
      written++;
    });
    const deaf = Array.from({ length: 5 }, () => open().pause());
    for (const [index, socket] of deaf.entries()) {
      socket.write(ASK_LARGE);
      await expect.poll(() => written).toBe(index + 1);
    }
    expect(await ask('127.0.0.2')).toBe(200);
    for (const socket of deaf) socket.resume();
    const isOver = ({ closed, bytesRead }: Socket) => closed || bytesRead > LARGE.length;
    await expect.poll(() => deaf.every(isOver), { timeout: 20_000 }).toBe(true);
    // One fits: it counts as a whole until all of it is read.
    const isComplete = deaf.map(({ bytesRead }) => bytesRead > LARGE.length);
    expect(isComplete).toEqual([false, false, false, false, true]);
  });
});

describe('requests that are written ahead', () => {
  it('are answered one at a time, in their order', async () => {
    let most = 0;
    let open = 0;
    const server = await startServer({}, ({ url }, response) => {
      most = Math.max(most, ++open);
      setTimeout(() => {
        open--;
        response.end(`<${url}>`);
      }, 5);
    });
    const socket = server.open();
    const paths = Array.from({ length: 8 }, (_, index) => `/${index}`);
    socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    await expect.poll(() => received.match(/<\/\d>/g)).toEqual(paths.map((path) => `<${path}>`));
    expect(most).toBe(1);
  });

  it('end the connection where they are many', async () => {
    let asked = 0;
    const { open, ask } = await startServer({}, (_request, response) => {
      asked++;
      setTimeout(() => response.end(), 50);
    });
    const socket = open();
    socket.write(GET.repeat(1000));
    socket.resume();
    await once(socket, 'close');
    expect(await ask('127.0.0.1')).toBe(200);
    expect(asked).toBe(2);
  });
});
