/** `GET /openapi.json`: OpenAPI 3.1, made from the schemas that validate and the table of failures. */

import { MOST_IN_BATCH } from '../each-of.ts';
import { EXAMPLE } from '../message/example.ts';
import { MESSAGE_COMPONENTS } from '../message/schema.ts';
import { OUTBOX_STATES } from '../outbox.ts';
import { FAILURES, type FailureCode, failure } from '../outcome.ts';
import {
  BatchSchema,
  ProblemSchema,
  QueuedListSchema,
  QueuedSchema,
  QuotaSchema,
  ReadinessSchema,
  ReceiptSchema,
} from '../responses.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { DEFAULT_LISTED, MOST_LISTED } from './outbox.ts';
import { PROBLEM_TYPE, problemOf } from './problem.ts';
import { CallsSchema } from './quota.ts';

const ref = (section: string, name: string) => ({ $ref: `#/components/${section}/${name}` });

const COMPONENTS = Object.entries(MESSAGE_COMPONENTS);

function refOf(schema: unknown) {
  const component = COMPONENTS.find(([, one]) => one === schema);
  return component && ref('schemas', component[0]);
}

/** What every authenticated operation may answer with. */
const AUTHENTICATED: FailureCode[] = [
  'unauthorized',
  'too-many-failed-logins',
  'internal',
  'misconfigured',
  'overloaded',
];
const SENDING: FailureCode[] = [
  ...AUTHENTICATED,
  'invalid-request',
  'forbidden-sender',
  'forbidden-label',
  'not-found',
  'request-in-progress',
  'message-too-large',
  'unsupported-media-type',
  'invalid-message',
  'idempotency-key-reused',
  'message-refused',
  'recipients-refused',
  'quota-exceeded',
  'upstream-credentials',
  'upstream-insecure',
  'upstream-unreachable',
  'upstream-busy',
  'quota-unavailable',
  'upstream-timeout',
  'outcome-unknown',
  'store-unavailable',
  'outbox-off',
];
const OUTBOX: FailureCode[] = [...AUTHENTICATED, 'store-unavailable', 'outbox-off'];
const BATCH: FailureCode[] = [
  ...AUTHENTICATED,
  'invalid-request',
  'message-too-large',
  'unsupported-media-type',
  'invalid-message',
];
/** What sending has, its credentials aside. */
const HOOKS: FailureCode[] = [
  ...SENDING.filter((code) => code !== 'unauthorized'),
  'bad-signature',
  'forbidden-origin',
  'too-many-forms',
  'unknown-hook',
];
const PUBLIC: FailureCode[] = ['method-not-allowed', 'internal', 'misconfigured'];
const READING_QUOTA: FailureCode[] = [...AUTHENTICATED, 'quota-unavailable'];
const DRAWING_QUOTA: FailureCode[] = [
  ...READING_QUOTA,
  'invalid-request',
  'message-too-large',
  'unsupported-media-type',
  'invalid-message',
  'quota-exceeded',
];

const headers = (...names: string[]) => Object.fromEntries(names.map((name) => [name, ref('headers', name)]));

/** What every answer of /v1 to an authenticated caller has. */
const quotaHeaders = headers('RateLimit-Policy', 'RateLimit', 'Request-Id');

/** One response for each status, with an example for each code that answers with it. */
function problems(codes: readonly FailureCode[]) {
  const isAuthenticated = codes.includes('unauthorized');
  const byStatus = Object.groupBy(codes, (code) => FAILURES[code].status);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, those]) => [
      status,
      {
        description: those.map((code) => FAILURES[code].title).join('; '),
        headers: {
          ...(status === '401' ? headers('WWW-Authenticate') : isAuthenticated && quotaHeaders),
          ...(those.some((code) => FAILURES[code].retryable) && headers('Retry-After')),
        },
        content: {
          [PROBLEM_TYPE]: {
            schema: ref('schemas', 'Problem'),
            examples: Object.fromEntries(those.map((code) => [code, { value: exampleOf(code) }])),
          },
        },
      },
    ]),
  );
}

/** By the function that answers, so that an example cannot differ from an answer. */
export const exampleOf = (code: FailureCode) =>
  problemOf(failure(code, `${FAILURES[code].title}.`), {
    prefix: '',
    path: '/v1/messages',
    requestId: '2f7c1c0e-6c1e-4a5f-9d0b-1f3f0b8f6f55',
  });

const json = (schema: object, example: unknown) => ({
  'application/json': { schema, examples: { example: { value: example } } },
});

const RECEIPT_EXAMPLE = {
  id: '2f7c1c0e-6c1e-4a5f-9d0b-1f3f0b8f6f55',
  messageId: '<2f7c1c0e-6c1e-4a5f-9d0b-1f3f0b8f6f55@ifaxin.com>',
  queueId: '1426390015358_15_6484_8661.sc-10_10_127_51-inbound',
  label: 31337,
  accepted: ['ben@ifaxin.com'],
  rejected: [],
  emailIds: { 'ben@ifaxin.com': '1426390015358_15_6484_8661.sc-10_10_127_51-inbound0$ben@ifaxin.com' },
  size: 1234,
  embedded: 0,
  response: '250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued',
  warnings: [],
};

/** What a first request may look like; the first is shown. */
const MESSAGE_EXAMPLES = {
  picture: { summary: 'A label and an inline picture', value: EXAMPLE },
  text: {
    summary: 'Plain text to several people',
    value: {
      from: 'support@ifaxin.com',
      to: ['ben@ifaxin.com', 'Ann <ann@example.com>'],
      replyTo: 'orders@ifaxin.com',
      subject: 'Your order',
      text: 'Thank you.',
    },
  },
  file: {
    summary: 'A file',
    value: {
      from: 'support@ifaxin.com',
      to: 'ben@ifaxin.com',
      subject: 'Your invoice',
      text: 'The invoice is attached.',
      attachments: [{ filename: 'invoice.csv', contentType: 'text/csv', content: 'YW1vdW50CjQyCg==' }],
    },
  },
  later: {
    summary: 'At a time',
    value: {
      from: 'support@ifaxin.com',
      to: 'ben@ifaxin.com',
      subject: 'Good morning',
      text: 'It is nine.',
      sendAt: '2026-12-24T09:00:00+01:00',
    },
  },
};

const WHOLE_EXAMPLE =
  'From: Support <support@ifaxin.com>\r\nTo: ben@ifaxin.com\r\nSubject: Your order\r\n\r\nThank you.\r\n';

const QUEUED_EXAMPLE = {
  id: '2f7c1c0e-6c1e-4a5f-9d0b-1f3f0b8f6f55',
  state: 'queued',
  createdAt: '2026-12-24T09:00:00.000Z',
  sendAt: null,
  attempts: [],
  nextAttemptAt: '2026-12-24T09:00:00.000Z',
};

const ENDED_EXAMPLE = {
  ...QUEUED_EXAMPLE,
  state: 'accepted',
  nextAttemptAt: null,
  receipt: RECEIPT_EXAMPLE,
};

const QUOTA_EXAMPLE = { apiUser: 'ifaxin', limit: 20000, remaining: 19999, windowSeconds: 60, reset: 60 };

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'Bare, or quoted where it has a comma. Kept 24 hours for each api_user: a finished request is replayed, one in flight answers 409, another body 422.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};

const prefer = {
  name: 'Prefer',
  in: 'header',
  required: false,
  description: '`respond-async` (RFC 7240): put the message into the outbox; without one it is sent now.',
  schema: { type: 'string' },
};

const string = { type: 'string' };

const ENVELOPE_PARAMETERS = [
  {
    name: 'from',
    in: 'query',
    description: "Of a whole message: the envelope's sender, else Sender or From.",
    schema: string,
  },
  {
    name: 'to',
    in: 'query',
    description: "Of a whole message: the envelope's recipients, else those in To, Cc and Bcc.",
    schema: { type: 'array', items: string },
  },
  { name: 'label', in: 'query', description: 'Of a whole message: its label.', schema: { type: 'integer' } },
];
const integer = { type: 'integer' };

/** The API description of this deployment. */
export function openapi({ maxMessageBytes, prefix }: { maxMessageBytes: number; prefix: string }) {
  const health = { type: 'object', properties: { status: string }, required: ['status'] };
  return {
    openapi: '3.1.1',
    info: {
      title: 'Postern',
      version: '1',
      summary: 'An HTTP-to-SMTP gateway for SendCloud.',
      description: [
        `JSON in, one SMTP transaction out, one shared quota. A body has at most ${maxMessageBytes} bytes.`,
        'What each failure means, and whether to send again: [errors](docs/errors). For language models: [llms.txt](llms.txt).',
        "Resend's API is at `/resend`, SendCloud's API v2 at `/apiv2/mail/send`, as their own documents describe them.",
      ].join('\n\n'),
      license: { name: 'MIT', identifier: 'MIT' },
    },
    // Relative to where this document is read (OpenAPI 3.1 section 4.8.5): no host is made up.
    servers: [{ url: prefix || '/' }],
    security: [{ bearer: [] }, { basic: [] }],
    tags: [
      { name: 'messages', description: 'Send one, or many.' },
      { name: 'outbox', description: 'Messages that are sent later: their state, and how to cancel them.' },
      { name: 'hooks', description: 'Webhooks and forms.' },
      { name: 'quota', description: 'The calls that an api_user has left.' },
      { name: 'service', description: 'The gateway itself.' },
    ],
    paths: {
      '/v1/messages': {
        post: {
          operationId: 'sendMessage',
          tags: ['messages'],
          summary: 'Send one message, now or later',
          description:
            'Without a preference it is sent now, and the answer is the receipt. With `Prefer: respond-async` or `sendAt` the outbox keeps it until its outcome is final.',
          parameters: [idempotencyKey, prefer, ...ENVELOPE_PARAMETERS],
          requestBody: {
            required: true,
            content: {
              'application/json': { schema: ref('schemas', 'Message'), examples: MESSAGE_EXAMPLES },
              'message/rfc822': {
                schema: {
                  type: 'string',
                  format: 'binary',
                  description: 'A whole message: it goes out as it is, without Bcc.',
                },
                example: WHOLE_EXAMPLE,
              },
            },
          },
          responses: {
            200: {
              description: 'Upstream accepted the message.',
              headers: { ...quotaHeaders, ...headers('Idempotent-Replayed') },
              content: json(ref('schemas', 'Receipt'), RECEIPT_EXAMPLE),
            },
            202: {
              description: 'The outbox keeps the message until its outcome is final.',
              headers: {
                ...quotaHeaders,
                ...headers('Location', 'Preference-Applied', 'Idempotent-Replayed'),
              },
              content: json(ref('schemas', 'QueuedMessage'), QUEUED_EXAMPLE),
            },
            ...problems(SENDING),
          },
        },
        get: {
          operationId: 'listMessages',
          tags: ['outbox'],
          summary: "List the caller's queued messages, newest first",
          parameters: [
            { name: 'state', in: 'query', schema: { type: 'string', enum: [...OUTBOX_STATES] } },
            {
              name: 'limit',
              in: 'query',
              schema: { type: 'integer', minimum: 1, maximum: MOST_LISTED, default: DEFAULT_LISTED },
            },
            { name: 'cursor', in: 'query', description: "A list's own.", schema: string },
          ],
          responses: {
            200: {
              description: 'One page.',
              headers: quotaHeaders,
              content: json(ref('schemas', 'QueuedList'), { messages: [ENDED_EXAMPLE], cursor: null }),
            },
            ...problems([...OUTBOX, 'invalid-request']),
          },
        },
      },
      '/v1/messages/{id}': {
        parameters: [{ name: 'id', in: 'path', required: true, schema: string }],
        get: {
          operationId: 'readMessage',
          tags: ['outbox'],
          summary: 'Read the state of a queued message',
          responses: {
            200: {
              description: 'The state.',
              headers: quotaHeaders,
              content: json(ref('schemas', 'QueuedMessage'), ENDED_EXAMPLE),
            },
            ...problems([...OUTBOX, 'not-found']),
          },
        },
        delete: {
          operationId: 'cancelMessage',
          tags: ['outbox'],
          summary: 'Cancel a message while it waits',
          responses: {
            200: {
              description: 'It will not be sent.',
              headers: quotaHeaders,
              content: json(ref('schemas', 'QueuedMessage'), {
                ...QUEUED_EXAMPLE,
                state: 'cancelled',
                nextAttemptAt: null,
              }),
            },
            ...problems([...OUTBOX, 'not-found', 'not-cancellable']),
          },
        },
      },
      '/v1/messages/batch': {
        post: {
          operationId: 'sendBatch',
          tags: ['messages'],
          summary: `Send up to ${MOST_IN_BATCH} messages`,
          description: 'Each message is sent, drawn and answered on its own, in order.',
          parameters: [idempotencyKey, prefer],
          requestBody: {
            required: true,
            content: json(
              { type: 'array', items: ref('schemas', 'Message'), minItems: 1, maxItems: MOST_IN_BATCH },
              [EXAMPLE],
            ),
          },
          responses: {
            200: {
              description: 'One answer for each message, in order.',
              headers: { ...quotaHeaders, ...headers('Preference-Applied', 'Idempotent-Replayed') },
              content: json(ref('schemas', 'BatchAnswer'), [
                { status: 200, receipt: RECEIPT_EXAMPLE },
                { status: 202, message: QUEUED_EXAMPLE },
                { status: 422, problem: exampleOf('recipients-refused') },
              ]),
            },
            ...problems(BATCH),
          },
        },
      },
      '/v1/hooks/{name}': {
        post: {
          operationId: 'deliverToHook',
          tags: ['hooks'],
          summary: 'Deliver a webhook or a form, by the rules of its hook',
          description:
            'The body is what the service or the form sends; its signature or secret is checked by the hook. A browser that asks for HTML gets a page, or is led to one.',
          security: [],
          parameters: [{ name: 'name', in: 'path', required: true, schema: string }],
          requestBody: {
            content: {
              'application/json': { schema: {}, example: { title: 'Deployed', version: '1.4.2', by: 'Ann' } },
              'application/x-www-form-urlencoded': {
                schema: { type: 'object' },
                example: { email: 'ann@example.com', message: 'Do you ship to Norway?' },
              },
              'multipart/form-data': { schema: { type: 'object' } },
            },
          },
          responses: {
            200: {
              description: 'Sent, by a hook in the mode `now`. A form gets `id` and `state` alone.',
              content: json(ref('schemas', 'Receipt'), RECEIPT_EXAMPLE),
            },
            202: {
              description: 'In the outbox, or skipped.',
              headers: headers('Location'),
              content: json(
                {
                  type: 'object',
                  properties: { id: string, state: string, skipped: { type: 'boolean' } },
                },
                { id: QUEUED_EXAMPLE.id, state: 'queued' },
              ),
            },
            303: { description: 'A form was sent: to its page of thanks.' },
            ...problems(HOOKS),
          },
        },
      },
      '/v1/quota': {
        get: {
          operationId: 'readQuota',
          tags: ['quota'],
          summary: 'Read what is left of the window; draws nothing',
          responses: {
            200: {
              description: 'The window.',
              headers: quotaHeaders,
              content: json(ref('schemas', 'Quota'), QUOTA_EXAMPLE),
            },
            ...problems(READING_QUOTA),
          },
        },
      },
      '/v1/quota/calls': {
        post: {
          operationId: 'drawCalls',
          tags: ['quota'],
          summary: 'Draw calls that are about to be made to SendCloud without the gateway: all or none',
          requestBody: { required: true, content: json(ref('schemas', 'Calls'), { count: 100 }) },
          responses: {
            200: {
              description: 'The calls were drawn.',
              headers: quotaHeaders,
              content: json(ref('schemas', 'Quota'), { ...QUOTA_EXAMPLE, remaining: 19900 }),
            },
            ...problems(DRAWING_QUOTA),
          },
        },
      },
      '/healthz': {
        get: {
          operationId: 'alive',
          tags: ['service'],
          summary: 'Liveness: the process answers',
          security: [],
          responses: {
            200: { description: 'Alive.', content: json(health, { status: 'ok' }) },
            ...problems(PUBLIC),
          },
        },
      },
      '/readyz': {
        get: {
          operationId: 'ready',
          tags: ['service'],
          summary: 'Readiness: upstream greets and accepts the credentials, the stores answer',
          security: [],
          responses: {
            200: {
              description: 'Ready.',
              content: json(ref('schemas', 'Readiness'), { status: 'ready', parts: { upstream: null } }),
            },
            503: {
              description: 'Not ready.',
              content: json(ref('schemas', 'Readiness'), {
                status: 'not ready',
                parts: { upstream: 'smtp.sendcloud.net:587 cannot be reached (ECONNREFUSED).' },
              }),
            },
            ...problems(PUBLIC),
          },
        },
      },
      '/openapi.json': {
        get: {
          operationId: 'describe',
          tags: ['service'],
          summary: 'This description',
          security: [],
          responses: {
            200: {
              description: 'OpenAPI 3.1.',
              content: { 'application/json': { schema: { type: 'object' } } },
            },
            ...problems(PUBLIC),
          },
        },
      },
    },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A gateway token.' },
        basic: {
          type: 'http',
          scheme: 'basic',
          description: 'An api_user with a gateway token or, where BASIC_AUTH is on, its api_key.',
        },
      },
      headers: {
        'RateLimit-Policy': {
          description: 'Calls per window.',
          schema: string,
          example: '"apiuser";q=20000;w=60',
        },
        RateLimit: { description: 'Calls left.', schema: string, example: '"apiuser";r=19999;t=60' },
        'Request-Id': { description: "The request's id, in the log too.", schema: string },
        'Retry-After': { description: 'Seconds.', schema: integer },
        'WWW-Authenticate': { description: 'The schemes that are taken.', schema: string },
        Location: { description: 'Where the state of the message is read.', schema: string },
        'Preference-Applied': { description: '`respond-async`, where it was asked.', schema: string },
        'Idempotent-Replayed': { description: '`true`: nothing was sent now.', schema: { const: 'true' } },
      },
      schemas: {
        ...Object.fromEntries(COMPONENTS.map(([name, schema]) => [name, jsonSchemaOf(schema, refOf)])),
        Calls: jsonSchemaOf(CallsSchema),
        Receipt: jsonSchemaOf(ReceiptSchema),
        QueuedMessage: jsonSchemaOf(QueuedSchema),
        QueuedList: jsonSchemaOf(QueuedListSchema),
        BatchAnswer: jsonSchemaOf(BatchSchema),
        Quota: jsonSchemaOf(QuotaSchema),
        Readiness: jsonSchemaOf(ReadinessSchema),
        Problem: { description: 'A problem document (RFC 9457).', ...jsonSchemaOf(ProblemSchema) },
      },
    },
  };
}
