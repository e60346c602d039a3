/** Text that is not ASCII, as header fields carry it: encoded-words (RFC 2047) and extended parameters (RFC 2231). */

/** RFC 2047 section 2: an encoded-word, and a line that has one. */
const MAX_WORD = 75;
const MAX_LINE = 76;

const PREFIX = '=?UTF-8?';
const FRAME = `${PREFIX}B??=`.length;

/** What Q may leave as it is in every place an encoded-word may stand (RFC 2047 section 5, rule 3). */
const isQSafe = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);

const qWidth = (byte: number): number => (byte === 0x20 || isQSafe(byte) ? 1 : 3);

/**
 * The text as encoded-words, each cut between characters, for lines that begin with a space.
 *
 * @param used - characters that stand on the line before the first word
 */
export function encodedWords(text: string, used: number): string[] {
  const bytes = Buffer.from(text);
  let quoted = 0;
  for (const byte of bytes) quoted += qWidth(byte);
  const inBase64 = quoted > Math.ceil(bytes.length / 3) * 4;

  const words: string[] = [];
  // A word has to have room for a character, however long the field's name is.
  let room = Math.max(Math.min(MAX_WORD, MAX_LINE - used), FRAME + 16) - FRAME;
  let from = 0;
  let width = 0;
  const take = (to: number) => {
    words.push(
      inBase64 ? `${PREFIX}B?${bytes.toString('base64', from, to)}?=` : `${PREFIX}Q?${q(bytes, from, to)}?=`,
    );
    from = to;
    width = 0;
    room = MAX_WORD - FRAME;
  };
  for (let at = 0; at < bytes.length; ) {
    const end = characterEnd(bytes, at);
    let more = 0;
    for (let i = at; i < end; i++) more += qWidth(bytes[i] as number);
    const needed = inBase64 ? Math.ceil((end - from) / 3) * 4 : width + more;
    if (needed > room && at > from) take(at);
    width += more;
    at = end;
  }
  take(bytes.length);
  return words;
}

/** Where the UTF-8 character that begins at `at` ends. */
function characterEnd(bytes: Uint8Array, at: number): number {
  let end = at + 1;
  while (end < bytes.length && ((bytes[end] as number) & 0xc0) === 0x80) end++;
  return end;
}

function q(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte === 0x20) text += '_';
    else if (isQSafe(byte)) text += String.fromCharCode(byte);
    else text += `=${hex(byte)}`;
  }
  return text;
}

/**
 * A parameter whose value is not ASCII (RFC 2231 sections 3 and 4): `name*=utf-8''…`, or as many numbered pieces as
 * the lines need, each cut between characters.
 */
export function extendedParameter(name: string, value: string): string[] {
  const pieces: string[] = [''];
  for (const character of value) {
    const encoded = percentEncoded(character);
    const last = pieces.length - 1;
    const piece = pieces[last] as string;
    if (piece.length + encoded.length > MAX_PIECE && piece !== '') pieces.push(encoded);
    else pieces[last] = piece + encoded;
  }
  const [only = ''] = pieces;
  if (pieces.length === 1) return [`${name}*=utf-8''${only}`];
  return pieces.map((piece, index) => `${name}*${index}*=${index === 0 ? "utf-8''" : ''}${piece}`);
}

const MAX_PIECE = 50;

/** RFC 5987 section 3.2.1: the attribute characters stand for themselves. */
function percentEncoded(character: string): string {
  if (/^[A-Za-z0-9!#$&+.^_`|~-]$/.test(character)) return character;
  let text = '';
  for (const byte of Buffer.from(character)) text += `%${hex(byte)}`;
  return text;
}

const hex = (byte: number): string => (byte < 16 ? '0' : '') + byte.toString(16).toUpperCase();
