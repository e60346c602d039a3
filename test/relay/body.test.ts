/** The message byte for byte, whatever its form, and the moment of its final dot. */

import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DotStuffer, slices } from '../../src/relay/body.ts';
import type { Content } from '../../src/transaction.ts';
import { startProxy } from '../support/proxy.ts';
import { ENVELOPE, LONG, once, type RunningRelay, soon, startRelay } from './relay.ts';

/** In parts of one size, as a stream. */
async function* inParts(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** As upstream must have it: with CRLF, and with a last line that ends. */
const onTheWire = (text: string): string => {
  const lines = text.replace(/(?<!\r)\n/g, '\r\n');
  return lines === '' || lines.endsWith('\r\n') ? lines : `${lines}\r\n`;
};

describe('the message', { timeout: 60_000 }, () => {
  let relay: RunningRelay;
  beforeAll(async () => {
    relay = await startRelay();
  });
  afterAll(() => relay[Symbol.asyncDispose]());

  async function arrived(content: Content): Promise<string | undefined> {
    expect(await relay.deliver({ content, limit: 1_000_000 })).toMatchObject({ delivery: 'accepted' });
    return relay.upstream.taken.at(-1)?.message?.toString('latin1');
  }

  it.each([
    ['dots at every start', '.\r\n..\r\n...\r\n.a\r\n\r\n.'],
    ['a dot alone', '.'],
    ['what would end it', 'a\r\n.\r\nMAIL FROM:<x@y.example>\r\n'],
    ['what a lax server would take for its end', 'a\n.\nb\n.\r\nc\r\n.\nd'],
    ['an end without CRLF', 'Subject: x\r\n\r\nend'],
    ['blank lines', '\r\n\r\n\r\n'],
    ['nothing', ''],
    ['8-bit text', 'caf\u00e9\r\n.\u00e9\r\n'],
  ])('%s: whole, and in parts of every size', async (_, text) => {
    const bytes = Buffer.from(text, 'latin1');
    expect(await arrived(bytes)).toBe(onTheWire(text));
    for (let size = 1; size <= 4; size++) expect(await arrived(inParts(bytes, size))).toBe(onTheWire(text));
  });

  it('random dots, line ends and letters, in parts of random sizes', async () => {
    // Lines are searched in another way from 32 bytes on.
    const long = [31, 32, 33].map((length) => 'x'.repeat(length));
    const piece = fc.constantFrom('\r\n', '\r\n', '\n', '.', '..', 'a', 'word ', ...long);
    const text = fc.array(piece, { maxLength: 400 });
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 50 }), async (pieces, size) => {
        // An LF behind nothing but a CR is one line end.
        const whole = pieces.join('');
        const bytes = Buffer.from(whole);
        expect(await arrived(size % 2 ? bytes : inParts(bytes, size))).toBe(onTheWire(whole));
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ['long lines', `${'x'.repeat(900)}\r\n`],
    ['short lines', 'a\r\n'],
    ['dots', '.\r\n'],
    ['prose', `${'x'.repeat(60)}\r\n.${'y'.repeat(30)}\r\n..\r\n${'z'.repeat(903)}\r\n`],
    ['bare LF', '\n'],
  ])('megabytes of %s', async (_, line) => {
    const text = line.repeat(3_000_000 / line.length);
    expect((await arrived(Buffer.from(text))) === onTheWire(text)).toBe(true);
    expect((await arrived(inParts(Buffer.from(text), 50_001))) === onTheWire(text)).toBe(true);
  });

  it('says its size and its 8-bit octets where upstream knows these', async () => {
    await relay.deliver({ envelope: { ...ENVELOPE, size: 24, eightBit: true } });
    expect(relay.upstream.taken.at(-1)?.parameters).toBe('BODY=8BITMIME SIZE=24');
    await relay.deliver();
    expect(relay.upstream.taken.at(-1)?.parameters).toBe('');
    await using plain = await startRelay({}, { features: ['STARTTLS', 'AUTH LOGIN'] });
    await plain.deliver({ envelope: { ...ENVELOPE, size: 24, eightBit: true } });
    expect(plain.upstream.taken.at(-1)?.parameters).toBe('');
  });

  it('takes two round trips on a warm connection', async () => {
    const proxy = await startProxy({ host: '127.0.0.1', port: relay.upstream.port, delayMs: 20 });
    await using far = await startRelay({ ports: [proxy.port] });
    await far.deliver();
    const before = proxy.roundTrips;
    const envelope = { ...ENVELOPE, to: ['a@ifaxin.com', 'b@ifaxin.com', 'c@ifaxin.com'] };
    expect(await far.deliver({ envelope })).toMatchObject({ accepted: envelope.to });
    expect(proxy.roundTrips - before).toBe(2);
    await far.pool.close();
    await proxy.close();
  });
});

describe('a part of a message', () => {
  it.each([
    ['whole lines', ['a\r\n', 'b\r\nc']],
    ['a dot amid a line', ['a', '.b\r\n']],
    ['a line end in two parts', ['a\r', '\nb']],
    ['nothing', ['']],
  ])('%s: is not copied where nothing has to be put in', (_, texts) => {
    const stuffer = new DotStuffer();
    for (const text of texts) {
      const part = new TextEncoder().encode(text);
      expect(stuffer.stuff(part).buffer).toBe(part.buffer);
    }
  });

  it('is never empty, nor longer than 128 KiB', () => {
    const lengths = [0, 1, 131_072, 131_073, 262_144].map((length) =>
      [...slices(new Uint8Array(length))].map((part) => part.length),
    );
    expect(lengths).toEqual([[], [1], [131_072], [131_072, 1], [131_072, 131_072]]);
  });
});

describe.concurrent('a message as a stream', { timeout: 60_000 }, () => {
  it('is read only after 354, and not at all where that does not come', async () => {
    await using relay = await startRelay({ connections: 1 });
    const heard: string[] = [];
    const content: Content = {
      async *[Symbol.asyncIterator]() {
        heard.push(...[0, 1].flatMap(relay.said).filter((line) => line.startsWith('S: 354')));
        yield Buffer.from('Subject: x\r\n\r\nx\r\n');
      },
    };
    relay.upstream.faults = [once('rcpt', { reply: '550 no' })];
    expect(await relay.deliver({ content })).toMatchObject({ code: 'recipients-refused' });
    expect(heard).toEqual([]);
    expect(await relay.deliver({ content })).toMatchObject({ delivery: 'accepted' });
    expect(heard).toEqual(['S: 354 go ahead, make my day']);
  });

  it('that breaks off is never sent', async () => {
    await using relay = await startRelay();
    const content: Content = {
      async *[Symbol.asyncIterator]() {
        yield Buffer.from('Subject: x\r\n\r\n');
        await pause(20);
        throw new Error('the client went away');
      },
    };
    expect(await relay.deliver({ content })).toMatchObject({ code: 'invalid-message', delivery: 'not-sent' });
    while (relay.open() > 0) await pause(5);
    expect(relay.upstream.transactions).toMatchObject([{ message: null, taken: false }]);
  });

  it('is let go where upstream refuses it while its producer is slow', async () => {
    await using relay = await startRelay();
    relay.upstream.faults = [once('body', { reply: '550 no more' })];
    const { promise: released, resolve: release } = Promise.withResolvers<IteratorResult<Uint8Array>>();
    let parts = 0;
    const content: Content = {
      [Symbol.asyncIterator]: () => ({
        // Two parts, of which the second sends the first; then none for a long time.
        next: () => (parts++ < 2 ? Promise.resolve({ value: Buffer.from('a\r\n') }) : new Promise(() => {})),
        return: async () => {
          release({ done: true, value: undefined });
          return { done: true, value: undefined };
        },
      }),
    };
    expect(await relay.deliver({ content })).toMatchObject({
      code: 'message-refused',
      smtp: { phase: 'data' },
    });
    await released;
  });

  it('the deadline passes while upstream reads no more: not sent', async () => {
    await using relay = await startRelay();
    relay.upstream.faults = [once('body', 'silent')];
    const told = await relay.deliver({ content: LONG }, AbortSignal.timeout(1000));
    expect(told).toMatchObject({ code: 'upstream-timeout', delivery: 'not-sent' });
  });
});

describe.concurrent('the hook before the dot', { timeout: 60_000 }, () => {
  const forms: [string, Uint8Array, (bytes: Uint8Array) => Content][] = [
    ['a small message', Buffer.from('Subject: x\r\n\r\nx\r\n'), (bytes) => bytes],
    ['a small stream', Buffer.from('Subject: x\r\n\r\nx\r\n'), (bytes) => inParts(bytes, 3)],
    ['a long message', LONG, (bytes) => bytes],
    ['an empty one', Buffer.alloc(0), (bytes) => bytes],
  ];

  it.each(forms)('%s: runs once all of it is there, and before its dot', async (_, bytes, form) => {
    await using relay = await startRelay();
    let calls = 0;
    const told = await relay.deliver({
      content: form(bytes),
      beforeDot: async () => {
        calls++;
        const received = () => relay.upstream.transactions[0]?.received ?? 0;
        while (received() < bytes.length) await pause(5);
        // Long enough for a dot that must not come.
        await pause(30);
        expect(received()).toBe(bytes.length);
        return true;
      },
    });
    expect(told).toMatchObject({ delivery: 'accepted' });
    expect(calls).toBe(1);
    expect(relay.upstream.taken[0]?.message?.equals(bytes)).toBe(true);
  });

  it.each([
    ['says no', async () => false],
    ['fails', () => Promise.reject(new Error('the store is away'))],
  ])('that %s: the message breaks off, and is proven not sent', async (_, beforeDot) => {
    await using relay = await startRelay();
    const told = await relay.deliver({ beforeDot });
    expect(told).toMatchObject({ code: 'request-in-progress', delivery: 'not-sent' });
    while (relay.open() > 0) await pause(5);
    expect(relay.upstream.transactions).toMatchObject([{ message: null, taken: false }]);
    expect(await relay.drawn()).toBe(1);
  });

  it('does not run where the message was refused, lost or broken off before', async () => {
    await using relay = await startRelay({ connections: 1 });
    const beforeDot = () => expect.fail('There is no dot to come');
    for (const at of ['mail', 'rcpt', 'data'] as const) {
      relay.upstream.faults = [once(at, { reply: '550 no' })];
      expect(await relay.deliver({ beforeDot })).toMatchObject({ delivery: 'not-sent', smtp: { phase: at } });
    }
    relay.upstream.faults = [once('body', { reply: '550 no', after: 'close' })];
    expect(await relay.deliver({ beforeDot, content: LONG })).toMatchObject({ code: 'message-refused' });
  });

  it.each(['close', { reply: '550 no', after: 'close' }] as const)(
    'upstream does %j meanwhile: no dot, and not sent',
    async (action) => {
      await using relay = await startRelay();
      relay.upstream.faults = [once('body', action, { delayMs: 50 })];
      // It answers too late.
      const beforeDot = () => pause(60_000, true, { ref: false });
      const told = await relay.deliver({ beforeDot });
      expect(told).toMatchObject({ delivery: 'not-sent' });
      expect(relay.upstream.transactions).toMatchObject([{ message: null }]);
    },
  );

  it('the deadline passes meanwhile: no dot, whatever the hook says later', async () => {
    await using relay = await startRelay();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const told = await relay.deliver({ beforeDot: () => promise }, AbortSignal.timeout(300));
    expect(told).toMatchObject({ code: 'upstream-timeout', delivery: 'not-sent' });
    resolve(true);
    while (relay.open() > 0) await pause(5);
    expect(relay.upstream.transactions).toMatchObject([{ message: null, taken: false }]);
  });

  it('lost behind it: unknown', async () => {
    await using relay = await startRelay();
    relay.upstream.faults = [once('dot', 'close', { taken: true })];
    expect(await relay.deliver({ beforeDot: async () => true, envelope: ENVELOPE }, soon())).toMatchObject({
      code: 'outcome-unknown',
    });
  });
});
