/** Signed requests to AWS over fetch: bounded in time, and tried again where the failure may be a passing one. */

import { AwsClient } from 'aws4fetch';
import { StoreUnavailable } from '../../store.ts';

export interface AwsOptions {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Goes with temporary credentials, such as those of a Lambda; null where they last. */
  readonly sessionToken: string | null;
  /** The longest that one try of a small request may take, in milliseconds; a large body gets its time on top. */
  readonly timeoutMs: number;
}

export interface Asked {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** What the request may take besides, in milliseconds. */
  readonly extraMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** Any answer below 500, other than 429. Rejects with `StoreUnavailable` where none of three tries got one. */
export type Request = (asked: Asked) => Promise<Answer>;

const TRIES = 3;

/** Before the second try, in milliseconds; doubled before the third, each with full jitter. */
const PAUSE_MS = 100;

/** A body may be as slow as one megabyte a second. */
const BYTES_PER_MS = 1000;

export function createRequest(service: 's3' | 'sqs', options: AwsOptions): Request {
  const { region, accessKeyId, secretAccessKey, sessionToken, timeoutMs } = options;
  const client = new AwsClient({
    service,
    region,
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === null ? {} : { sessionToken }),
  });

  const once = async ({ method, url, headers = {}, body, extraMs = 0 }: Asked): Promise<Answer> => {
    const request = await client.sign(url, { method, headers, body: body ?? null });
    const ms = timeoutMs + extraMs + (body?.length ?? 0) / BYTES_PER_MS;
    // A redirection means another region: following it would only send the credentials on.
    const response = await fetch(request, { redirect: 'manual', signal: AbortSignal.timeout(Math.ceil(ms)) });
    const answer = new Uint8Array(await response.arrayBuffer());
    if (response.status >= 500 || response.status === 429) throw refused(service, response.status, answer);
    return { status: response.status, headers: response.headers, body: answer };
  };

  return async (asked) => {
    for (let tried = 1; ; tried++) {
      try {
        return await once(asked);
      } catch (cause) {
        if (tried === TRIES) {
          if (cause instanceof StoreUnavailable) throw cause;
          throw new StoreUnavailable(`${service} does not answer`, { cause });
        }
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * PAUSE_MS * 2 ** tried));
    }
  };
}

/** AWS's own name for what went wrong: `<Code>` of XML, `__type` of JSON; null where the body has none. */
export function errorCode(body: Uint8Array): string | null {
  const text = new TextDecoder().decode(body.subarray(0, 4096));
  return (
    /<Code>([\w.]+)<\/Code>/.exec(text)?.[1] ?? /"__type":"(?:[^"#]*#)?([\w.]+)"/.exec(text)?.[1] ?? null
  );
}

/** An answer that is none to what was asked. */
export const refused = (service: string, status: number, body: Uint8Array): StoreUnavailable =>
  new StoreUnavailable([service, 'answered', status, errorCode(body)].filter(Boolean).join(' '));
