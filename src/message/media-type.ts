/** Media types (RFC 2045 section 5.1) as apps write them, and the one spelling in which they are compared. */

export interface MediaType {
  /** Lower case, and registered where the caller's is a known alias: `image/jpeg`. */
  readonly essence: string;
  /** As the caller wrote them: `charset=utf-8`, `name="a b"`. */
  readonly parameters: readonly string[];
}

/** What apps and browsers write for types that are registered by another name. */
const ALIASES: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'image/jpe': 'image/jpeg',
  'image/jfif': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/pjp': 'image/jpeg',
  'image/x-jpeg': 'image/jpeg',
  'image/x-jpg': 'image/jpeg',
  'image/x-png': 'image/png',
  'image/apng': 'image/png',
  'image/vnd.mozilla.apng': 'image/png',
  'image/x-gif': 'image/gif',
  'image/x-webp': 'image/webp',
  'image/x-bmp': 'image/bmp',
  'image/x-ms-bmp': 'image/bmp',
  'image/x-windows-bmp': 'image/bmp',
  'image/svg': 'image/svg+xml',
  'image/svg-xml': 'image/svg+xml',
  'image/avif-sequence': 'image/avif',
  'image/heif': 'image/heic',
  'image/heic-sequence': 'image/heic',
  'image/heif-sequence': 'image/heic',
  'image/ico': 'image/vnd.microsoft.icon',
  'image/icon': 'image/vnd.microsoft.icon',
  'image/x-icon': 'image/vnd.microsoft.icon',
  // What storage hands out, and what a file picker was told to take: the bytes say more.
  'binary/octet-stream': 'application/octet-stream',
  'image/*': 'application/octet-stream',
  'application/x-pdf': 'application/pdf',
  'application/acrobat': 'application/pdf',
  'application/x-zip': 'application/zip',
  'application/x-zip-compressed': 'application/zip',
  'application/x-gzip': 'application/gzip',
  'application/csv': 'text/csv',
  'text/x-csv': 'text/csv',
  'application/x-json': 'application/json',
  'text/json': 'application/json',
  'text/x-calendar': 'text/calendar',
  'audio/mp3': 'audio/mpeg',
  'audio/x-mp3': 'audio/mpeg',
};

// With white space wherever RFC 822 lets it stand, and of the parameter names those of RFC 2231 section 7 without its
// continuations.
const TYPE = /^\s*([\w!#$&^.+-]{1,127})\s*\/\s*([\w!#$&^.+-]{1,127})\s*(?=;|$)/;
const PARAMETER =
  /\s*;\s*(?:([\w!#$&^.+-]+)\s*=\s*([\w!#$%&'*+.^`{|}~/:-]+|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*")\s*)?(?=;|$)/y;

/** @returns null where it is no media type, or has a parameter twice */
export function parseMediaType(text: string): MediaType | null {
  const type = TYPE.exec(text);
  if (type === null) return null;
  const parameters: string[] = [];
  const names = new Set<string>();
  PARAMETER.lastIndex = type[0].length;
  while (PARAMETER.lastIndex < text.length) {
    const parameter = PARAMETER.exec(text);
    if (parameter === null) return null;
    const [, name, value] = parameter;
    if (name === undefined) continue;
    if (names.has(name.toLowerCase())) return null;
    names.add(name.toLowerCase());
    parameters.push(
      `${name}=${value?.startsWith('"') || !/[/:]/.test(value as string) ? value : `"${value}"`}`,
    );
  }
  return { essence: essenceOf(`${type[1]}/${type[2]}`), parameters };
}

/** The spelling in which a type without parameters is compared. */
export function essenceOf(type: string): string {
  const essence = type.trim().toLowerCase();
  return Object.hasOwn(ALIASES, essence) ? (ALIASES[essence] as string) : essence;
}

/** What stands in a Content-Type header. */
export const formatMediaType = ({ essence, parameters }: MediaType): string =>
  [essence, ...parameters].join('; ');
