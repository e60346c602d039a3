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
};

export const base64Of = (type: PictureType): string => PICTURES[type].toString('base64');
