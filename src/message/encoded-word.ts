/** Encoded-words (RFC 2047) where a caller writes RFC 5322 rather than plain text. */

// As lenient decoders read it: a charset, perhaps with a language (RFC 2231 section 5), an encoding, a text.
const ENCODED_WORD = /=\?([^?*\s]+)(?:\*[^?]*)?\?([bq])\?([^?\s]*)\?=/gi;
/** White space between two encoded-words is no part of the text (RFC 2047 section 6.2). */
const BETWEEN = /(?<=\?=) +(?==\?[^?\s]+\?[bq]\?)/gi;

/** Whether a reader would take some of it for an encoded-word. */
export const hasEncodedWord = (text: string): boolean => /=\?[^?]*\?[bq]\?[^?]*\?=/i.test(text);

/** Text from outside for a header, where it is to be read as it stands. */
export const withoutEncodedWords = (text: string): string =>
  hasEncodedWord(text) ? text.replaceAll('=?', '= ?') : text;

/** The text with its encoded-words decoded; one that cannot be decoded stays as it is. */
export function decodeEncodedWords(text: string): string {
  if (!text.includes('=?')) return text;
  return text
    .replace(BETWEEN, '')
    .replace(ENCODED_WORD, (word, charset: string, encoding: string, encoded: string) => {
      const bytes =
        encoding.toLowerCase() === 'b'
          ? Buffer.from(encoded, 'base64')
          : Buffer.from(unescapeQ(encoded), 'latin1');
      try {
        return new TextDecoder(charset, { fatal: true }).decode(bytes);
      } catch {
        return word;
      }
    });
}

/** The bytes of the "Q" encoding (RFC 2047 section 4.2), as characters. */
const unescapeQ = (encoded: string): string =>
  encoded
    .replaceAll('_', ' ')
    .replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
