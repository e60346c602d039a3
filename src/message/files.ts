/** What a message's files hold, read before it is validated: validation does not give way to others. */

import type { Pace } from '../pace.ts';
import { type CanonicalBase64, canonicalInSlices } from './base64.ts';
import { dataUriType, readDataUri } from './data-uri.ts';
import { MAX_PARTS } from './schema.ts';

/** The bytes of large files, or what is wrong with them, by what the caller sent: items of attachments and inlineImages. */
export type ReadFiles = ReadonlyMap<unknown, CanonicalBase64>;

/** A smaller file takes no time that would be felt, in characters. */
const LARGE = 64 * 1024;

/** Reads the large files of what a caller sent, any JSON value. Others have a turn between two slices. */
export async function readFiles(input: unknown, pace: Pace): Promise<ReadFiles> {
  const read = new Map<unknown, CanonicalBase64>();
  if (!isObject(input)) return read;
  for (const list of [input.attachments, input.inlineImages]) {
    if (!Array.isArray(list)) continue;
    for (const file of list.slice(0, MAX_PARTS)) {
      if (!isObject(file) || typeof file.content !== 'string' || file.content.length < LARGE) continue;
      const isUri = dataUriType(file.content) !== null;
      read.set(file, isUri ? readDataUri(file.content) : await canonicalInSlices(file.content, pace));
      await pace.giveWay();
    }
  }
  return read;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
