/** Upstreams that go wrong, as the failure tables of both doors and of every runtime name them. */

import { createAuthority, selfSigned } from '../../src/sandbox/certificate.ts';
import { authority } from './postern.ts';
import type { Fault, Step, UpstreamOptions } from './upstream.ts';

/** One fault at one step. */
export const fault = (at: Step, action: Fault['do'], more: Partial<Fault> = {}): UpstreamOptions => ({
  faults: [{ at, ...(action && { do: action }), ...more }],
});

/** Another reply than the usual one. */
export const says = (at: Step, text: string): UpstreamOptions => fault(at, { reply: text });

/** The settings of one account with a policy, in place of the usual one. */
export const accountWith = (policy: object): Record<string, string> => ({
  ACCOUNTS: JSON.stringify([
    { apiUser: 'ifaxin', apiKey: 'the-key', tokens: ['a-token-for-the-tests'], ...policy },
  ]),
  SENDCLOUD_API_USER: '',
  SENDCLOUD_API_KEY: '',
  GATEWAY_TOKENS: '',
});

const otherAuthority = await createAuthority();

/** Each ends as `upstream-insecure`, and nothing is sent. */
export const INSECURE: readonly { readonly name: string; readonly upstream: UpstreamOptions }[] = [
  { name: 'STARTTLS missing', upstream: { starttls: 'missing' } },
  { name: 'STARTTLS refused', upstream: { starttls: 'refused' } },
  { name: 'a self-signed certificate', upstream: { certificate: await selfSigned() } },
  { name: 'a certificate of an unknown authority', upstream: { certificate: await otherAuthority.issue() } },
  {
    name: 'an expired certificate',
    upstream: { certificate: await authority.issue({ notAfter: new Date(Date.now() - 60_000) }) },
  },
  {
    name: 'a certificate for another name',
    upstream: { certificate: await authority.issue({ names: ['mail.example.com'] }) },
  },
  {
    name: 'TLS 1.1 at the most',
    upstream: { tls: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } },
  },
];
