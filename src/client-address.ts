/**
 * What proxies say of a request. The client's address: `Forwarded` (RFC 7239) and `X-Forwarded-For`, read from right to left and
 * only as far as the hops are trusted. What stands further left is the client's own claim.
 */

/** Addresses that begin with the same bits. */
export interface Network {
  /** As it was written. */
  readonly text: string;
  /** IPv4 is mapped into IPv6. */
  readonly bits: string;
}

/** What a request says of its way. */
export interface ForwardingHeaders {
  readonly forwarded: string | undefined;
  readonly xForwardedFor: string | undefined;
}

/** `192.0.2.0/24`, `2001:db8::/32` or a single address; null for anything else. */
export function parseNetwork(text: string): Network | null {
  const [, address = '', length] = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const bits = bitsOf(address);
  if (bits === null) return null;
  const most = address.includes(':') ? 128 : 32;
  const kept = length === undefined ? most : Number(length);
  return kept > most ? null : { text, bits: bits.slice(0, 128 - most + kept) };
}

/**
 * The address of the client that `peer` speaks for: the last one that was named by a trusted hop.
 *
 * A proxy writes one of the two headers and may pass the other one on as the client wrote it. So where both are
 * present and differ, neither is believed, and the answer is the proxy's own address.
 *
 * @param peer - the other end of the connection, as the socket names it
 */
export function clientAddress(
  peer: string,
  { forwarded, xForwardedFor }: ForwardingHeaders,
  trusted: readonly Network[],
): string {
  const own = plainAddress(peer);
  if (!isTrusted(own, trusted)) return own;
  const named = [
    ...(forwarded === undefined ? [] : [walk(own, parseForwarded(forwarded) ?? [], trusted)]),
    ...(xForwardedFor === undefined ? [] : [walk(own, xForwardedFor.split(','), trusted)]),
  ];
  const [first = own, second = first] = named;
  return first === second ? first : own;
}

/**
 * The path below which a trusted proxy offers the gateway (`X-Forwarded-Prefix`: no standard, and what Traefik, Spring
 * and others write), without a last slash; `''` for none, for several, and for what is no path.
 */
export function forwardedPrefix(
  peer: string,
  header: string | undefined,
  trusted: readonly Network[],
): string {
  if (!isTrusted(plainAddress(peer), trusted)) return '';
  return /^((?:\/[\w.~%-]+)+)\/?$/.exec(header?.trim() ?? '')?.[1] ?? '';
}

/** From the nearest hop to the first that is not trusted, or does not say for whom it forwards. */
function walk(peer: string, nodes: readonly (string | null)[], trusted: readonly Network[]): string {
  let address = peer;
  for (const node of nodes.toReversed()) {
    if (!isTrusted(address, trusted)) break;
    const named = node === null ? null : addressOf(node.trim());
    if (named === null) break;
    address = named;
  }
  return address;
}

/** The `for` of each element, null where it has none; null for what is no `Forwarded` (RFC 7239 section 4). */
function parseForwarded(text: string): (string | null)[] | null {
  const pair = /[ \t]*(?:([!#$%&'*+.^`|~\w-]+)=(?:([!#$%&'*+.^`|~\w-]+)|"((?:[^"\\]|\\.)*)"))?[ \t]*(;|,|$)/y;
  const nodes: (string | null)[] = [];
  let names: string[] = [];
  let node: string | null = null;
  for (;;) {
    const found = pair.exec(text);
    if (!found) return null;
    const [, name, token, quoted, end] = found;
    if (name !== undefined) {
      // A parameter must not occur twice in an element.
      if (names.includes(name.toLowerCase())) return null;
      names.push(name.toLowerCase());
      if (names.at(-1) === 'for') node = token ?? quoted?.replace(/\\(.)/g, '$1') ?? null;
    }
    if (end === ';') continue;
    // An empty element of a list is none (RFC 9110 section 5.6.1.2).
    if (names.length > 0) nodes.push(node);
    if (end === '') return nodes;
    names = [];
    node = null;
  }
}

/**
 * A node's address without its port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`; null for
 * `unknown`, for an obfuscated identifier and for anything else (RFC 7239 section 6).
 */
function addressOf(node: string): string | null {
  const [, bracketed, ipv4] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(?:\d{1,5}|_[\w.-]+))?$/.exec(node) ?? [];
  if (bracketed !== undefined && !bracketed.includes(':')) return null;
  const address = bracketed ?? ipv4 ?? node;
  return bitsOf(address) === null ? null : plainAddress(address);
}

const withoutZone = (address: string): string => address.replace(/%.*$/, '');

/** As it is logged: lower case, without a zone, and an IPv4 address as such where a socket shows it mapped. */
function plainAddress(address: string): string {
  const plain = withoutZone(address).toLowerCase();
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1] ?? plain;
}

/**
 * Who an address stands for, as a key: an IPv4 host, also where a socket shows it mapped into IPv6; of IPv6 the network,
 * since a host there has 2^64 addresses to choose from (RFC 4291 section 2.5.4).
 */
export function peerOf(address: string): string {
  const bits = bitsOf(withoutZone(address));
  if (bits === null) return address;
  return bits.startsWith(MAPPED) ? bits : bits.slice(0, 64);
}

/** How the bits of a mapped IPv4 address begin. */
const MAPPED = '0'.repeat(80) + '1'.repeat(16);

/** Whether the other end of a connection, as the socket names it, is a proxy of ours. */
export const isTrustedPeer = (peer: string, trusted: readonly Network[]): boolean =>
  isTrusted(plainAddress(peer), trusted);

function isTrusted(address: string, trusted: readonly Network[]): boolean {
  if (trusted.length === 0) return false;
  const bits = bitsOf(address);
  return bits !== null && trusted.some((network) => bits.startsWith(network.bits));
}

/** The 128 bits of an address as text, or null for what is none (RFC 4291 section 2.2). */
function bitsOf(address: string): string | null {
  const [head = '', tail, more] = withHexTail(address).split('::');
  const [left, right] = [head, tail ?? ''].map((half) => (half === '' ? [] : half.split(':')));
  const zeros = 8 - (left?.length ?? 0) - (right?.length ?? 0);
  if (more !== undefined || (tail === undefined ? zeros !== 0 : zeros < 1)) return null;
  const groups = [...(left ?? []), ...Array.from({ length: zeros }, () => '0'), ...(right ?? [])];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return groups.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('');
}

/** With an IPv4 address, alone or at the end, as two groups; alone it is mapped into IPv6. */
function withHexTail(address: string): string {
  const [, head, dotted = ''] = /^(|.*:)(\d{1,3}(?:\.\d{1,3}){3})$/.exec(address) ?? [];
  const bytes = dotted.split('.');
  // Some read a leading zero as octal.
  if (head === undefined || bytes.some((byte) => Number(byte) > 255 || /^0\d/.test(byte))) return address;
  const [a, b, c, d] = bytes.map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `${head || '::ffff:'}${a}${b}:${c}${d}`;
}
