import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
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
