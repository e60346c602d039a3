import type { PictureType } from '../../src/message/picture.ts';

/** The smallest file of each type: one pixel, or its header alone. */
export const PICTURES: Record<PictureType, Buffer> = {
  'image/png': Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  ),
  'image/jpeg': Buffer.from('ffd8ffe000104a46494600010100000100010000ffd9', 'hex'),
  'image/gif': Buffer.from('R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==', 'base64'),
  'image/webp': Buffer.from('UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==', 'base64'),
  'image/bmp': Buffer.from('424d1e000000000000001a0000000c00000001000100010018000000ff00', 'hex'),
  'image/svg+xml': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
  'image/avif': Buffer.from('\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf', 'latin1'),
  'image/heic': Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'),
  'image/vnd.microsoft.icon': Buffer.from(
    '000001000100010100000100200030000000160000002800000001000000020000000100200000000000040000000000000000000000',
    'hex',
  ),
};

export const base64Of = (type: PictureType): string => PICTURES[type].toString('base64');
