import { describe, expect, it } from 'vitest';
import { parsePath, splitPathCommand } from '../../src/message/path.ts';

describe('a command with a path', () => {
  it.each([
    ['MAIL FROM:<a@b.example>', 'MAIL FROM', 'a@b.example', ''],
    ['mail from: <a@b.example>  SIZE=1 BODY=8BITMIME ', 'mail from', 'a@b.example', 'SIZE=1 BODY=8BITMIME'],
    ['RCPT TO:<>', 'RCPT TO', '', ''],
    ['RCPT TO:<postmaster>', 'RCPT TO', 'postmaster', ''],
    ['RCPT TO:<@x.example,@y.example:a@b.example>', 'RCPT TO', 'a@b.example', ''],
    ['RCPT TO:<"ken..sato."@b.example>', 'RCPT TO', '"ken..sato."@b.example', ''],
    ['RCPT TO:<"a b@c>\\"<"@b.example> X=y', 'RCPT TO', '"a b@c>\\"<"@b.example', 'X=y'],
  ])('%s', (line, verb, address, parameters) => {
    expect(splitPathCommand(line)).toEqual({ verb, address, parameters });
  });

  it.each([
    'MAIL FROM:a@b.example',
    'MAIL FROM:<a b@b.example>',
    'MAIL FROM:<a@b.example',
    'MAIL FROM:<a@b.example>SIZE=1',
    'MAIL FROM:<<a@b.example>>',
    'RCPT TO:<"a@b.example>',
    'MAIL <a@b.example>',
  ])('%s is none', (line) => {
    expect(splitPathCommand(line)).toBeNull();
  });

  it('is read at once, however it is made', () => {
    for (const piece of ['"', '\\"', '"a"', '@a,', '"\\']) {
      splitPathCommand(`RCPT TO:<${piece.repeat(100_000)}`);
    }
  });
});

describe('a path', () => {
  it.each([
    ['ben@ifaxin.com', 'ben@ifaxin.com', 'ben@ifaxin.com'],
    ['Ben@IFAXIN.com', 'Ben@IFAXIN.com', 'Ben@ifaxin.com'],
    ['"ken..sato."@docomo.ne.jp', '"ken..sato."@docomo.ne.jp', '"ken..sato."@docomo.ne.jp'],
    ['"ben"@ifaxin.com', '"ben"@ifaxin.com', 'ben@ifaxin.com'],
    ['"\\b\\en"@ifaxin.com', '"\\b\\en"@ifaxin.com', 'ben@ifaxin.com'],
    ['"a b@c"@ifaxin.com', '"a b@c"@ifaxin.com', '"a b@c"@ifaxin.com'],
    ['ben@bücher.example', 'ben@xn--bcher-kva.example', 'ben@xn--bcher-kva.example'],
    [
      "o'neil+tag@xn--bcher-kva.example",
      "o'neil+tag@xn--bcher-kva.example",
      "o'neil+tag@xn--bcher-kva.example",
    ],
  ])('%s', (given, address, canonical) => {
    expect(parsePath(given)).toEqual({ address, canonical });
  });

  it.each([
    '',
    'ben',
    '@ifaxin.com',
    'ben@',
    'ben@localhost',
    'ben@[127.0.0.1]',
    'ben@192.0.2.1',
    'ken..sato.@docomo.ne.jp',
    '.ken@docomo.ne.jp',
    'ken.@docomo.ne.jp',
    'bén@ifaxin.com',
    '""@ifaxin.com',
    '"<ben>"@ifaxin.com',
    'a@b@ifaxin.com',
    'ben (x)@ifaxin.com',
    '"ben" @ifaxin.com',
    'ben@if\0axin.com',
    '"be\tn"@ifaxin.com',
    `${'x'.repeat(65)}@ifaxin.com`,
    `ben@${'x'.repeat(64)}.com`,
    `ben@${'x.'.repeat(130)}com`,
  ])('%j is none', (address) => {
    expect(parsePath(address)).toBeNull();
  });
});
