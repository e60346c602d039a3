/** The outbox in S3 and SQS, by the settings. */

import type { AwsSettings } from '../config.ts';
import { createBucket } from '../stores/aws/bucket.ts';
import { type AwsOutbox, createAwsOutbox } from '../stores/aws/outbox.ts';
import { createQueue } from '../stores/aws/queue.ts';

/** The longest that one try of a request may take, in milliseconds; there are three. */
const REQUEST_MS = 4000;

/** @param keepMs - how long the state of an ended message can be read */
export function openAwsOutbox(aws: AwsSettings, keepMs: number): AwsOutbox {
  const { bucket, queueUrl, endpoints, ...access } = aws;
  const options = { ...access, timeoutMs: REQUEST_MS };
  return createAwsOutbox({
    bucket: createBucket({ ...options, bucket, endpoint: endpoints.s3 }),
    queue: createQueue({ ...options, queueUrl, endpoint: endpoints.sqs }),
    keepMs,
  });
}
