/**
 * Header fields, written and folded (RFC 5322 section 2.2.3) so that every reader survives it: the name and the first
 * token stand on one line always, and nothing that is read as one token is broken.
 */

import { encodedWords, extendedParameter } from './encoded-words.ts';
import { isAscii, quoted } from './header.ts';
import type { Mailbox } from './mailbox.ts';

const MAX_LINE = 76;

/** A field of tokens that are parted by one space each, or by a fold. */
function fieldOf(name: string, tokens: readonly string[]): string {
  let field = `${name}:`;
  let width = field.length;
  for (const [index, token] of tokens.entries()) {
    if (index > 0 && token !== '' && width + 1 + token.length > MAX_LINE) {
      field += `\r\n ${token}`;
      width = 1 + token.length;
    } else {
      field += ` ${token}`;
      width += 1 + token.length;
    }
  }
  return `${field}\r\n`;
}

/** Prose: as it is where it is ASCII, folded at its spaces, else in encoded-words. */
export const textField = (name: string, value: string): string =>
  fieldOf(name, isAscii(value) ? value.split(' ') : encodedWords(value, name.length + 2));

/** Mailboxes, each followed by a comma but the last. */
export function mailboxField(name: string, mailboxes: readonly Mailbox[]): string {
  const last = mailboxes.length - 1;
  const tokens = mailboxes.flatMap((mailbox, index) => {
    const words = mailboxTokens(mailbox, index === 0 ? name.length + 2 : 1);
    if (index !== last) words[words.length - 1] += ',';
    return words;
  });
  return fieldOf(name, tokens);
}

/** Words of atoms (RFC 5322 section 3.2.3), which need no quotes. */
const PHRASE = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;

/** @param used - characters that stand on the line before it */
export function mailboxTokens({ name, address }: Mailbox, used: number): string[] {
  if (name === '') return [address];
  if (!isAscii(name)) return [...encodedWords(name, used), `<${address}>`];
  return PHRASE.test(name) ? [...name.split(' '), `<${address}>`] : [quoted(name), `<${address}>`];
}

/**
 * `Content-Type` of a file. Its name stands here as well as in the disposition, where RFC 2047 section 5 would not
 * have an encoded-word: QQ's webmail reads no other.
 */
export function contentTypeField(type: string, filename: string): string {
  const name = isAscii(filename) ? quoted(filename) : `"${encodedWords(filename, 7).join('\r\n ')}"`;
  return parameterField('Content-Type', type, [`name=${name}`]);
}

/** `Content-Disposition` (RFC 2183), a name that is not ASCII by RFC 2231. */
export const dispositionField = (disposition: string, filename: string): string =>
  parameterField(
    'Content-Disposition',
    disposition,
    isAscii(filename) ? [`filename=${quoted(filename)}`] : extendedParameter('filename', filename),
  );

/** A value and its parameters, each of which is a token. */
export function parameterField(name: string, value: string, parameters: readonly string[]): string {
  const tokens = [value, ...parameters];
  return fieldOf(
    name,
    tokens.map((token, index) => (index === tokens.length - 1 ? token : `${token};`)),
  );
}
