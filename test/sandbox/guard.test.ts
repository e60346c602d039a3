/** Other web sites in the same browser: the sandbox asks for no password, so the browser's word must do. */

import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Postern, start } from '../../src/runtime/node.ts';

let postern: Postern;
beforeAll(async () => {
  postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0' }, () => {});
});
afterAll(() => postern.close());

/** With headers that `fetch` would not let through. */
function ask(method: string, path: string, headers: Record<string, string>) {
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }>(
    (resolve, reject) => {
      const asked = request(
        { port: postern.port, host: '127.0.0.1', method, path, headers },
        async (answer) => {
          let body = '';
          for await (const chunk of answer) body += chunk;
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body });
        },
      );
      asked.on('error', reject).end();
    },
  );
}

const ROUTES = [
  ['GET', '/'],
  ['GET', '/sandbox/messages'],
  ['DELETE', '/sandbox/messages'],
  ['GET', '/sandbox/messages/1/raw'],
  ['PUT', '/sandbox/fault'],
  ['GET', '/sandbox/fault'],
  ['GET', '/sandbox/ca.pem'],
  ['GET', '/sandbox/inbox/1'],
  ['GET', '/sandbox/inbox/1/frame'],
  ['POST', '/sandbox/delete'],
  ['POST', '/sandbox/inbox/1/delete'],
  ['GET', '/sandbox/sessions'],
  ['GET', '/sandbox/quota'],
  ['GET', '/sandbox/outbox'],
  ['POST', '/sandbox/outbox/x/cancel'],
  ['GET', '/sandbox/compose'],
  ['POST', '/sandbox/compose/fault'],
  ['POST', '/sandbox/hooks/github'],
  ['GET', '/sandbox/events'],
  ['GET', '/sandbox/console/script.js'],
  ['GET', '/sandbox/nothing/here'],
] as const;

const here = () => `localhost:${postern.port}`;

describe.each(ROUTES)('%s %s', (method, path) => {
  it.each<[string, () => Record<string, string>]>([
    ['a name that leads here (DNS rebinding)', () => ({ Host: `evil.example:${postern.port}` })],
    ['a name that looks like ours', () => ({ Host: 'localhost.evil.example' })],
    ['another site', () => ({ Host: here(), 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors' })],
    ['another port of this machine', () => ({ Host: here(), 'Sec-Fetch-Site': 'same-site' })],
    [
      'a frame on another site',
      () => ({
        Host: here(),
        'Sec-Fetch-Site': 'cross-site',
        'Sec-Fetch-Mode': 'navigate',
        'Sec-Fetch-Dest': 'iframe',
      }),
    ],
    ['another origin', () => ({ Host: here(), Origin: 'https://evil.example' })],
    ['another port as an origin', () => ({ Host: here(), Origin: 'http://localhost:3000' })],
    ['a sandboxed page', () => ({ Host: here(), Origin: 'null' })],
  ])('is refused to %s', async (_, headers) => {
    const answer = await ask(method, path, headers());
    expect(answer.status).toBe(403);
    const instance = `${path}#${answer.headers['request-id']}`;
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'forbidden-origin', status: 403, instance });
  });
});

describe('our own', () => {
  it.each<[string, () => Record<string, string>]>([
    ['a page', () => ({ Host: here(), 'Sec-Fetch-Site': 'same-origin', Origin: `http://${here()}` })],
    ['a typed address', () => ({ Host: here(), 'Sec-Fetch-Site': 'none' })],
    ['a program', () => ({ Host: here() })],
    ['an address', () => ({ Host: `127.0.0.1:${postern.port}` })],
    ['an IPv6 address', () => ({ Host: `[::1]:${postern.port}` })],
    ['a name below localhost', () => ({ Host: `postern.localhost:${postern.port}` })],
    ['an older browser', () => ({ Host: here(), Origin: `http://${here()}` })],
  ])('is let in: %s', async (_, headers) => {
    expect((await ask('GET', '/sandbox/messages', headers())).status).toBe(200);
    expect((await ask('DELETE', '/sandbox/messages', headers())).status).toBe(204);
  });

  it('pages are opened by a link from anywhere, and changed by none', async () => {
    const link = {
      Host: here(),
      'Sec-Fetch-Site': 'cross-site',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Dest': 'document',
    };
    expect((await ask('GET', '/', link)).status).toBe(200);
    expect((await ask('POST', '/sandbox/delete', link)).status).toBe(403);
  });

  it('answers are read by no other page, framed by none', async () => {
    const { headers } = await ask('GET', '/', { Host: here() });
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(headers['cross-origin-resource-policy']).toBe('same-origin');
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['content-security-policy']).not.toMatch(/unsafe|\*|https?:/);
  });
});

it('leaves the doors for apps as they are', async () => {
  const answer = await ask('GET', '/v1/nothing', { Host: 'app.example', Origin: 'https://app.example' });
  expect(answer.status).toBe(401);
  expect(answer.headers['access-control-allow-origin']).toBe('*');
  expect((await ask('GET', '/nothing', { Host: 'app.example' })).status).toBe(404);
});
