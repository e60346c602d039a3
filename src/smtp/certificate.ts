/** The door's certificate, from its PEM files. */

import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Certificate } from '../certificate.ts';
import { ConfigError } from '../config.ts';

/** @throws {ConfigError} by the setting's name, where a file cannot be read or is not what it should be */
export async function readCertificate(files: Certificate): Promise<Certificate> {
  const problems: string[] = [];
  const read = (setting: string, path: string) =>
    readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      problems.push(`${setting}: the file cannot be read (${error.code})`);
      return '';
    });
  const [cert, key] = await Promise.all([
    read('SMTP_DOOR_CERT', files.cert),
    read('SMTP_DOOR_KEY', files.key),
  ]);
  if (problems.length > 0) throw new ConfigError(problems);
  try {
    createSecureContext({ cert, key });
  } catch {
    throw new ConfigError(['SMTP_DOOR_CERT, SMTP_DOOR_KEY: expected a PEM certificate and its private key']);
  }
  return { cert, key };
}
