/** The relay before an upstream of the test's own, with the deliverer that tries again on top of it. */

import type { Login } from '../../src/account.ts';
import { createDeliverer, type Delivered, type Delivery } from '../../src/deliver.ts';
import { isFailure } from '../../src/outcome.ts';
import { Pool, type PoolOptions } from '../../src/relay/pool.ts';
import { createAuthority } from '../../src/sandbox/certificate.ts';
import { createMemoryQuota } from '../../src/stores/memory/quota.ts';
import type { Asked, Lease } from '../../src/transaction.ts';
import { type Fault, startUpstream, type Upstream, type UpstreamOptions } from '../support/upstream.ts';

export const authority = await createAuthority();
export const CERTIFICATE = await authority.issue();
const UPSTREAM = { host: 'localhost', servername: 'localhost', ca: authority.cert };

export const LOGIN: Login = { apiUser: 'ifaxin', apiKey: 'the-key', label: null };
export const ENVELOPE = {
  from: 'support@ifaxin.com',
  to: ['ben@ifaxin.com'],
  size: null,
  eightBit: false,
} as const;
export const ASKED: Asked = { helo: null, fresh: false };
export const MESSAGE = Buffer.from('Subject: Hello\r\n\r\nHello\r\n');

/** More than fits into the buffers on the way. */
export const LONG = Buffer.from('Lorem ipsum dolor sit amet, consetetur sadipscing.\r\n'.repeat(280_000));

const LIMIT = 1000;

export interface RunningRelay {
  readonly upstream: Upstream;
  readonly pool: Pool;
  lease(login?: Login, asked?: Asked): Promise<Lease>;
  /** One transaction, on a connection that is leased for it. */
  send(login?: Login): Promise<Delivered['outcome']>;
  /** Delivers as the use case does: what is lost before MAIL was answered is tried again. */
  deliver(delivery?: Partial<Delivery>, signal?: AbortSignal): Promise<Delivered['outcome']>;
  /** Calls drawn so far. */
  drawn(): Promise<number>;
  /** The sessions that are open. */
  open(): number;
  /** What one session heard and said. */
  said(session: number): string[];
  [Symbol.asyncDispose](): Promise<void>;
}

export const soon = (): AbortSignal => AbortSignal.timeout(10_000);

export async function startRelay(
  options: Partial<PoolOptions> = {},
  upstreamOptions: UpstreamOptions = {},
): Promise<RunningRelay> {
  const upstream = await startUpstream({ certificate: CERTIFICATE, ...upstreamOptions });
  const pool = new Pool({
    upstream: UPSTREAM,
    ports: [upstream.port],
    connections: 2,
    idleMs: 60_000,
    ...options,
  });
  const quota = createMemoryQuota({ windowMs: 60_000, guardMs: 500 });
  const deliverer = createDeliverer({ relay: pool, quota });
  const lease = async (login = LOGIN, asked = ASKED): Promise<Lease> => {
    const leased = await pool.lease(login, asked, soon());
    if (isFailure(leased)) throw new Error(leased.detail);
    return leased;
  };
  return {
    upstream,
    pool,
    lease,
    send: async (login) => (await lease(login)).send(ENVELOPE, MESSAGE, soon()),
    async deliver(delivery = {}, signal = soon()) {
      const whole = { login: LOGIN, limit: LIMIT, envelope: ENVELOPE, content: MESSAGE, ...delivery };
      return (await deliverer.deliver(whole, signal)).outcome;
    },
    async drawn() {
      const { limit, remaining } = await quota.peek(LOGIN.apiUser, LIMIT);
      return limit - remaining;
    },
    open: () => upstream.sessions.filter((session) => session.open).length,
    said: (session) => upstream.sessions[session]?.dialogue.map((line) => line.text) ?? [],
    async [Symbol.asyncDispose]() {
      await pool.close();
      await upstream.close();
    },
  };
}

/** One fault, which happens once. */
export const once = (
  at: Fault['at'],
  action: NonNullable<Fault['do']>,
  more: Partial<Fault> = {},
): Fault => ({
  at,
  do: action,
  times: 1,
  ...more,
});
