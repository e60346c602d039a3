import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createAuthority, selfSigned } from '../../src/sandbox/certificate.ts';

it('signs a certificate for this machine', async () => {
  const authority = await createAuthority();
  const root = new X509Certificate(authority.cert);
  const leaf = new X509Certificate((await authority.issue()).cert);
  expect(leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.checkHost('localhost')).toBe('localhost');
  expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(leaf.ca).toBe(false);
  expect(root.ca).toBe(true);
});

it('makes certificates that are wrong', async () => {
  const authority = await createAuthority();
  const yesterday = new Date(Date.now() - 24 * 60 * 60 * 1000);
  const expired = new X509Certificate((await authority.issue({ notAfter: yesterday })).cert);
  expect(expired.validToDate.getTime()).toBeLessThan(Date.now());
  expect(expired.validFromDate.getTime()).toBeLessThan(expired.validToDate.getTime());

  const other = new X509Certificate((await authority.issue({ names: ['other.example'] })).cert);
  expect(other.checkHost('localhost')).toBeUndefined();
  expect(other.checkHost('other.example')).toBe('other.example');

  const alone = new X509Certificate((await selfSigned()).cert);
  expect(alone.verify(alone.publicKey)).toBe(true);
  expect(alone.checkHost('localhost')).toBe('localhost');
});

it.each(['2049-12-31T23:59:59.000Z', '2050-01-01T00:00:00.000Z'])('ends at %s', async (end) => {
  const authority = await createAuthority();
  const { cert } = await authority.issue({ notAfter: new Date(end), names: ['::1', '192.0.2.1'] });
  const leaf = new X509Certificate(cert);
  expect(leaf.validToDate.toISOString()).toBe(end);
  expect(leaf.validFromDate.getTime()).toBe(new Date(end).getTime() - 365 * 24 * 60 * 60 * 1000);
  expect(leaf.checkIP('::1')).toBe('::1');
  expect(leaf.checkIP('192.0.2.1')).toBe('192.0.2.1');
});

it.skipIf(!openssl())('makes what a strict reader takes', async () => {
  const authority = await createAuthority();
  const { cert } = await authority.issue();
  const folder = await mkdtemp(join(tmpdir(), 'postern-certificate-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'ca.pem'), authority.cert);
  await writeFile(join(folder, 'cert.pem'), cert);
  const check = ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'localhost'];
  const answer = execFileSync('openssl', [...check, '-CAfile', 'ca.pem', 'cert.pem'], { cwd: folder });
  expect(String(answer)).toBe('cert.pem: OK\n');
});

function openssl(): boolean {
  try {
    execFileSync('openssl', ['version']);
    return true;
  } catch {
    console.warn('openssl is not installed, its test is left out.');
    return false;
  }
}
