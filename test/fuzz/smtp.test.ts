/** The SMTP door: any commands are answered, and whatever stands in a message it stays one. */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client, type RunningDoor, startDoor } from '../smtp/door.ts';
import { RUNS, SMUGGLING_PIECES } from './corpus.ts';

let door: RunningDoor;
beforeAll(async () => {
  door = await startDoor({ QUOTA_LIMIT: '1000000' });
});
afterAll(() => door[Symbol.asyncDispose]());

/** In parts, as TCP may cut them; each leaves before the next. */
async function writeCut(client: Client, bytes: Buffer, cuts: readonly number[]): Promise<void> {
  let at = 0;
  for (const cut of cuts) {
    if (at + cut >= bytes.length) break;
    await client.write(bytes.subarray(at, at + cut));
    at += cut;
  }
  await client.write(bytes.subarray(at));
}

describe('a message at the SMTP door', () => {
  test('is one message whatever looks like its end', { timeout: 600_000 }, async () => {
    const text = fc
      .array(fc.constantFrom(...SMUGGLING_PIECES), { maxLength: 12 })
      .map((pieces) => `From: support@ifaxin.com\r\n\r\n${pieces.join('')}`)
      .filter((joined) => !`${joined}\r\n`.includes('\r\n.\r\n'));
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 }),
        async (body, cuts) => {
          const before = door.upstream.taken.length;
          const client = new Client(door.smtpPort);
          expect(await client.toData()).toMatch(/^354 /);
          // A CR at the end and the CRLF behind it are a lone CR and a line end.
          await writeCut(client, Buffer.from(`${body}\r\n.\r\n`, 'latin1'), cuts);
          const reply = await client.reply();
          const taken = door.upstream.taken.slice(before);
          expect(taken).toHaveLength(reply.startsWith('250') ? 1 : 0);
          expect(reply).toMatch(/^(?:250|55\d) /);
          for (const { message, recipients } of taken) {
            expect(recipients).toEqual(['ben@ifaxin.com']);
            const arrived = message?.toString('latin1') ?? '';
            expect(arrived).toBe(received(`${body}\r\n`));
            expect(arrived.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
          }
          // What follows is read as commands again, from the first one on.
          expect(await client.ask('NOOP')).toMatch(/^250 /);
          client.destroy();
        },
      ),
      { numRuns: RUNS, examples: [['From: support@ifaxin.com\r\n\r\none\n..\n...two\r\n..', []]] },
    );
  });

  /**
   * RFC 5321 section 4.5.2, with a lone LF as the line end that it was meant for: of two dots behind it one goes too. A
   * dot that a client forgot to double is kept: the line is not to lose it.
   */
  const received = (sent: string): string => sent.replace(/(^|\n)\.\./g, '$1.').replace(/\r?\n/g, '\r\n');
});

test('any commands are answered, one reply each', { timeout: 600_000 }, async () => {
  const word = fc.constantFrom(
    ...[
      'HELO',
      'EHLO',
      'MAIL FROM:',
      'RCPT TO:',
      'RSET',
      'NOOP',
      'VRFY',
      'HELP',
      'AUTH PLAIN',
      'AUTH LOGIN',
      'STARTTLS',
    ],
    ...[
      '<support@ifaxin.com>',
      '<>',
      '<a@b',
      'SIZE=1',
      'BODY=8BITMIME',
      '=',
      'AA==',
      '*',
      'x'.repeat(600),
      '\0',
      '\xff',
      '\t',
    ],
  );
  const command = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join(' '));
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 8 }), async (commands) => {
      const client = new Client(door.smtpPort);
      await client.secure();
      await client.auth();
      for (const line of commands) {
        await client.write(Buffer.from(`${line}\r\n`, 'latin1'));
        const reply = await client.reply().catch(() => '421 closed');
        expect(reply).toMatch(/^(?:[25]\d\d|334|42\d|45\d)[ -]/);
        if (reply.startsWith('42')) break;
      }
      client.destroy();
    }),
    { numRuns: RUNS },
  );
  expect(door.logLines.filter((line) => line.includes('"event":"internal"'))).toEqual([]);
});
