/** Bodies: encodings, what is refused before it is read, and the memory that callers share. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { MESSAGE, type Running, startPostern, TOKEN } from '../support/postern.ts';

const post = (postern: Running, body: Uint8Array, headers: Record<string, string> = {}) =>
  fetch(`${postern.url}/v1/messages`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json', ...headers },
    body: body as Uint8Array<ArrayBuffer>,
  });

const json = Buffer.from(JSON.stringify(MESSAGE));

describe.concurrent('an encoded body', () => {
  it.each([
    ['gzip', gzipSync(json)],
    ['GZIP', gzipSync(json)],
    ['x-gzip', gzipSync(json)],
    ['deflate', deflateSync(json)],
    ['deflate', deflateRawSync(json)],
    ['identity', json],
    ['', json],
  ])('in %s is read', async (encoding, body) => {
    await using postern = await startPostern();
    expect((await post(postern, body, { 'Content-Encoding': encoding })).status).toBe(200);
  });

  it('in another encoding is refused, and the answer names those that are read', async () => {
    await using postern = await startPostern();
    const response = await post(postern, brotliCompressSync(json), { 'Content-Encoding': 'br' });
    expect(response.status).toBe(415);
    expect(response.headers.get('Accept-Encoding')).toBe('gzip, deflate');
    expect(await response.json()).toMatchObject({ code: 'unsupported-media-type' });
  });

  it('that is gzip and does not say so is refused by name', async () => {
    await using postern = await startPostern();
    const response = await post(postern, gzipSync(json), {});
    expect(response.status).toBe(415);
    expect(await response.json()).toMatchObject({
      code: 'unsupported-media-type',
      detail: 'The body is gzip: say so with Content-Encoding: gzip.',
    });
  });

  it('that is not what it says is refused', async () => {
    await using postern = await startPostern();
    const response = await post(postern, json, { 'Content-Encoding': 'gzip' });
    expect(await response.json()).toMatchObject({ code: 'invalid-request', detail: 'The body is not gzip.' });
  });

  it('is limited by what comes out of it', async () => {
    await using postern = await startPostern({ MAX_MESSAGE_BYTES: '1000000' });
    const response = await post(postern, gzipSync(Buffer.alloc(50_000_000)), { 'Content-Encoding': 'gzip' });
    expect(response.status).toBe(413);
  });
});

it('of a client that leaves while its login is proven is not waited for', async () => {
  const slow = { at: 'auth-key', delayMs: 1000 } as const;
  await using postern = await startPostern({ BASIC_AUTH: 'on' }, { faults: [slow] });
  const socket = connect(postern.port, '127.0.0.1').on('error', () => {});
  const login = Buffer.from('another:its-key').toString('base64');
  socket.write(
    `POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${login}\r\n` +
      'Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n',
  );
  await expect.poll(() => postern.upstream.sessions.length).toBe(1);
  socket.destroy();
  await expect.poll(() => postern.logLines.join(), { timeout: 5000 }).toContain('The body ended early.');
});

/** A client that reads nothing before it has written everything, as blocking ones do. */
async function writeFirst(port: number, path: string, token: string, type: string, bytes: number) {
  const socket = connect(port, '127.0.0.1');
  const answer = text(socket).catch((error: NodeJS.ErrnoException) => `${error.code}`);
  let failed = false;
  socket.on('error', () => {
    failed = true;
  });
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: ${type}\r\nContent-Length: ${bytes}\r\n\r\n`,
  );
  const chunk = Buffer.alloc(64 * 1024, 'x');
  for (let left = bytes; left > 0 && !failed; left -= chunk.length) {
    if (socket.write(chunk.subarray(0, left))) continue;
    await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
  }
  return answer;
}

describe.concurrent('an answer to a body that was not read', () => {
  it.each([
    [401, '/v1/messages', 'a-token-that-nobody-has', 'application/json', 3_000_000],
    [413, '/v1/messages', TOKEN, 'application/json', 6_000_000],
    [415, '/v1/messages', TOKEN, 'text/plain', 3_000_000],
    [404, '/v2/messages', TOKEN, 'application/json', 3_000_000],
    [405, '/v1/quota', TOKEN, 'application/json', 3_000_000],
  ])('%i reaches a client that writes all of it first', async (status, path, token, type, bytes) => {
    await using postern = await startPostern({ MAX_MESSAGE_BYTES: '4000000' });
    expect(await writeFirst(postern.port, path, token, type, bytes)).toContain(`HTTP/1.1 ${status} `);
  });

  it.each(['identity', 'chunked'])("reaches Python's urllib: %s", async (transfer) => {
    if (spawnSync('python3', ['--version']).error) return;
    await using postern = await startPostern({ MAX_MESSAGE_BYTES: '4000000' });
    const body = transfer === 'chunked' ? 'iter([b"x" * 6000000])' : 'b"x" * 6000000';
    const script = `
import urllib.request, urllib.error
request = urllib.request.Request(${JSON.stringify(`${postern.url}/v1/messages`)}, data=${body},
    headers={'Content-Type': 'application/json', 'Authorization': 'Bearer ${TOKEN}'})
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
`;
    const python = spawn('python3', ['-c', script]);
    const [printed] = await Promise.all([text(python.stdout), once(python, 'close')]);
    expect(printed).toMatch(/^413 .*"code":"message-too-large"/);
  });

  it('holds nothing for a client that sends no end of it', async () => {
    await using postern = await startPostern({ MAX_MESSAGE_BYTES: '100000' });
    expect(await writeFirst(postern.port, '/v1/messages', TOKEN, 'application/json', 50_000_000)).toMatch(
      /^(?:HTTP\/1\.1 413 |ECONNRESET|EPIPE|$)/,
    );
    expect((await postern.send()).status).toBe(200);
  });
});

describe('memory', () => {
  const ACCOUNTS = JSON.stringify(
    ['one', 'two', 'three'].map((apiUser) => ({
      apiUser,
      apiKey: 'the-key',
      tokens: [`token-of-user-${apiUser}`],
    })),
  );
  const settings = {
    SENDCLOUD_API_USER: '',
    SENDCLOUD_API_KEY: '',
    GATEWAY_TOKENS: '',
    ACCOUNTS,
    MAX_MESSAGE_BYTES: '1000000',
  };

  /** Declares a body of the largest size, sends `bytes` of it, and waits. */
  function begin(postern: Running, user: string, bytes: number): Socket {
    const socket = connect(postern.port, '127.0.0.1').on('error', () => {});
    socket.write(
      `POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-user-${user}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n',
    );
    socket.write(Buffer.alloc(bytes, ' '));
    return socket;
  }
  const sendAs = (postern: Running, user: string) =>
    postern.send(MESSAGE, { Authorization: `Bearer token-of-user-${user}` });

  it('is not held by what was declared and did not come', async () => {
    await using postern = await startPostern(settings);
    const silent = Array.from({ length: 60 }, () => begin(postern, 'one', 1));
    await expect.poll(async () => (await sendAs(postern, 'one')).status).toBe(200);
    expect((await sendAs(postern, 'two')).status).toBe(200);
    for (const socket of silent) socket.destroy();
  });

  it('is shared out: others are served whatever one of them sends', async () => {
    await using postern = await startPostern(settings);
    const greedy = ['one', 'two'].flatMap((user) =>
      Array.from({ length: 6 }, () => begin(postern, user, 900_000)),
    );
    // The one whose memory is full waits, and reads no more.
    await expect.poll(() => greedy.filter((socket) => socket.writableLength > 0).length).toBeGreaterThan(0);
    const large = { ...MESSAGE, text: 'x'.repeat(900_000) };
    const response = await postern.send(large, { Authorization: 'Bearer token-of-user-three' });
    expect(response.status).toBe(200);
    for (const socket of greedy) socket.destroy();
    await expect.poll(async () => (await sendAs(postern, 'one')).status).toBe(200);
  });
});
