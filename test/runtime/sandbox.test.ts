/** The sandbox's doors: its token is public, and its inbox asks for none. */

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { ConfigError } from '../../src/config.ts';
import { type Postern, start } from '../../src/runtime/node.ts';

async function startSandbox(settings: Readonly<Record<string, string>> = {}): Promise<Postern> {
  const postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0', ...settings }, () => {});
  onTestFinished(() => postern.close());
  return postern;
}

/** Null where a server listens, or the reason why not. */
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
  const postern = await startSandbox();
  for (const port of [postern.port, postern.smtpPort]) {
    expect(await refusal(port, 'localhost')).toBeNull();
    // As good as an address in the machine's network: what listens everywhere listens there.
    expect(await refusal(port, '127.0.0.2')).toBe('ECONNREFUSED');
  }
  expect((await fetch(`http://localhost:${postern.port}/sandbox/messages`)).status).toBe(200);
});

it('listens elsewhere where HOST says so', async () => {
  const postern = await startSandbox({ HOST: '127.0.0.2' });
  for (const port of [postern.port, postern.smtpPort]) {
    expect(await refusal(port, '127.0.0.2')).toBeNull();
    expect(await refusal(port, '127.0.0.1')).toBe('ECONNREFUSED');
  }
});

it('gives the authority of its certificates', async () => {
  const postern = await startSandbox();
  const answer = await fetch(`http://localhost:${postern.port}/sandbox/ca.pem`);
  expect(answer.headers.get('Content-Type')).toBe('application/pem-certificate-chain');
  const authority = new X509Certificate(await answer.text());
  const { cert = '' } = postern.sandbox?.certificate ?? {};
  expect(new X509Certificate(cert).verify(authority.publicKey)).toBe(true);
});

it('lets every page in', async () => {
  const postern = await startSandbox();
  const url = `http://localhost:${postern.port}/v1/messages`;
  const origin = { Origin: 'https://app.example' };
  const preflight = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      ...origin,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'authorization,content-type,idempotency-key',
    },
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('Access-Control-Allow-Origin')).toBe('*');
  expect(preflight.headers.get('Access-Control-Allow-Headers')).toMatch(/authorization.*idempotency-key/);
  const refused = await fetch(url, { method: 'POST', headers: origin });
  expect(refused.status).toBe(401);
  expect(refused.headers.get('Access-Control-Allow-Origin')).toBe('*');
});

it.each(['SMTP_HOST', 'SMTP_PORTS', 'SMTP_SERVERNAME', 'OUTBOX'])(
  'does not start in place of the upstream or the outbox that %s names',
  async (name) => {
    await expect(start({ PORT: '0', [name]: 'x' }, () => {})).rejects.toThrow(ConfigError);
  },
);

it('ends while a page waits for mail', async () => {
  const postern = await start({ PORT: '0', SMTP_DOOR_PORT: '0', DEADLINE_MS: '60000' }, () => {});
  const events = await fetch(`http://localhost:${postern.port}/sandbox/events`);
  await events.body?.getReader().read();
  // Without an end of the stream's own it would take the deadline.
  await postern.close();
});

it('has no console with an account', async () => {
  const settings = {
    SENDCLOUD_API_USER: 'a',
    SENDCLOUD_API_KEY: 'b',
    GATEWAY_TOKENS: 'a-token-for-the-tests',
  };
  const postern = await startSandbox({ ...settings, SMTP_DOOR_PORT: '', OUTBOX: 'off' });
  for (const path of ['/', '/sandbox/messages', '/sandbox/compose']) {
    expect((await fetch(`http://localhost:${postern.port}${path}`)).status).toBe(404);
  }
});

it('has hooks to try where none are set', async () => {
  const hook = { name: 'own', scheme: 'bearer', secret: 'a-secret', from: 'a@b.example', to: 'c@d.example' };
  const pages = [];
  for (const settings of [{}, { HOOKS: JSON.stringify([hook]) }]) {
    const postern = await startSandbox(settings);
    pages.push(await (await fetch(`http://localhost:${postern.port}/sandbox/hooks`)).text());
  }
  expect(pages[0]).toContain('/v1/hooks/github');
  expect(pages[1]).toContain('/v1/hooks/own');
  expect(pages[1]).not.toContain('/v1/hooks/github');
});
