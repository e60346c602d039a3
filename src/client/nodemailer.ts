/**
 * A transport of nodemailer 6 and newer: `createTransport(postern({ url, token }))`. nodemailer writes the message, and
 * the gateway sends it as it is.
 */

import { type ClientOptions, createClient, type Receipt, type SendOptions } from './client.ts';

export interface PosternOptions extends ClientOptions {
  /** The label of every message that has none of its own. */
  readonly label?: number | undefined;
}

/** What a message may have beside nodemailer's own fields. */
export interface PosternMail {
  readonly postern?: {
    readonly label?: number | undefined;
    /** Under the same key a message is sent once within 24 hours. */
    readonly idempotencyKey?: string | null | undefined;
  };
}

/** What `sendMail` resolves to. */
export interface SentMessage {
  readonly messageId: string;
  readonly envelope: { from: string | false; to: string[] };
  readonly accepted: string[];
  readonly rejected: string[];
  /** Upstream's final reply. */
  readonly response: string;
  readonly receipt: Receipt;
}

/** Of nodemailer's message, what all its versions have. */
interface Mail {
  readonly data: object;
  readonly message: {
    getEnvelope(): { from: string | false; to: string[] };
    messageId(): string;
    createReadStream(): AsyncIterable<unknown>;
  };
}

export interface PosternTransport {
  readonly name: string;
  readonly version: string;
  /** nodemailer 10 leaves aborting to the transport. */
  readonly supportsAbortSignal: true;
  send(mail: Mail, callback: (error: Error | null, sent: SentMessage) => void): void;
  /** Asks the gateway whether it takes the token; draws nothing. */
  verify(callback?: (error: Error | null, success: true) => void): Promise<true>;
}

/** A failure comes alone, although nodemailer's older types name a second argument. */
type FailureCallback = (error: Error) => void;

/** @throws {TypeError} where the address or the token cannot be one */
export function postern({ label, ...clientOptions }: PosternOptions): PosternTransport {
  const client = createClient(clientOptions);

  async function send({ data, message }: Mail): Promise<SentMessage> {
    const { postern: options, signal }: PosternMail & Pick<SendOptions, 'signal'> = data;
    const envelope = message.getEnvelope();
    // The gateway would take them from the header section.
    if (envelope.to.length === 0) throw new TypeError('The message has no recipients.');
    const messageId = message.messageId();
    const receipt = await client.sendRaw(await bytesOf(message.createReadStream()), {
      label,
      ...options,
      from: envelope.from === false ? undefined : envelope.from,
      to: envelope.to,
      signal,
    });
    return {
      messageId: receipt.messageId ?? messageId,
      envelope,
      accepted: [...receipt.accepted],
      rejected: receipt.rejected.map(({ address }) => address),
      response: receipt.response,
      receipt,
    };
  }

  return {
    name: 'Postern',
    version: '0.1.0',
    supportsAbortSignal: true,
    send(mail, callback) {
      send(mail).then((sent) => callback(null, sent), callback as FailureCallback);
    },
    verify(callback) {
      const verified = client.quota().then((): true => true);
      if (callback) verified.then((success) => callback(null, success), callback as FailureCallback);
      return verified;
    },
  };
}

async function bytesOf(stream: AsyncIterable<unknown>): Promise<Blob> {
  const chunks: BlobPart[] = [];
  for await (const chunk of stream) chunks.push(chunk as BlobPart);
  return new Blob(chunks);
}
