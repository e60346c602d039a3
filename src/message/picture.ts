/** The pictures that may stand inside a message, told by their first bytes. */

export const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/bmp'] as const;

export type PictureType = (typeof PICTURE_TYPES)[number];

export const isPictureType = (type: string): type is PictureType =>
  (PICTURE_TYPES as readonly string[]).includes(type);

/** The type that the signature says, or null where it is none of the five. */
export function pictureType(bytes: Buffer): PictureType | null {
  const head = bytes.toString('latin1', 0, 12);
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'image/gif';
  if (head.startsWith('RIFF') && head.startsWith('WEBP', 8)) return 'image/webp';
  // "BM" alone is two letters of prose: the four reserved bytes behind the size are zero in every BMP.
  if (head.startsWith('BM') && head.startsWith('\0\0\0\0', 6)) return 'image/bmp';
  return null;
}

/** What is wrong with these bytes as a picture of that type; null where they are one. */
export function pictureProblem(bytes: Buffer, claimed: PictureType): string | null {
  if (bytes.length === 0) return 'The picture is empty: give its bytes in base64.';
  const found = pictureType(bytes);
  if (found === claimed) return null;
  return found === null
    ? `The bytes are not ${claimed}: give a PNG, JPEG, GIF, WebP or BMP picture, or send the file as an attachment.`
    : `The bytes are ${found}, not ${claimed}: correct the content type or the bytes.`;
}
