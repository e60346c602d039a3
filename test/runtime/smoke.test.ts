import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { runToEnd } from '../support/child.ts';
import { startPostern, TOKEN } from '../support/postern.ts';

/** A gateway below `path`, as a REST API's stage has it; anything else there is 403. */
async function startStage(path: string, gateway: string): Promise<string> {
  const server = createServer(async (request, response) => {
    if (!request.url?.startsWith(`${path}/`)) return response.writeHead(403).end('{}');
    const { authorization = '' } = request.headers;
    const answer = await fetch(gateway + request.url.slice(path.length), {
      method: 'POST',
      headers: { Authorization: authorization, 'Content-Type': 'application/json' },
      body: await text(request),
    });
    const headers = Object.fromEntries(answer.headers);
    return response.writeHead(answer.status, headers).end(await answer.text());
  });
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
}

test('finds a good gateway good, below a path and with a domain in upper case', async () => {
  await using postern = await startPostern();
  const smoke = (url: string) =>
    runToEnd(['scripts/smoke.ts', url], {
      POSTERN_TOKEN: TOKEN,
      POSTERN_FROM: 'support@ifaxin.com',
      POSTERN_TO: 'ben@IFAXIN.com',
    });
  const stage = await startStage('/prod', postern.url);
  for (const url of [postern.url, stage, `${stage}/`]) expect(await smoke(url)).not.toContain('FAIL');
  expect(postern.upstream.transactions).toHaveLength(3);

  await expect(smoke(stage.replace('/prod', '/test'))).rejects.toMatchObject({ code: 1 });
});
