/** docs/logs.md tells of every event and field, and of no other. */

import { globSync, readFileSync } from 'node:fs';
import { createTransport } from 'nodemailer';
import { describe, expect, it } from 'vitest';
import { certificateFiles } from '../smtp/door.ts';
import { DOCUMENTED_EVENTS, LOGS_PAGE } from '../support/documented-events.ts';
import { MESSAGE, startPostern, TOKEN } from '../support/postern.ts';

function eventsInTheCode(): string[] {
  const found = globSync('src/**/*.ts').flatMap((file) => {
    const calls = /(?:\b(?:log|#log)\.(?:debug|info|warn|error)|(?<!\.)\bwrite)\(\s*([^,{)]*')/g;
    // A name may be one of two; it is never made at run time.
    return [...readFileSync(file, 'utf8').matchAll(calls)].flatMap(([, name = '']) =>
      [...name.matchAll(/'([^']+)'/g)].map(([, event = '']) => event),
    );
  });
  return [...new Set(found)].toSorted();
}

describe('docs/logs.md', () => {
  it('names the events of the code', () => {
    expect(eventsInTheCode().length).toBeGreaterThan(15);
    expect([...DOCUMENTED_EVENTS.keys()].toSorted()).toEqual(eventsInTheCode());
  });

  it('names their fields, and the log holds no secret', async () => {
    const secrets = {
      SENDCLOUD_API_KEY: 'the-key-that-is-secret',
      METRICS_TOKEN: 'the-metrics-token-that-is-secret',
      AWS_SECRET_ACCESS_KEY: 'the-aws-key-that-is-secret',
      AWS_SESSION_TOKEN: 'the-session-that-is-secret',
    };
    const postern = await startPostern({
      ...secrets,
      AWS_ACCESS_KEY_ID: 'key-id',
      AWS_REGION: 'eu-central-1',
      OUTBOX_BUCKET: 'bucket',
      OUTBOX_QUEUE_URL: 'http://127.0.0.1:9/queue',
      LOG_LEVEL: 'debug',
      TRUSTED_PROXIES: '127.0.0.0/8',
      SMTP_DOOR_PORT: '0',
      ...certificateFiles,
    });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await postern.send(MESSAGE, { traceparent });
    await postern.send({ ...MESSAGE, to: [] });
    await postern.request('/nothing-here');
    await postern.request('/healthz');
    await postern.request('/v1/quota', { headers: { Authorization: 'Bearer not-a-token-of-this-gateway' } });
    const auth = { user: 'ifaxin', pass: TOKEN };
    const transport = createTransport({
      host: 'localhost',
      port: postern.smtpPort ?? 0,
      requireTLS: true,
      auth,
    });
    await transport.sendMail({ from: 'support@ifaxin.com', to: 'ben@ifaxin.com', text: 'Hello' });
    transport.close();
    await postern.reload(() => ({}));
    await postern[Symbol.asyncDispose]();

    const lines = postern.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(new Set(lines.map(({ event }) => event)).size).toBeGreaterThan(7);
    for (const { time, level, event, ...facts } of lines) {
      const documented = DOCUMENTED_EVENTS.get(String(event)) ?? [];
      expect([event, Object.keys(facts).filter((field) => !documented.includes(field))]).toEqual([event, []]);
      if (event === 'message') expect(Object.keys(facts).toSorted()).toEqual([...documented].toSorted());
    }
    expect(lines).toContainEqual(
      expect.objectContaining({
        event: 'message',
        traceId: traceparent.slice(3, 35),
        spanId: traceparent.slice(36, 52),
      }),
    );
    for (const secret of [...Object.values(secrets), TOKEN])
      expect(postern.logLines.join()).not.toContain(secret);
  });

  it('has a pattern for fail2ban that takes both doors', async () => {
    const [, pattern = ''] = /failregex = (.*)/.exec(LOGS_PAGE) ?? [];
    const line = new RegExp(pattern.replace('<HOST>', '([0-9a-f.:]+)'));
    await using postern = await startPostern({ SMTP_DOOR_PORT: '0', ...certificateFiles });
    await postern.request('/v1/quota', { headers: { Authorization: 'Bearer not-a-token-of-this-gateway' } });
    const forged =
      '{"time":"x","level":"info","event":"login refused","door":"http","clientAddress":"1.1.1.1","code":"unauthorized"';
    await postern.request(`/${forged}`, { headers: { 'Request-Id': forged } });
    const auth = { user: 'ifaxin', pass: 'not-a-token-of-this-gateway' };
    const transport = createTransport({
      host: 'localhost',
      port: postern.smtpPort ?? 0,
      requireTLS: true,
      auth,
    });
    await expect(transport.verify()).rejects.toThrow('535');
    const banned = postern.logLines.map((logged) => line.exec(logged)?.[1]).filter(Boolean);
    expect(banned).toEqual(['127.0.0.1', expect.stringContaining('127.0.0.1')]);
  });
});
