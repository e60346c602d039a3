/** Postern itself on Node, by the same `start` as in production, over real sockets to an upstream for tests. */

import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect } from 'vitest';
import { EXAMPLE } from '../../src/message/example.ts';
import { type Postern, start } from '../../src/runtime/node.ts';
import { createAuthority } from '../../src/sandbox/certificate.ts';
import { keepLog } from './logged.ts';
import { startUpstream, type Upstream, type UpstreamOptions } from './upstream.ts';

export const TOKEN = 'a-token-for-the-tests';

/** A started gateway with what a test asks of it. */
export interface Running extends Postern {
  readonly upstream: Upstream;
  readonly url: string;
  readonly logLines: string[];
  /** Sends a request with the token; a body that is no string goes as JSON. */
  request(path: string, options?: RequestOptions): Promise<Response>;
  /** `POST /v1/messages`. */
  send(message?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** Calls drawn so far, by the gateway's own account. */
  drawn(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface RequestOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** The authority that this process trusts, as NODE_EXTRA_CA_CERTS would have it from the start. */
export const authority = await createAuthority();
setDefaultCACertificates([...getCACertificates('default'), authority.cert]);

/** Starts an upstream and a gateway before it; for `await using`. */
export async function startPostern(
  settings: Readonly<Record<string, string>> = {},
  upstreamOptions: UpstreamOptions = {},
): Promise<Running> {
  const upstream = await startUpstream({ certificate: await authority.issue(), ...upstreamOptions });
  const logLines: string[] = [];
  const environment = {
    SENDCLOUD_API_USER: 'ifaxin',
    SENDCLOUD_API_KEY: 'the-key',
    GATEWAY_TOKENS: TOKEN,
    SMTP_HOST: 'localhost',
    SMTP_PORTS: String(upstream.port),
    PORT: '0',
    // In the working folder there is one for all tests.
    OUTBOX: ':memory:',
    ...settings,
  };
  const postern = await start(environment, (line) => logLines.push(line));
  const bodies: unknown[] = [];
  const url = `http://127.0.0.1:${postern.port}`;
  const request = (path: string, { method, body, headers }: RequestOptions = {}) => {
    bodies.push(body);
    return fetch(url + path, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: {
        Authorization: `Bearer ${TOKEN}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  };
  return {
    ...postern,
    upstream,
    url,
    logLines,
    request,
    send: (message = MESSAGE, headers = {}) => request('/v1/messages', { body: message, headers }),
    async drawn() {
      const { limit, remaining } = (await (await request('/v1/quota')).json()) as Record<string, number>;
      return (limit ?? 0) - (remaining ?? 0);
    },
    async [Symbol.asyncDispose]() {
      await postern.close();
      await upstream.close();
      keepLog(expect.getState().testPath ?? '', environment, logLines, bodies);
    },
  };
}

/** The seed's message: a label and an inline picture. */
export const [{ content: PICTURE }] = EXAMPLE.inlineImages;

export const MESSAGE = {
  from: 'Support <support@ifaxin.com>',
  to: ['ben@ifaxin.com'],
  subject: 'A picture',
  html: '<p>See <img src="cid:image1"></p>',
  label: 31337,
  inlineImages: [{ cid: 'image1', contentType: 'image/png', content: PICTURE, filename: 'test.png' }],
};
