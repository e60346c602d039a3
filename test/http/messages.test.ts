/** The main path: JSON in, one SMTP transaction out, checked where it arrived. */

import PostalMime from 'postal-mime';
import { describe, expect, it } from 'vitest';
import { MESSAGE, PICTURE, startPostern, TOKEN } from '../support/postern.ts';

type Json = Record<string, unknown>;
const json = async (response: Response) => (await response.json()) as Json;

describe.concurrent('POST /v1/messages', () => {
  it('holds the session of the SMTP page, byte for byte', async () => {
    await using postern = await startPostern();
    const response = await postern.send();
    const receipt = await json(response);
    const { size } = receipt;
    await postern.close();

    const [session] = postern.upstream.sessions;
    const login = Buffer.from('ifaxin#31337').toString('base64');
    const key = Buffer.from('the-key').toString('base64');
    const features = (list: string[]) =>
      list.map((name, index) => `S: 250${index === list.length - 1 ? ' ' : '-'}${name}`);
    const hello = 'SendCloud Inbound Server Hello, Haraka is at your service.';
    expect(session?.dialogue.map((line) => line.text)).toEqual([
      'S: 220 SendCloud Inbound Server ESMTP Haraka 2.2.4 ready',
      'C: EHLO ifaxin.com',
      ...features([hello, 'PIPELINING', '8BITMIME', 'SIZE 16000000', 'STARTTLS', 'AUTH LOGIN']),
      'C: STARTTLS',
      expect.stringMatching(/^S: 220 /),
      'C: EHLO ifaxin.com',
      ...features([hello, 'PIPELINING', '8BITMIME', 'SIZE 16000000', 'AUTH LOGIN']),
      `C: AUTH LOGIN ${login}`,
      'S: 334 UGFzc3dvcmQ6',
      `C: ${key}`,
      'S: 235 Authentication successful',
      `C: MAIL FROM:<support@ifaxin.com> SIZE=${size}`,
      'S: 250 sender <support@ifaxin.com> OK',
      'C: RCPT TO:<ben@ifaxin.com>',
      'S: 250 recipient <ben@ifaxin.com> OK',
      'C: DATA',
      'S: 354 go ahead, make my day',
      'C: .',
      'S: 250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued',
      'C: QUIT',
      'S: 221 SendCloud Inbound Server closing connection. Have a jolly good day',
    ]);
    const secured = session?.dialogue.findIndex((line) => line.secured) ?? -1;
    expect(session?.dialogue[secured]?.text).toBe('C: EHLO ifaxin.com');
    expect(session?.tls).toBe('TLSv1.2');
  });

  it('arrives whole: structure, Content-ID, the bytes of the picture, the label, the envelope', async () => {
    await using postern = await startPostern();
    const response = await postern.send({ ...MESSAGE, text: 'See it.', bcc: 'amy@ifaxin.com' });
    const receipt = await json(response);

    const [taken] = postern.upstream.taken;
    expect(postern.upstream.logins[0]).toMatchObject({ apiUser: 'ifaxin', label: 31337, secured: true });
    expect(taken).toMatchObject({
      from: 'support@ifaxin.com',
      recipients: ['ben@ifaxin.com', 'amy@ifaxin.com'],
    });
    const bytes = taken?.message ?? Buffer.alloc(0);
    expect(bytes.length).toBe(receipt.size);
    expect(bytes.includes('amy@ifaxin.com')).toBe(false);

    const mail = await PostalMime.parse(bytes);
    expect(mail.from).toMatchObject({ name: 'Support', address: 'support@ifaxin.com' });
    expect(mail.subject).toBe('A picture');
    expect(mail.html?.trim()).toBe('<p>See <img src="cid:image1"></p>');
    expect(mail.text?.trim()).toBe('See it.');
    expect(mail.messageId).toBe(receipt.messageId);
    expect(mail.attachments).toHaveLength(1);
    const [picture] = mail.attachments;
    expect(picture).toMatchObject({ contentId: '<image1>', mimeType: 'image/png', filename: 'test.png' });
    expect(Buffer.from(picture?.content as ArrayBuffer).toString('base64')).toBe(PICTURE);
  });

  it('answers with the receipt and its headers', async () => {
    await using postern = await startPostern();
    const response = await postern.send();
    const id = '1426390015358_15_6484_8661.sc-10_10_127_51-inbound';
    expect(response.status).toBe(200);
    const receipt = await json(response);
    expect(receipt).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      messageId: `<${receipt.id}@ifaxin.com>`,
      queueId: id,
      label: 31337,
      accepted: ['ben@ifaxin.com'],
      rejected: [],
      emailIds: { 'ben@ifaxin.com': `${id}0$ben@ifaxin.com` },
      size: expect.any(Number),
      embedded: 0,
      warnings: [],
      response: `250 #${id}#Queued`,
    });
    expect(response.headers.get('RateLimit-Policy')).toBe('"apiuser";q=20000;w=60');
    expect(response.headers.get('RateLimit')).toBe('"apiuser";r=19999;t=60');
    expect(response.headers.get('Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
    for (const step of ['compose', 'lease', 'draw', 'send']) {
      expect(response.headers.get('Server-Timing')).toMatch(new RegExp(`\\b${step};dur=`));
    }
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'strict-transport-security': 'max-age=15552000; includeSubDomains',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
    });
  });

  it('counts the recipients that upstream accepted in the e-mail ids, and tells of the refused', async () => {
    await using postern = await startPostern(
      {},
      {
        faults: [
          {
            at: 'rcpt',
            address: 'no@ifaxin.com',
            do: { reply: '550 5.1.1 I cannot deliver mail for <no@ifaxin.com>' },
          },
        ],
      },
    );
    const receipt = await json(
      await postern.send({ ...MESSAGE, to: ['a@ifaxin.com', 'no@ifaxin.com', 'b@ifaxin.com'] }),
    );
    expect(receipt.accepted).toEqual(['a@ifaxin.com', 'b@ifaxin.com']);
    expect(receipt.rejected).toEqual([
      {
        address: 'no@ifaxin.com',
        code: 550,
        response: '550 5.1.1 I cannot deliver mail for <no@ifaxin.com>',
      },
    ]);
    expect(receipt.emailIds).toEqual({
      'a@ifaxin.com': `${receipt.queueId}0$a@ifaxin.com`,
      'b@ifaxin.com': `${receipt.queueId}1$b@ifaxin.com`,
    });
  });

  it('closes the window when 536 came for one recipient among others', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'rcpt', address: 'no@ifaxin.com', do: { reply: '536 frequency limited' } }] },
    );
    const first = await postern.send({ ...MESSAGE, to: ['a@ifaxin.com', 'no@ifaxin.com'] });
    expect(first.status).toBe(200);
    expect((await postern.send()).status).toBe(429);
  });

  it('turns data-URI pictures into inline ones and says how many', async () => {
    await using postern = await startPostern();
    const html = `<img src="data:image/png;base64,${PICTURE}">`;
    const { label: _, inlineImages: __, ...message } = MESSAGE;
    const receipt = await json(await postern.send({ ...message, html }));
    expect(receipt).toMatchObject({ embedded: 1, label: null });
    expect(postern.upstream.logins[0]).toMatchObject({ user: 'ifaxin', label: null });
    const mail = await PostalMime.parse(postern.upstream.taken[0]?.message ?? '');
    expect(mail.html).toContain(`cid:${mail.attachments[0]?.contentId?.slice(1, -1)}`);
  });

  it('sends the next message over the same connection, and another label over its own', async () => {
    await using postern = await startPostern();
    await postern.send();
    await postern.send();
    expect(postern.upstream.sessions).toHaveLength(1);
    await postern.send({ ...MESSAGE, label: 7 });
    expect(postern.upstream.sessions).toHaveLength(2);
    expect(postern.upstream.taken).toHaveLength(3);
  });

  it('uses a connection again after a refusal, with a clean transaction', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'rcpt', do: { reply: '550 no' }, times: 1 }] },
    );
    expect((await postern.send()).status).toBe(422);
    expect((await postern.send()).status).toBe(200);
    expect(postern.upstream.sessions).toHaveLength(1);
    expect(postern.upstream.sessions[0]?.dialogue.map((line) => line.text)).toContain('C: RSET');
  });

  it('leaves a connection that refused amid the message: RSET would be a line of it', async () => {
    const refused = { at: 'body', do: { reply: '552 5.3.4 too much' }, times: 1 } as const;
    await using postern = await startPostern({ SMTP_CONNECTIONS: '1' }, { faults: [refused] });
    const long = { ...MESSAGE, text: 'Lorem ipsum dolor sit amet.\n'.repeat(300_000) };
    expect(await json(await postern.send(long))).toMatchObject({
      code: 'message-too-large',
      delivery: 'not-sent',
    });
    expect((await postern.send()).status).toBe(200);
    expect(postern.upstream.sessions).toHaveLength(2);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('logs in anew after a loss, however many warm connections are dead', async () => {
    await using postern = await startPostern({ SMTP_CONNECTIONS: '5' });
    await Promise.all(Array.from({ length: 5 }, () => postern.send()));
    const warm = postern.upstream.sessions.length;
    postern.upstream.faults = [{ at: 'mail', do: 'reset', times: 1 }];
    expect((await postern.send()).status).toBe(200);
    expect(postern.upstream.sessions).toHaveLength(warm + 1);
  });

  it('opens a new connection where the warm one was closed meanwhile, without a word to the caller', async () => {
    await using postern = await startPostern({}, { faults: [{ at: 'idle', do: 'close', times: 1 }] });
    expect((await postern.send()).status).toBe(200);
    expect((await postern.send()).status).toBe(200);
    expect(postern.upstream.taken).toHaveLength(2);
  });

  it('survives a 421 that ends an idle connection', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'idle', do: { reply: '421 4.4.2 timeout' }, delayMs: 50, times: 1 }] },
    );
    expect((await postern.send()).status).toBe(200);
    while (postern.upstream.sessions[0]?.open) await new Promise((resolve) => setTimeout(resolve, 10));
    expect((await postern.send()).status).toBe(200);
    expect(postern.upstream.sessions).toHaveLength(2);
  });

  it('answers a server that asks for the user name again', async () => {
    await using postern = await startPostern({}, { auth: 'asks-user', accounts: { ifaxin: 'the-key' } });
    expect((await postern.send()).status).toBe(200);
  });

  it('tries again where nothing was answered, and draws for each MAIL', async () => {
    await using postern = await startPostern({}, { faults: [{ at: 'mail', do: 'close', times: 2 }] });
    expect((await postern.send()).status).toBe(200);
    expect(await postern.drawn()).toBe(3);
    expect(postern.upstream.transactions).toHaveLength(3);
    expect(postern.upstream.taken).toHaveLength(1);
  });

  it('tries the next port, and remembers the one that answered', async () => {
    const { createServer } = await import('node:net');
    const vacant = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => vacant.once('listening', resolve));
    const { port } = vacant.address() as { port: number };
    let refused = 0;
    vacant.on('connection', (socket) => {
      refused++;
      socket.destroy();
    });
    const { startUpstream } = await import('../support/upstream.ts');
    const { authority } = await import('../support/postern.ts');
    const second = await startUpstream({ certificate: await authority.issue() });
    await using postern = await startPostern({ SMTP_PORTS: `${port},${second.port}` });
    expect((await postern.send()).status).toBe(200);
    expect((await postern.send({ ...MESSAGE, label: 2 })).status).toBe(200);
    expect(refused).toBe(1);
    expect(second.taken).toHaveLength(2);
    await second.close();
    vacant.close();
  });

  it('shares a few connections among many messages', async () => {
    await using postern = await startPostern({ SMTP_CONNECTIONS: '3' });
    const responses = await Promise.all(Array.from({ length: 40 }, () => postern.send()));
    expect(responses.map((response) => response.status)).toEqual(Array(40).fill(200));
    expect(postern.upstream.sessions.length).toBeLessThanOrEqual(3);
    expect(postern.upstream.taken).toHaveLength(40);
    expect(await postern.drawn()).toBe(40);
  });

  it('is overloaded where too many wait for a connection', async () => {
    await using postern = await startPostern(
      { SMTP_CONNECTIONS: '1' },
      { faults: [{ at: 'dot', delayMs: 6000, times: 1 }] },
    );
    const codes = await Promise.all(
      Array.from({ length: 510 }, async () => (await json(await postern.send())).code ?? 'accepted'),
    );
    // One is under way and 500 wait; the rest is refused at once, and nothing is drawn for it.
    expect(codes.filter((code) => code === 'overloaded')).toHaveLength(9);
    expect(codes.filter((code) => code === 'accepted')).toHaveLength(501);
    expect(postern.upstream.transactions).toHaveLength(501);
    expect(await postern.drawn()).toBe(501);
  });

  it('lets bodies wait for memory, and is overloaded where there is none in half of the deadline', async () => {
    await using postern = await startPostern(
      { MAX_MESSAGE_BYTES: '1000000', DEADLINE_MS: '8000', SMTP_CONNECTIONS: '6' },
      { faults: [{ at: 'dot', delayMs: 5000, times: 6 }] },
    );
    const large = { ...MESSAGE, text: 'x'.repeat(480_000) };
    const codes = await Promise.all(
      Array.from({ length: 10 }, async () => (await json(await postern.send(large))).code ?? 'accepted'),
    );
    expect(codes.sort()).toEqual([...Array(6).fill('accepted'), ...Array(4).fill('overloaded')]);
    const patient = Array.from({ length: 10 }, async () => (await postern.send(large)).status);
    expect(await Promise.all(patient)).toEqual(Array(10).fill(200));
    expect(await postern.drawn()).toBe(16);
  });

  it('counts bodies that come without their length by what they turn out to be', async () => {
    await using postern = await startPostern(
      { MAX_MESSAGE_BYTES: '1000000', DEADLINE_MS: '8000' },
      { faults: [{ at: 'dot', delayMs: 5000, times: 3 }] },
    );
    const large = JSON.stringify({ ...MESSAGE, text: 'x'.repeat(800_000) });
    const chunked = () =>
      fetch(`${postern.url}/v1/messages`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
        body: new Blob([large]).stream(),
        duplex: 'half',
      } as RequestInit);
    const statuses = await Promise.all(Array.from({ length: 5 }, async () => (await chunked()).status));
    expect(statuses.sort()).toEqual([200, 200, 200, 503, 503]);
    expect((await chunked()).status).toBe(200);
  });

  it('never logs a key, a token or a body', async () => {
    await using postern = await startPostern({ LOG_LEVEL: 'debug' }, { accounts: { ifaxin: 'other' } });
    await postern.send({ ...MESSAGE, text: 'confidential-body' });
    await postern.send('{"text":"confidential-body"');
    const log = postern.logLines.join('\n');
    expect(log).toContain('upstream-credentials');
    for (const secret of ['the-key', 'a-token-for-the-tests', 'confidential-body', btoa('the-key')]) {
      expect(log).not.toContain(secret);
    }
  });
});

describe.concurrent('POST /v1/messages/batch', () => {
  const batch = (postern: Awaited<ReturnType<typeof startPostern>>, body: unknown, headers = {}) =>
    postern.request('/v1/messages/batch', { body, headers });

  it('answers for each message, in order', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'rcpt', address: 'no@ifaxin.com', do: { reply: '550 no' } }] },
    );
    const response = await batch(postern, [
      MESSAGE,
      { ...MESSAGE, subject: 7 },
      { ...MESSAGE, to: 'no@ifaxin.com' },
      { ...MESSAGE, to: 'amy@ifaxin.com' },
    ]);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual([
      { status: 200, receipt: expect.objectContaining({ accepted: ['ben@ifaxin.com'] }) },
      { status: 422, problem: expect.objectContaining({ code: 'invalid-message', delivery: 'not-sent' }) },
      { status: 422, problem: expect.objectContaining({ code: 'recipients-refused' }) },
      { status: 200, receipt: expect.objectContaining({ accepted: ['amy@ifaxin.com'] }) },
    ]);
    expect(response.headers.get('RateLimit')).toMatch(/;r=19997;/);
    expect(postern.upstream.taken).toHaveLength(2);
  });

  it('sends only what was not sent when it is repeated with its key', async () => {
    await using postern = await startPostern(
      {},
      { faults: [{ at: 'mail', do: { reply: '451 later' }, times: 1 }] },
    );
    const messages = Array.from({ length: 5 }, (_, index) => ({ ...MESSAGE, to: `u${index}@ifaxin.com` }));
    const headers = { 'Idempotency-Key': 'campaign' };
    const first = (await (await batch(postern, messages, headers)).json()) as { status: number }[];
    expect(first.filter(({ status }) => status === 503)).toHaveLength(1);
    const second = await batch(postern, messages, headers);
    expect(second.headers.get('Idempotent-Replayed')).toBeNull();
    expect(((await second.json()) as Json[]).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(postern.upstream.taken).toHaveLength(5);
    const third = await batch(postern, messages, headers);
    expect(third.headers.get('Idempotent-Replayed')).toBe('true');
    expect(postern.upstream.taken).toHaveLength(5);
  });

  for (const [name, body] of [
    ['an object', MESSAGE],
    ['nothing', []],
    ['101 messages', Array(101).fill(MESSAGE)],
  ] as const) {
    it(`refuses ${name}`, async () => {
      await using postern = await startPostern();
      const response = await batch(postern, body);
      expect(response.status).toBe(422);
      expect(await json(response)).toMatchObject({ code: 'invalid-message', errors: [{ pointer: '' }] });
    });
  }
});
