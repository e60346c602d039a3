/** All of Postern's surroundings in one process, for development: an upstream, its certificate and its inbox. */
import { Hono } from 'hono';
import type { Certificate } from '../certificate.ts';
import type { Emit } from '../message-event.ts';
import type { Quota } from '../quota.ts';
import { Calls } from './calls.ts';
import { createAuthority } from './certificate.ts';
import { consoleRoutes } from './console/console.ts';
import type { Surroundings } from './console/surroundings.ts';
import { Faults } from './faults.ts';
import { ownPagesOnly } from './guard.ts';
import { Inbox } from './inbox.ts';
import { Receipts } from './receipts.ts';
import { sandboxRoutes } from './routes.ts';
import { Transcripts } from './transcript.ts';
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
  /** Sees every message's event. */
  readonly observe: Emit;
  /** The same quota, with its draws noted; `limit` is the account's. */
  counted(quota: Quota, limit: number): Quota;
  /** The pages, to be mounted at `/`. */
  console(surroundings: Surroundings): Hono;
  /** Ends what pages and test suites are waiting for. */
  hangUp(): void;
  close(): Promise<void>;
}

export interface SandboxOptions {
  /** How late the reply for the recipient `slow` comes, in milliseconds; 3 s if absent. */
  readonly slowMs?: number;
  /** The setting HOST, which pages may be asked for by; null, as if absent: localhost and addresses alone. */
  readonly host?: string | null;
}

export async function startSandbox({ slowMs = 3_000, host = null }: SandboxOptions = {}): Promise<Sandbox> {
  const authority = await createAuthority();
  const account = { apiUser: 'sandbox', apiKey: 'sandbox' };
  const inbox = new Inbox();
  const transcripts = new Transcripts();
  const faults = new Faults();
  const receipts = new Receipts();
  const calls = new Calls();
  const ending = new AbortController();
  const upstream = await startLookAlike({
    certificate: await authority.issue(),
    accounts: { [account.apiUser]: account.apiKey },
    inbox,
    transcripts,
    faults,
    slowMs,
  });
  const guard = ownPagesOnly(host);
  const kept = { inbox, transcripts, faults, receipts, calls, ca: authority.cert, ending: ending.signal };
  return {
    host: '127.0.0.1',
    port: upstream.port,
    servername: 'localhost',
    ca: authority.cert,
    certificate: await authority.issue(),
    account,
    inbox,
    routes: new Hono().use(guard).route('/', sandboxRoutes(kept)),
    observe(event) {
      receipts.observe(event);
      calls.observe(event);
    },
    counted: (quota, limit) => calls.counted(quota, limit),
    console: (surroundings) =>
      new Hono()
        .use('/', guard)
        .use('/sandbox/*', guard)
        .route('/', consoleRoutes({ ...kept, surroundings })),
    hangUp: () => ending.abort(),
    close: upstream.close,
  };
}
