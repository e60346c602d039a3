/** All of Postern's surroundings in one process, for development: an upstream, its certificate and its inbox. */
import type { Hono } from 'hono';
import type { Certificate } from '../certificate.ts';
import { createAuthority } from './certificate.ts';
import { Inbox } from './inbox.ts';
import { sandboxRoutes } from './routes.ts';
import { startLookAlike } from './upstream.ts';

export interface Sandbox {
  /** Where the upstream listens, and the name in its certificate. */
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  /** PEM of the authority that the relay has to trust; made anew at every start. */
  readonly ca: string;
  /** For the gateway's own SMTP door, of the same authority, for localhost and 127.0.0.1. */
  readonly certificate: Certificate;
  /** The only login that the upstream knows, with any label. */
  readonly account: { readonly apiUser: string; readonly apiKey: string };
  readonly inbox: Inbox;
  /** To be mounted at `/sandbox`. */
  readonly routes: Hono;
  close(): Promise<void>;
}

export interface SandboxOptions {
  /** How late the reply for the recipient `slow` comes, in milliseconds; 3 s if absent. */
  readonly slowMs?: number;
}

export async function startSandbox({ slowMs = 3_000 }: SandboxOptions = {}): Promise<Sandbox> {
  const authority = await createAuthority();
  const account = { apiUser: 'sandbox', apiKey: 'sandbox' };
  const inbox = new Inbox();
  const upstream = await startLookAlike({
    certificate: await authority.issue(),
    accounts: { [account.apiUser]: account.apiKey },
    inbox,
    slowMs,
  });
  return {
    host: '127.0.0.1',
    port: upstream.port,
    servername: 'localhost',
    ca: authority.cert,
    certificate: await authority.issue(),
    account,
    inbox,
    routes: sandboxRoutes(inbox, authority.cert),
    close: upstream.close,
  };
}
