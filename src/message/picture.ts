/** The pictures that may stand inside a message, told by their first bytes. */

import { firstBytes } from './base64.ts';

interface PictureKind {
  /** Of a file name, without its dot. */
  readonly extension: string;
  /** Whether the first bytes, as Latin-1 characters, are those of such a picture. */
  readonly matches: (head: string) => boolean;
  /** The mail clients that show an empty frame instead (caniemail.com, as of 2025). */
  readonly hiddenIn?: string;
}

/** The one list of what may be an inline image, by whatever way it comes. */
const KINDS = {
  'image/png': { extension: 'png', matches: (head) => head.startsWith('\x89PNG\r\n\x1a\n') },
  'image/jpeg': { extension: 'jpg', matches: (head) => head.startsWith('\xff\xd8\xff') },
  'image/gif': { extension: 'gif', matches: (head) => /^GIF8[79]a/.test(head) },
  // "BM" alone is two letters of prose: the four reserved bytes behind the size are zero in every BMP.
  'image/bmp': {
    extension: 'bmp',
    matches: (head) => head.startsWith('BM') && head.startsWith('\0\0\0\0', 6),
  },
  'image/webp': {
    extension: 'webp',
    matches: (head) => head.startsWith('RIFF') && head.startsWith('WEBP', 8),
    hiddenIn: 'Outlook 2019 and older for Windows',
  },
  'image/svg+xml': { extension: 'svg', matches: isSvg, hiddenIn: 'Gmail and Outlook' },
  'image/avif': {
    extension: 'avif',
    matches: (head) => brandsOf(head).some((brand) => /^avi[fs]$/.test(brand)),
    hiddenIn: 'Outlook for Windows, Samsung Email, Fastmail and GMX',
  },
  'image/heic': {
    extension: 'heic',
    matches: (head) => brandsOf(head).some((brand) => /^he(?:i[cxms]|v[cxms])$/.test(brand)),
    hiddenIn: 'Outlook for Windows and on the web, Thunderbird, and most clients on Android',
  },
  'image/vnd.microsoft.icon': {
    extension: 'ico',
    matches: (head) => head.startsWith('\0\0\x01\0'),
    hiddenIn: 'Outlook for Windows',
  },
} as const satisfies Record<string, PictureKind>;

export type PictureType = keyof typeof KINDS;

export const PICTURE_TYPES = Object.keys(KINDS) as readonly PictureType[];

const kindOf = (type: PictureType): PictureKind => KINDS[type];

export const isPictureType = (type: string): type is PictureType => Object.hasOwn(KINDS, type);

export const extensionOf = (type: PictureType): string => kindOf(type).extension;

/** What to tell the caller of a type that goes out and does not show everywhere; null of one that does. */
export function pictureWarning(type: PictureType): string | null {
  const { hiddenIn } = kindOf(type);
  return hiddenIn === undefined
    ? null
    : `${type} does not show in ${hiddenIn}: PNG and JPEG show everywhere.`;
}

/** The brands of an ISO media file (ISO/IEC 14496-12 section 4.3): the major one and those it is compatible with. */
function brandsOf(head: string): string[] {
  if (!head.startsWith('ftyp', 4)) return [];
  const size = head.charCodeAt(2) * 256 + head.charCodeAt(3);
  return (
    head
      .slice(8, size)
      .match(/.{4}/gs)
      ?.filter((_, index) => index !== 1) ?? []
  );
}

/** What may stand in front of the root element of an SVG: white space, XML declaration, comments, document type. */
const PROLOG = /\s+|<\?[^>]*>|<!DOCTYPE[^>[]*(?:\[[^\]]*\]\s*)?>/iy;
const ROOT = /<(?:[\w.-]+:)?svg[\s/>]/iy;

function isSvg(head: string): boolean {
  let at = head.startsWith('\xef\xbb\xbf') ? 3 : 0;
  for (;;) {
    ROOT.lastIndex = at;
    if (ROOT.test(head)) return true;
    const comment = head.startsWith('<!--', at) ? head.indexOf('-->', at + 4) : -1;
    if (comment !== -1) {
      at = comment + 3;
      continue;
    }
    PROLOG.lastIndex = at;
    if (!PROLOG.test(head)) return false;
    at = PROLOG.lastIndex;
  }
}

/** Enough for the brands of an ISO media file. */
const HEAD = 256;
/** Of an SVG, whose prolog may have a long comment or document type. */
const SVG_HEAD = 65_536;

/** The type that the first bytes of a picture in base64 say; null where it is none of those known. */
export function pictureType(base64: string): PictureType | null {
  const head = firstBytes(base64, HEAD).toString('latin1');
  const type = PICTURE_TYPES.find((known) => KINDS[known].matches(head));
  if (type !== undefined) return type;
  return /^(?:\xef\xbb\xbf)?\s*</.test(head) && isSvg(firstBytes(base64, SVG_HEAD).toString('latin1'))
    ? 'image/svg+xml'
    : null;
}

/** What is wrong with these bytes, in canonical base64, as a picture of that type; null where they are one. */
export function pictureProblem(base64: string, claimed: PictureType): string | null {
  if (base64 === '') return 'The picture is empty: its bytes are missing.';
  const found = pictureType(base64);
  if (found === claimed) return null;
  return found === null
    ? `The bytes are not ${claimed}: use one of ${PICTURE_TYPES.join(', ')}, or send the file as an attachment.`
    : `The bytes are ${found}, not ${claimed}: correct the content type or the bytes.`;
}
