/** Careful clients: one Idempotency-Key a message, the same request again until its outcome is known. */

import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '../smtp/door.ts';

/** Where a gateway is, whether it runs or not. */
export interface Address {
  readonly port: number;
  readonly smtpPort: number;
}

export interface Tenant {
  readonly apiUser: string;
  readonly token: string;
}

export const WAYS = ['HTTP', 'SMTP', 'queued', 'hook'] as const;
export type Way = (typeof WAYS)[number];

export type End = 'accepted' | 'failed' | 'unknown' | 'gone';

export interface Order {
  readonly number: number;
  readonly way: Way;
  readonly tenant: Tenant;
  readonly text: string;
}

const FROM = 'app@ifaxin.com';
const TO = 'ben@ifaxin.com';
const subjectOf = ({ number }: Order) => `soak ${number}.`;
const keyOf = ({ number }: Order) => `soak-${number}`;

/** Between two tries. */
const PAUSE_MS = 200;
const POLL_MS = 2000;
/** Longer than any answer takes with its deadline. */
const PATIENCE_MS = 20_000;
/** How often a client breaks its own request off, and how soon. */
const BREAKS_OFF = 0.03;
const BREAK_OFF_MS = 50;

/**
 * Hands a message in, and resolves with its end to come: a queued one may wait for minutes. One that is sent at once may
 * be repeated at another gateway; a queued one lives where it was put.
 */
export async function handIn(order: Order, gateways: readonly Address[]): Promise<{ end: Promise<End> }> {
  const home = oneOf(gateways);
  switch (order.way) {
    case 'HTTP':
      return { end: Promise.resolve(await again(() => sendNow(order, oneOf(gateways)))) };
    case 'SMTP':
      return { end: Promise.resolve(await again(() => sendBySmtp(order, oneOf(gateways)))) };
    case 'queued':
      return { end: endOf(order, home, await again(() => enqueue(order, home))) };
    case 'hook':
      return { end: endOf(order, home, await again(() => callHook(order, home))) };
  }
}

/** Repeats a try until it knows: a connection that breaks, and a failure that may pass, resolve with null. */
async function again<T>(attempt: () => Promise<T | null>, pauseMs = PAUSE_MS): Promise<T> {
  for (;;) {
    const known = await attempt().catch(() => null);
    if (known !== null) return known;
    await delay(pauseMs * (0.5 + Math.random()));
  }
}

async function sendNow(order: Order, gateway: Address): Promise<End | null> {
  const { status, body } = await post(order, gateway, '/v1/messages', jsonOf(order), {
    'Idempotency-Key': keyOf(order),
  });
  return status === 200 ? 'accepted' : endOfProblem(body);
}

async function enqueue(order: Order, gateway: Address): Promise<string | null> {
  const { status, body } = await post(order, gateway, '/v1/messages', jsonOf(order), {
    'Idempotency-Key': keyOf(order),
    Prefer: 'respond-async',
  });
  return status === 202 ? String(body.id) : null;
}

async function callHook(order: Order, gateway: Address): Promise<string | null> {
  const path = `/v1/hooks/${order.tenant.apiUser}`;
  const { status, body } = await post(order, gateway, path, { n: order.number, text: order.text });
  return status === 202 ? String(body.id) : null;
}

/** Asks for the state until it is the last one; `gone` where it is not known any more. */
function endOf({ tenant }: Order, { port }: Address, id: string): Promise<End> {
  return again(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/messages/${id}`, {
      headers: { Authorization: `Bearer ${tenant.token}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.status === 404) return 'gone';
    const { state } = (await response.json()) as { state?: string };
    return state === 'accepted' || state === 'failed' || state === 'unknown' ? state : null;
  }, POLL_MS);
}

async function post(
  { tenant }: Order,
  { port }: Address,
  path: string,
  json: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const breaksOff = Math.random() < BREAKS_OFF;
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${tenant.token}`, 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(json),
    signal: AbortSignal.timeout(breaksOff ? Math.random() * BREAK_OFF_MS : PATIENCE_MS),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** What a problem document says of the message; null where the same request may succeed later. */
function endOfProblem({ delivery, retryable }: Record<string, unknown>): End | null {
  if (delivery === 'unknown') return 'unknown';
  return retryable === false && delivery === 'not-sent' ? 'failed' : null;
}

const jsonOf = (order: Order) => ({ from: FROM, to: [TO], subject: subjectOf(order), text: order.text });

async function sendBySmtp(order: Order, { smtpPort }: Address): Promise<End | null> {
  const client = new Client(smtpPort);
  const breaksOff = Math.random() < BREAKS_OFF;
  const late = setTimeout(() => client.reset(), breaksOff ? Math.random() * BREAK_OFF_MS : PATIENCE_MS);
  try {
    const reply = await client.deliver({
      user: order.tenant.apiUser,
      password: order.tenant.token,
      mail: `<${FROM}>`,
      recipients: [TO],
      body: `From: ${FROM}\r\nSubject: ${subjectOf(order)}\r\nIdempotency-Key: ${keyOf(order)}\r\n\r\n${order.text}\r\n`,
    });
    if (reply.startsWith('250')) return 'accepted';
    if (/Outcome unknown/.test(reply)) return 'unknown';
    return reply.startsWith('5') && !reply.startsWith('536') ? 'failed' : null;
  } finally {
    clearTimeout(late);
    client.destroy();
  }
}

export const oneOf = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;
