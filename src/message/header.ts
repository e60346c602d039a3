/** What may stand in a header: the text rules shared by subject, names, files and custom headers. */

import { SMTPAPI_HEADER } from '../sendcloud.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to refuse
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

// An encoded-word (RFC 2047 section 2), as lenient decoders read it.
const ENCODED_WORD = /=\?[^?]*\?[bq]\?[^?]*\?=/i;

// Printable ASCII goes out as it is, and folds at spaces only: a longer run would make a line over 990
// bytes (upstream rewrites those), and a run of spaces a line of nothing.
const ASCII = /^[\x20-\x7e]*$/;
const UNFOLDABLE = /[^ ]{900}| {60}/;

/** What is wrong with text that reaches a header in any form; null where nothing is. */
export function textProblem(text: string): string | null {
  if (CONTROL.test(text)) return 'Remove the control characters: no CR, LF, NUL or other control character.';
  if (!text.isWellFormed()) return 'Remove the lone surrogates: the text must be well-formed Unicode.';
  return null;
}

/**
 * As `textProblem`, for text that the gateway encodes (RFC 2047, RFC 2231): the recipient has to read
 * exactly what the caller wrote, so what a reader would decode once more is refused.
 */
export function encodedTextProblem(text: string): string | null {
  const problem = textProblem(text);
  if (problem !== null) return problem;
  if (ENCODED_WORD.test(text))
    return 'Write the text in plain Unicode: the gateway does the RFC 2047 encoding.';
  return foldingProblem(text);
}

function foldingProblem(text: string): string | null {
  if (text.length < 60 || !UNFOLDABLE.test(text) || !ASCII.test(text)) return null;
  return 'Break the text up: at most 899 characters without a space, and at most 59 spaces in a row.';
}

const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]+$/;
const OURS =
  /^(?:from|to|cc|bcc|subject|date|message-id|mime-version|content-.*|sender|return-path|received|dkim-signature|resent-.*)$/i;

/** What is wrong with the name of a custom header (RFC 5322 section 3.6.8); null where nothing is. */
export function headerNameProblem(name: string): string | null {
  if (name.length > 76) return 'Shorten the header name to at most 76 characters.';
  if (!FIELD_NAME.test(name)) return 'Use printable ASCII without space and colon as the header name.';
  const lower = name.toLowerCase();
  if (lower === 'reply-to') return 'Use the field "replyTo" for this header.';
  if (lower === SMTPAPI_HEADER) return 'Remove this header: it would override the recipients.';
  if (OURS.test(name)) return 'Remove this header: the gateway makes it from the message.';
  return null;
}

// Fields of addresses, message ids, URLs, keywords and tokens. Encoding takes the whole value, and an
// encoded-word may stand in none of these parts (RFC 2047 section 5).
const STRUCTURED =
  /^(?:.*-to|references|list-.*|archived-at|keywords|auto-submitted|precedence|importance|(?:x-)?priority|sensitivity|feedback-id)$/i;

/** What is wrong with the value of a custom header; null where nothing is. */
export function headerValueProblem(name: string, value: string): string | null {
  if (value.trim() === '') return 'Give the header a value, or remove it.';
  const problem = textProblem(value);
  if (problem !== null) return problem;
  if (STRUCTURED.test(name) && !ASCII.test(value)) {
    return 'Use ASCII in this header, whose parts cannot be encoded; a name among them may be an RFC 2047 encoded-word.';
  }
  return foldingProblem(value);
}
