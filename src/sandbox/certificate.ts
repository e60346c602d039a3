/**
 * Throw-away certificates: an authority that lives as long as the process, and what it signs.
 *
 * The sandbox's upstream speaks TLS like the real one, and the relay checks it like the real one; only the
 * root of trust differs.
 */
import { isIP } from 'node:net';
import { generate } from 'selfsigned';
import type { Certificate } from '../certificate.ts';

export interface Authority {
  /** The root certificate, PEM: what a client has to trust. */
  readonly cert: string;
  /** A server certificate of this authority, an elliptic curve key and one year. */
  issue(options?: CertificateOptions): Promise<Certificate>;
}

export interface CertificateOptions {
  /** DNS names and IP addresses that it is for; `localhost` and `127.0.0.1` if absent. */
  readonly names?: readonly string[];
  /** When it ends, one year after its beginning; almost a year from now if absent. */
  readonly notAfter?: Date;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const YEAR_MS = 365 * DAY_MS;
const LOOPBACK = ['localhost', '127.0.0.1'] as const;

export async function createAuthority(): Promise<Authority> {
  const root = await generate([{ name: 'commonName', value: 'Postern sandbox authority' }], {
    ...KIND,
    ...validity(endOfYear()),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return {
    cert: root.cert,
    issue: (options = {}) => serverCertificate(options, { cert: root.cert, key: root.private }),
  };
}

/** A server certificate that no authority signed. */
export const selfSigned = (options: CertificateOptions = {}): Promise<Certificate> =>
  serverCertificate(options);

const KIND = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;

async function serverCertificate(
  { names = LOOPBACK, notAfter = endOfYear() }: CertificateOptions,
  ca?: Certificate,
): Promise<Certificate> {
  const made = await generate([{ name: 'commonName', value: names[0] ?? 'nobody' }], {
    ...KIND,
    ...validity(notAfter),
    ...(ca && { ca: { ...ca } }),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: names.map(alternativeName) },
    ],
  });
  return { cert: made.cert, key: made.private };
}

/** The numbers of a GeneralName (RFC 5280 section 4.2.1.6): 2 is a DNS name, 7 an IP address. */
const alternativeName = (name: string) =>
  isIP(name) ? ({ type: 7, ip: name } as const) : ({ type: 2, value: name } as const);

// A day of the year lies in the past, so that a client whose clock is late trusts it too.
const endOfYear = () => new Date(Date.now() + YEAR_MS - DAY_MS);

const validity = (notAfter: Date) => ({
  notBeforeDate: new Date(notAfter.getTime() - YEAR_MS),
  notAfterDate: notAfter,
});
