/** One call of the gateway: its attempts, until an answer is final, the retries are used up or time runs out. */

import type { Problem } from '../responses.ts';
import { PosternError } from './error.ts';

export interface CallerOptions {
  /** Where the gateway is, such as `https://postern.example.com`; a path in front of its routes may follow. */
  readonly url: string;
  /** A gateway token. It may send in the account's name: keep it on a server, never in a page. */
  readonly token: string;
  /** Instead of the runtime's own. */
  readonly fetch?: typeof fetch | undefined;
  /** For a whole call with all its attempts, in milliseconds; 90 s if absent. */
  readonly timeoutMs?: number | undefined;
  /** How often a call is tried again at most; 4 if absent. */
  readonly retries?: number | undefined;
}

export interface Call<Body> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below the gateway's address, with the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Blob;
  /** The status of the answer that is `Body`, and a member that tells it from what another service answers. */
  readonly status: number;
  readonly member: string & keyof Body;
  /** With a key a repeated request sends nothing twice. */
  readonly idempotencyKey?: string;
  /** Whether a request that went unanswered may be repeated; true if absent. */
  readonly repeatable?: boolean;
  /** Whether to ask again although this was answered. */
  readonly isUnfinished?: (body: Body) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * @returns the body of the answer
 * @throws {PosternError} with the last answer
 * @throws the signal's reason, once it is aborted
 */
export type Caller = <Body>(call: Call<Body>) => Promise<Body>;

/** A gateway gives a request 25 s to arrive and 25 s to be sent: later than this, the connection is dead. */
const ATTEMPT_MS = 55_000;

/** The first pause is up to this long, and each further one up to twice as long. */
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 10_000;

/** What a proxy in front of the gateway answers while that is away. */
const AWAY = [408, 425, 429, 502, 503, 504];

/** @throws {TypeError} where the address or the token cannot be one */
export function createCaller(options: CallerOptions): Caller {
  const { token, timeoutMs = 90_000, retries = 4 } = options;
  const base = baseOf(options.url);
  if (!/^[\x21-\x7e]+$/.test(token ?? '')) {
    throw new TypeError('Give "token" as one of the gateway\'s tokens, without spaces.');
  }

  return async function call<Body>(asked: Call<Body>): Promise<Body> {
    const { signal, isUnfinished = () => false } = asked;
    const endsAt = performance.now() + timeoutMs;
    let wentUnanswered = false;
    for (let retry = 0; ; retry++) {
      const left = endsAt - performance.now();
      const answer = await attempt<Body>(asked, Math.min(left, ATTEMPT_MS));
      const failed = answer instanceof PosternError;
      if (!failed && !isUnfinished(answer)) return answer;

      const pause = (failed ? (answer.retryAfterMs ?? 0) : 0) + jitter(retry);
      const isLast = retry >= retries || performance.now() + pause >= endsAt;
      if (failed) {
        wentUnanswered ||= answer.delivery === 'unknown';
        if (isLast || !mayRepeat(answer, asked)) throw wentUnanswered ? withDoubt(answer) : answer;
      } else if (isLast) {
        return answer;
      }
      await wait(pause, signal);
    }
  };

  async function attempt<Body>(asked: Call<Body>, timeLeftMs: number): Promise<Body | PosternError> {
    const { method, path, headers, body, signal, idempotencyKey } = asked;
    const { fetch: send = fetch } = options;
    signal?.throwIfAborted();
    const controller = new AbortController();
    // What throws from here to the `try` is no missing answer: no request has left.
    const sent = send(base + path, {
      method,
      headers: new Headers({
        Authorization: `Bearer ${token}`,
        ...(idempotencyKey !== undefined && { 'Idempotency-Key': quoted(idempotencyKey) }),
        ...headers,
      }),
      ...(body !== undefined && { body }),
      // Followed, a POST becomes a GET, or the token goes to another host.
      redirect: 'manual',
      signal: controller.signal,
    });
    const abort = () => controller.abort(signal?.reason);
    signal?.addEventListener('abort', abort);
    const late = setTimeout(() => controller.abort(new Error('Time ran out.')), timeLeftMs);
    try {
      const response = await sent;
      return answerOf<Body>(asked, response, await response.text());
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      return new PosternError(
        `${base} did not answer.`,
        {
          code: 'no-answer',
          delivery: 'unknown',
          retryable: true,
          status: null,
          retryAfterMs: null,
          idempotencyKey: idempotencyKey ?? null,
          problem: null,
        },
        { cause: error },
      );
    } finally {
      clearTimeout(late);
      signal?.removeEventListener('abort', abort);
    }
  }
}

function answerOf<Body>(
  { status: expected, member, idempotencyKey: key }: Call<Body>,
  response: Response,
  text: string,
): Body | PosternError {
  const { status, headers } = response;
  const json = jsonOf(text);
  if (status === expected && json !== null && member in json) return json as Body;
  const retryAfterMs = retryAfterOf(headers);
  const idempotencyKey = key ?? null;
  if (isProblem(json)) {
    const { code, delivery, retryable, detail, errors = [] } = json;
    const wrong = errors
      .map(({ pointer, message }) => `\n  ${pointer || '(the whole)'}: ${message}`)
      .join('');
    const facts = { code, delivery, retryable, status, retryAfterMs, idempotencyKey, problem: json };
    return new PosternError(`${code}: ${detail}${wrong}`, facts);
  }
  const location = headers.get('Location');
  return new PosternError(
    `The answer did not come from Postern (${status}${location === null ? '' : `, to ${location}`}). Check "url".`,
    {
      code: 'unexpected-answer',
      delivery: 'unknown',
      retryable: AWAY.includes(status),
      status,
      retryAfterMs,
      idempotencyKey,
      problem: null,
    },
  );
}

/** The object or array that the text is; null where it is none. */
function jsonOf(text: string): object | null {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' ? json : null;
  } catch {
    return null;
  }
}

const isProblem = (json: object | null): json is Problem =>
  json !== null && 'code' in json && 'delivery' in json && 'retryable' in json;

/** A problem whose outcome is unknown is never repeated; a request that went unanswered is, where that is safe. */
function mayRepeat(error: PosternError, { repeatable = true }: Pick<Call<never>, 'repeatable'>): boolean {
  if (error.delivery === 'not-sent') return error.retryable;
  return error.problem === null && error.retryable && repeatable;
}

/**
 * What a caller should believe after an attempt that went unanswered: that one may still be in progress. Only an
 * answer that is final is about both, since both are the same request.
 */
function withDoubt(error: PosternError): PosternError {
  if (!error.retryable || error.delivery === 'unknown') return error;
  return new PosternError(error.message, { ...error, delivery: 'unknown' }, { cause: error });
}

/** `Retry-After` in either form (RFC 9110 section 10.2.3), in milliseconds. */
function retryAfterOf(headers: Headers): number | null {
  const value = headers.get('Retry-After');
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  if (!value.endsWith('GMT')) return null;
  // By the clock that wrote it, where that is shown.
  const ms = Date.parse(value) - Date.parse(headers.get('Date') ?? new Date().toISOString());
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

/** Full jitter, so that clients that failed together do not come back together. */
const jitter = (retry: number): number =>
  Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** retry, LONGEST_PAUSE_MS);

function wait(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
  });
}

function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.search || parsed.hash) {
    throw new TypeError('Give "url" as the gateway\'s address, such as https://postern.example.com.');
  }
  return parsed.href.replace(/\/+$/, '');
}

/** As a structured field's string (RFC 9651 section 4.1.6): a comma would make it two. */
const quoted = (key: string): string => `"${key.replace(/["\\]/g, '\\$&')}"`;
