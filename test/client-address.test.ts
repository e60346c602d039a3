import { describe, expect, it } from 'vitest';
import { clientAddress, type Network, parseNetwork, peerOf } from '../src/client-address.ts';

const networks = (...texts: string[]): Network[] => texts.map((text) => parseNetwork(text) as Network);

/** A proxy on this machine and one in a private network. */
const TRUSTED = networks('127.0.0.1', '10.0.0.0/8', '2001:db8:1::/48');

const behind = (
  headers: { forwarded?: string; xForwardedFor?: string },
  peer = '127.0.0.1',
  trusted = TRUSTED,
) => clientAddress(peer, { forwarded: headers.forwarded, xForwardedFor: headers.xForwardedFor }, trusted);

describe('a network', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['192.0.2.0/24', '192.0.2.255', true],
    ['192.0.2.0/24', '192.0.3.0', false],
    ['192.0.2.128/25', '192.0.2.127', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['192.0.2.0/24', '::ffff:192.0.2.7', true],
    ['192.0.2.0/24', '::FFFF:c000:207', true],
    ['::ffff:192.0.2.0/120', '192.0.2.9', true],
    ['2001:db8::/32', '2001:DB8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['::1', '0:0:0:0:0:0:0:1', true],
    ['::/0', '2001:db8::1', true],
    ['fe80::/10', 'fe80::1%eth0', true],
  ])('%s holds %s: %s', (network, address, holds) => {
    const seen = behind({ xForwardedFor: '203.0.113.77' }, address, networks(network));
    expect(seen === '203.0.113.77').toBe(holds);
  });

  it.each([
    '',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.01',
    '192.0.2.0/33',
    '192.0.2.0/-1',
    '192.0.2.0/08',
    '192.0.2.0/',
    '192.0.2.0/24/8',
    '1::2::3',
    ':::',
    ':1',
    '1:',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '::12345',
    '::g',
    '::192.0.2.1:1',
    '[::1]',
    '::/129',
    'localhost',
    '*',
  ])('is not %j', (text) => {
    expect(parseNetwork(text)).toBeNull();
  });
});

describe('the client behind proxies', () => {
  it.each<[string, Parameters<typeof behind>[0], string]>([
    ['without a header is the peer', {}, '127.0.0.1'],
    ['is the one that the proxy names', { xForwardedFor: '203.0.113.7' }, '203.0.113.7'],
    ['is not what the client claims', { xForwardedFor: '198.51.100.1, 203.0.113.7' }, '203.0.113.7'],
    ['is looked for behind every trusted hop', { xForwardedFor: '203.0.113.7, 10.1.2.3' }, '203.0.113.7'],
    ['may be in a trusted network itself', { xForwardedFor: '10.9.9.9, 10.1.2.3' }, '10.9.9.9'],
    ['has a port', { xForwardedFor: '203.0.113.7:61234' }, '203.0.113.7'],
    ['has an IPv6 address', { xForwardedFor: '2001:DB8::7' }, '2001:db8::7'],
    ['has an IPv6 address and a port', { xForwardedFor: '[2001:db8::7]:443' }, '2001:db8::7'],
    ['has a mapped address', { xForwardedFor: '::ffff:203.0.113.7' }, '203.0.113.7'],
    ['is unknown: the proxy', { xForwardedFor: '203.0.113.7, unknown' }, '127.0.0.1'],
    ['is no address: the proxy', { xForwardedFor: '203.0.113.7, 999.1.1.1' }, '127.0.0.1'],
    ['is empty: the proxy', { xForwardedFor: '203.0.113.7,' }, '127.0.0.1'],
    ['is unknown to the second hop: that hop', { xForwardedFor: 'unknown, 10.1.2.3' }, '10.1.2.3'],
    ['by Forwarded', { forwarded: 'for=203.0.113.7' }, '203.0.113.7'],
    ['by Forwarded, in any case', { forwarded: 'Proto=https;FOR="203.0.113.7:80";by=_x' }, '203.0.113.7'],
    ['by Forwarded, IPv6', { forwarded: 'for="[2001:db8::7]:4711"' }, '2001:db8::7'],
    ['by Forwarded, an obfuscated port', { forwarded: 'for="203.0.113.7:_port"' }, '203.0.113.7'],
    ['by Forwarded, escaped', { forwarded: 'for="203\\.0.113.7"' }, '203.0.113.7'],
    [
      'by Forwarded, several',
      { forwarded: 'for=198.51.100.1, for=203.0.113.7;proto=https , for=10.1.1.1' },
      '203.0.113.7',
    ],
    ['by Forwarded, empty elements', { forwarded: ', for=203.0.113.7, ,for=10.1.1.1,' }, '203.0.113.7'],
    ['by Forwarded, an element without for', { forwarded: 'for=203.0.113.7, proto=https' }, '127.0.0.1'],
    ['by Forwarded, obfuscated', { forwarded: 'for=203.0.113.7, for=_hidden' }, '127.0.0.1'],
    ['by Forwarded, unknown', { forwarded: 'for=unknown' }, '127.0.0.1'],
    [
      'by Forwarded, a comma in quotes',
      { forwarded: 'for=198.51.100.1;x="a, for=1.1.1.1", for=203.0.113.7' },
      '203.0.113.7',
    ],
    ['by Forwarded, brackets without IPv6', { forwarded: 'for="[203.0.113.7]"' }, '127.0.0.1'],
    ['by both', { forwarded: 'for=203.0.113.7', xForwardedFor: '203.0.113.7' }, '203.0.113.7'],
    [
      'by both, in different words',
      { forwarded: 'for="[::FFFF:203.0.113.7]"', xForwardedFor: '203.0.113.7:1' },
      '203.0.113.7',
    ],
    [
      'by one that the client wrote',
      { forwarded: 'for=198.51.100.1', xForwardedFor: '203.0.113.7' },
      '127.0.0.1',
    ],
    [
      'by the other that the client wrote',
      { forwarded: 'for=203.0.113.7', xForwardedFor: '198.51.100.1' },
      '127.0.0.1',
    ],
  ])('%s', (_, headers, address) => {
    expect(behind(headers)).toBe(address);
  });

  it.each([
    'for=203.0.113.7"',
    'for="203.0.113.7',
    'for=x="203.0.113.7"',
    'for=198.51.100.1;x=", for=203.0.113.7',
    'for=198.51.100.1;x=", for="[2001:db8::7]"',
    'for=198.51.100.1;for=203.0.113.7',
    'for = 203.0.113.7',
    'for=',
    'for=[2001:db8::7]',
    '203.0.113.7',
    'for=203.0.113.7 for=198.51.100.1',
  ])('is the proxy where Forwarded is broken: %s', (forwarded) => {
    expect(behind({ forwarded })).toBe('127.0.0.1');
  });

  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:DB8::9', '2001:db8::9'],
    ['', ''],
  ])('is the peer %j where that is not trusted', (peer, address) => {
    const headers = { forwarded: 'for=198.51.100.1', xForwardedFor: '198.51.100.1' };
    expect(behind(headers, peer)).toBe(address);
    expect(behind(headers, peer, [])).toBe(address);
  });
});

describe('a peer', () => {
  it.each([
    ['192.0.2.1', '::ffff:192.0.2.1', true],
    ['192.0.2.1', '::FFFF:c000:201', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['::ffff:c000:201', '::ffff:c000:202', false],
    ['2001:db8::1', '2001:0db8:0::2', true],
    ['2001:db8::1', '2001:DB8::ffff:0:0:1', true],
    ['fe80::1', 'fe80::2%eth0', true],
    ['2001:db8::1', '2001:db8:0:1::1', false],
    ['::1', '127.0.0.1', false],
    ['', 'unknown', false],
  ])('%s and %s are one: %s', (one, other, same) => {
    expect(peerOf(one) === peerOf(other)).toBe(same);
  });
});
