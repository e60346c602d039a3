/** The few operations on S3 that the outbox needs; conditional writes are its locks. */

import { type Answer, type AwsOptions, createRequest, errorCode, refused } from './request.ts';

export interface BucketOptions extends AwsOptions {
  readonly bucket: string;
  /** Instead of AWS's own: an emulator, or another store that speaks S3 with conditional writes. */
  readonly endpoint: string | null;
}

export interface Stored {
  readonly body: Uint8Array;
  /** Names this version of the object, for `ifMatch`. */
  readonly etag: string;
}

/** Keys hold nothing but `A-Z a-z 0-9 - _ . /`, so that no layer spells one in another way. */
export interface Bucket {
  /** @param size - about how many bytes to expect, for the time that it may take */
  get(key: string, size?: number): Promise<Stored | null>;
  /**
   * Writes an object, where `condition` is given only if it holds.
   *
   * @param condition - the ETag that the object must have, or `absent`
   * @param tag - a key and a value for the bucket's lifecycle rules, as `key=value`
   * @returns its ETag, or null where the condition does not hold
   */
  put(key: string, body: string | Uint8Array, condition?: string, tag?: string): Promise<string | null>;
  /** Up to 1000 objects whose keys begin with `prefix`, in the order of their keys, from the first one past `after`. */
  list(prefix: string, after: string, limit: number): Promise<Listed>;
  ping(): Promise<void>;
}

export interface Listed {
  readonly objects: readonly { readonly key: string; readonly size: number }[];
  /** There are others after the last one. */
  readonly more: boolean;
}

/** No object has a longer one, in bytes. */
const LONGEST_KEY = 1024;

export const ABSENT = 'absent';

/** S3 asks to repeat a conditional write that met another one (409 ConditionalRequestConflict); so often at most. */
const MOST_CONFLICTS = 5;

export function createBucket(options: BucketOptions): Bucket {
  const request = createRequest('s3', options);
  const { bucket, region, endpoint } = options;
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const base = endpoint
    ? `${endpoint.replace(/\/$/, '')}/${bucket}`
    : `https://${bucket}.s3.${region}.${suffix}`;

  return {
    async get(key, size = 0) {
      if (key.length > LONGEST_KEY) return null;
      const answer = await request({ method: 'GET', url: `${base}/${key}`, extraMs: size / 1000 });
      if (isMissing(answer)) return null;
      if (answer.status !== 200) throw refused('s3', answer.status, answer.body);
      return { body: answer.body, etag: etagOf(answer.headers) };
    },

    async put(key, body, condition, tag) {
      const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : new Uint8Array(body);
      const headers = {
        'Content-Type': 'application/octet-stream',
        ...(condition === ABSENT ? { 'If-None-Match': '*' } : condition ? { 'If-Match': condition } : {}),
        ...(tag === undefined ? {} : { 'x-amz-tagging': tag }),
      };
      for (let conflicts = 0; ; conflicts++) {
        const answer = await request({ method: 'PUT', url: `${base}/${key}`, headers, body: bytes });
        if (answer.status === 200) return etagOf(answer.headers);
        if (answer.status === 409 && conflicts < MOST_CONFLICTS) continue;
        // An object that has gone has no ETag to match.
        if (condition && (answer.status === 412 || isMissing(answer))) return null;
        throw refused('s3', answer.status, answer.body);
      }
    },

    async list(prefix, after, limit) {
      const query = new URLSearchParams({
        'list-type': '2',
        prefix,
        'max-keys': String(limit),
        ...(after === '' ? {} : { 'start-after': after.slice(0, LONGEST_KEY) }),
      });
      const answer = await request({ method: 'GET', url: `${base}/?${query}` });
      if (answer.status !== 200) throw refused('s3', answer.status, answer.body);
      return parseList(new TextDecoder().decode(answer.body));
    },

    async ping() {
      const answer = await request({ method: 'HEAD', url: `${base}/` });
      if (answer.status !== 200) throw refused('s3', answer.status, answer.body);
    },
  };
}

/** There is no such object; a bucket that is missing is another matter. */
const isMissing = ({ status, body }: Answer): boolean => status === 404 && errorCode(body) === 'NoSuchKey';

function etagOf(headers: Headers): string {
  const etag = headers.get('etag');
  if (!etag) throw refused('s3', 200, new Uint8Array());
  return etag;
}

/** Reads a ListBucketResult; the keys are our own and need no unescaping. */
function parseList(xml: string): Listed {
  const objects = [...xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, content = '']) => ({
    key: /<Key>([^<]*)<\/Key>/.exec(content)?.[1] ?? '',
    size: Number(/<Size>(\d+)<\/Size>/.exec(content)?.[1]),
  }));
  return { objects, more: /<IsTruncated>true<\/IsTruncated>/.test(xml) };
}
