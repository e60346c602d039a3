/**
 * The client of Postern's HTTP interface, for Node, browsers and Workers. It has no dependencies.
 *
 * @example
 * const postern = createClient({ url: 'https://postern.example.com', token });
 * const { id } = await postern.send({ from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Hello', text: '…' });
 */

import type { BatchItem, QueuedBody, QueuedListBody, QuotaBody, ReceiptBody } from '../responses.ts';
import { type Call, type CallerOptions, createCaller } from './call.ts';
import { type Content, encoded, isContent, type LaterMessage, type Message } from './content.ts';
import { PosternError } from './error.ts';

export type { FieldError } from '../outcome.ts';
export type { Problem } from '../responses.ts';
export type { Attachment, Content, InlineImage, LaterMessage, Message } from './content.ts';
export type { ErrorCode } from './error.ts';
export { PosternError };

export type ClientOptions = CallerOptions;
/** What upstream accepted. */
export type Receipt = ReceiptBody;
/** The state of a message in the outbox. */
export type QueuedMessage = QueuedBody;
/** One answer of a batch: a receipt, a queued message, or the problem of this one. */
export type BatchResult = BatchItem;
export type Quota = QuotaBody;
/** One page; `cursor` is null on the last. */
export type MessagePage = QueuedListBody;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface SendOptions extends CallOptions {
  /**
   * 1 to 255 printable ASCII characters. Under the same key a message is sent once within 24 hours, also by another
   * process; by default each call has a new one for all its attempts.
   */
  readonly idempotencyKey?: string | null | undefined;
}

export interface RawOptions extends SendOptions {
  /** The envelope's sender and recipients; by default those of the header section. */
  readonly from?: string | undefined;
  readonly to?: string | readonly string[] | null | undefined;
  readonly label?: number | undefined;
}

export interface MessageQuery {
  readonly state?: QueuedMessage['state'] | undefined;
  /** 1 to 100; 20 if absent. */
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/**
 * Each method makes several attempts where that is safe. Each rejects with a {@link PosternError}, or with the reason
 * of its signal.
 */
export interface Client {
  /** Sends now; resolves once upstream has accepted the message. */
  send(message: Message, options?: SendOptions): Promise<Receipt>;
  /** Sends a whole message (RFC 5322), such as an .eml file, byte for byte but for its Bcc. */
  sendRaw(message: Content, options?: RawOptions): Promise<Receipt>;
  /** Sends 1 to 100 messages, each with an outcome of its own, in order. Those that failed do not reject it. */
  sendBatch(messages: readonly LaterMessage[], options?: SendOptions): Promise<readonly BatchResult[]>;
  /** Puts a message into the outbox, which sends it at `sendAt` or at once and keeps it until its outcome is final. */
  queue(message: LaterMessage, options?: SendOptions): Promise<QueuedMessage>;
  /** The state of a queued message. */
  message(id: string, options?: CallOptions): Promise<QueuedMessage>;
  /** One page of the queued messages, newest first. */
  messages(query?: MessageQuery, options?: CallOptions): Promise<MessagePage>;
  /** All of them, page by page. */
  eachMessage(query?: MessageQuery, options?: CallOptions): AsyncGenerator<QueuedMessage, void, undefined>;
  /** Cancels a message that still waits. */
  cancel(id: string, options?: CallOptions): Promise<QueuedMessage>;
  /** What is left of the window. */
  quota(options?: CallOptions): Promise<Quota>;
  /** Draws calls that are about to be made to SendCloud without the gateway: all or none. */
  reportCalls(count: number, options?: CallOptions): Promise<Quota>;
}

/** @throws {TypeError} where the address or the token cannot be one */
export function createClient(options: ClientOptions): Client {
  const call = createCaller(options);

  const get = <Body>(path: string, member: Call<Body>['member'], { signal }: CallOptions) =>
    call<Body>({ method: 'GET', path, status: 200, member, signal });

  async function post<Body>(
    path: string,
    json: unknown,
    { signal, idempotencyKey }: SendOptions,
    more: Pick<Call<Body>, 'status' | 'member' | 'headers' | 'isUnfinished'>,
  ): Promise<Body> {
    return call<Body>({
      method: 'POST',
      path,
      body: JSON.stringify(json),
      idempotencyKey: keyOf(idempotencyKey),
      signal,
      ...more,
      headers: { ...JSON_BODY, ...more.headers },
    });
  }

  const client: Client = {
    async send(message, sending = {}) {
      if ((message as LaterMessage | undefined)?.sendAt)
        throw new TypeError('Use queue() for a message with "sendAt".');
      return post('/v1/messages', await encoded(message), sending, {
        status: 200,
        member: 'accepted',
      });
    },
    async sendRaw(message, { from, to, label, signal, idempotencyKey } = {}) {
      if (!isContent(message)) {
        throw new TypeError('Give the whole message as text, bytes or a Blob.');
      }
      const recipients = [to ?? []].flat();
      const query = queryOf([
        ['from', from],
        ...recipients.map((one) => ['to', one] as const),
        ['label', label],
      ]);
      return call({
        method: 'POST',
        path: `/v1/messages${query}`,
        headers: { 'Content-Type': 'message/rfc822' },
        body: new Blob([message as BlobPart]),
        status: 200,
        member: 'accepted',
        idempotencyKey: keyOf(idempotencyKey),
        signal,
      });
    },
    async sendBatch(messages, sending = {}) {
      if (!Array.isArray(messages)) throw new TypeError('Give the messages as an array.');
      const all = await Promise.all(messages.map(encoded));
      return post('/v1/messages/batch', all, sending, {
        status: 200,
        member: 'length',
        isUnfinished,
      });
    },
    async queue(message, sending = {}) {
      const headers = { Prefer: 'respond-async' };
      return post('/v1/messages', await encoded(message), sending, {
        status: 202,
        member: 'state',
        headers,
      });
    },
    message: (id, reading = {}) => get(pathOf(id), 'state', reading),
    messages: (query = {}, reading = {}) =>
      get(`/v1/messages${queryOf(Object.entries(query))}`, 'messages', reading),
    async *eachMessage(query = {}, reading = {}) {
      let cursor: string | null | undefined = query.cursor;
      do {
        const page: MessagePage = await client.messages({ ...query, cursor }, reading);
        yield* page.messages;
        cursor = page.cursor;
      } while (cursor !== null);
    },
    async cancel(id, { signal } = {}) {
      try {
        return await call<QueuedMessage>({
          method: 'DELETE',
          path: pathOf(id),
          status: 200,
          member: 'state',
          signal,
        });
      } catch (error) {
        if (!(error instanceof PosternError && error.code === 'not-cancellable')) throw error;
        // Cancelled already, perhaps by an attempt whose answer was lost.
        const message = await client.message(id, { signal });
        if (message.state === 'cancelled') return message;
        throw error;
      }
    },
    quota: (reading = {}) => get('/v1/quota', 'remaining', reading),
    reportCalls: (count, { signal } = {}) =>
      call({
        method: 'POST',
        path: '/v1/quota/calls',
        body: JSON.stringify({ count }),
        headers: JSON_BODY,
        status: 200,
        member: 'remaining',
        // Drawn twice they would be missing from the window.
        repeatable: false,
        signal,
      }),
  };
  return client;
}

const JSON_BODY = { 'Content-Type': 'application/json' };

const pathOf = (id: string): string => `/v1/messages/${encodeURIComponent(id)}`;

function queryOf(parameters: readonly (readonly [string, string | number | undefined])[]): string {
  const query = new URLSearchParams();
  for (const [name, value] of parameters) if (value !== undefined) query.append(name, String(value));
  return query.size === 0 ? '' : `?${query}`;
}

/** The caller's key, or a new one; `crypto.randomUUID` is missing on pages without TLS. */
function keyOf(key: string | null | undefined): string {
  if (key === undefined || key === null) {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
      byte.toString(16).padStart(2, '0'),
    ).join('');
  }
  // Also where the types were passed over: of a number, NaN would be the same key for all messages.
  if (typeof key === 'string' && /^[\x20-\x7e]{1,255}$/.test(key)) return key;
  throw new TypeError('Give "idempotencyKey" as a string of 1 to 255 printable ASCII characters.');
}

/**
 * Whether some of a batch may be accepted by another try. Under the batch's key that is sent which was not; after an
 * unknown outcome none is.
 */
const isUnfinished = (results: readonly BatchResult[]): boolean => {
  const problems = results.flatMap((result) => ('problem' in result ? [result.problem] : []));
  return (
    problems.some(({ retryable }) => retryable) && problems.every(({ delivery }) => delivery !== 'unknown')
  );
};
