/** What is a reply, what is none, and how much of either is read. */

import { describe, expect, it } from 'vitest';
import { type Reply, ReplyReader, smtpReply } from '../../src/relay/reply.ts';

const read = (text: string, reader = new ReplyReader()): Reply[] => [
  ...reader.read(Buffer.from(text, 'latin1')),
];
const codes = (text: string): number[] => read(text).map(({ code }) => code);

describe('replies (RFC 5321 section 4.2)', () => {
  it.each<[string, Reply[]]>([
    ['250 ok\r\n', [{ code: 250, texts: ['ok'], response: '250 ok' }]],
    ['250\r\n', [{ code: 250, texts: [''], response: '250' }]],
    ['250 \r\n', [{ code: 250, texts: [''], response: '250 ' }]],
    ['250 ok\n', [{ code: 250, texts: ['ok'], response: '250 ok' }]],
    ['250 a\r\r\n', [{ code: 250, texts: ['a\r'], response: '250 a\ufffd' }]],
    [
      '250-a\r\n250-\r\n250 c\r\n',
      [{ code: 250, texts: ['a', '', 'c'], response: '250-a\r\n250-\r\n250 c' }],
    ],
    ['250-a\r\n250\r\n', [{ code: 250, texts: ['a', ''], response: '250-a\r\n250' }]],
    ['\r\n\n220 hello\r\n', [{ code: 220, texts: ['hello'], response: '220 hello' }]],
    [
      '550 no\r\n421 bye\r\n',
      [
        { code: 550, texts: ['no'], response: '550 no' },
        { code: 421, texts: ['bye'], response: '421 bye' },
      ],
    ],
    ['250 ok', []],
    ['250-a\r\n', []],
    ['', []],
  ])('%j, whole and a byte at a time', (text, replies) => {
    expect(read(text)).toEqual(replies);
    const reader = new ReplyReader();
    expect([...text].flatMap((byte) => read(byte, reader))).toEqual(replies);
  });

  it.each([
    ['hello\r\n', [0]],
    ['25 ok\r\n', [0]],
    ['2500 ok\r\n', [0]],
    ['250_ok\r\n', [0]],
    ['x250 ok\r\n', [0]],
    [' 250 ok\r\n', [0]],
    ['150 ok\r\n', [0]],
    ['650 ok\r\n', [0]],
    ['2\xb30 ok\r\n', [0]],
    ['199 a\r\n200 a\r\n599 a\r\n600 a\r\n', [0, 200, 599, 0]],
    ['250-a\r\n550 b\r\n', [0]],
    ['250-a\r\n\r\n', [0]],
    ['250-a\r\nx250 b\r\n', [0]],
    ['undefined\r\n', [0]],
    ['250-a\r\nhello\r\n250 c\r\n', [0, 250]],
  ])('%j: %j, of which 0 is none', (text, expected) => {
    expect(codes(text)).toEqual(expected);
  });

  it('what is none is kept as it came', () => {
    expect(read('250-a\r\n550 b\r\n')).toEqual([{ code: 0, texts: ['a', 'b'], response: '250-a\r\n550 b' }]);
  });
});

describe('no more is read than a reply may have', () => {
  const KB = 1024;

  it('64 KiB, those of one line or of many, and the blank ones before it', () => {
    const full = (length: number) => `250 ${'y'.repeat(length - 6)}\r\n`;
    expect(codes(full(64 * KB))).toEqual([250]);
    expect(codes(full(64 * KB + 1))).toEqual([0]);
    expect(codes(`\r\n${full(64 * KB - 2)}`)).toEqual([250]);
    expect(codes(`\r\n${full(64 * KB - 1)}`)).toEqual([0]);
    const lines = `250-${'y'.repeat(KB - 6)}\r\n`;
    expect(codes(lines.repeat(63) + full(KB))).toEqual([250]);
    expect(codes(lines.repeat(63) + full(KB + 1))).toEqual([0]);
  });

  it('what is too long without an end is known at once, and what it was', () => {
    const reader = new ReplyReader();
    expect(read('y'.repeat(64 * KB), reader)).toEqual([]);
    const [reply] = read('z', reader);
    expect(reply).toMatchObject({ code: 0, response: 'y'.repeat(4096) });
  });

  it('200 lines, and as many blank ones', () => {
    expect(codes(`${'250-a\r\n'.repeat(199)}250 b\r\n`)).toEqual([250]);
    expect(codes('250-a\r\n'.repeat(199))).toEqual([]);
    expect(codes('250-a\r\n'.repeat(200))).toEqual([0]);
    expect(codes(`${'\r\n'.repeat(199)}250 b\r\n`)).toEqual([250]);
    expect(codes('\r\n'.repeat(200))).toEqual([0]);
  });

  it('each reply anew', () => {
    const long = `250 ${'y'.repeat(40 * KB)}\r\n`;
    expect(codes(long.repeat(3))).toEqual([250, 250, 250]);
    expect(codes(`${'\r\n'.repeat(150)}250 b\r\n`.repeat(2))).toEqual([250, 250]);
    expect(codes(`${'\r\n'.repeat(200)}${'\r\n'.repeat(150)}250 b\r\n`)).toEqual([0, 250]);
  });

  it('whoever has heard enough stops the reading', () => {
    const reader = new ReplyReader();
    for (const reply of reader.read(Buffer.from('250 a\r\n250-b\r\n'))) {
      expect(reply.response).toBe('250 a');
      break;
    }
    expect(reader.partial).toBe(false);
  });
});

describe('the words', () => {
  const responseOf = (text: string): string | undefined => read(`250 ${text}\r\n`)[0]?.response.slice(4);

  it.each([
    ['UTF-8', 'caf\xc3\xa9', 'caf\u00e9'],
    ['Latin-1', 'caf\xe9', 'caf\u00e9'],
    ['tabs', 'a\tb', 'a\tb'],
    ['tabs beside other letters', '\xe9\tb', '\u00e9\tb'],
    ['controls', 'a\0\x07\x1b[31m\x7fb', 'a\ufffd\ufffd\ufffd[31m\ufffdb'],
    ['controls of Latin-1', 'a\x85\x9bb', 'a\ufffd\ufffdb'],
    ['line and paragraph separators', 'a\xe2\x80\xa8\xe2\x80\xa9b', 'a\ufffd\ufffdb'],
    ['what turns the direction', 'a\xe2\x80\xaeb', 'a\ufffdb'],
  ])('%s', (_, heard, shown) => {
    expect(responseOf(heard)).toBe(shown);
  });

  it('are kept up to 4096 characters, whole ones', () => {
    const response = (text: string) => read(`${text}\r\n`)[0]?.response;
    const whole = `250 ${'y'.repeat(4092)}`;
    expect(response(whole)).toBe(whole);
    expect(response(`${whole}z`)).toBe(whole);
    expect(response(`250 ${'y'.repeat(4090)}  z`)).toBe(`250 ${'y'.repeat(4090)}`);
    // One that takes two UTF-16 code units, of which one would be kept.
    const astral = Buffer.from('\u{1f389}').toString('latin1');
    expect(response(`250 ${'y'.repeat(4091)}${astral}`)).toBe(`250 ${'y'.repeat(4091)}\ufffd`);
  });
});

describe('where the connection ends', () => {
  it.each([
    ['550 no', 550],
    ['421 by', 421],
    ['550 ', 550],
    ['250 ok\r\n550 no', 550],
    ['550', null],
    ['550-no', null],
    ['250 ok', null],
    ['350 ok', null],
    ['x550 no', null],
    ['55x no', null],
    ['550-a\r\n550 b', null],
    ['550 no\r\n', null],
    ['', null],
  ])('%j: %j is a refusal all the same', (text, code) => {
    const reader = new ReplyReader();
    read(text, reader);
    expect(reader.end()?.code ?? null).toBe(code);
  });

  it.each([
    ['', false],
    ['2', true],
    ['\r\n', true],
    ['250-a\r\n', true],
    ['250 a\r\n', false],
    ['250 a\r\n2', true],
  ])('%j: half a reply was heard: %j', (text, partial) => {
    const reader = new ReplyReader();
    read(text, reader);
    expect(reader.partial).toBe(partial);
  });
});

it.each([
  ['550 5.1.1 no', '5.1.1'],
  ['550-5.1.1 no\r\n550 5.1.1 really', '5.1.1'],
  ['450 4.123.456', '4.123.456'],
  ['250 2.0.0\r\n', '2.0.0'],
  ['550 3.1.1 no', null],
  ['550 5.1 no', null],
  ['550 5.1.1111 no', null],
  ['550 5.1111.1 no', null],
  ['550 5.1.1no', null],
  ['550 no 5.1.1', null],
  ['550 (550 5.1.1 no)', null],
  ['550_5.1.1 no', null],
  ['550', null],
])('%j has the enhanced status code %j (RFC 3463)', (response, enhanced) => {
  const reply: Reply = { code: 550, texts: [], response };
  expect(smtpReply(reply, 'rcpt')).toEqual({ code: 550, enhanced, phase: 'rcpt', response });
});
