/** docs/errors.md is generated here from the tables that answer; `vitest run test/docs/errors.test.ts -u` updates it. */

import { expect, it } from 'vitest';
import { againOf, FAILURE_TEXTS } from '../../src/http/failure-texts.ts';
import { FAILURES, type FailureCode, kindOf } from '../../src/outcome.ts';
import { startPostern } from '../support/postern.ts';

const CODES = Object.keys(FAILURES) as FailureCode[];

const section = (code: FailureCode): string => {
  const { status, smtp, title } = kindOf(code);
  const { means, todo } = FAILURE_TEXTS[code];
  const replies = `HTTP ${status}${smtp ? `, SMTP ${smtp.code}` : ''}`;
  return `## ${code}\n\n${title} (${replies}).${means ? ` ${means}` : ''}\n**What to do:** ${todo} **Again?** ${againOf(code)}`;
};

const PAGE = `# Errors

Find out what a failure means, what to do about it, and whether the message may be sent again. A failure is answered by a
problem document (RFC 9457):

\`\`\`json
{
  "type": "/docs/errors/recipients-refused",
  "title": "Upstream refused every recipient",
  "status": 422,
  "detail": "Upstream refused every recipient.",
  "instance": "/v1/messages#2f7c1c0e-6c1e-4a5f-9d0b-1f3f0b8f6f55",
  "code": "recipients-refused",
  "delivery": "not-sent",
  "retryable": false,
  "smtp": {
    "code": 550,
    "enhanced": null,
    "phase": "rcpt",
    "response": "550 I cannot deliver mail for <refused@ifaxin.com>"
  },
  "rejected": [
    {
      "address": "refused@ifaxin.com",
      "code": 550,
      "response": "550 I cannot deliver mail for <refused@ifaxin.com>"
    }
  ]
}
\`\`\`

| member | use it to |
| --- | --- |
| \`code\` | decide in a program: it never changes its meaning |
| \`delivery\` | know whether the message went out: \`not-sent\` is proven; \`unknown\` means that SendCloud may have it |
| \`retryable\` | decide whether a program repeats the same request, after \`Retry-After\` if given. With an \`Idempotency-Key\` that is safe |
| \`detail\` | tell a person what happened this time |
| \`type\` | open the page about the code on the gateway itself, as below |
| \`errors\` | show what is wrong with each field: \`pointer\` (a JSON Pointer) and \`message\` |
| \`smtp\`, \`rejected\` | read what SendCloud said, and for which recipients |
| \`instance\` | find the request in [the log](logs.md): what follows \`#\` is its \`requestId\` |

To see one, send to the sandbox: \`refused@…\` gets 550, \`busy@…\` 450, \`frequency-limited@…\` 536 (which closes the quota for 10
seconds), \`slow@…\` a late answer, \`dropped@…\` a connection that is lost after the message.

${CODES.map(section).join('\n\n')}
`;

it('docs/errors.md is up to date', async () => {
  await expect(PAGE).toMatchFileSnapshot('../../docs/errors.md');
});

it('each code has a page on the gateway, and none that it does not know', async () => {
  await using postern = await startPostern();
  const pages = await Promise.all(CODES.map((code) => postern.request(`/docs/errors/${code}`)));
  for (const [index, code] of CODES.entries()) {
    const text = await pages[index]?.text();
    expect(text).toContain(`<h1>${FAILURES[code].title}</h1>`);
    expect(text).toContain(againOf(code));
    expect(text).toContain(`"code": "${code}"`);
    expect(pages[index]?.headers.get('Content-Security-Policy')).toContain("default-src 'none'");
  }
  const list = await (await postern.request('/docs/errors')).text();
  expect([...list.matchAll(/<dt><a href="errors\/([^"]+)"/g)].map(([, code]) => code)).toEqual(CODES);
  for (const from of ['/docs/errors', `/docs/errors/${CODES[0]}`]) {
    const page = await (await postern.request(from)).text();
    for (const [, url = ''] of page.matchAll(/ href="([^"]+)"/g)) {
      const { pathname } = new URL(url, `https://gateway.example${from}`);
      expect([url, (await postern.request(pathname)).status]).toEqual([url, 200]);
    }
  }
  for (const stranger of ['nothing', 'toString', '__proto__', '%3Cb%3E']) {
    const response = await postern.request(`/docs/errors/${stranger}`);
    expect([response.status, response.headers.get('Content-Type')]).toEqual([
      404,
      'application/problem+json',
    ]);
  }
});
