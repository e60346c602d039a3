import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAuthority } from '../../src/sandbox/certificate.ts';
import { Faults } from '../../src/sandbox/faults.ts';
import { Inbox } from '../../src/sandbox/inbox.ts';
import { type Dialogue, Transcripts } from '../../src/sandbox/transcript.ts';
import { type LookAlike, startLookAlike } from '../../src/sandbox/upstream.ts';
import { base64, SmtpClient } from '../support/smtp-client.ts';

const SECRET = 'a-secret-key-never-to-be-shown';
const inbox = new Inbox();
const transcripts = new Transcripts();
const faults = new Faults();
let ca: string;
let upstream: LookAlike;

beforeAll(async () => {
  const authority = await createAuthority();
  ca = authority.cert;
  const accounts = { ifaxin: SECRET };
  const certificate = await authority.issue();
  upstream = await startLookAlike({ certificate, accounts, inbox, transcripts, faults, slowMs: 1 });
});
afterAll(() => upstream.close());

async function loggedIn(user?: string): Promise<SmtpClient> {
  const client = new SmtpClient(upstream.port);
  await client.open(ca, user, SECRET);
  return client;
}

const latest = (): Dialogue => {
  const dialogue = transcripts.dialogues.at(-1);
  if (!dialogue) throw new Error('There is no dialogue');
  return dialogue;
};
const said = ({ lines }: Dialogue) => lines.map(({ by, text }) => `${by}: ${text}`);

it('writes down a message as on the page, and the next one on its connection', async () => {
  const client = await loggedIn('ifaxin#7');
  for (const command of ['mail FROM:<a@ifaxin.com>', 'rcpt TO:<b@ifaxin.com>', 'data'])
    await client.ask(command);
  const reply = await client.ask('Subject: x\r\n\r\nx\r\n.');
  const first = latest();
  expect(said(first)).toEqual([
    'TCP: connected',
    'S: 220 SendCloud Inbound Server ESMTP Haraka 2.2.4 ready',
    'C: ehlo ifaxin.com',
    'S: 250-SendCloud Inbound Server Hello, Haraka is at your service.',
    'S: 250-PIPELINING',
    'S: 250-8BITMIME',
    'S: 250-SIZE 16000000',
    'S: 250-STARTTLS',
    'S: 250 AUTH LOGIN',
    'C: STARTTLS',
    expect.stringMatching(/^S: 220 /),
    expect.stringMatching(/^TLS: TLSv1\.2, /),
    'C: ehlo ifaxin.com',
    'S: 250-SendCloud Inbound Server Hello, Haraka is at your service.',
    'S: 250-PIPELINING',
    'S: 250-8BITMIME',
    'S: 250-SIZE 16000000',
    'S: 250 AUTH LOGIN',
    'C: AUTH LOGIN base64(ifaxin#7)',
    'S: 334 UGFzc3dvcmQ6',
    'C: base64(••••••••)',
    expect.stringMatching(/^S: 235 /),
    'C: mail FROM:<a@ifaxin.com>',
    'S: 250 sender <a@ifaxin.com> OK',
    'C: rcpt TO:<b@ifaxin.com>',
    'S: 250 recipient <b@ifaxin.com> OK',
    'C: data',
    'S: 354 go ahead, make my day',
    'C: … 17 bytes',
    'C: .',
    `S: ${reply}`,
  ]);
  // TCP, greeting, EHLO, STARTTLS, two of TLS, EHLO, AUTH, key, and one for each of the last four.
  expect(first).toMatchObject({
    warm: false,
    trips: 13,
    user: 'ifaxin#7',
    from: 'a@ifaxin.com',
    to: ['b@ifaxin.com'],
    n: 1,
    reply,
  });
  expect(first.lines.filter(({ secure }) => !secure).at(-1)?.text).toMatch(/^220 /);

  await client.ask('MAIL FROM:<a@ifaxin.com>\r\nRCPT TO:<c@ifaxin.com>\r\nDATA');
  await client.reply();
  await client.reply();
  await client.ask('y\r\n.');
  expect(latest()).toMatchObject({ warm: true, trips: 2, user: 'ifaxin#7', to: ['c@ifaxin.com'], n: 2 });
  await client.ask('QUIT');
  expect(said(latest()).slice(-2)[0]).toBe('C: QUIT');
  expect(latest().trips).toBe(2);
});

it('writes down what was refused, with no message', async () => {
  const client = await loggedIn('ifaxin#7');
  await client.ask('MAIL FROM:<>');
  await client.ask('RCPT TO:<refused@ifaxin.com>');
  await client.ask('RSET');
  expect(latest()).toMatchObject({
    from: '<>',
    to: ['refused@ifaxin.com'],
    n: null,
    reply: '550 I cannot deliver mail for <refused@ifaxin.com>',
  });
  await client.ask('MAIL FROM:<a@ifaxin.com>');
  expect(latest()).toMatchObject({ warm: true, from: 'a@ifaxin.com', reply: null });
  client.destroy();
});

it('says when a connection was lost', async () => {
  faults.play('dropped', 1);
  const client = await loggedIn('ifaxin#7');
  for (const command of ['MAIL FROM:<a@ifaxin.com>', 'RCPT TO:<b@ifaxin.com>', 'DATA'])
    await client.ask(command);
  client.write('x\r\n.\r\n');
  await expect.poll(() => said(latest()).at(-1)).toBe('TCP: connection lost');
  expect(latest().reply).toBeNull();
  expect(latest().n).toBe(inbox.messages.at(-1)?.n);
});

it.each<[string, string[]]>([
  ['LOGIN in three lines', ['AUTH LOGIN', base64('ifaxin'), base64(SECRET)]],
  ['LOGIN with the key first', [`AUTH LOGIN ${base64('ifaxin')}`, base64(SECRET)]],
  ['a key behind a login that was refused', ['AUTH PLAIN', base64(SECRET)]],
  ['PLAIN, which is not offered', [`AUTH PLAIN ${base64(`\0ifaxin\0${SECRET}`)}`]],
])('never shows a key: %s', async (_, commands) => {
  const client = await loggedIn();
  for (const command of commands) await client.ask(command);
  await client.ask(`AUTH LOGIN ${base64('ifaxin')}`);
  await client.ask(base64(SECRET));
  await client.ask('MAIL FROM:<masked@ifaxin.com>');
  expect(latest().from).toBe('masked@ifaxin.com');
  const all = JSON.stringify(transcripts.dialogues);
  const shown = [SECRET, base64(SECRET), base64(`\0ifaxin\0${SECRET}`)].filter((form) => all.includes(form));
  expect(shown).toEqual([]);
  client.destroy();
});

it('keeps the last 200', async () => {
  const client = await loggedIn('ifaxin#7');
  for (let n = 0; n < 205; n++) {
    await client.ask(`MAIL FROM:<${n}@ifaxin.com>`);
    await client.ask('RSET');
  }
  expect(transcripts.dialogues).toHaveLength(200);
  expect(transcripts.find(latest().id)).toBe(latest());
  expect(transcripts.find(1)).toBeNull();
  client.destroy();
});
