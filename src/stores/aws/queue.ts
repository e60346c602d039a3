/** The few operations on SQS that the outbox needs, in its JSON protocol. */

import { type AwsOptions, createRequest, refused } from './request.ts';

export interface QueueOptions extends AwsOptions {
  readonly queueUrl: string;
  /** Instead of the queue URL's own origin: an emulator's. */
  readonly endpoint: string | null;
}

export interface Received {
  readonly body: string;
  /** What it is removed by. */
  readonly receipt: string;
}

export interface Queue {
  /**
   * @param delayMs - at most 15 minutes of it: SQS delays no longer
   * @param group - of a fair queue: a group with a backlog does not hold up the others
   */
  send(body: string, delayMs: number, group: string): Promise<void>;
  /** Up to `count` messages, at most 10 of them, which no other receives for `hiddenMs`. */
  receive(count: number, hiddenMs: number): Promise<readonly Received[]>;
  remove(receipt: string): Promise<void>;
  /** Messages that are visible, delayed and received, about. */
  depth(): Promise<number>;
}

const MOST_DELAY_MS = 15 * 60 * 1000;

/** SQS counts in whole seconds; never earlier than asked. */
const seconds = (ms: number) => Math.ceil(Math.max(0, ms) / 1000);

export function createQueue(options: QueueOptions): Queue {
  const request = createRequest('sqs', options);
  const { queueUrl, endpoint } = options;
  const url = `${endpoint?.replace(/\/$/, '') ?? new URL(queueUrl).origin}/`;

  const call = async (action: string, input: object): Promise<Record<string, unknown>> => {
    const headers = { 'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': `AmazonSQS.${action}` };
    const body = JSON.stringify({ QueueUrl: queueUrl, ...input });
    const answer = await request({ method: 'POST', url, headers, body });
    if (answer.status !== 200) throw refused('sqs', answer.status, answer.body);
    const text = new TextDecoder().decode(answer.body);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  };

  return {
    async send(body, delayMs, group) {
      const delay = seconds(Math.min(delayMs, MOST_DELAY_MS));
      await call('SendMessage', { MessageBody: body, DelaySeconds: delay, MessageGroupId: group });
    },

    async receive(count, hiddenMs) {
      const answer = await call('ReceiveMessage', {
        MaxNumberOfMessages: Math.min(count, 10),
        VisibilityTimeout: seconds(hiddenMs),
        // Whatever the queue's own setting is.
        WaitTimeSeconds: 0,
      });
      const messages = (answer.Messages ?? []) as readonly { Body: string; ReceiptHandle: string }[];
      return messages.map(({ Body, ReceiptHandle }) => ({ body: Body, receipt: ReceiptHandle }));
    },

    async remove(receipt) {
      await call('DeleteMessage', { ReceiptHandle: receipt });
    },

    async depth() {
      const names = ['', 'Delayed', 'NotVisible'].map((kind) => `ApproximateNumberOfMessages${kind}`);
      const { Attributes } = await call('GetQueueAttributes', { AttributeNames: names });
      const attributes = Attributes as Readonly<Record<string, string>>;
      return names.reduce((sum, name) => sum + Number(attributes[name]), 0);
    },
  };
}
