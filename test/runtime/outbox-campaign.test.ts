/** A campaign larger than its quota. `npm run crash` runs it in full: 30,000 messages at 20,000 a minute. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startChild } from '../support/child.ts';
import { authority, TOKEN } from '../support/postern.ts';
import { startUpstream } from '../support/upstream.ts';

const isFull = process.env.CRASH === 'full';
const CAMPAIGN = isFull
  ? { messages: 30_000, limit: 20_000, windowMs: 60_000, singleEveryMs: 2000 }
  : { messages: 300, limit: 60, windowMs: 3_000, singleEveryMs: 700 };

test(
  'waits for its quota, fails nothing, holds the window, and lets single messages through',
  async () => {
    const { messages, limit, windowMs, singleEveryMs } = CAMPAIGN;
    const folder = await mkdtemp(join(tmpdir(), 'postern-campaign-'));
    await writeFile(join(folder, 'ca.pem'), authority.cert);
    const upstream = await startUpstream({ certificate: await authority.issue() });
    const child = await startChild({
      command: ['bin/postern.mjs'],
      environment: {
        NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
        SENDCLOUD_API_USER: 'ifaxin',
        SENDCLOUD_API_KEY: 'the-key',
        GATEWAY_TOKENS: TOKEN,
        SMTP_HOST: 'localhost',
        SMTP_PORTS: String(upstream.port),
        QUOTA_LIMIT: String(limit),
        QUOTA_WINDOW_MS: String(windowMs),
        OUTBOX: join(folder, 'outbox.db'),
        PORT: '0',
      },
      ready: /"event":"listening".*"port":(\d+)/,
    });
    const ask = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
      fetch(`http://127.0.0.1:${child.announced}${path}`, {
        headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json', ...headers },
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
      });
    const mail = (subject: string) => ({
      from: 'a@ifaxin.com',
      to: ['b@ifaxin.com'],
      subject,
      text: 'Hello',
    });

    /** What upstream had seen, by time. */
    const samples: { readonly at: number; readonly calls: number }[] = [];
    const sampling = setInterval(
      () => samples.push({ at: performance.now(), calls: upstream.transactions.length }),
      5,
    );

    const started = performance.now();
    const ids: string[] = [];
    for (let first = 0; first < messages; first += 100) {
      const batch = Array.from({ length: 100 }, (_, index) => mail(`campaign ${first + index}.`));
      const items = await (await ask('/v1/messages/batch', batch, { Prefer: 'respond-async' })).json();
      for (const { status, message } of items as { status: number; message: { id: string } }[]) {
        expect(status).toBe(202);
        ids.push(message.id);
      }
    }
    const putMs = performance.now() - started;

    const singles: number[] = [];
    const waiting = async () => {
      const pages = ['queued', 'sending'].map((state) => ask(`/v1/messages?state=${state}&limit=1`));
      const bodies = await Promise.all(pages.map(async (page) => (await page).json()));
      return (bodies as { messages: unknown[] }[]).some((body) => body.messages.length > 0);
    };
    while (await waiting()) {
      const before = performance.now();
      expect((await ask('/v1/messages', mail(`single ${singles.length}.`))).status).toBe(200);
      singles.push(performance.now() - before);
      await delay(singleEveryMs);
    }
    const sentMs = performance.now() - started;
    clearInterval(sampling);

    let first = 0;
    let most = 0;
    for (const { at, calls } of samples) {
      while ((samples[first]?.at ?? at) < at - windowMs) first++;
      most = Math.max(most, calls - (samples[first]?.calls ?? 0));
    }
    const slowest = Math.max(...singles);
    console.table({
      messages,
      'put, s': putMs / 1000,
      'sent, s': sentMs / 1000,
      'most in a window': most,
      limit,
      singles: singles.length,
      'slowest single, ms': slowest,
    });
    expect(most).toBeLessThanOrEqual(limit);
    // It did come to the limit of what queued messages may draw.
    expect(most).toBeGreaterThan(limit * 0.85);
    if (isFull) expect(slowest).toBeLessThan(2000);

    const ended = [];
    for (const id of ids) ended.push(await (await ask(`/v1/messages/${id}`)).json());
    expect(ended.filter((one) => (one as { state: string }).state !== 'accepted')).toEqual([]);
    expect(ended.flatMap((one) => (one as { attempts: unknown[] }).attempts)).toEqual([]);
    const subjects = upstream.taken.map(({ message }) => /^Subject: (.*)$/m.exec(String(message))?.[1]);
    expect(new Set(subjects).size).toBe(messages + singles.length);
    expect(subjects).toHaveLength(messages + singles.length);

    await child.close();
    await upstream.close();
    await rm(folder, { recursive: true });
  },
  isFull ? 900_000 : 120_000,
);
