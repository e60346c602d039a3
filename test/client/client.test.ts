/** The typed client against the gateway, with a network between them that loses what a test says. */

import PostalMime from 'postal-mime';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type ClientOptions,
  createClient,
  type LaterMessage,
  type Message,
  PosternError,
} from '../../src/client/client.ts';
import { fault, says } from '../support/faults.ts';
import { PICTURE, type Running, startPostern, TOKEN } from '../support/postern.ts';
import type { UpstreamOptions } from '../support/upstream.ts';

const MESSAGE = {
  from: 'Support <support@ifaxin.com>',
  to: ['ben@ifaxin.com'],
  subject: 'Your order',
  text: 'It is on its way.',
} as const satisfies Message;

const hourAhead = () => new Date(Date.now() + 3_600_000);

/** What the network does with one request: passes it on, loses it, loses its answer, or answers itself. */
type Way = 'through' | 'lost' | 'answer lost' | 'never' | (() => Response);

/** A network that does as it is told for its first requests, and lets the others through. */
function network(...ways: Way[]) {
  const requests: Request[] = [];
  const send = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const way = ways[requests.length] ?? 'through';
    requests.push(new Request(input, init));
    if (way === 'lost') throw new TypeError('fetch failed');
    if (way === 'never') {
      const { promise, reject } = Promise.withResolvers<Response>();
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      return promise;
    }
    if (typeof way === 'function') return way();
    const response = await fetch(input, init);
    if (way === 'through') return response;
    await response.text();
    throw new TypeError('fetch failed');
  };
  const keys = () => requests.map(({ headers }) => headers.get('Idempotency-Key'));
  return { requests, keys, fetch: send };
}

async function open(upstream: UpstreamOptions = {}, settings: Record<string, string> = {}) {
  const postern = await startPostern(settings, upstream);
  onTestFinished(() => postern[Symbol.asyncDispose]());
  const client = (options: Partial<ClientOptions> = {}) =>
    createClient({ url: postern.url, token: TOKEN, ...options });
  return { postern, client };
}

const rejected = async (call: Promise<unknown>): Promise<PosternError> => {
  const error = await call.then(
    (answer) => expect.unreachable(`answered ${JSON.stringify(answer)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(PosternError);
  return error as PosternError;
};

const arrived = ({ upstream }: Running) =>
  Promise.all(upstream.taken.map(({ message }) => PostalMime.parse(message as Buffer)));

describe('send', () => {
  test('resolves to the receipt, and every form of content arrives as its bytes', async () => {
    const { postern, client } = await open();
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    const within = new Uint8Array(bytes.buffer, 3, 10);
    const receipt = await client().send({
      ...MESSAGE,
      html: '<p>See <img src="cid:logo"></p>',
      label: 31337,
      headers: { 'X-Campaign': 'spring' },
      inlineImages: [
        { cid: 'logo', contentType: 'image/png', content: Buffer.from(PICTURE, 'base64'), filename: 'a.png' },
      ],
      attachments: [
        { filename: 'bytes', contentType: 'application/octet-stream', content: bytes },
        { filename: 'part', contentType: 'application/octet-stream', content: within },
        {
          filename: 'words',
          contentType: 'application/octet-stream',
          content: new Uint16Array(bytes.buffer),
        },
        {
          filename: 'view',
          contentType: 'application/octet-stream',
          content: new DataView(bytes.buffer, 3, 10),
        },
        { filename: 'buffer', contentType: 'application/octet-stream', content: bytes.buffer },
        { filename: 'blob', contentType: 'application/octet-stream', content: new Blob([bytes]) },
        { filename: 'empty', contentType: 'application/octet-stream', content: new Uint8Array() },
        { filename: 'text', contentType: 'application/octet-stream', content: btoa('text') },
      ],
    });
    expect(receipt).toMatchObject({ accepted: ['ben@ifaxin.com'], label: 31337, warnings: [] });
    const [mail] = await arrived(postern);
    expect(mail?.messageId).toBe(receipt.messageId);
    const parts = Object.fromEntries(
      mail?.attachments.map(({ filename, content }) => [filename, Buffer.from(content as ArrayBuffer)]) ?? [],
    );
    expect(parts).toEqual({
      'a.png': Buffer.from(PICTURE, 'base64'),
      bytes: Buffer.from(bytes),
      part: Buffer.from(within),
      words: Buffer.from(bytes),
      view: Buffer.from(within),
      buffer: Buffer.from(bytes),
      blob: Buffer.from(bytes),
      empty: Buffer.alloc(0),
      text: Buffer.from('text'),
    });
  });

  test('sends once under the key of its caller, whatever is in it', async () => {
    const { postern, client } = await open();
    for (const idempotencyKey of ['order-17', 'a, b', 'say "hi" \\ there', '"quoted"']) {
      const sent = postern.upstream.taken.length;
      const first = await client().send(MESSAGE, { idempotencyKey });
      expect(await client().send(MESSAGE, { idempotencyKey })).toEqual(first);
      expect(postern.upstream.taken).toHaveLength(sent + 1);
      const other = rejected(client().send({ ...MESSAGE, subject: 'Another' }, { idempotencyKey }));
      expect(await other).toMatchObject({ code: 'idempotency-key-reused', retryable: false, idempotencyKey });
    }
    // The same key as the one that other clients give bare.
    const bare = await postern.send(MESSAGE, { 'Idempotency-Key': 'order-17' });
    expect(bare.headers.get('Idempotent-Replayed')).toBe('true');
  });

  test('is rejected with the problem as a type', async () => {
    const { client } = await open(says('rcpt', '550 5.1.1 no such user'));
    const { requests, fetch } = network();
    const error = await rejected(client({ fetch }).send(MESSAGE));
    expect(error).toMatchObject({
      name: 'PosternError',
      code: 'recipients-refused',
      delivery: 'not-sent',
      retryable: false,
      status: 422,
      problem: { smtp: { code: 550, enhanced: '5.1.1' }, rejected: [{ address: 'ben@ifaxin.com' }] },
      errors: [],
    });
    expect(requests).toHaveLength(1);
  });

  test('says what is wrong with the message, and where', async () => {
    const { client } = await open();
    const attachment = { filename: 'a', contentType: 'text/plain', content: '!' };
    const error = await rejected(client().send({ ...MESSAGE, to: 'ben', attachments: [attachment] }));
    expect(error.code).toBe('invalid-message');
    expect(error.errors.map(({ pointer }) => pointer).toSorted()).toEqual(['/attachments/0/content', '/to']);
    for (const { pointer, message } of error.errors)
      expect(error.message).toContain(`${pointer}: ${message}`);
  });

  test('says in a sentence what it was given in place of a message', async () => {
    const { client } = await open();
    const { requests, fetch } = network();
    const { send, sendRaw, sendBatch, queue } = client({ fetch });
    const nothing = undefined as never;
    await expect(send(nothing)).rejects.toThrow('Give the message as an object.');
    await expect(queue('Hello' as never)).rejects.toThrow('Give the message as an object.');
    await expect(sendBatch(nothing)).rejects.toThrow('Give the messages as an array.');
    await expect(sendRaw(nothing)).rejects.toThrow('Give the whole message as text, bytes or a Blob.');
    expect(requests).toHaveLength(0);
    for (const attachments of [[null], 'a.pdf']) {
      const wrong = rejected(client().send({ ...MESSAGE, attachments: attachments as never }));
      expect((await wrong).errors[0]?.pointer).toMatch(/^\/attachments(?:\/0)?$/);
    }
  });

  test('never sends a message for later at once', async () => {
    const { postern, client } = await open();
    const later: LaterMessage = { ...MESSAGE, sendAt: hourAhead() };
    await expect(client().send(later)).rejects.toThrow('Use queue()');
    await expect(client().queue({ ...MESSAGE, sendAt: new Date('soon') })).rejects.toThrow(RangeError);
    expect(postern.upstream.taken).toHaveLength(0);
  });
});

describe('another attempt', () => {
  test('is made under one key while the failure is retryable', async () => {
    const { postern, client } = await open(fault('rcpt', 'close', { times: 2 }));
    const { keys, fetch } = network();
    const receipt = await client({ fetch }).send(MESSAGE);
    expect(receipt.accepted).toEqual(['ben@ifaxin.com']);
    expect(keys().length).toBeGreaterThan(1);
    expect(keys()[0]).toMatch(/^"[0-9a-f]{32}"$/);
    expect(new Set(keys()).size).toBe(1);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test.each<Way[][]>([[['lost']], [['answer lost']], [['lost', 'answer lost', 'answer lost']]])(
    'after a network that went %j sends once',
    async (ways) => {
      const { postern, client } = await open();
      const { requests, keys, fetch } = network(...ways);
      const receipt = await client({ fetch }).send(MESSAGE);
      expect(receipt.accepted).toEqual(['ben@ifaxin.com']);
      expect(requests).toHaveLength(ways.length + 1);
      expect(new Set(keys()).size).toBe(1);
      expect(postern.upstream.taken).toHaveLength(1);
      expect(await client().send(MESSAGE)).not.toEqual(receipt);
    },
  );

  test('is never made after an unknown outcome', async () => {
    const { postern, client } = await open(fault('dot', 'close', { taken: true }));
    const { requests, fetch } = network();
    const error = await rejected(client({ fetch }).send(MESSAGE));
    expect(error).toMatchObject({ code: 'outcome-unknown', delivery: 'unknown', retryable: false });
    expect(requests).toHaveLength(1);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test('is made no more often than allowed, and the last problem is the error', async () => {
    const { client } = await open(fault('rcpt', 'close'));
    const { requests, fetch } = network();
    const once = await rejected(client({ fetch, retries: 0 }).send(MESSAGE));
    expect(once).toMatchObject({
      code: 'upstream-unreachable',
      delivery: 'not-sent',
      retryable: true,
      status: 502,
    });
    expect(requests).toHaveLength(1);
    await rejected(client({ fetch, retries: 1 }).send(MESSAGE));
    expect(requests).toHaveLength(3);
  });

  test('waits as long as Retry-After says, in either form', async () => {
    const { client } = await open();
    const away = (retryAfter: string) => () =>
      new Response('', {
        status: 503,
        headers: { Date: new Date(0).toUTCString(), 'Retry-After': retryAfter },
      });
    for (const value of ['1', new Date(1000).toUTCString()]) {
      const { requests, fetch } = network(away(value));
      const started = performance.now();
      await client({ fetch }).send(MESSAGE);
      expect(requests).toHaveLength(2);
      expect(performance.now() - started).toBeGreaterThanOrEqual(999);
    }
    for (const value of ['3600', new Date(3_600_000).toUTCString()]) {
      const { requests, fetch } = network(away(value));
      const error = await rejected(client({ fetch }).send(MESSAGE));
      expect(error).toMatchObject({ code: 'unexpected-answer', status: 503, retryAfterMs: 3_600_000 });
      expect(requests).toHaveLength(1);
    }
    const { requests, fetch } = network(away('soon'), away('-1'));
    await client({ fetch }).send(MESSAGE);
    expect(requests).toHaveLength(3);
  });

  test('leaves an earlier one that went unanswered in doubt', async () => {
    const { client } = await open(fault('rcpt', 'close'));
    const sent = (first: Way) => rejected(client({ ...network(first), retries: 1 }).send(MESSAGE));
    const code = 'upstream-unreachable';
    expect(await sent('answer lost')).toMatchObject({ code, delivery: 'unknown', retryable: true });
    expect(await sent('through')).toMatchObject({ code, delivery: 'not-sent', retryable: true });
  });

  test('that is refused for good settles an earlier one that went unanswered', async () => {
    const { client } = await open(says('dot', '554 5.7.1 no'));
    const error = await rejected(client(network('answer lost')).send(MESSAGE));
    expect(error).toMatchObject({ code: 'message-refused', delivery: 'not-sent' });
  });

  test('is not made where the calls would be drawn twice', async () => {
    const { postern, client } = await open();
    expect(await client().reportCalls(5)).toMatchObject({ apiUser: 'ifaxin', remaining: 19995 });
    const { requests, fetch } = network('answer lost');
    const error = await rejected(client({ fetch }).reportCalls(5));
    expect(error).toMatchObject({ code: 'no-answer', delivery: 'unknown', idempotencyKey: null });
    expect(requests).toHaveLength(1);
    expect(await postern.drawn()).toBe(10);
  });
});

describe('an end', () => {
  test('comes with the deadline: the outcome is unknown, and the key goes on', async () => {
    const { postern, client } = await open();
    const { fetch } = network('never');
    const error = await rejected(client({ fetch, timeoutMs: 50 }).send(MESSAGE));
    expect(error).toMatchObject({ code: 'no-answer', delivery: 'unknown', retryable: true, status: null });
    const { idempotencyKey } = error;
    if (idempotencyKey === null) throw new Error('there is no key');
    await client().send(MESSAGE, { idempotencyKey });
    await client().send(MESSAGE, { idempotencyKey });
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test('comes at the signal: in an attempt, between two, and before the first', async () => {
    const { client } = await open(says('mail', '451 4.3.2 later'));
    const reason = new Error('the user has gone');
    const inAttempt = new AbortController();
    const { fetch } = network('never');
    const hanging = client({ fetch }).send(MESSAGE, { signal: inAttempt.signal });
    inAttempt.abort(reason);
    await expect(hanging).rejects.toBe(reason);

    const between = new AbortController();
    const { requests, fetch: counted } = network(() => {
      setTimeout(() => between.abort(reason), 20);
      return new Response('', { status: 503, headers: { 'Retry-After': '20' } });
    });
    const waiting = client({ fetch: counted }).send(MESSAGE, { signal: between.signal });
    await expect(waiting).rejects.toBe(reason);
    await expect(client({ fetch: counted }).quota({ signal: between.signal })).rejects.toBe(reason);
    expect(requests).toHaveLength(1);
  });
});

describe('what is no Postern', () => {
  test.each([
    ['a page', () => new Response('<h1>Welcome</h1>'), 200, 1],
    ['JSON of another service', () => Response.json({ ok: true }), 200, 1],
    ['JSON with another status', () => Response.json({ accepted: [] }, { status: 201 }), 201, 1],
    ['JSON that is no object', () => Response.json('fine'), 200, 1],
    ["a proxy's error", () => new Response('Bad Gateway', { status: 502 }), 502, 2],
    ['JSON of a load balancer', () => Response.json({ message: 'no' }, { status: 503 }), 503, 2],
  ])('%s is no receipt', async (_, answer, status, attempts) => {
    const { client } = await open();
    const { requests, fetch } = network(answer, answer);
    const error = await rejected(client({ fetch, retries: 1 }).send(MESSAGE));
    expect(error).toMatchObject({ code: 'unexpected-answer', delivery: 'unknown', status, problem: null });
    expect(requests).toHaveLength(attempts);
  });

  test('a redirection is not followed: the token stays, and the error says where it leads', async () => {
    const { client } = await open();
    const { requests, fetch } = network(() =>
      Response.redirect('https://elsewhere.example/v1/messages', 301),
    );
    const error = await rejected(client({ fetch }).send(MESSAGE));
    expect(error.message).toContain('https://elsewhere.example/v1/messages');
    expect(requests.map(({ redirect }) => redirect)).toEqual(['manual']);
  });

  test.each([
    [{ url: 'postern.example.com' }, /"url"/],
    [{ url: 'ftp://postern.example.com' }, /"url"/],
    [{ url: 'https://me:secret@postern.example.com' }, /"url"/],
    [{ url: 'https://postern.example.com/?a=b' }, /"url"/],
    [{ token: '' }, /"token"/],
    [{ token: 'two words' }, /"token"/],
    [{ token: undefined as unknown as string }, /"token"/],
  ])('%o is no setting', (wrong, message) => {
    const create = () => createClient({ url: 'https://postern.example.com', token: TOKEN, ...wrong });
    expect(create).toThrow(message);
    expect(create).toThrow(TypeError);
  });

  test.each(['', 'ä', 'a\r\nb', 'a'.repeat(256), 123, true, {}])('%j is no key', async (wrong) => {
    const { client } = await open();
    const { requests, fetch } = network();
    const idempotencyKey = wrong as string;
    const error = await client({ fetch })
      .send(MESSAGE, { idempotencyKey })
      .catch((reason) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain('"idempotencyKey"');
    expect(requests).toHaveLength(0);
  });

  test('null is no key, so that each call has a new one', async () => {
    const { client } = await open();
    const { keys, fetch } = network();
    for (let call = 0; call < 2; call++) await client({ fetch }).send(MESSAGE, { idempotencyKey: null });
    expect(new Set(keys()).size).toBe(2);
  });

  test('an error before a request left is no missing answer', async () => {
    const { client } = await open();
    const broken = new RangeError('no fetch here');
    const fetch = () => {
      throw broken;
    };
    await expect(client({ fetch }).send(MESSAGE)).rejects.toBe(broken);
  });

  test('a wrong token is told, and a path in front of the routes is kept', async () => {
    const { postern, client } = await open();
    const { requests, fetch } = network();
    const url = `${postern.url}/mail/`;
    expect(await rejected(client({ token: 'wrong' }).quota())).toMatchObject({ code: 'unauthorized' });
    expect(await rejected(client({ url, fetch }).quota())).toMatchObject({ code: 'not-found' });
    expect(requests.map((request) => request.url)).toEqual([`${postern.url}/mail/v1/quota`]);
  });
});

describe('sendRaw', () => {
  const RAW =
    'From: support@ifaxin.com\r\nTo: ben@ifaxin.com\r\nBcc: cy@ifaxin.com\r\nSubject: Grüße\r\n\r\nä\r\n';

  test('sends the bytes, by the header or by the envelope given', async () => {
    const { postern, client } = await open();
    await client().sendRaw(RAW);
    await client().sendRaw(new Blob([RAW]), { from: 'bounces@ifaxin.com', to: ['a+b@ifaxin.com'], label: 7 });
    await client().sendRaw(RAW, { to: 'fay@ifaxin.com' });
    const message = await client(network('answer lost')).sendRaw(Buffer.from(RAW), {
      to: ['dee@ifaxin.com', 'eve@ifaxin.com'],
    });
    expect(message.accepted).toEqual(['dee@ifaxin.com', 'eve@ifaxin.com']);
    expect(postern.upstream.taken).toMatchObject([
      { from: 'support@ifaxin.com', recipients: ['ben@ifaxin.com', 'cy@ifaxin.com'] },
      { from: 'bounces@ifaxin.com', recipients: ['a+b@ifaxin.com'] },
      { from: 'support@ifaxin.com', recipients: ['fay@ifaxin.com'] },
      { from: 'support@ifaxin.com', recipients: ['dee@ifaxin.com', 'eve@ifaxin.com'] },
    ]);
    const withoutBcc = Buffer.from(RAW.replace(/Bcc:.*\r\n/, ''));
    for (const { message: bytes } of postern.upstream.taken) expect(bytes).toEqual(withoutBcc);
    expect(postern.upstream.logins.map(({ user }) => user)).toContain('ifaxin#7');
  });
});

describe('sendBatch', () => {
  test('has an outcome for each, in order', async () => {
    const { client } = await open(
      fault('rcpt', { reply: '550 5.1.1 no' }, { address: 'refused@ifaxin.com' }),
    );
    const [first, second, third] = await client().sendBatch([
      MESSAGE,
      { ...MESSAGE, to: 'refused@ifaxin.com' },
      { ...MESSAGE, sendAt: hourAhead() },
    ]);
    expect(first).toMatchObject({ status: 200, receipt: { accepted: ['ben@ifaxin.com'] } });
    expect(second).toMatchObject({ status: 422, problem: { code: 'recipients-refused' } });
    expect(third).toMatchObject({ status: 202, message: { state: 'queued' } });
  });

  test('tries again what may be accepted, and sends the others once', async () => {
    const once = { address: 'busy@ifaxin.com', times: 1 };
    const { postern, client } = await open(fault('rcpt', { reply: '450 4.2.1 later' }, once));
    const { requests, fetch } = network('answer lost');
    const results = await client({ fetch }).sendBatch([MESSAGE, { ...MESSAGE, to: 'busy@ifaxin.com' }]);
    expect(results).toMatchObject([{ status: 200 }, { status: 200 }]);
    expect(requests.length).toBeGreaterThan(1);
    expect(postern.upstream.taken.map(({ recipients }) => recipients[0]).toSorted()).toEqual([
      'ben@ifaxin.com',
      'busy@ifaxin.com',
    ]);
  });

  test('answers what is left when the attempts are used up, and after an unknown outcome', async () => {
    const { postern, client } = await open({
      faults: [
        { at: 'rcpt', do: { reply: '450 4.2.1 later' }, address: 'busy@ifaxin.com' },
        { at: 'dot', do: 'close', taken: true, times: 1 },
      ],
    });
    const doubtful = network();
    const both = await client(doubtful).sendBatch([MESSAGE, { ...MESSAGE, to: 'busy@ifaxin.com' }]);
    expect(both).toMatchObject([
      { problem: { code: 'outcome-unknown' } },
      { problem: { code: 'upstream-busy' } },
    ]);
    expect(doubtful.requests).toHaveLength(1);
    const busy = network();
    const one = await client({ ...busy, retries: 1 }).sendBatch([{ ...MESSAGE, to: 'busy@ifaxin.com' }]);
    expect(one).toMatchObject([{ status: 503, problem: { code: 'upstream-busy', retryable: true } }]);
    expect(busy.requests).toHaveLength(2);
    expect(postern.upstream.taken).toHaveLength(1);
  });
});

describe('the outbox', () => {
  test('takes a message, tells its state, and its end', async () => {
    const { postern, client } = await open();
    const { id } = await client(network('answer lost')).queue(MESSAGE);
    await vi.waitFor(async () => expect((await client().message(id)).state).toBe('accepted'));
    const { receipt } = await client().message(id);
    expect(receipt).toMatchObject({ id, accepted: ['ben@ifaxin.com'] });
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test('lists by page and all, and cancels, also when the answer is lost', async () => {
    const { postern, client } = await open();
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) {
      ids.unshift((await client().queue({ ...MESSAGE, sendAt: hourAhead() })).id);
    }
    const page = await client().messages({ state: 'queued', limit: 2 });
    expect(page.messages.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(page.cursor).toBeTypeOf('string');
    const all: string[] = [];
    for await (const { id } of client().eachMessage({ state: 'queued', limit: 2 })) all.push(id);
    expect(all).toEqual(ids);

    const [first = ''] = ids;
    expect(await client(network('answer lost')).cancel(first)).toMatchObject({
      id: first,
      state: 'cancelled',
    });
    expect(await client().cancel(first)).toMatchObject({ state: 'cancelled' });
    expect((await client().messages({ state: 'cancelled' })).messages).toHaveLength(1);
    const { id } = await client().queue(MESSAGE);
    await vi.waitFor(async () => expect((await client().message(id)).state).toBe('accepted'));
    expect(await rejected(client().cancel(id))).toMatchObject({ code: 'not-cancellable', status: 409 });
    expect(await rejected(client().message('a/b?c'))).toMatchObject({ code: 'not-found' });
    expect(postern.upstream.taken).toHaveLength(1);
  });

  test('reads the quota', async () => {
    const { client } = await open();
    await client().send(MESSAGE);
    const { remaining, limit } = await client().quota();
    expect(limit - remaining).toBe(1);
  });
});

test('the types are those of the schema', () => {
  const check = (_: (client: ReturnType<typeof createClient>) => unknown) => undefined;
  // @ts-expect-error a subject is needed
  check((client) => client.send({ from: 'a@b.example', to: 'c@d.example' }));
  // @ts-expect-error there is no such field
  check((client) => client.send({ ...MESSAGE, subjekt: '' }));
  // @ts-expect-error a message for later belongs to the outbox
  check((client) => client.send({ ...MESSAGE, sendAt: '2026-12-24T18:00:00Z' }));
  // @ts-expect-error there is no such state
  check((client) => client.messages({ state: 'sent' }));
  check(async (client) => {
    const [result] = await client.sendBatch([MESSAGE]);
    if (result && 'problem' in result) return result.problem.code satisfies PosternError['code'];
    // @ts-expect-error a queued message has no receipt of its own
    return result?.receipt;
  });
  check(async (client) => {
    for (const result of await client.sendBatch([MESSAGE])) {
      if (result.status === 200) return result.receipt.id;
      if (result.status === 202) return result.message.state;
      result.problem.code satisfies PosternError['code'];
    }
  });
});
