/**
 * Strict base64: the alphabet, padding and zero trailing bits of RFC 4648 section 4, nothing else.
 *
 * Buffer decodes leniently, and its encoder knows only the one canonical form; so text is well formed
 * exactly when it survives the round trip. Both directions are native and linear, where a pattern over
 * 16 MB may overflow the matcher's stack.
 *
 * @returns the bytes, or null where the text is not canonical base64
 */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

/** What is wrong with text that `decodeBase64` refused, and what to do about it. */
export function base64Problem(text: string): string {
  if (/^data:/i.test(text)) return 'Give the base64 alone, without the "data:" prefix.';
  if (/\s/.test(text)) return 'Remove the white space from the base64 text.';
  if (/[-_]/.test(text)) return 'Use the standard base64 alphabet, with "+" and "/" for "-" and "_".';
  if (/[^A-Za-z0-9+/=]/.test(text)) return 'Give base64 text: only A-Z, a-z, 0-9, "+", "/" and "=" padding.';
  return 'Give whole base64 text: a multiple of 4 characters, padded with "=" (RFC 4648 section 4).';
}
