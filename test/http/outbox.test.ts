/** Messages for later over HTTP, from their 202 to upstream. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MESSAGE, type Running, startPostern, TOKEN } from '../support/postern.ts';
import type { UpstreamOptions } from '../support/upstream.ts';

const LATER = { Prefer: 'respond-async' };
const HOUR = 3_600_000;

async function open(settings: Record<string, string> = {}, upstream: UpstreamOptions = {}): Promise<Running> {
  const postern = await startPostern(settings, upstream);
  onTestFinished(() => postern[Symbol.asyncDispose]());
  return postern;
}

interface State {
  readonly id: string;
  readonly state: string;
  readonly sendAt: string | null;
  readonly attempts: readonly { readonly code: string }[];
  readonly nextAttemptAt: string | null;
  readonly receipt?: { readonly id: string; readonly accepted: readonly string[] };
  readonly problem?: { readonly code: string };
}

const json = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;

const stateOf = (postern: Running, id: string) => json<State>(postern.request(`/v1/messages/${id}`));

/** Reads the state until it is `state`. */
async function until(postern: Running, id: string, state: string): Promise<State> {
  for (;;) {
    const found = await stateOf(postern, id);
    if (found.state === state) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const inAnHour = () => new Date(Date.now() + HOUR).toISOString();

describe('respond-async', () => {
  test.each([
    ['respond-async; wait=10', 202],
    ['wait=10, Respond-Async=""', 202],
    ['respond-async=;foo="a", wait=1', 202],
    ['foo="a \\" b", respond-async', 202],
    ['foo="a, respond-async"', 200],
    ['foo; respond-async', 200],
    ['respond-asynchronously', 200],
  ])('is read from %j as RFC 7240 has it', async (Prefer, status) => {
    const postern = await open();
    const response = await postern.send(MESSAGE, { Prefer });
    expect(response.status).toBe(status);
    expect(response.headers.get('Preference-Applied')).toBe(status === 202 ? 'respond-async' : null);
  });

  test('is answered 202, and the message goes out once', async () => {
    const postern = await open();
    const response = await postern.send(MESSAGE, LATER);
    expect(response.status).toBe(202);
    expect(response.headers.get('Preference-Applied')).toBe('respond-async');
    const { id } = (await response.json()) as State;
    expect(response.headers.get('Location')).toBe(`/v1/messages/${id}`);
    const ended = await until(postern, id, 'accepted');
    expect(ended).toMatchObject({ sendAt: null, attempts: [], nextAttemptAt: null });
    expect(ended.receipt).toMatchObject({ id, accepted: ['ben@ifaxin.com'], label: 31337 });
    expect(postern.upstream.taken).toHaveLength(1);
    expect(postern.upstream.logins.at(-1)).toMatchObject({ user: 'ifaxin#31337', key: 'the-key' });
    expect(postern.upstream.taken[0]?.message?.toString()).toContain(`Message-ID: <${id}@`);
    expect(await postern.drawn()).toBe(1);
    const events = postern.logLines
      .map((line) => JSON.parse(line))
      .filter(({ event }) => event === 'message');
    expect(events).toMatchObject([
      { door: 'http', outcome: 'queued', id },
      { door: 'outbox', outcome: 'accepted', id },
    ]);
  });

  test('what can never be sent is refused at once', async () => {
    const postern = await open({ ACCOUNTS: ACCOUNTS, ...NO_SINGLE });
    const refused = await Promise.all([
      postern.send({ ...MESSAGE, to: ['nobody'] }, LATER),
      postern.send({ ...MESSAGE, from: 'eve@elsewhere.example' }, LATER),
    ]);
    expect(refused.map(({ status }) => status)).toEqual([422, 403]);
    expect((await json<{ messages: unknown[] }>(postern.request('/v1/messages'))).messages).toEqual([]);
  });

  test('a message that upstream refuses has the problem in its state', async () => {
    const postern = await open({}, { faults: [{ at: 'dot', do: { reply: '553 no' } }] });
    const { id } = await json<State>(postern.send(MESSAGE, LATER));
    expect(await until(postern, id, 'failed')).toMatchObject({ problem: { code: 'message-refused' } });
    expect(postern.upstream.taken).toEqual([]);
  });

  test('a message whose fate is not known is not sent again', async () => {
    const postern = await open({}, { faults: [{ at: 'dot', do: 'close', taken: true }] });
    const { id } = await json<State>(postern.send(MESSAGE, LATER));
    expect(await until(postern, id, 'unknown')).toMatchObject({ problem: { code: 'outcome-unknown' } });
    expect(postern.upstream.transactions).toHaveLength(1);
  });

  test('a message that was cut off is tried again', async () => {
    const postern = await open({}, { faults: [{ at: 'data', do: 'close', times: 1 }] });
    const { id } = await json<State>(postern.send(MESSAGE, LATER));
    const ended = await until(postern, id, 'accepted');
    expect(ended.attempts).toMatchObject([{ code: 'upstream-unreachable' }]);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test('a spent quota is waited for, and one message sent at once comes out of the reserve', async () => {
    const settings = {
      QUOTA_LIMIT: '10',
      OUTBOX_RESERVE: '0.2',
      QUOTA_WINDOW_MS: '1500',
      QUOTA_GUARD_MS: '0',
    };
    const postern = await open(settings);
    const queued = await Promise.all(
      Array.from({ length: 12 }, () => json<State>(postern.send(MESSAGE, LATER))),
    );
    while (postern.upstream.taken.length < 8) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await postern.send()).status).toBe(200);
    const ended = await Promise.all(queued.map(({ id }) => until(postern, id, 'accepted')));
    expect(ended.flatMap(({ attempts }) => attempts)).toEqual([]);
    expect(postern.upstream.taken).toHaveLength(13);
  });

  test('a batch: each item on its own', async () => {
    const postern = await open();
    const batch = [MESSAGE, { ...MESSAGE, to: [] }, { ...MESSAGE, sendAt: inAnHour() }];
    const response = await postern.request('/v1/messages/batch', { body: batch, headers: LATER });
    expect(response.status).toBe(200);
    expect(response.headers.get('Preference-Applied')).toBe('respond-async');
    const items = (await response.json()) as { status: number; message?: State; problem?: unknown }[];
    expect(items.map(({ status }) => status)).toEqual([202, 422, 202]);
    await until(postern, items[0]?.message?.id ?? '', 'accepted');
    expect(items[2]?.message).toMatchObject({ state: 'queued' });
  });
});

describe('sendAt', () => {
  test('waits for its time, and can be cancelled until then', async () => {
    const postern = await open();
    const sendAt = inAnHour();
    const response = await postern.send({ ...MESSAGE, sendAt });
    expect(response.status).toBe(202);
    expect(response.headers.get('Preference-Applied')).toBeNull();
    const queued = (await response.json()) as State;
    expect(queued).toMatchObject({ state: 'queued', sendAt, nextAttemptAt: sendAt });
    expect(await stateOf(postern, queued.id)).toEqual(queued);
    const path = `/v1/messages/${queued.id}`;
    const cancelled = await postern.request(path, { method: 'DELETE' });
    expect(cancelled.status).toBe(200);
    expect(await cancelled.json()).toMatchObject({ state: 'cancelled', nextAttemptAt: null });
    const again = await postern.request(path, { method: 'DELETE' });
    expect(again.status).toBe(409);
    expect(await again.json()).toMatchObject({ code: 'not-cancellable' });
    expect(postern.upstream.sessions).toEqual([]);
  });

  test('that comes soon is kept to', async () => {
    const postern = await open();
    const sendAt = Date.now() + 400;
    const { id } = await json<State>(postern.send({ ...MESSAGE, sendAt: new Date(sendAt).toISOString() }));
    await until(postern, id, 'accepted');
    expect(Date.now()).toBeGreaterThanOrEqual(sendAt);
  });
});

describe('an Idempotency-Key', () => {
  test('gives the same message', async () => {
    const postern = await open();
    const headers = { ...LATER, 'Idempotency-Key': 'k' };
    const [first, second] = [await postern.send(MESSAGE, headers), await postern.send(MESSAGE, headers)];
    const { id } = (await first.json()) as State;
    expect([second.status, second.headers.get('Idempotent-Replayed')]).toEqual([202, 'true']);
    expect(await second.json()).toMatchObject({ id });
    await until(postern, id, 'accepted');
    const other = await postern.send({ ...MESSAGE, subject: 'another' }, headers);
    expect(await other.json()).toMatchObject({ code: 'idempotency-key-reused' });
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test('of a queued message holds at both doors after a restart, in the file alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-keys-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const OUTBOX = join(folder, 'outbox.db');
    const key = { 'Idempotency-Key': 'k' };
    const before = await open({ OUTBOX });
    const { id } = await json<State>(before.send(MESSAGE, { ...LATER, ...key }));
    await until(before, id, 'accepted');
    expect((await before.send(MESSAGE, key)).status).toBe(422);
    await before.close();

    const after = await open({ OUTBOX });
    const now = await after.send(MESSAGE, key);
    expect([now.status, await now.json()]).toEqual([
      422,
      expect.objectContaining({ code: 'idempotency-key-reused' }),
    ]);
    const later = await after.send(MESSAGE, { ...LATER, ...key });
    expect([later.status, await later.json()]).toEqual([202, expect.objectContaining({ id })]);
    expect((await after.send(MESSAGE, { 'Idempotency-Key': 'another' })).status).toBe(200);
    expect(after.upstream.taken).toHaveLength(1);
  });
});

const ACCOUNTS = JSON.stringify([
  { apiUser: 'ifaxin', apiKey: 'the-key', tokens: [TOKEN], from: ['ifaxin.com'] },
  { apiUser: 'other', apiKey: 'other-key', tokens: ['token-of-the-other-account'] },
]);
const NO_SINGLE = { SENDCLOUD_API_USER: '', SENDCLOUD_API_KEY: '', GATEWAY_TOKENS: '' };

describe('the list', () => {
  test('is the caller’s own, newest first, by state and page by page', async () => {
    const postern = await open({ ACCOUNTS, ...NO_SINGLE });
    const other = { Authorization: 'Bearer token-of-the-other-account' };
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) {
      ids.unshift((await json<State>(postern.send({ ...MESSAGE, sendAt: inAnHour() }))).id);
    }
    const foreign = await json<State>(postern.send({ ...MESSAGE, sendAt: inAnHour() }, other));
    await postern.request(`/v1/messages/${ids[1]}`, { method: 'DELETE' });

    const list = async (query: string, headers = {}) => {
      const page = await json<{ messages: State[]; cursor: string | null }>(
        postern.request(`/v1/messages${query}`, { headers }),
      );
      return { ids: page.messages.map(({ id }) => id), cursor: page.cursor };
    };
    expect(await list('')).toEqual({ ids, cursor: null });
    expect(await list('', other)).toEqual({ ids: [foreign.id], cursor: null });
    expect(await list('?state=cancelled')).toEqual({ ids: [ids[1]], cursor: null });
    const page = await list('?limit=2');
    expect(page.ids).toEqual(ids.slice(0, 2));
    expect(await list(`?limit=2&cursor=${page.cursor}`)).toEqual({ ids: ids.slice(2), cursor: null });
    expect(await list(`?cursor=${page.cursor}`, other)).toEqual({ ids: [], cursor: null });

    for (const method of ['GET', 'DELETE']) {
      const response = await postern.request(`/v1/messages/${foreign.id}`, { method });
      expect(response.status).toBe(404);
    }
    expect(await list('?cursor=')).toEqual({ ids, cursor: null });
    for (const [query, name] of [
      ['?cursor=x', 'cursor'],
      ['?limit=1&colour=red', 'colour'],
      ['?constructor=1', 'constructor'],
      ['?state=queued&state=cancelled', 'state'],
    ]) {
      const response = await postern.request(`/v1/messages${query}`);
      expect([response.status, await response.json()]).toEqual([
        400,
        expect.objectContaining({ code: 'invalid-request', detail: expect.stringContaining(`"${name}"`) }),
      ]);
    }
    expect((await postern.request('/v1/messages?state=gone')).status).toBe(400);
    expect((await postern.request('/v1/messages?limit=0')).status).toBe(400);
    expect((await postern.request('/v1/messages?limit=101')).status).toBe(400);
  });
});

describe('the outbox', () => {
  test('that is full: 503 with Retry-After, nothing kept, and messages are sent at once', async () => {
    const postern = await open({ OUTBOX_MAX_BYTES: '1000000' });
    const large = { ...MESSAGE, html: undefined, text: 'x '.repeat(300_000), inlineImages: undefined };
    const sendAt = inAnHour();
    expect((await postern.send({ ...large, sendAt })).status).toBe(202);
    const full = await postern.send({ ...large, sendAt }, { 'Idempotency-Key': 'k' });
    expect([full.status, Number(full.headers.get('Retry-After')) > 0]).toEqual([503, true]);
    expect(await full.json()).toMatchObject({ code: 'store-unavailable' });
    const { messages } = await json<{ messages: State[] }>(postern.request('/v1/messages'));
    expect(messages).toHaveLength(1);
    expect((await postern.send(large, { 'Idempotency-Key': 'k' })).status).toBe(200);
  });

  test('that is off: 501 for what cannot go now, and a preference is passed over', async () => {
    const postern = await open({ OUTBOX: 'off' });
    expect((await postern.send(MESSAGE, LATER)).status).toBe(200);
    for (const response of [
      postern.send({ ...MESSAGE, sendAt: inAnHour() }),
      postern.request('/v1/messages'),
      postern.request('/v1/messages/x'),
      postern.request('/v1/messages/x', { method: 'DELETE' }),
    ]) {
      expect((await response).status).toBe(501);
      expect(await (await response).json()).toMatchObject({ code: 'outbox-off' });
    }
  });

  test('shows in /readyz and in the metrics', async () => {
    const postern = await open({ METRICS_TOKEN: 'a-token-for-the-metrics' });
    await postern.send({ ...MESSAGE, sendAt: inAnHour() });
    const ready = await json<{ parts: unknown }>(postern.request('/readyz'));
    expect(ready.parts).toMatchObject({ outbox: null });
    const headers = { Authorization: 'Bearer a-token-for-the-metrics' };
    const metrics = await (await postern.request('/metrics', { headers })).text();
    expect(metrics).toContain('postern_outbox_messages 1\n');
    expect(metrics).toContain('postern_outbox_oldest_due_seconds 0\n');
  });
});
