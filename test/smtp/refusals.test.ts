/** What the door does not take, and what it says then. */

import { describe, expect, it } from 'vitest';
import { TOKEN } from '../support/postern.ts';
import { base64 } from '../support/smtp-client.ts';
import { Client, loggedIn, startDoor } from './door.ts';

const MAIL = 'MAIL FROM:<support@ifaxin.com>';

describe.concurrent('before the login', { timeout: 60_000 }, () => {
  it('greets without the name of its machine', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    expect(await client.reply()).toBe('220 postern ESMTP');
    expect(await client.ask('EHLO client.example')).toMatch(/^250-postern /);
    client.destroy();
  });

  it('announces what it has, and AUTH only where it is safe', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    const features = (await client.secure()).map((reply) =>
      reply
        ?.split('\r\n')
        .slice(1)
        .map((line) => line.slice(4))
        .sort(),
    );
    expect(features).toEqual([
      ['8BITMIME', 'PIPELINING', 'SIZE 16000000', 'STARTTLS'],
      ['8BITMIME', 'AUTH LOGIN PLAIN', 'PIPELINING', 'SIZE 16000000'],
    ]);
    client.destroy();
  });

  it('takes neither AUTH nor a message in the clear', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.reply();
    await client.ask('EHLO client.example');
    expect(await client.auth()).toMatch(/^538 /);
    expect(await client.ask(`AUTH LOGIN ${base64('ifaxin')}`)).toMatch(/^538 /);
    for (const line of [MAIL, 'RCPT TO:<ben@ifaxin.com>', 'DATA']) {
      expect(await client.ask(line)).toMatch(/^530 5\.7\.0 /);
    }
    expect(door.upstream.sessions).toHaveLength(0);
    client.destroy();
  });

  it('relays nothing without a login', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.secure();
    for (const line of [MAIL, 'RCPT TO:<ben@ifaxin.com>', 'DATA']) {
      expect(await client.ask(line)).toMatch(/^530 5\.7\.0 /);
    }
    expect(await client.auth('ifaxin', 'wrong')).toBe('535 5.7.8 Authentication failed');
    expect(await client.ask(MAIL)).toMatch(/^530 /);
    client.destroy();
  });

  it('forgets what was said before STARTTLS, in the same packet too', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.reply();
    await client.ask('EHLO client.example');
    await client.write(`STARTTLS\r\nAUTH PLAIN ${base64(`\0ifaxin\0${TOKEN}`)}\r\n${MAIL}\r\n`);
    expect(await client.reply()).toMatch(/^220 /);
    await client.startTls();
    expect(await client.ask(MAIL)).toMatch(/^503 /);
    expect(await client.ask('EHLO client.example')).toMatch(/^250/);
    expect(await client.ask(MAIL)).toMatch(/^530 /);
    client.destroy();
  });

  it('speaks no TLS before 1.2', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.reply();
    await client.ask('EHLO client.example');
    await client.ask('STARTTLS');
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    await expect(client.startTls(undefined, old)).rejects.toThrow();
    const newer = new Client(door.smtpPort);
    await newer.secure('TLSv1.2');
    expect(await newer.auth()).toMatch(/^235 /);
    newer.destroy();
  });

  it('takes AUTH LOGIN and PLAIN, whole and step by step', async () => {
    await using door = await startDoor();
    const [user, password, plain] = ['ifaxin#31337', TOKEN, `\0ifaxin#31337\0${TOKEN}`].map(base64) as [
      string,
      string,
      string,
    ];
    const dialogues: string[][] = [
      ['AUTH LOGIN', '334 VXNlcm5hbWU6', user, '334 UGFzc3dvcmQ6', password],
      [`AUTH LOGIN ${user}`, '334 UGFzc3dvcmQ6', password],
      ['AUTH PLAIN', '334 ', plain],
      [`AUTH PLAIN ${plain}`],
    ];
    for (const dialogue of dialogues) {
      const client = new Client(door.smtpPort);
      await client.secure();
      let reply: string | null = null;
      for (const [at, line] of dialogue.entries()) {
        if (at % 2 === 0) reply = await client.ask(line);
        else expect(reply).toBe(line);
      }
      expect(reply).toBe('235 Authentication successful');
      client.destroy();
    }
  });

  it('lets nobody act for another api_user', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.secure();
    const acting = base64(`other\0ifaxin\0${TOKEN}`);
    expect(await client.ask(`AUTH PLAIN ${acting}`)).toBe('535 5.7.8 Authentication failed');
    client.destroy();
  });

  it('proves an own api_key by upstream, once', async () => {
    await using door = await startDoor({ BASIC_AUTH: 'on' }, { accounts: { own: 'own-key' } });
    for (let i = 0; i < 3; i++) {
      const client = new Client(door.smtpPort);
      expect(await client.deliver({ user: 'own#5', password: 'own-key' })).toMatch(/^250 /);
      client.destroy();
    }
    expect(door.upstream.logins.map(({ user, key }) => [user, key])).toEqual([
      ['own', 'own-key'],
      ['own#5', 'own-key'],
    ]);
    expect(door.logLines.join()).not.toContain('own-key');
  });

  it('limits failed logins to ten a minute, HTTP and SMTP together', async () => {
    const known = { own: 'own-key', ifaxin: 'the-key' };
    await using door = await startDoor({ BASIC_AUTH: 'on' }, { accounts: known });
    for (let i = 0; i < 5; i++) {
      const response = await door.send(undefined, { Authorization: `Basic ${btoa(`own:guess-http-${i}`)}` });
      expect(response.status).toBe(401);
    }
    for (let i = 0; i < 5; i++) {
      const client = new Client(door.smtpPort);
      expect(await client.deliver({ user: 'own', password: `guess-${i}` })).toMatch(/^535 /);
      client.destroy();
    }
    // The right key too: a guesser must not learn that it was right.
    const client = new Client(door.smtpPort);
    expect(await client.deliver({ user: 'own', password: 'own-key' })).toBe(
      '421 4.7.0 Too many failed logins, try again later',
    );
    expect(await client.end()).toBe('closed');
    expect((await door.send(undefined, { Authorization: `Basic ${btoa('own:own-key')}` })).status).toBe(429);
    // Another api_user is not shut out with it.
    expect(await new Client(door.smtpPort).deliver()).toMatch(/^250 /);
  });

  it('counts wrong tokens, whatever the label', async () => {
    await using door = await startDoor();
    for (let i = 1; i <= 10; i++) {
      expect(
        await new Client(door.smtpPort).deliver({ user: `ifaxin#${i}`, password: `guess-${i}` }),
      ).toMatch(/^535 /);
    }
    const password = 'another-guess';
    expect(await new Client(door.smtpPort).deliver({ password })).toMatch(/^421 4\.7\.0 /);
    expect(door.upstream.sessions).toHaveLength(0);
    // The right token behind the same address is not locked out with them.
    expect(await new Client(door.smtpPort).deliver()).toMatch(/^250 /);
  });

  for (const [what, settings, given] of [
    ['a token', {}, {}],
    ['an api_key', { BASIC_AUTH: 'on' }, { user: 'own', password: 'own-key' }],
  ] as const) {
    it(`many logins at once with the right credentials are no failed ones: ${what}`, async () => {
      await using door = await startDoor(settings, { accounts: { own: 'own-key', ifaxin: 'the-key' } });
      const clients = Array.from({ length: 30 }, () => new Client(door.smtpPort));
      const replies = await Promise.all(clients.map((client) => client.deliver(given)));
      expect(replies.filter((reply) => !reply?.startsWith('250 '))).toEqual([]);
      for (const client of clients) client.destroy();
    });
  }

  it('closes after too many commands, known or not', async () => {
    await using door = await startDoor();
    for (const command of ['NOOP', 'XYZZY', 'WIZ']) {
      const client = new Client(door.smtpPort);
      await client.secure();
      let reply = '';
      for (let i = 0; i < 30 && !reply.startsWith('421 '); i++) reply = await client.ask(command);
      expect(reply).toMatch(/^421 /);
      expect(await client.end()).toBe('closed');
    }
  });

  it('closes on a client that talks before the greeting', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.write('EHLO client.example\r\n');
    expect(await client.reply()).toMatch(/^421 /);
    expect(await client.end()).toBe('closed');
  });

  it('closes on a line without end', async () => {
    await using door = await startDoor();
    const client = new Client(door.smtpPort);
    await client.secure();
    void client.write('N'.repeat(100_000));
    expect(await client.reply()).toMatch(/^421 /);
    expect(await client.end()).toBe('closed');
  });

  it('closes on a client that does not log in', async () => {
    await using door = await startDoor({ DEADLINE_MS: '200' });
    const silent = new Client(door.smtpPort);
    const hesitant = new Client(door.smtpPort);
    await hesitant.secure();
    await silent.reply();
    for (const client of [silent, hesitant]) {
      expect(await client.reply()).toBe('421 4.4.2 Login timed out');
      expect(await client.end()).toBe('closed');
    }
    // Who is logged in may stay.
    const client = await loggedIn(door.smtpPort);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await client.ask('NOOP')).toMatch(/^250 /);
    client.destroy();
  });
});

describe.concurrent('the envelope', { timeout: 60_000 }, () => {
  for (const [line, reply] of [
    ['MAIL FROM:<>', '553 5.1.7 '],
    ['MAIL FROM:<support>', '553 5.1.7 '],
    ['MAIL FROM:<support@[127.0.0.1]>', '553 5.1.7 '],
    ['MAIL FROM:<"a b"@ifaxin.com>', '250 '],
    ['MAIL FROM:<a b@ifaxin.com>', '501 '],
    ['MAIL FROM:support@ifaxin.com', '501 '],
    [
      'MAIL FROM:<süpport@ifaxin.com>',
      '553 5.1.7 Use an address with an ASCII local part, without "?" (U+00FC)',
    ],
    ['MAIL FROM:<support@ifaxin.com> SMTPUTF8', '555 5.5.4 '],
    ['MAIL FROM:<support@ifaxin.com> RET=FULL', '555 5.5.4 '],
    ['MAIL FROM:<support@ifaxin.com> SIZE=16000001', '552 '],
    ['MAIL FROM:<support@ifaxin.com> SIZE=99999999999999999999', '552 '],
    ['MAIL FROM:<support@ifaxin.com> SIZE=-1', '501 '],
    ['MAIL FROM:<support@ifaxin.com> SIZE=16000000', '250 '],
    ['MAIL FROM:<support@ifaxin.com> AUTH=<> BODY=8BITMIME', '250 '],
  ] as const) {
    it(`${line}: ${reply}`, async () => {
      await using door = await startDoor();
      const client = await loggedIn(door.smtpPort);
      expect((await client.ask(line))?.startsWith(reply)).toBe(true);
      client.destroy();
    });
  }

  for (const [line, reply] of [
    ['RCPT TO:<>', '501 '],
    [
      'RCPT TO:<ken..sato.@docomo.ne.jp>',
      '553 5.1.3 Put the local part in double quotes: "ken..sato."@docomo.ne.jp',
    ],
    ['RCPT TO:<be\u200bn@ifaxin.com>', '553 5.1.3 Correct the local part of the address: it has U+200B ZERO'],
    ['RCPT TO:<ben@ifaxin．com>', '553 5.1.3 Correct the domain name: it has full-width "?" (U+FF0E)'],
    ['RCPT TO:<\u200bben@ifaxin.com>', '553 5.1.3 Use an ASCII address alone'],
    ['RCPT TO:<"<ben>"@ifaxin.com>', '553 5.1.3 '],
    ['RCPT TO:<@relay.example:ben@ifaxin.com>', '250 '],
    ['RCPT TO:<postmaster>', '553 5.1.3 '],
    ['RCPT TO:<bén@ifaxin.com>', '553 5.1.3 '],
    ['RCPT TO:<ben@ifaxin.com> NOTIFY=NEVER', '555 5.5.4 '],
    ['RCPT TO:<ben@ifaxin.com>', '250 '],
  ] as const) {
    it(`${line}: ${reply}`, async () => {
      await using door = await startDoor();
      const client = await loggedIn(door.smtpPort);
      await client.ask(MAIL);
      expect((await client.ask(line))?.startsWith(reply)).toBe(true);
      client.destroy();
    });
  }

  it('300 recipients, and not one more', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    await client.ask(MAIL);
    const recipients = Array.from({ length: 301 }, (_, at) => `r${at}@ifaxin.com`);
    await client.write(recipients.map((address) => `RCPT TO:<${address}>\r\n`).join(''));
    for (let i = 0; i < 300; i++) expect(await client.reply()).toMatch(/^250 /);
    expect(await client.reply()).toBe('452 4.5.3 Too many recipients');
    await client.ask('DATA');
    expect(await client.ask('a: b\r\n\r\n.')).toMatch(/^250 /);
    expect(door.upstream.taken).toMatchObject([{ recipients: recipients.slice(0, 300) }]);
    client.destroy();
  });

  it('has a person once who is named twice, and answers every RCPT truly', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    await client.ask(MAIL);
    const given = [
      'Ben@ifaxin.com',
      'ben@IFAXIN.com',
      '"ben"@ifaxin.com',
      'ann@ifaxin.com',
      'BEN@ifaxin.com',
    ];
    for (const address of given) expect(await client.ask(`RCPT TO:<${address}>`)).toMatch(/^250 /);
    await client.ask('DATA');
    expect(await client.ask('a: b\r\n\r\n.')).toMatch(/^250 /);
    expect(door.upstream.taken).toMatchObject([{ recipients: ['Ben@ifaxin.com', 'ann@ifaxin.com'] }]);
    client.destroy();
  });

  it('has room for a person who is in it, when it is full', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    await client.ask(MAIL);
    for (let i = 0; i < 300; i++) client.send(`RCPT TO:<r${i}@ifaxin.com>\r\n`);
    for (let i = 0; i < 300; i++) expect(await client.reply()).toMatch(/^250 /);
    expect(await client.ask('RCPT TO:<R0@ifaxin.com>')).toMatch(/^250 /);
    expect(await client.ask('RCPT TO:<r300@ifaxin.com>')).toMatch(/^452 /);
    client.destroy();
  });

  it('carries quoted local parts as they were written', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    const recipients = ['"ken..sato."@docomo.ne.jp', '"a b@c"@ifaxin.com'];
    expect(await client.transact({ mail: '<"ken..sato."@docomo.ne.jp>', recipients })).toMatch(/^250 /);
    expect(door.upstream.taken).toMatchObject([{ from: '"ken..sato."@docomo.ne.jp', recipients }]);
    client.destroy();
  });

  it('is forgotten by RSET, and after each message', async () => {
    await using door = await startDoor();
    const client = await loggedIn(door.smtpPort);
    await client.ask(MAIL);
    await client.ask('RCPT TO:<ben@ifaxin.com>');
    await client.ask('RSET');
    expect(await client.ask('DATA')).toMatch(/^503 /);
    await client.ask(MAIL);
    await client.ask('RCPT TO:<ann@ifaxin.com>');
    await client.ask('DATA');
    expect(await client.ask('a: b\r\n\r\n.')).toMatch(/^250 /);
    expect(await client.ask('DATA')).toMatch(/^503 /);
    expect(door.upstream.taken).toMatchObject([{ recipients: ['ann@ifaxin.com'] }]);
    client.destroy();
  });
});
