/**
 * Tries a deployed gateway: `npm run smoke -- https://gateway.example.com`
 *
 * Posts one message and looks at its receipt, at the quota headers, and at how a wrong message is refused.
 * From the environment: POSTERN_TOKEN (a gateway token), POSTERN_FROM and POSTERN_TO (addresses), and
 * POSTERN_LABEL (optional). Draws one call, and a real message goes to POSTERN_TO.
 */

const [url] = process.argv.slice(2);
const { POSTERN_TOKEN, POSTERN_FROM, POSTERN_TO, POSTERN_LABEL } = process.env;
if (!url || !URL.canParse(url) || !POSTERN_TOKEN || !POSTERN_FROM || !POSTERN_TO) {
  console.error('POSTERN_TOKEN=… POSTERN_FROM=… POSTERN_TO=… npm run smoke -- https://gateway.example.com');
  process.exit(2);
}

/** Below the address as it was given, which may have a path: a REST API's stage is one. */
const messages = `${url.replace(/\/+$/, '')}/v1/messages`;

const message = {
  from: POSTERN_FROM,
  to: POSTERN_TO,
  subject: `Smoke test of ${new URL(url).host}`,
  text: `Sent at ${new Date().toISOString()}.`,
  ...(POSTERN_LABEL && { label: POSTERN_LABEL }),
};

let failed = false;
/** Prints one line for each thing looked at. */
function check(what: string, holds: boolean, seen: unknown): void {
  failed ||= !holds;
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${holds ? '' : `: ${JSON.stringify(seen)}`}`);
}

async function post(body: unknown, token = POSTERN_TOKEN) {
  const response = await fetch(messages, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await response.text();
  try {
    return { response, json: JSON.parse(text) as Record<string, unknown> };
  } catch {
    return { response, json: { notJson: text } as Record<string, unknown> };
  }
}

const sent = await post(message);
const { headers } = sent.response;
check('the message is accepted', sent.response.status === 200, sent.json);
check(
  'exactly one recipient is accepted',
  Array.isArray(sent.json.accepted) && sent.json.accepted.length === 1,
  sent.json,
);
check(
  'the receipt has ids',
  typeof sent.json.messageId === 'string' && typeof sent.json.queueId === 'string',
  sent.json,
);
check(
  'RateLimit-Policy',
  /^"apiuser";q=\d+;w=\d+$/.test(headers.get('RateLimit-Policy') ?? ''),
  headers.get('RateLimit-Policy'),
);
check('RateLimit', /^"apiuser";r=\d+;t=\d+$/.test(headers.get('RateLimit') ?? ''), headers.get('RateLimit'));
console.log(`     ${sent.response.headers.get('Server-Timing')}`);

const refused = await post({ ...message, to: [] });
check('a message without recipients is refused', refused.json.code === 'invalid-message', refused.json);
check('and nothing was sent', refused.json.delivery === 'not-sent', refused.json);

const stranger = await post(message, 'not-a-token-of-this-gateway');
check('a wrong token is refused', stranger.response.status === 401, stranger.json);

process.exit(failed ? 1 : 0);
