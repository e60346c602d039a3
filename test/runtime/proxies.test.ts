/** Clients behind a reverse proxy: whose address counts, and connections that are kept. */

import { once } from 'node:events';
import { Agent, get, type IncomingHttpHeaders } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MESSAGE, type Running, startPostern } from '../support/postern.ts';

/** A request with a wrong password for an api_user that is not configured. */
const guess = ({ request }: Running, headers: Record<string, string>) =>
  request('/v1/quota', {
    headers: { Authorization: `Basic ${btoa('stranger:wrong-password-0')}`, ...headers },
  });

const addresses = ({ logLines }: Running) =>
  logLines
    .map((line) => JSON.parse(line))
    .flatMap(({ event, clientAddress }) => (event === 'login refused' ? [clientAddress] : []));

describe('behind a trusted proxy', () => {
  it('a guesser is stopped, and the proxy’s other clients are served', async () => {
    await using postern = await startPostern({ TRUSTED_PROXIES: '127.0.0.0/8' });
    const guesser = { 'X-Forwarded-For': '192.0.2.1, 203.0.113.7' };
    for (let i = 0; i < 10; i++) expect((await guess(postern, guesser)).status).toBe(401);
    expect((await guess(postern, guesser)).status).toBe(429);
    expect((await guess(postern, { 'X-Forwarded-For': '192.0.2.2, 203.0.113.7' })).status).toBe(429);
    expect((await guess(postern, { 'X-Forwarded-For': '203.0.113.8' })).status).toBe(401);
    expect((await guess(postern, { Forwarded: 'for="[2001:db8::8]:80"' })).status).toBe(401);
    expect(new Set(addresses(postern))).toEqual(new Set(['203.0.113.7', '203.0.113.8', '2001:db8::8']));
  });
});

describe('below a path', () => {
  const refusedBy = async ({ request }: Running, prefix: string) => {
    const response = await request('/v1/nothing', { headers: { 'X-Forwarded-Prefix': prefix } });
    return (await response.json()) as { type: string; instance: string };
  };

  it.each([
    ['/mail', '/mail'],
    ['/mail/', '/mail'],
    ['/a/b-c.d', '/a/b-c.d'],
    ['', ''],
    ['/', ''],
    ['mail', ''],
    ['//evil.example', ''],
    ['https://evil.example', ''],
    ['/a, /b', ''],
    ['/a"b', ''],
    ['/a b', ''],
  ])('that a trusted proxy calls %j, links begin with %j', async (header, prefix) => {
    await using postern = await startPostern({ TRUSTED_PROXIES: '127.0.0.0/8' });
    const problem = await refusedBy(postern, header);
    expect(problem.type).toBe(`${prefix}/docs/errors/not-found`);
    expect(problem.instance).toMatch(`${prefix}/v1/nothing#`);
    const headers = { 'X-Forwarded-Prefix': header, Prefer: 'respond-async' };
    const later = await postern.send(MESSAGE, headers);
    expect(later.headers.get('Location')).toMatch(new RegExp(`^${prefix}/v1/messages/[0-9a-f-]{36}$`));
  });

  it('that anyone else names, links do not change', async () => {
    await using postern = await startPostern();
    expect(await refusedBy(postern, '/mail')).toMatchObject({ type: '/docs/errors/not-found' });
  });
});

describe('without one', () => {
  it('no header makes a guesser another client', async () => {
    await using postern = await startPostern();
    for (let i = 0; i < 10; i++) {
      expect((await guess(postern, { 'X-Forwarded-For': `203.0.113.${i}` })).status).toBe(401);
    }
    expect((await guess(postern, { 'X-Forwarded-For': '203.0.113.99' })).status).toBe(429);
    expect(new Set(addresses(postern))).toEqual(new Set(['127.0.0.1']));
  });
});

describe('a connection', () => {
  it('is kept for longer than a load balancer keeps its own, whatever a request may take', async () => {
    await using postern = await startPostern({ DEADLINE_MS: '500' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const alive = async (): Promise<IncomingHttpHeaders> => {
      const request = get(`${postern.url}/healthz`, { agent });
      request.on('socket', (socket) => sockets.add(socket));
      const [response] = await once(request, 'response');
      await once(response.resume(), 'end');
      return response.headers;
    };
    expect((await alive())['keep-alive']).toBe('timeout=75');
    // Twice as long as a request may take to arrive, and the look-out for late ones.
    await delay(2_000);
    await alive();
    expect(sockets.size).toBe(1);
    agent.destroy();
  });
});
