/**
 * Throw-away certificates (RFC 5280): an authority that lives as long as the process, and what it signs.
 *
 * The sandbox's upstream speaks TLS like the real one, and the relay checks it like the real one; only the
 * root of trust differs.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import type { Certificate } from '../certificate.ts';
import { parseNetwork } from '../client-address.ts';
import * as der from './der.ts';

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

interface Party {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export async function createAuthority(): Promise<Authority> {
  const root = party('Postern sandbox authority');
  const extensions = [
    extension(BASIC_CONSTRAINTS, der.sequence(der.yes), 'critical'),
    // keyCertSign and cRLSign.
    extension(KEY_USAGE, der.bitString(Buffer.from([0b0000_0110]), 1), 'critical'),
  ];
  return {
    cert: certificate(root, root, endOfYear(), extensions),
    issue: (options = {}) => serverCertificate(options, root),
  };
}

/** A server certificate that no authority signed. */
export const selfSigned = (options: CertificateOptions = {}): Promise<Certificate> =>
  serverCertificate(options, null);

async function serverCertificate(
  { names = LOOPBACK, notAfter = endOfYear() }: CertificateOptions,
  authority: Party | null,
): Promise<Certificate> {
  const server = party(names[0] ?? 'localhost');
  const extensions = [
    extension(BASIC_CONSTRAINTS, der.sequence(), 'critical'),
    // digitalSignature.
    extension(KEY_USAGE, der.bitString(Buffer.from([0b1000_0000]), 7), 'critical'),
    extension(EXTENDED_KEY_USAGE, der.sequence(der.objectIdentifier(SERVER_AUTH))),
    extension(SUBJECT_ALT_NAME, der.sequence(...names.map(alternativeName))),
  ];
  return {
    cert: certificate(server, authority ?? server, notAfter, extensions),
    key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

// RFC 5280 sections 4.2.1 and A.2; RFC 5758 section 3.2.
const COMMON_NAME = '2.5.4.3';
const SUBJECT_KEY_IDENTIFIER = '2.5.29.14';
const KEY_USAGE = '2.5.29.15';
const SUBJECT_ALT_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const ECDSA_WITH_SHA256 = der.sequence(der.objectIdentifier('1.2.840.10045.4.3.2'));

const party = (name: string): Party => ({ name, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) });

/** RFC 5280 section 4.1. The key identifiers are what strict clients ask for (Python from 3.13 on). */
function certificate(subject: Party, issuer: Party, notAfter: Date, extensions: readonly Buffer[]): string {
  const notBefore = new Date(notAfter.getTime() - YEAR_MS);
  const identifiers = [
    extension(SUBJECT_KEY_IDENTIFIER, der.octetString(keyIdentifier(subject))),
    extension(AUTHORITY_KEY_IDENTIFIER, der.sequence(der.implicit(0, keyIdentifier(issuer)))),
  ];
  const toBeSigned = der.sequence(
    der.explicit(0, der.integer(Buffer.from([2]))),
    der.integer(serialNumber()),
    ECDSA_WITH_SHA256,
    nameOf(issuer),
    der.sequence(der.time(notBefore), der.time(notAfter)),
    nameOf(subject),
    subject.publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, der.sequence(...extensions, ...identifiers)),
  );
  const signature = sign('sha256', toBeSigned, issuer.privateKey);
  const signed = der.sequence(toBeSigned, ECDSA_WITH_SHA256, der.bitString(signature));
  const lines = signed.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Positive, and without a leading zero. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = 0b0100_0000 | ((bytes[0] ?? 0) & 0b0011_1111);
  return bytes;
}

const nameOf = ({ name }: Party): Buffer =>
  der.sequence(der.set(der.sequence(der.objectIdentifier(COMMON_NAME), der.utf8String(name))));

const extension = (identifier: string, value: Buffer, critical?: 'critical'): Buffer =>
  der.sequence(der.objectIdentifier(identifier), ...(critical ? [der.yes] : []), der.octetString(value));

/** RFC 5280 section 4.2.1.2 (1): any hash of the key will do. */
const keyIdentifier = ({ publicKey }: Party): Buffer =>
  createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();

/** A GeneralName (RFC 5280 section 4.2.1.6): [2] is a DNS name, [7] the bytes of an IP address. */
function alternativeName(name: string): Buffer {
  if (!isIP(name)) return der.implicit(2, Buffer.from(name));
  const bits = parseNetwork(name)?.bits ?? '';
  const bytes = Buffer.from(bits.match(/.{8}/g)?.map((octet) => Number.parseInt(octet, 2)) ?? []);
  return der.implicit(7, isIP(name) === 4 ? bytes.subarray(12) : bytes);
}

// A day of the year lies in the past, so that a client whose clock is late trusts it too.
const endOfYear = () => new Date(Date.now() + YEAR_MS - DAY_MS);
