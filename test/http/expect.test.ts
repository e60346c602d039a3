/** `Expect: 100-continue`: the body is asked for once it is to be read. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { MESSAGE, startPostern, TOKEN } from '../support/postern.ts';

const BODY = JSON.stringify(MESSAGE);

const head = (authorization: string, length: number) =>
  `POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n` +
  `Expect: 100-continue\r\n${authorization}\r\n`;

describe.concurrent('Expect: 100-continue', () => {
  it.each([
    ['no credentials', 401, '', BODY.length],
    ['wrong ones', 401, 'Authorization: Bearer wrong\r\n', BODY.length],
    ['a body that is too large', 413, `Authorization: Bearer ${TOKEN}\r\n`, 100_000_000],
  ])('is answered at once for %s', async (_, status, authorization, length) => {
    await using postern = await startPostern();
    const socket = connect(postern.port, '127.0.0.1');
    socket.write(head(authorization, length));
    expect(await text(socket)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it.each([BODY, BODY + ' '.repeat(200_000)])('is answered by 100 where the body is read', async (body) => {
    await using postern = await startPostern();
    const socket = connect(postern.port, '127.0.0.1');
    for (let message = 0; message < 2; message++) {
      socket.write(head(`Authorization: Bearer ${TOKEN}\r\n`, body.length));
      expect(String((await once(socket, 'data'))[0])).toBe('HTTP/1.1 100 Continue\r\n\r\n');
      socket.write(body);
      expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 200 /);
    }
    socket.destroy();
  });

  it('reads on where the body came without being asked for', async () => {
    await using postern = await startPostern();
    const socket = connect(postern.port, '127.0.0.1');
    socket.write(head('Connection: close\r\n', 5_000_000) + 'x'.repeat(5_000_000));
    expect(await text(socket)).toMatch(/^HTTP\/1.1 (?:100 Continue\r\n\r\nHTTP\/1.1 )?401 /);
  });
});
