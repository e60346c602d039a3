/**
 * S3 and SQS on the loopback address: fauxqs stores, lists, delays and redelivers; the conditions of conditional
 * writes, which it does not know, are checked here in front of it.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buildApp } from 'fauxqs';

/** What happens to a request: dropped before or after it is carried out, answered wrongly, or not at all. */
export type Fault =
  | 'drop'
  | 'drop-answer'
  | 'silent'
  | 'garbled'
  | 'refuse'
  | 'forbidden'
  | 'missing'
  | 'no-bucket'
  | 'moved';

export interface SeenRequest {
  /** `PUT state`, `GET body`, `SendMessage` …; a key by its first part. */
  readonly what: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface TestAws {
  readonly endpoint: string;
  readonly bucket: string;
  readonly queueUrl: string;
  readonly deadLettersUrl: string;
  /** All so far. */
  readonly requests: SeenRequest[];
  /** Decides what happens to a request, by what it is and its number from 0 since this was set. */
  fault: (what: string, index: number, url: string) => Fault | null;
  /** A request waits for what this gives. */
  hold: (what: string, body: Buffer) => Promise<void> | null;
  /** The queues' own view of their messages. */
  messages(queueUrl: string): Promise<QueueView>;
  /**
   * Hands a batch to a function, as an event source mapping with ReportBatchItemFailures does.
   *
   * @returns how many there were
   */
  invoke(handler: QueueHandler): Promise<number>;
  /** Puts a message into a queue, past the gateway. */
  send(queueUrl: string, body: string): Promise<void>;
  close(): Promise<void>;
}

export type QueueHandler = (event: {
  readonly Records: readonly {
    readonly messageId: string;
    readonly receiptHandle: string;
    readonly body: string;
  }[];
}) => Promise<{ readonly batchItemFailures: readonly { readonly itemIdentifier: string }[] }>;

export interface QueueView {
  readonly ready: readonly { readonly body: string }[];
  readonly delayed: readonly { readonly body: string; readonly delayUntil: number }[];
  readonly inflight: readonly { readonly message: { readonly body: string } }[];
}

export const REGION = 'eu-central-1';

/** As in serverless.yml. */
export const VISIBILITY_SECONDS = 360;

/** In bytes; fauxqs takes longer ones. */
const LONGEST_KEY = 1024;

/** fauxqs takes no larger request; S3 takes 5 GB. */
const LARGEST_PART = 10 * 1024 * 1024;

/** @param maxReceiveCount - after so many receipts a message is a dead letter */
export async function startAws({ maxReceiveCount = 5 } = {}): Promise<TestAws> {
  const app = buildApp({ logger: false, defaultRegion: REGION });
  await app.ready();
  const inject = (method: string, url: string, headers: Record<string, string>, payload: Buffer | string) =>
    app.inject({ method: method as 'GET', url, headers, payload });
  const sqs = async (action: string, input: object) => {
    const headers = {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${action}`,
      host: 'localhost',
    };
    const { body } = await inject('POST', '/', headers, JSON.stringify(input));
    return JSON.parse(body || '{}') as Record<string, string>;
  };

  const bucket = 'postern-outbox';
  await inject('PUT', `/${bucket}`, {}, '');
  const { QueueUrl: deadLettersUrl = '' } = await sqs('CreateQueue', { QueueName: 'dead-letters' });
  const { QueueUrl: queueUrl = '' } = await sqs('CreateQueue', {
    QueueName: 'outbox',
    Attributes: {
      RedrivePolicy: JSON.stringify({
        deadLetterTargetArn: `arn:aws:sqs:${REGION}:000000000000:dead-letters`,
        maxReceiveCount,
      }),
    },
  });

  /** Requests to one key are carried out one after the other, as their conditions want it. */
  const turns = new Map<string, Promise<unknown>>();
  const inTurn = <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(key) ?? Promise.resolve()).then(work);
    turns.set(
      key,
      turn.catch(() => {}),
    );
    return turn;
  };

  const putObject = async (url: string, headers: Record<string, string>, body: Buffer) => {
    if (body.length <= LARGEST_PART) return inject('PUT', url, headers, body);
    const created = await inject('POST', `${url}?uploads`, {}, '');
    const id = /<UploadId>(.*)<\/UploadId>/.exec(created.body)?.[1];
    const parts: string[] = [];
    for (let at = 0; at < body.length; at += LARGEST_PART) {
      const number = parts.length + 1;
      const part = body.subarray(at, at + LARGEST_PART);
      const { headers } = await inject('PUT', `${url}?uploadId=${id}&partNumber=${number}`, {}, part);
      parts.push(`<Part><PartNumber>${number}</PartNumber><ETag>${headers.etag}</ETag></Part>`);
    }
    const list = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
    await inject('POST', `${url}?uploadId=${id}`, { 'content-type': 'application/xml' }, list);
    return inject('HEAD', url, {}, '');
  };

  const carryOut = ({ method, url, headers, body }: SeenRequest) => {
    if (url.replace(/\?.*/, '').length > `/${bucket}/`.length + LONGEST_KEY)
      return refusal(400, 'KeyTooLongError');
    if (method !== 'PUT') return inject(method, url, { ...headers, host: 'localhost' }, body);
    return inTurn(url, async () => {
      const { statusCode, headers: known } = await inject('HEAD', url, {}, '');
      const exists = statusCode === 200;
      if (headers['if-none-match'] === '*' && exists) return refusal(412, 'PreconditionFailed');
      if (headers['if-match'] && !exists) return refusal(404, 'NoSuchKey');
      if (headers['if-match'] && headers['if-match'] !== known.etag)
        return refusal(412, 'PreconditionFailed');
      return putObject(url, { ...headers, host: 'localhost' }, body);
    });
  };

  const requests: SeenRequest[] = [];
  let fault: TestAws['fault'] = () => null;
  let index = 0;
  const server = createServer(async (incoming, outgoing) => {
    const request = await read(incoming);
    requests.push(request);
    const harm = fault(request.what, index++, request.url);
    await aws.hold(request.what, request.body);
    if (harm === 'silent') return;
    if (harm === 'drop') return incoming.socket.destroy();
    const answer = (harm && REFUSALS[harm]) ?? (await carryOut(request));
    if (harm === 'drop-answer') return incoming.socket.destroy();
    write(outgoing, request.method, answer);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  const aws: TestAws = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    queueUrl,
    deadLettersUrl,
    requests,
    get fault() {
      return fault;
    },
    set fault(chosen) {
      fault = chosen;
      index = 0;
    },
    hold: () => null,
    async messages(url) {
      const name = url.slice(url.lastIndexOf('/') + 1);
      const view = (await inject('GET', `/_fauxqs/queues/${name}`, {}, '')).json() as { messages: QueueView };
      return view.messages;
    },
    async invoke(handler) {
      const { Messages = [] } = (await sqs('ReceiveMessage', {
        QueueUrl: queueUrl,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: VISIBILITY_SECONDS,
      })) as unknown as { Messages?: { MessageId: string; ReceiptHandle: string; Body: string }[] };
      const records = Messages.map(({ MessageId, ReceiptHandle, Body }) => ({
        messageId: MessageId,
        receiptHandle: ReceiptHandle,
        body: Body,
      }));
      if (records.length === 0) return 0;
      const { batchItemFailures } = await handler({ Records: records });
      const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
      for (const { messageId, receiptHandle } of records) {
        if (failed.has(messageId)) continue;
        await sqs('DeleteMessage', { QueueUrl: queueUrl, ReceiptHandle: receiptHandle });
      }
      return records.length;
    },
    async send(url, body) {
      await sqs('SendMessage', { QueueUrl: url, MessageBody: body });
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await app.close();
    },
  };
  return aws;
}

async function read(incoming: IncomingMessage): Promise<SeenRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const { method = '', url = '' } = incoming;
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
  );
  const action = headers['x-amz-target']?.replace('AmazonSQS.', '');
  const kind = /^\/[^/]+\/([^/?]*)/.exec(url)?.[1] || 'bucket';
  return { what: action ?? `${method} ${kind}`, method, url, headers, body: Buffer.concat(chunks) };
}

interface Answer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>;
  readonly rawPayload: Buffer;
}

const refusal = (statusCode: number, code: string): Answer => ({
  statusCode,
  headers: { 'content-type': 'application/xml' },
  rawPayload: Buffer.from(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`),
});

const REFUSALS: Partial<Readonly<Record<Fault, Answer>>> = {
  refuse: refusal(503, 'SlowDown'),
  forbidden: refusal(403, 'AccessDenied'),
  missing: refusal(404, 'NoSuchKey'),
  'no-bucket': refusal(404, 'NoSuchBucket'),
  moved: refusal(301, 'PermanentRedirect'),
  garbled: { ...refusal(200, 'Garbled'), headers: { etag: '"0"' } },
};

function write(outgoing: ServerResponse, method: string, { statusCode, headers, rawPayload }: Answer): void {
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !/^(?:connection|transfer-encoding|content-length)$/.test(name))
      outgoing.setHeader(name, value);
  }
  outgoing.writeHead(statusCode).end(method === 'HEAD' ? undefined : rawPayload);
}
