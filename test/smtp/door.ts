/** Postern with its SMTP door open on a free port, and what its log says of each message. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { authority, type Running, startPostern } from '../support/postern.ts';
import type { UpstreamOptions } from '../support/upstream.ts';

export interface RunningDoor extends Running {
  readonly smtpPort: number;
  /** The facts of the log's lines with this event. */
  logged(event: string): Record<string, unknown>[];
}

const directory = await mkdtemp(join(tmpdir(), 'postern-door-'));
afterAll(() => rm(directory, { recursive: true }));
export const certificateFiles = {
  SMTP_DOOR_CERT: join(directory, 'cert.pem'),
  SMTP_DOOR_KEY: join(directory, 'key.pem'),
};
const certificate = await authority.issue();
await writeFile(certificateFiles.SMTP_DOOR_CERT, certificate.cert);
await writeFile(certificateFiles.SMTP_DOOR_KEY, certificate.key);

/** Where a client that needs a file finds the authority to trust. */
export const caFile = join(directory, 'ca.pem');
await writeFile(caFile, authority.cert);

/** Starts an upstream and a gateway with both doors before it; for `await using`. */
export async function startDoor(
  settings: Readonly<Record<string, string>> = {},
  upstreamOptions: UpstreamOptions = {},
): Promise<RunningDoor> {
  const running = await startPostern(
    { SMTP_DOOR_PORT: '0', ...certificateFiles, ...settings },
    upstreamOptions,
  );
  if (running.smtpPort === null) throw new Error('The SMTP door is not open');
  return {
    ...running,
    smtpPort: running.smtpPort,
    logged: (event) =>
      running.logLines
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((facts) => facts.event === event),
  };
}
