/** What one tenant, or a stranger, does to the others. Each goes on until its signal aborts. */

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '../smtp/door.ts';
import { base64 } from '../support/smtp-client.ts';
import type { Fault } from '../support/upstream.ts';
import { ATTACKER, bearer, type Gateway, post, STRANGER, VICTIM } from './gateway.ts';

export interface Attack {
  readonly name: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly faults?: readonly Fault[];
  readonly descriptors?: number;
  /** It takes what belongs to an address, so the other one has another. */
  readonly isOfAddress?: true;
  /** Only for those who wait: others of its kind are tried at every change. */
  readonly isSlow?: true;
  run(gateway: Gateway, signal: AbortSignal): Promise<void>;
}

const MB = 1_000_000;
/** Just below MAX_MESSAGE_BYTES. */
const LARGEST = 16 * MB - 1000;

const AUTHORIZATION = `Authorization: Bearer ${ATTACKER.token}`;
const MAIL = { from: 'a@allowed.example', to: ['b@ifaxin.com'], subject: 'x', text: 'x' };
/** A recipient at whom upstream takes its time. */
const SLOW = 'slow@ifaxin.com';

/** Does the same again and again, `times` at once; what the gateway says to it does not matter. */
async function keepOn(times: number, signal: AbortSignal, attempt: (index: number) => Promise<unknown>) {
  let index = 0;
  const loop = async () => {
    while (!signal.aborted) {
      const failed = await attempt(index++).then(
        () => false,
        () => true,
      );
      if (failed) await delay(20);
    }
  };
  await Promise.all(Array.from({ length: times }, loop));
}

/** Holds `most` sockets, each opened anew as soon as the gateway has closed it. */
async function hold(most: number, port: number, signal: AbortSignal, begin: (socket: Socket) => void) {
  const open = new Set<Socket>();
  while (!signal.aborted) {
    for (let missing = most - open.size; missing > 0; missing--) {
      const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {});
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      socket.once('connect', () => begin(socket));
    }
    await delay(200);
  }
  for (const socket of open) socket.destroy();
}

/** Logged in by SMTP, over TLS; null where the door did not let it in. */
async function enter(gateway: Gateway, user = ATTACKER.apiUser): Promise<Client | null> {
  const client = new Client(gateway.smtpPort);
  const reply = await client
    .secure()
    .then(() => client.auth(user, ATTACKER.token))
    .catch(() => '');
  if (reply.startsWith('235')) return client;
  client.destroy();
  return null;
}

/** Holds `most` SMTP sessions, each in the state that `begin` brings it to. */
async function holdSessions(
  most: number,
  gateway: Gateway,
  signal: AbortSignal,
  { user, begin }: { user?: (index: number) => string; begin: (client: Client) => Promise<unknown> },
) {
  const clients = new Set<Client>();
  let index = 0;
  await keepOn(10, signal, async () => {
    if (clients.size >= most) return delay(20);
    const client = await enter(gateway, user?.(index++));
    if (client === null) return delay(20);
    clients.add(client);
    void client.end().then(() => clients.delete(client));
    return begin(client);
  });
  for (const client of clients) client.destroy();
}

const filled = (start: string, piece: string, end: string): Buffer =>
  Buffer.from(start + piece.repeat((LARGEST - start.length - end.length) / piece.length) + end);

const message = (field: string, start: string, piece: string, end: string): Buffer =>
  filled(
    `{"from":"a@allowed.example","to":["b@ifaxin.com"],"subject":"x","${field}":${start}`,
    piece,
    `${end}}`,
  );

/** JSON of every wrong kind, as large as may be. */
const HOSTILE_JSON: Readonly<Record<string, () => Buffer>> = {
  'a list for headers': () => message('headers', '[1', ',1', ']'),
  'a key of 16 MB': () => filled('{"', 'k', '":1}'),
  'a key of 16 MB with escapes': () => filled('{"', '\\u0000', '":1}'),
  'a key of 16 MB among the headers': () => message('headers', '{"', '~', '":1}'),
  'objects for recipients': () => message('to', '[{}', ',{}', ']'),
  'lists within lists': () => filled('{"to":', '[', `${']'.repeat(LARGEST / 2 - 10)}}`),
  'wrong attachments': () => message('attachments', '[1', ',{"a":1}', ']'),
  'a million keys': () => message('headers', '{"a":1', `,"${'b'.repeat(8)}":1`, '}'),
  'an address of 16 MB': () => filled('{"to":["', 'a.', '@b.example"]}'),
  'an address of comments': () => filled('{"to":"', '(', '"}'),
  'a header value of 16 MB': () => message('headers', '{"X-A":"', 'é ', '"}'),
  'a data URI of escapes': () => message('html', '"<img src=data:image/png,', '%41', '>"'),
  'a million data URIs': () => message('html', '"', '<img src=data:,x>', '"'),
  'open tags': () => message('html', '"', '<a ', '"'),
  'open styles': () => message('html', '"<style>', 'url(', '"'),
  'nothing but newlines': () => message('text', '"', '\\n', '"'),
  'short lines of 8-bit text': () => message('text', '"', 'é\\n', '"'),
  'base64 that is none': () => message('attachments', '[{"filename":"a","content":"', '=', '"}]'),
  'no JSON': () => filled('{"from":', '[', ''),
};

/** Those that were worst once: each stopped the process, or ended it. */
const WORST = ['a list for headers', 'a key of 16 MB among the headers'];

const hostile = (name: string): Attack => ({
  name: `JSON: ${name}`,
  ...(!WORST.includes(name) && { isSlow: true }),
  async run({ port }, signal) {
    const body = HOSTILE_JSON[name]?.() ?? '';
    await keepOn(4, signal, () =>
      post(port, '/v1/messages', { headers: bearer(ATTACKER.token), body, signal }),
    );
  },
});

export const ATTACKS: readonly Attack[] = [
  ...Object.keys(HOSTILE_JSON).map(hostile),
  {
    name: 'bodies: 60 without a length, 16 MB each',
    run: ({ port }, signal) =>
      hold(60, port, signal, (socket) => {
        socket.write(
          `POST /v1/messages HTTP/1.1\r\nHost: x\r\n${AUTHORIZATION}\r\nTransfer-Encoding: chunked\r\n\r\n`,
        );
        const chunk = `${(100_000).toString(16)}\r\n${' '.repeat(100_000)}\r\n`;
        let chunks = 0;
        const write = () => {
          while (++chunks < 159 && socket.write(chunk));
        };
        socket.on('drain', write);
        write();
      }),
  },
  {
    name: 'bodies: four that declare 16 MB and stop',
    run: ({ port }, signal) =>
      hold(4, port, signal, (socket) => {
        socket.write(
          `POST /v1/messages HTTP/1.1\r\nHost: x\r\n${AUTHORIZATION}\r\nContent-Length: ${LARGEST}\r\n\r\n`,
        );
        socket.write(' '.repeat(100_000));
      }),
  },
  {
    name: 'answers: 150 connections that read none',
    run: ({ port }, signal) =>
      hold(150, port, signal, (socket) => {
        socket.pause();
        socket.write('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000));
      }),
  },
  {
    name: 'answers: unread problems of batches',
    isSlow: true,
    async run({ port }, signal) {
      const wrong = { [`${'k'.repeat(99)}`]: 1, headers: Object.fromEntries(numbered(100, 'é'.repeat(90))) };
      const body = JSON.stringify(Array.from({ length: 100 }, () => wrong));
      await hold(60, port, signal, (socket) => {
        socket.pause();
        const header = `POST /v1/messages/batch HTTP/1.1\r\nHost: x\r\n${AUTHORIZATION}\r\n`;
        socket.write(
          `${header}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
        );
        socket.write(body);
      });
    },
  },
  {
    name: 'connections: 600 idle ones by HTTP, of 200 descriptors',
    descriptors: 200,
    isOfAddress: true,
    run: ({ port }, signal) => hold(600, port, signal, () => {}),
  },
  {
    name: 'connections: 600 kept alive by HTTP, of 200 descriptors',
    isSlow: true,
    descriptors: 200,
    isOfAddress: true,
    run: ({ port }, signal) =>
      hold(600, port, signal, (socket) => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')),
  },
  {
    name: 'connections: 600 headers in drips, of 200 descriptors',
    descriptors: 200,
    isOfAddress: true,
    run: ({ port }, signal) =>
      hold(600, port, signal, (socket) => {
        socket.write('GET / HTTP/1.1\r\n');
        const drip = setInterval(() => socket.write('X: y\r\n'), 200);
        socket.once('close', () => clearInterval(drip));
      }),
  },
  {
    name: 'connections: 600 silent ones by SMTP, of 400 descriptors',
    descriptors: 400,
    isOfAddress: true,
    run: ({ smtpPort }, signal) => hold(600, smtpPort, signal, () => {}),
  },
  {
    name: 'connections: 300 silent ones by SMTP',
    isSlow: true,
    isOfAddress: true,
    run: ({ smtpPort }, signal) => hold(300, smtpPort, signal, () => {}),
  },
  {
    name: 'sessions: 250 logged in and idle',
    run: (gateway, signal) => holdSessions(250, gateway, signal, { begin: async () => {} }),
  },
  {
    name: 'sessions: 200 that dribble a message under 40 labels',
    run: (gateway, signal) =>
      holdSessions(200, gateway, signal, {
        user: (index) => `${ATTACKER.apiUser}#${(index % 40) + 1}`,
        begin: async (client) => {
          await client.data('MAIL FROM:<a@allowed.example>');
          await client.write(`From: a@allowed.example\r\n\r\n${'x\r\n'.repeat(30_000)}`);
        },
      }),
  },
  {
    name: 'upstream: 40 labels × 5 slow messages',
    faults: [{ at: 'rcpt', address: SLOW, delayMs: 20_000 }],
    run: ({ port }, signal) =>
      keepOn(200, signal, (index) =>
        post(port, '/v1/messages', {
          headers: bearer(ATTACKER.token),
          body: JSON.stringify({ ...MAIL, to: [SLOW], label: (index % 40) + 1 }),
          signal,
        }),
      ),
  },
  {
    name: 'logins: 60 slow ones of strangers',
    faults: [{ at: 'auth-key', address: STRANGER.apiUser, delayMs: 20_000 }],
    run: ({ port }, signal) =>
      keepOn(60, signal, (index) =>
        post(port, '/v1/messages', {
          headers: basic(STRANGER.apiUser, `wrong-${index}`),
          body: JSON.stringify(MAIL),
          signal,
        }),
      ),
  },
  {
    name: 'logins: guesses of the other’s token and api_key',
    run: ({ port, smtpPort }, signal) =>
      keepOn(10, signal, async (index) => {
        const body = JSON.stringify(MAIL);
        await post(port, '/v1/messages', { headers: bearer(`guessed-token-number-${index}`), body, signal });
        await post(port, '/v1/messages', { headers: basic(VICTIM.apiUser, `guess-${index}`), body, signal });
        const client = new Client(smtpPort);
        await client.secure();
        await client.auth(VICTIM.apiUser, `guess-${index}`);
        client.destroy();
      }),
  },
  {
    name: 'keys: as many as can be, each with 100 recipients',
    run: ({ port }, signal) =>
      keepOn(50, signal, (index) =>
        post(port, '/v1/messages', {
          headers: { ...bearer(ATTACKER.token), 'Idempotency-Key': `${index}`.padEnd(255, 'k') },
          body: JSON.stringify({ ...MAIL, to: numbered(100, '').map(([name]) => `${name}@ifaxin.com`) }),
          signal,
        }),
      ),
  },
];

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${base64(`${user}:${password}`)}`,
  'Content-Type': 'application/json',
});

const numbered = (length: number, suffix: string): [string, number][] =>
  Array.from({ length }, (_, index) => [`a${index}${suffix}`, index]);
