/**
 * A request's form, in both of its encodings. Not `Response.formData`: it parses without a bound, and the runtimes
 * differ in which boundaries, file names and encodings they take.
 */

export interface FormFile {
  readonly name: string;
  readonly filename: string;
  /** As the part says it; `application/octet-stream` where it says none. */
  readonly type: string;
  readonly bytes: Uint8Array;
}

export interface Form {
  /** Values by name, in their order. */
  readonly fields: ReadonlyMap<string, readonly string[]>;
  readonly files: readonly FormFile[];
}

/** Fields and files together. */
const MAX_FIELDS = 1000;

/** The header section of one part, in bytes. */
const MAX_PART_HEADER = 16 * 1024;

const TOO_MANY = `A form has at most ${MAX_FIELDS} fields.`;
const NOT_UTF8 = 'The form is not UTF-8.';
const BROKEN = 'The body is not the multipart/form-data that its Content-Type says.';

/**
 * @param contentType - the request's header, which has the boundary
 * @returns what is wrong with it, where it cannot be read
 */
export function readForm(body: Uint8Array, contentType: string): Form | string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const essence = contentType.split(';', 1)[0]?.trim().toLowerCase();
  if (essence === 'application/x-www-form-urlencoded') return readUrlencoded(bytes);
  if (essence === 'multipart/form-data') return readMultipart(bytes, contentType);
  return 'A form is application/x-www-form-urlencoded or multipart/form-data.';
}

function readUrlencoded(body: Buffer): Form | string {
  if (occursMoreThan(MAX_FIELDS - 1, body, '&')) return TOO_MANY;
  const text = decode(body);
  if (text === null) return NOT_UTF8;
  const fields = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(text)) add(fields, name, value);
  // What is percent-encoded in another charset becomes U+FFFD, which a form may hold, too.
  const replaced = [...fields].flat(2).some((value) => value.includes('\ufffd'));
  if (replaced && !/\ufffd|%EF%BF%BD/i.test(text)) return NOT_UTF8;
  return { fields, files: [] };
}

/** RFC 7578, and of RFC 2046 section 5.1.1 what clients write: a preamble, padding after the boundary. */
function readMultipart(body: Buffer, contentType: string): Form | string {
  const [, quoted, plain] =
    /;\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return 'The Content-Type of a multipart form needs a boundary.';
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  if (occursMoreThan(MAX_FIELDS, body, delimiter)) return TOO_MANY;

  const fields = new Map<string, string[]>();
  const files: FormFile[] = [];
  const first = delimiter.subarray(2);
  let at = body.subarray(0, first.length).equals(first) ? 0 : body.indexOf(delimiter) + 2;
  if (at === 1) return BROKEN;
  at += first.length;
  while (body.toString('latin1', at, at + 2) !== '--') {
    const start = body.indexOf('\r\n', at);
    const end = body.indexOf(delimiter, at);
    if (start === -1 || end === -1 || body.toString('latin1', at, start).trim() !== '') return BROKEN;
    const part = readPart(body.subarray(start, end));
    if (typeof part === 'string') return part;
    if ('bytes' in part) files.push(part);
    else add(fields, part.name, part.value);
    at = end + delimiter.length;
  }
  return { fields, files };
}

/** @param part - from the line break before its headers, to that after its content */
function readPart(part: Buffer): FormFile | { readonly name: string; readonly value: string } | string {
  const headersEnd = part.subarray(0, MAX_PART_HEADER).indexOf('\r\n\r\n');
  if (headersEnd === -1) return BROKEN;
  const headers = decode(part.subarray(0, headersEnd));
  if (headers === null) return NOT_UTF8;
  const content = part.subarray(headersEnd + 4);

  const disposition = headerOf(headers, 'Content-Disposition');
  const name = parameterOf(disposition, 'name');
  if (!/^form-data\s*;/i.test(disposition) || name === null) return BROKEN;
  const encoding = headerOf(headers, 'Content-Transfer-Encoding');
  if (!/^(?:7bit|8bit|binary)?$/i.test(encoding)) {
    // RFC 7578 section 4.7: deprecated, since no one used it.
    return 'The parts of a form have no Content-Transfer-Encoding: send their bytes as they are.';
  }
  const type = headerOf(headers, 'Content-Type');
  const filename = extendedParameterOf(disposition, 'filename') ?? parameterOf(disposition, 'filename');
  if (filename !== null) {
    return { name, filename, type: type || 'application/octet-stream', bytes: content };
  }
  const value = decode(content, parameterOf(type, 'charset') ?? 'utf-8');
  return value === null ? NOT_UTF8 : { name, value };
}

const headerOf = (headers: string, name: string): string =>
  new RegExp(`\\r\\n${name}[ \\t]*:([^\\r]*)`, 'i').exec(headers)?.[1]?.trim() ?? '';

/** Clients write a quote as `\"`, or as `%22` as browsers do (RFC 7578 section 4.2; HTML's form submission). */
function parameterOf(header: string, name: string): string | null {
  const found = new RegExp(`;\\s*${name}\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;"]+))`, 'i').exec(header);
  if (!found) return null;
  const [, quoted, plain] = found;
  if (quoted === undefined) return plain as string;
  return quoted
    .replace(/\\(["\\])/g, '$1')
    .replace(/%(22|0D|0A)/gi, (encoded) => decodeURIComponent(encoded));
}

/** `filename*=UTF-8''…` (RFC 8187), which Python's clients write although RFC 7578 does not want it. */
function extendedParameterOf(header: string, name: string): string | null {
  const value = new RegExp(`;\\s*${name}\\*\\s*=\\s*utf-8'[^']*'([^\\s;]+)`, 'i').exec(header)?.[1];
  if (value === undefined) return null;
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}

/** @returns null where it is none of that charset, or the charset is not known */
function decode(bytes: Uint8Array, charset = 'utf-8'): string | null {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function occursMoreThan(most: number, body: Buffer, text: string | Buffer): boolean {
  let count = 0;
  for (let at = body.indexOf(text); at !== -1; at = body.indexOf(text, at + text.length)) {
    count += 1;
    if (count > most) return true;
  }
  return false;
}

function add(fields: Map<string, string[]>, name: string, value: string): void {
  const values = fields.get(name);
  if (values) values.push(value);
  else fields.set(name, [value]);
}
