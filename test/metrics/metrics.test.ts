/** `GET /metrics` of a gateway that sends, as a scraper finds it. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { FAILURES } from '../../src/outcome.ts';
import { MESSAGE, type Running, startPostern } from '../support/postern.ts';

const METRICS_TOKEN = 'the-token-of-the-scraper';

const scrape = (postern: Running, authorization = `Bearer ${METRICS_TOKEN}`) =>
  fetch(`${postern.url}/metrics`, { headers: { Authorization: authorization } });

/** The series of the text, by name and labels as they stand there. */
const series = (text: string): Record<string, number> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );

function missing(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    console.warn(`${program} is not installed, its test is left out. Debian's package prometheus has it.`);
    return true;
  }
}

const basic = (user: string, password: string) => ({ Authorization: `Basic ${btoa(`${user}:${password}`)}` });

/** A gateway that has sent, replayed, refused and been refused. */
async function busy(): Promise<Running> {
  const postern = await startPostern(
    { METRICS_TOKEN, BASIC_AUTH: 'on', QUOTA_LIMIT: '3' },
    { faults: [{ at: 'rcpt', address: 'refused@ifaxin.com', do: { reply: '550 no' } }] },
  );
  for (let i = 0; i < 2; i++) await postern.send(MESSAGE, { 'Idempotency-Key': 'one' });
  await postern.send({ ...MESSAGE, to: 'refused@ifaxin.com' });
  await postern.send({ ...MESSAGE, to: [] });
  await postern.send(MESSAGE, basic('stranger', 'own-key'));
  await postern.send();
  await postern.send();
  return postern;
}

describe('GET /metrics', () => {
  it('is not there without a token, and for no one without it', async () => {
    await using without = await startPostern();
    expect((await scrape(without)).status).toBe(404);
    await using postern = await startPostern({ METRICS_TOKEN });
    expect((await scrape(postern, '')).status).toBe(401);
    expect((await scrape(postern, 'Bearer another-token-altogether')).status).toBe(401);
    expect((await scrape(postern)).status).toBe(200);
  });

  it('counts messages, attempts, calls and steps', async () => {
    await using postern = await busy();
    const answer = await scrape(postern);
    expect(answer.headers.get('Content-Type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const found = series(await answer.text());
    expect(found).toMatchObject({
      'postern_messages_total{door="http",outcome="accepted",code=""}': 3,
      'postern_messages_total{door="http",outcome="not-sent",code="recipients-refused"}': 1,
      'postern_messages_total{door="http",outcome="not-sent",code="invalid-message"}': 1,
      'postern_messages_total{door="http",outcome="not-sent",code="quota-exceeded"}': 1,
      'postern_messages_total{door="smtp",outcome="accepted",code=""}': 0,
      'postern_replays_total{door="http"}': 1,
      'postern_attempts_total{door="http"}': 5,
      'postern_quota_calls_total{api_user="ifaxin",result="drawn"}': 3,
      'postern_quota_calls_total{api_user="ifaxin",result="refused"}': 1,
      'postern_quota_calls_total{api_user="other",result="drawn"}': 1,
      postern_upstream_waiting: 0,
      'postern_quota_limit{api_user="ifaxin"}': 3,
      'postern_quota_remaining{api_user="ifaxin"}': 0,
      'postern_step_duration_seconds_count{step="send"}': 5,
      'postern_step_duration_seconds_count{step="total"}': 6,
      'postern_step_duration_seconds_bucket{step="total",le="+Inf"}': 6,
    });
    expect(found['postern_message_bytes_total{door="http"}']).toBeGreaterThan(1000);
    // With the label, and by the caller's own key without and with it.
    expect(found.postern_upstream_logins_total).toBe(3);
    expect(found.postern_upstream_idle).toBe(3);
    expect(found.process_resident_memory_bytes).toBeGreaterThan(10_000_000);
    expect(found.nodejs_eventloop_lag_p99_seconds).toBeGreaterThanOrEqual(0);
    expect(Object.keys(found).join()).not.toMatch(/stranger|@/);
  });

  it.skipIf(missing('promtool'))('is valid to Prometheus', async () => {
    await using postern = await busy();
    execFileSync('promtool', ['check', 'metrics'], { input: await (await scrape(postern)).text() });
  });
});

it('shows the pool and the outbox', async () => {
  const metrics = createMetrics(() => []);
  metrics.watchPool(() => ({ open: 3, idle: 2, waiting: 1, logins: 7 }));
  metrics.watchOutbox(async () => ({ waiting: 4, oldestDueAt: Date.now() - 60_000 }));
  const found = series(await metrics.registry.render());
  expect(found).toMatchObject({
    postern_upstream_open: 3,
    postern_upstream_idle: 2,
    postern_upstream_waiting: 1,
    postern_upstream_logins_total: 7,
    postern_outbox_messages: 4,
  });
  expect(found.postern_outbox_oldest_due_seconds).toBeGreaterThanOrEqual(60);
});

describe('the dashboard and the alert rules', () => {
  it.each(['docs/grafana-dashboard.json', 'docs/alerts.yml'])(
    '%s asks for nothing that is not there',
    async (page) => {
      await using postern = await busy();
      const metrics = createMetrics(() => []);
      metrics.watchPool(() => ({ open: 0, idle: 0, waiting: 0, logins: 0 }));
      metrics.watchOutbox(async () => ({ waiting: 0, oldestDueAt: null }));
      const text = (await (await scrape(postern)).text()) + (await metrics.registry.render());
      const there = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
      const asked = readFileSync(page, 'utf8').match(/\b(?:postern|process|nodejs)_[a-z0-9_]+/g) ?? [];
      expect(asked.length).toBeGreaterThan(5);
      expect(asked.filter((name) => !there.has(name.replace(/_bucket$/, '')))).toEqual([]);
    },
  );

  it('name failure codes that there are', () => {
    const named = [...readFileSync('docs/alerts.yml', 'utf8').matchAll(/code=~?"([^"]+)"/g)];
    const patterns = named.flatMap(([, codes = '']) => codes.split('|'));
    expect(patterns.length).toBeGreaterThan(5);
    const names = (pattern: string) => Object.keys(FAILURES).filter((code) => code.match(`^(?:${pattern})$`));
    expect(patterns.filter((pattern) => names(pattern).length === 0)).toEqual([]);
  });

  it.skipIf(missing('promtool'))('the rules are valid to Prometheus', () => {
    execFileSync('promtool', ['check', 'rules', 'docs/alerts.yml']);
  });
});
