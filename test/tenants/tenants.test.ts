/**
 * One tenant attacks while another sends a small message now and then through each door: every one of them goes
 * through, and a process of 512 MB lives. `npm run tenants` attacks for longer.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { ATTACKS, type Attack } from './attacks.ts';
import { bearer, post, sendAsVictim, startGateway, VICTIM } from './gateway.ts';

const isFull = process.env.TENANTS === 'full';
const ATTACK_MS = isFull ? 12_000 : 2_000;
const EVERY_MS = isFull ? 1_000 : 250;

const MOST_BYTES = 512 * 1024 * 1024;

/** A key that was used before the attack. */
const KEPT = {
  headers: { ...bearer(VICTIM.token), 'Idempotency-Key': 'before-the-attack' },
  body: JSON.stringify({ from: 'app@victim.example', to: ['ben@ifaxin.com'], subject: 'Kept', text: 'x' }),
};

const rows: Record<string, Record<string, string>> = {};
afterAll(() => console.table(rows));

async function attack({ name, run, isOfAddress, isSlow: _, ...options }: Attack) {
  await using gateway = await startGateway(options);
  const kept = await post(gateway.port, '/v1/messages', KEPT);
  const over = new AbortController();
  const attacking = run(gateway, over.signal);
  // It has begun before the other one sends.
  await delay(500);
  const sent = await sendAsVictim(
    gateway,
    isOfAddress ? '127.0.0.2' : '127.0.0.1',
    EVERY_MS,
    AbortSignal.timeout(ATTACK_MS),
  );
  over.abort();
  await attacking;
  const peakBytes = gateway.isAlive() ? gateway.peakBytes() : Number.POSITIVE_INFINITY;
  const again = gateway.isAlive() ? await post(gateway.port, '/v1/messages', KEPT) : null;
  const told = ({ sent: all, failed, worstMs }: (typeof sent)['http']) =>
    `${all - failed.length} of ${all}, worst ${worstMs.toFixed(0)} ms`;
  rows[name] = {
    HTTP: told(sent.http),
    SMTP: told(sent.smtp),
    'peak, MB': (peakBytes / 1024 / 1024).toFixed(0),
  };
  const subjects = gateway.upstream.taken.map(({ message }) => /^Subject: (.*)$/m.exec(String(message))?.[1]);
  return { sent, kept, again, peakBytes, doubles: subjects.filter((subject) => subject === 'Kept').length };
}

const attacks = ATTACKS.filter(({ isSlow }) => isFull || !isSlow);

test.concurrent.each(attacks)('$name', { timeout: 120_000, concurrent: !isFull }, async (one) => {
  const { sent, kept, again, peakBytes, doubles } = await attack(one);
  expect({ http: sent.http.failed, smtp: sent.smtp.failed }).toEqual({ http: [], smtp: [] });
  expect(again).toEqual(kept);
  expect(doubles).toBe(1);
  expect(peakBytes).toBeLessThan(MOST_BYTES);
});
