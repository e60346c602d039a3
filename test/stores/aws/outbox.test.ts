import { createHash, createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Claim, NewEntry } from '../../../src/outbox.ts';
import type { Accepted } from '../../../src/outcome.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { createBucket } from '../../../src/stores/aws/bucket.ts';
import { type AwsOutbox, createAwsOutbox } from '../../../src/stores/aws/outbox.ts';
import { createQueue } from '../../../src/stores/aws/queue.ts';
import { outboxContract } from '../../contract/outbox.ts';
import { type Fault, REGION, startAws, type TestAws } from '../../support/aws.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const LEASE_MS = MINUTE;
const NONE: ReadonlySet<string> = new Set();
const NO_REST: ReadonlyMap<string, number> = new Map();

let aws: TestAws;
beforeEach(async () => {
  aws = await startAws();
  // No pause before another try.
  vi.spyOn(Math, 'random').mockReturnValue(0);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  await aws.close();
});

const SECRETS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the-secret', sessionToken: 'the-session' };

/** Another process on the same bucket and queue. */
function open(timeoutMs = 5000, { endpoint, bucket, queueUrl } = aws, keepMs = 7 * DAY): AwsOutbox {
  const options = { ...SECRETS, region: REGION, timeoutMs, endpoint };
  return createAwsOutbox({
    bucket: createBucket({ ...options, bucket }),
    queue: createQueue({ ...options, queueUrl }),
    keepMs,
  });
}

async function list(outbox: AwsOutbox, options: Parameters<AwsOutbox['list']>[1]) {
  const page = await outbox.list('apiuser', options);
  if (!page) throw new Error('the cursor is none of the list');
  return page;
}

/** Everybody's clock: this process's, the gateway's and that of the queue. */
function stopClock(): (ms: number) => void {
  vi.useFakeTimers({ toFake: ['Date'] });
  return (ms) => vi.setSystemTime(Date.now() + ms);
}

const KEY = { key: '["apiuser","k"]', fingerprint: 'print' };
const LEASE = { count: 10, leaseMs: LEASE_MS, except: NONE };

function entry(id: string, more: Partial<NewEntry> = {}): NewEntry {
  const content = new TextEncoder().encode(`Subject: ${id}\r\n\r\nThe body of ${id}\r\n`);
  return {
    id,
    apiUser: 'apiuser',
    loginAs: 'apiuser',
    apiKey: null,
    envelope: { from: 'support@ifaxin.com', to: ['ben@ifaxin.com'], size: content.length, eightBit: false },
    content,
    facts: {
      messageId: `<${id}@ifaxin.com>`,
      label: null,
      size: content.length,
      embedded: 0,
      warnings: [],
    },
    sendAt: null,
    key: null,
    ...more,
  };
}

const ACCEPTED: Accepted = {
  delivery: 'accepted',
  reply: { code: 250, enhanced: null, phase: 'dot', response: '250 #1#Queued' },
  queueId: '1',
  emailIds: {},
  accepted: ['ben@ifaxin.com'],
  rejected: [],
};

const FAULTS: readonly Fault[] = ['drop', 'drop-answer'];

/** Every request of a work in turn: that one alone, or all from there on. */
function* faultsOf(requests: number): Generator<[string, TestAws['fault'], boolean]> {
  for (const fault of FAULTS) {
    for (let at = 0; at < requests; at++) {
      yield [`${fault} of request ${at}`, (_what, index) => (index === at ? fault : null), false];
      yield [`${fault} from request ${at}`, (_what, index) => (index >= at ? fault : null), true];
    }
  }
}

const requestsOf = async (work: () => Promise<unknown>): Promise<string[]> => {
  const before = aws.requests.length;
  await work();
  return aws.requests.slice(before).map(({ what }) => what);
};

describe('the contract', () => {
  outboxContract(
    async ({ keepMs }) => {
      const away = await startAws();
      return { outbox: open(10_000, away, keepMs), close: () => away.close() };
    },
    // SQS delivers in any order and counts about; a bucket is never full.
    { order: true, counts: true, bound: true },
  );
});

test('requests: 3 to put, 1 more with a key; 4 to claim, 1 to mark, 3 to settle', async () => {
  const outbox = open();
  expect(await requestsOf(() => outbox.put(entry('a')))).toEqual(['PUT body', 'SendMessage', 'PUT state']);
  let claims: readonly Claim[] = [];
  const claim = async () => {
    claims = await outbox.claim({ ...LEASE, count: 1 });
  };
  const claimed = await requestsOf(claim);
  expect(claimed.sort()).toEqual(['GET body', 'GET state', 'PUT state', 'ReceiveMessage']);
  const [claimOfA] = claims as [Claim];
  expect(await requestsOf(() => outbox.mark(claimOfA))).toEqual(['PUT state']);
  expect(await requestsOf(() => outbox.settle(claimOfA, ACCEPTED))).toEqual([
    'PUT state',
    'PUT body',
    'DeleteMessage',
  ]);

  expect(await requestsOf(() => outbox.put(entry('b', { key: KEY })))).toHaveLength(4);
  await claim();
  const [claimOfB] = claims as [Claim];
  expect(await requestsOf(() => outbox.postpone(claimOfB, Date.now(), null))).toEqual([
    'SendMessage',
    'PUT state',
    'DeleteMessage',
  ]);
});

test('requests are signed as AWS’s own signer signs them', async () => {
  const { SignatureV4 } = await import('@smithy/signature-v4');
  const outbox = open();
  await outbox.put(entry('a', { apiUser: 'user+*@ifaxin.com', key: KEY }));
  const { endpoint, bucket } = aws;
  const options = { ...SECRETS, region: REGION, timeoutMs: 5000, endpoint };
  await createBucket({ ...options, bucket }).list('body/user+*@ifaxin.com/', 'a cursor+/=', 10);
  await outbox.ping();
  await outbox.cancel('user+*@ifaxin.com', 'a');
  expect(aws.requests.length).toBeGreaterThan(9);

  class Sha256 {
    readonly hash;
    constructor(key?: unknown) {
      this.hash = key === undefined ? createHash('sha256') : createHmac('sha256', key as Uint8Array);
    }
    update(data: string | Uint8Array) {
      this.hash.update(data);
    }
    digest = async () => new Uint8Array(this.hash.digest());
    reset() {}
  }
  for (const { method, url, headers, body } of aws.requests) {
    const { authorization = '', 'x-amz-date': date = '' } = headers;
    const [, service = '', names = ''] =
      /\/([a-z0-9]+)\/aws4_request, SignedHeaders=([^,]+)/.exec(authorization) ?? [];
    const { pathname, searchParams } = new URL(url, aws.endpoint);
    const signer = new SignatureV4({
      service,
      region: REGION,
      credentials: { ...SECRETS },
      sha256: Sha256,
      uriEscapePath: service !== 's3',
      applyChecksum: service === 's3',
    });
    const signed = await signer.sign(
      {
        method,
        protocol: 'http:',
        hostname: '127.0.0.1',
        path: pathname,
        query: Object.fromEntries(searchParams),
        headers: Object.fromEntries(names.split(';').map((name) => [name, headers[name] ?? ''])),
        body,
      },
      { signingDate: new Date(date.replace(/(....)(..)(..T..)(..)/, '$1-$2-$3:$4:')) },
    );
    expect(signed.headers.authorization).toBe(authorization);
    // S3 takes no body in chunks of unknown number.
    if (method === 'PUT') expect(headers['content-length']).toBe(String(body.length));
  }
});

describe('a put that breaks off', () => {
  test.each([...faultsOf(4)])(
    '%s: a repetition keeps exactly one message under its key',
    async (_name, fault, isLasting) => {
      const outbox = open();
      aws.fault = fault;
      const first = await outbox.put(entry('first', { key: KEY })).catch((error: unknown) => error);
      aws.fault = () => null;
      if (isLasting) expect(first).toBeInstanceOf(StoreUnavailable);

      const second = await outbox.put(entry('second', { key: KEY }));
      expect(second).toMatchObject({ state: expect.stringMatching(/^(?:put|known)$/) });
      const id = 'id' in second ? second.id : '';
      expect(await outbox.put(entry('third', { key: KEY }))).toEqual({ state: 'known', id });
      expect(await outbox.put(entry('third', { key: { ...KEY, fingerprint: 'other' } }))).toEqual({
        state: 'mismatch',
      });
      expect(await outbox.find('apiuser', KEY.key)).toEqual({ id, fingerprint: KEY.fingerprint });
      if (!(first instanceof Error)) expect(first).toMatchObject({ id });

      const { records } = await list(outbox, { state: null, limit: 10, cursor: null });
      expect(records.map((record) => record.id)).toEqual([id]);
      const claims = await outbox.claim(LEASE);
      expect(claims).toHaveLength(1);
      const [claim] = claims as [Claim];
      expect(claim.id).toBe(id);
      // The content, the envelope and the facts are those of one and the same request.
      expect(claim.content).toHaveLength(claim.envelope.size ?? 0);
      expect(records[0]?.facts.messageId).toBe(
        /^Subject: (\w+)/.exec(Buffer.from(claim.content).toString())?.[1]?.replace(/.*/, '<$&@ifaxin.com>'),
      );
      await outbox.settle(claim, ACCEPTED);
      expect(await outbox.claim(LEASE)).toEqual([]);
    },
  );

  test.each([...faultsOf(3)])(
    '%s: without a key there is the whole message or nothing',
    async (_name, fault) => {
      const outbox = open();
      aws.fault = fault;
      const put = await outbox.put(entry('a')).catch((error: unknown) => error);
      aws.fault = () => null;
      const [claim] = await outbox.claim(LEASE);
      const record = await outbox.read('apiuser', 'a');
      if (put instanceof Error) expect(put).toBeInstanceOf(StoreUnavailable);
      // A lost answer to the last write leaves it open; then what is there can be sent.
      if (!(put instanceof Error) || record) expect(claim?.content).toEqual(entry('a').content);
      else expect(claim).toBeUndefined();
      expect(record === null).toBe(claim === undefined);
    },
  );

  test('two at once under one key keep one message', async () => {
    const puts = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map((id) => open().put(entry(id, { key: KEY }))),
    );
    const ids = new Set(puts.map((put) => ('id' in put ? put.id : 'mismatch')));
    expect(ids.size).toBe(1);
    const claims = [...(await open().claim(LEASE)), ...(await open().claim(LEASE))];
    expect(claims.map(({ id }) => id)).toEqual([...ids]);
  });
});

describe('a worker that breaks off', () => {
  /** Claims one message and sends it; what upstream sees is `sent`. */
  async function work(outbox: AwsOutbox, sent: string[], end: 'settle' | 'postpone'): Promise<void> {
    const [claim] = await outbox.claim(LEASE);
    if (!claim) return;
    if (end === 'postpone') return outbox.postpone(claim, Date.now() + MINUTE, null);
    if (!(await outbox.mark(claim))) return;
    sent.push(claim.id);
    await outbox.settle(claim, ACCEPTED);
  }

  test.each([...faultsOf(8)])(
    '%s: the message is sent once, or its outcome is unknown',
    async (_name, fault) => {
      const advance = stopClock();
      await open().put(entry('a'));
      const sent: string[] = [];
      aws.fault = fault;
      const broken = await work(open(), sent, 'settle').catch((error: unknown) => error);
      if (broken !== undefined) expect(broken).toBeInstanceOf(StoreUnavailable);
      aws.fault = () => null;
      for (let lease = 0; lease < 3; lease++) {
        advance(LEASE_MS + 2 * SECOND);
        await work(open(), sent, 'settle');
      }
      const record = await open().read('apiuser', 'a');
      expect(sent.length).toBeLessThanOrEqual(1);
      expect(record?.state).toMatch(sent.length === 1 ? /^(?:accepted|unknown)$/ : /^unknown$/);
      if (record?.state === 'unknown') expect(record.outcome).toMatchObject({ code: 'outcome-unknown' });
      // Nothing is left of the body, nor in the queue.
      const bodies = aws.requests.filter(({ what }) => what === 'PUT body');
      expect(bodies.at(-1)?.body).toHaveLength(0);
      expect(await open().depth()).toEqual({ waiting: 0, oldestDueAt: null });
    },
  );

  test.each([...faultsOf(7)])('%s of postponing: the message is sent later, once', async (_name, fault) => {
    const advance = stopClock();
    await open().put(entry('a'));
    const sent: string[] = [];
    aws.fault = fault;
    await work(open(), sent, 'postpone').catch((error: unknown) =>
      expect(error).toBeInstanceOf(StoreUnavailable),
    );
    aws.fault = () => null;
    for (let lease = 0; lease < 6; lease++) {
      advance(LEASE_MS + 2 * SECOND);
      await work(open(), sent, 'settle');
    }
    expect(sent).toEqual(['a']);
    expect(await open().read('apiuser', 'a')).toMatchObject({ state: 'accepted', nextAttemptAt: null });
    expect(await open().depth()).toEqual({ waiting: 0, oldestDueAt: null });
  });
});

test('of many workers that are woken at once, by wakes that SQS delivers twice, one gets each message', async () => {
  const advance = stopClock();
  for (const id of ['a', 'b', 'c']) await open().put(entry(id));
  const { ready } = await aws.messages(aws.queueUrl);
  const workers = Array.from({ length: 4 }, () => open());
  const claims = await Promise.all(
    workers.flatMap((worker) => ready.map(({ body }) => worker.claimWoken(body, LEASE_MS, NO_REST))),
  );
  const claimed = claims.filter((claim) => claim !== null);
  expect(claimed.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c']);

  // Another worker may have it after the lease; then the first one may not write its dot any more.
  const [first] = claimed as [Claim];
  advance(LEASE_MS);
  const again = await open().claim(LEASE);
  const second = again.find(({ id }) => id === first.id);
  expect(second?.fence).toBe(first.fence + 1);
  expect(await open().mark(first)).toBe(false);
  await open().postpone(first, Date.now() + DAY, null);
  await open().settle(first, ACCEPTED);
  expect(await open().read('apiuser', first.id)).toMatchObject({ state: 'sending' });
  if (second) expect(await open().mark(second)).toBe(true);
});

test('the wakes of a message never become more, however it is handed around', async () => {
  const advance = stopClock();
  const outbox = open();
  await outbox.put(entry('a'));
  const [{ body } = { body: '' }] = (await aws.messages(aws.queueUrl)).ready;
  for (let turn = 0; turn < 5; turn++) {
    const claims = await outbox.claim(LEASE);
    expect(claims).toHaveLength(1);
    expect((await outbox.depth()).waiting).toBe(1);
    // The first wake comes again and again: nobody is sent for it.
    await expect(outbox.claimWoken(body, LEASE_MS, NO_REST)).resolves.toBeNull();
    const [claim] = claims as [Claim];
    await outbox.postpone(claim, Date.now() + MINUTE, null);
    await expect(outbox.claimWoken(body, LEASE_MS, NO_REST)).resolves.toBeNull();
    advance(MINUTE);
  }
  const [claim] = (await outbox.claim(LEASE)) as [Claim];
  await outbox.settle(claim, ACCEPTED);
  advance(DAY);
  expect(await outbox.claim(LEASE)).toEqual([]);
  expect((await outbox.depth()).waiting).toBe(0);
});

test('a wait that is longer than SQS can delay is made of several', async () => {
  const advance = stopClock();
  const outbox = open();
  const sendAt = Date.now() + 40 * MINUTE;
  await outbox.put(entry('a', { sendAt }));
  for (let minute = 0; minute < 40; minute++) {
    expect(await outbox.claim(LEASE)).toEqual([]);
    expect((await outbox.depth()).waiting).toBe(1);
    advance(MINUTE);
  }
  const [claim] = (await outbox.claim(LEASE)) as [Claim];
  expect(claim.id).toBe('a');
  const sent = aws.requests.filter(({ what }) => what === 'SendMessage');
  expect(sent.map(({ body }) => JSON.parse(String(body)).DelaySeconds)).toEqual([900, 900, 600]);
});

test('the messages of an api_user that rests come when its rest is over', async () => {
  const advance = stopClock();
  const outbox = open();
  await outbox.put(entry('a'));
  const [wake] = (await aws.messages(aws.queueUrl)).ready as [{ body: string }];
  const until = Date.now() + 42 * SECOND;
  const requests = await requestsOf(() =>
    outbox.claimWoken(wake.body, LEASE_MS, new Map([['apiuser', until]])),
  );
  expect(requests).toEqual(['SendMessage']);
  const { delayed } = await aws.messages(aws.queueUrl);
  expect(delayed.map(({ delayUntil }) => delayUntil)).toEqual([until]);
  advance(42 * SECOND);
  expect(await outbox.claim(LEASE)).toHaveLength(1);
});

test('an api_user with many messages that may not be claimed is asked for neither often nor in vain', async () => {
  const advance = stopClock();
  const outbox = open();
  const blocked = new Set(['long']);
  for (let n = 0; n < 40; n++) await outbox.put(entry(`long-${n}`, { apiUser: 'long' }));
  await outbox.put(entry('short', { apiUser: 'short' }));
  const looks = async (except: ReadonlySet<string>, count: number) =>
    (await outbox.claim({ count, leaseMs: LEASE_MS, except })).map(({ id }) => id);

  // Those that were received wait here, and are claimed without asking for others.
  expect(await looks(blocked, 5)).toEqual([]);
  const again = await requestsOf(async () => {
    for (let look = 0; look < 20; look++) expect(await looks(blocked, 5)).toEqual([]);
  });
  expect(again).toEqual([]);
  expect(await looks(NONE, 1)).toHaveLength(1);

  // The others get their turn nevertheless, and none is lost.
  const seen: string[] = [];
  for (let second = 0; second < 10 && !seen.includes('short'); second++) {
    advance(SECOND);
    seen.push(...(await looks(blocked, 5)));
  }
  expect(seen).toEqual(['short']);
  advance(LEASE_MS + 2 * SECOND);
  const all = new Set([...(await looks(NONE, 100)), ...(await looks(NONE, 100))]);
  expect(all.size).toBe(41);
});

test('a message in the queue that is none of the outbox becomes a dead letter, and holds up nothing', async () => {
  const advance = stopClock();
  const outbox = open();
  for (const body of ['{', 'null', '[]', '{"apiUser":1,"id":"a"}']) await aws.send(aws.queueUrl, body);
  await outbox.put(entry('a'));
  const seen: string[] = [];
  for (let round = 0; round < 6; round++) {
    for (const except of [NONE, new Set(['other'])]) {
      const claims = await outbox.claim({ ...LEASE, except }).catch(() => []);
      for (const claim of claims) {
        seen.push(claim.id);
        await outbox.settle(claim, ACCEPTED);
      }
    }
    advance(LEASE_MS + 2 * SECOND);
  }
  expect(seen).toEqual(['a']);
  expect((await aws.messages(aws.deadLettersUrl)).ready).toHaveLength(4);
});

test('a wake that comes before its message waits for it', async () => {
  const { promise: isLooked, resolve: looked } = Promise.withResolvers<void>();
  const { promise: isThere, resolve: there } = Promise.withResolvers<void>();
  let looks = 0;
  aws.hold = (what) => {
    if (what === 'PUT state' && looks < 3) return isLooked;
    if (what !== 'GET state' || ++looks < 3) return null;
    looked();
    return isThere;
  };
  const put = open()
    .put(entry('a'))
    .then(() => there());
  await vi.waitUntil(async () => (await aws.messages(aws.queueUrl)).ready.length === 1);
  const claims = open().claim(LEASE);
  await put;
  expect((await claims).map(({ id }) => id)).toEqual(['a']);
});

test('a wake whose message never came is given up', async () => {
  const advance = stopClock();
  const outbox = open();
  aws.fault = (what) => (what === 'PUT state' ? 'refuse' : null);
  await expect(outbox.put(entry('a'))).rejects.toThrow(StoreUnavailable);
  aws.fault = () => null;
  for (let minute = 0; minute < 5; minute++) {
    expect(await outbox.claim(LEASE)).toEqual([]);
    expect((await outbox.depth()).waiting).toBe(1);
    advance(MINUTE);
  }
  expect(await outbox.claim(LEASE)).toEqual([]);
  expect((await outbox.depth()).waiting).toBe(0);
});

test('a wake that fails every time becomes a dead letter, and can be sent back', async () => {
  const advance = stopClock();
  const outbox = open();
  await outbox.put(entry('a'));
  aws.fault = (what) => (what === 'GET state' ? 'refuse' : null);
  for (let received = 0; received < 5; received++) {
    await expect(outbox.claim(LEASE)).rejects.toThrow('s3 answered 503 SlowDown');
    advance(LEASE_MS + 2 * SECOND);
  }
  aws.fault = () => null;
  expect(await outbox.claim(LEASE)).toEqual([]);
  const [{ body } = { body: '' }] = (await aws.messages(aws.deadLettersUrl)).ready;
  expect(await outbox.claimWoken(body, LEASE_MS, NO_REST)).toMatchObject({ id: 'a' });
});

test('where one of several cannot be claimed, the others are', async () => {
  const outbox = open();
  for (const id of ['a', 'b', 'c']) await outbox.put(entry(id));
  aws.fault = (_what, _index, url) => (url.endsWith('/b') ? 'refuse' : null);
  expect((await outbox.claim(LEASE)).map(({ id }) => id)).toEqual(['a', 'c']);
});

test('a message without its body fails, proven not sent', async () => {
  const outbox = open();
  await outbox.put(entry('a'));
  aws.fault = (what) => (what === 'GET body' ? 'missing' : null);
  expect(await outbox.claim(LEASE)).toEqual([]);
  expect(await outbox.read('apiuser', 'a')).toMatchObject({
    state: 'failed',
    outcome: { delivery: 'not-sent', code: 'internal' },
  });
});

test.each(['../apiuser/a', '..', '.', '', 'a/b', 'a.', '%2e%2e', 'ü', 'a'.repeat(5000), '\u0000', 'A'])(
  'the id %j is no way to another message',
  async (id) => {
    const outbox = open();
    await outbox.put(entry('a', { key: KEY }));
    expect(await outbox.read('apiuser', id)).toBeNull();
    expect(await outbox.cancel('apiuser', id)).toBeNull();
    for (const apiUser of ['other', '../apiuser', 'apiuser/', 'APIUSER', 'apiuse']) {
      expect(await outbox.read(apiUser, 'a')).toBeNull();
      expect(await outbox.find(apiUser, KEY.key)).toBeNull();
      const options = { state: null, limit: 10, cursor: null };
      expect(await outbox.list(apiUser, options)).toEqual({ records: [], cursor: null });
    }
  },
);

test.each(['../', '', ' ', '\u0000', 'ü+%', 'z'.repeat(3000), `${'0'.repeat(17)}-01234567-../zother`])(
  'cursor %# is none of the list’s',
  async (cursor) => {
    const outbox = open();
    await outbox.put(entry('a'));
    await outbox.put(entry('b', { apiUser: 'zother' }));
    expect(await outbox.list('apiuser', { state: null, limit: 10, cursor })).toBeNull();
  },
);

test('a long list comes page by page, each message once', async () => {
  const outbox = open();
  const ids = Array.from({ length: 130 }, (_, index) => `id-${index}`);
  for (const id of ids) await outbox.put(entry(id));
  for (const [cancelled, id] of ids.entries()) {
    if (cancelled % 3 === 0) await outbox.cancel('apiuser', id);
  }
  const listed = async (state: 'queued' | 'cancelled' | null, limit: number) => {
    const seen: string[] = [];
    for (let cursor: string | null = null, pages = 0; pages === 0 || cursor !== null; pages++) {
      const page = await list(outbox, { state, limit, cursor });
      expect(page.records.length).toBeLessThanOrEqual(limit);
      seen.push(...page.records.map(({ id }) => id));
      ({ cursor } = page);
    }
    return seen;
  };
  const newestFirst = ids.toReversed();
  expect(await listed(null, 7)).toEqual(newestFirst);
  expect(await listed(null, 130)).toEqual(newestFirst);
  expect(await listed('cancelled', 10)).toEqual(newestFirst.filter((id) => ids.indexOf(id) % 3 === 0));
  expect(await listed('queued', 100)).toEqual(newestFirst.filter((id) => ids.indexOf(id) % 3 !== 0));
});

describe('a store that is away', () => {
  const operations: [string, (outbox: AwsOutbox, claim: Claim) => Promise<unknown>][] = [
    ['put', (outbox) => outbox.put(entry('b'))],
    ['put with a key', (outbox) => outbox.put(entry('b', { key: KEY }))],
    ['claim', (outbox) => outbox.claim(LEASE)],
    ['mark', (outbox, claim) => outbox.mark(claim)],
    ['settle', (outbox, claim) => outbox.settle(claim, ACCEPTED)],
    ['postpone', (outbox, claim) => outbox.postpone(claim, 0, null)],
    ['cancel', (outbox) => outbox.cancel('apiuser', 'a')],
    ['read', (outbox) => outbox.read('apiuser', 'a')],
    ['find', (outbox) => outbox.find('apiuser', KEY.key)],
    ['list', (outbox) => outbox.list('apiuser', { state: null, limit: 1, cursor: null })],
    ['depth', (outbox) => outbox.depth()],
    ['ping', (outbox) => outbox.ping()],
  ];
  const kinds = ['drop', 'refuse', 'silent', 'forbidden', 'moved'] as const;
  test.each(operations.flatMap(([name, run]) => kinds.map((kind) => [name, kind, run] as const)))(
    '%s rejects: %s',
    async (_name, kind, run) => {
      const outbox = open();
      await outbox.put(entry('a'));
      const [claim] = (await outbox.claim(LEASE)) as [Claim];
      aws.fault = () => kind;
      const error = await run(kind === 'silent' ? open(50) : outbox, claim).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(StoreUnavailable);
      expect(String(error)).not.toMatch(/AKID|secret|session/);
    },
  );

  test('a bucket that is missing is no empty one', async () => {
    const outbox = open();
    await outbox.put(entry('a'));
    aws.fault = (what) => (what.startsWith('GET') || what.startsWith('PUT') ? 'no-bucket' : null);
    await expect(outbox.read('apiuser', 'a')).rejects.toThrow('NoSuchBucket');
    await expect(outbox.put(entry('b', { key: KEY }))).rejects.toThrow('NoSuchBucket');
    await expect(outbox.claim(LEASE)).rejects.toThrow('NoSuchBucket');
  });

  test('an object that is not what was written is told, not taken', async () => {
    const outbox = open();
    await outbox.put(entry('a'));
    aws.fault = (what) => (what === 'GET state' ? 'garbled' : null);
    await expect(outbox.read('apiuser', 'a')).rejects.toThrow(StoreUnavailable);
    await expect(outbox.claim(LEASE)).rejects.toThrow(StoreUnavailable);
  });
});

test('a body of 16 MB comes back as it was', async () => {
  const outbox = open(20_000);
  const content = Buffer.alloc(16_000_000, 'Grüße\r\n');
  await outbox.put(entry('a', { content }));
  const [claim] = (await outbox.claim(LEASE)) as [Claim];
  expect(content.equals(claim.content)).toBe(true);
});

test('what comes after the end changes nothing, and a message that waits keeps its body', async () => {
  const outbox = open();
  await outbox.put(entry('a'));
  const [first] = (await outbox.claim(LEASE)) as [Claim];
  await outbox.postpone(first, Date.now(), null);
  await outbox.settle(first, ACCEPTED);
  expect(await outbox.mark(first)).toBe(false);
  await vi.waitUntil(async () => (await aws.messages(aws.queueUrl)).ready.length === 1);
  const [second] = (await outbox.claim(LEASE)) as [Claim];
  expect(second).toMatchObject({ id: 'a', fence: 2, content: first.content });
  await outbox.settle(second, ACCEPTED);
  await outbox.postpone(second, Date.now(), null);
  await outbox.settle(second, { ...ACCEPTED, queueId: 'another' });
  expect(await outbox.mark(second)).toBe(false);
  expect(await outbox.read('apiuser', 'a')).toMatchObject({ state: 'accepted', outcome: ACCEPTED });
});

test('an ended message is tagged for the lifecycle rules, and holds no secret any more', async () => {
  const outbox = open();
  await outbox.put(entry('a', { apiKey: 'of-the-caller' }));
  const [claim] = (await outbox.claim(LEASE)) as [Claim];
  expect(claim.apiKey).toBe('of-the-caller');
  await outbox.settle(claim, ACCEPTED);
  const states = aws.requests.filter(({ what }) => what === 'PUT state');
  expect(states.map(({ headers }) => headers['x-amz-tagging'])).toEqual([
    undefined,
    undefined,
    'postern=ended',
  ]);
  expect(String(states[0]?.body)).toContain('of-the-caller');
  expect(String(states[2]?.body)).not.toContain('of-the-caller');
});
