/** How services prove that a webhook is theirs: one table, and one check for every row. */

/** A request to a hook, its body as it came: a signature is of these bytes. */
export interface HookRequest {
  /** Null where there is none; `name` in lower case. */
  header(name: string): string | null;
  readonly query: URLSearchParams;
  /** What stands below the hook's name. */
  readonly secretInPath: string | null;
  readonly body: Uint8Array;
}

/** A MAC of the body as it came, perhaps with a time and an id before it. */
export interface Signed {
  readonly kind: 'signed';
  /** The header of the signature, in lower case. */
  readonly header: string;
  readonly algorithm: 'SHA-1' | 'SHA-256' | 'SHA-512';
  readonly encoding: 'hex' | 'base64';
  /** What stands before the signature; of several in one header, those without it are passed over. */
  readonly prefix: string;
  /** What separates several signatures, or a signature from a time. */
  readonly separator: string | null;
  /** Where the time is, in Unix seconds: a header, or a prefix within the signature's header. */
  readonly timestamp: { readonly header: string } | { readonly prefix: string } | null;
  /** Whether a request without the time is taken: then the body alone is signed. */
  readonly timestampOptional?: true;
  /** What is signed before the body. */
  readonly before: (parts: { readonly timestamp: string; readonly id: string }) => string;
  /** The header with the delivery's id: the same one is the same event. */
  readonly id: string | null;
  /** The id is a part of what is signed. */
  readonly signsId?: true;
  /** `whsec_` and the base64 of the secret (Standard Webhooks, "Signature scheme"). */
  readonly secretIsBase64?: true;
}

/** The secret itself is sent along. */
interface Carried {
  readonly kind: 'carried';
  readonly secretOf: (request: HookRequest) => string | null;
  readonly id: string | null;
}

export type Scheme = Signed | Carried;

/** How far a time may be from ours, in seconds: what Standard Webhooks, Stripe and Slack recommend. */
const TOLERANCE_S = 300;

const ofBody = {
  kind: 'signed',
  algorithm: 'SHA-256',
  encoding: 'hex',
  prefix: '',
  separator: null,
  timestamp: null,
  before: () => '',
  id: null,
} as const;

export const SCHEMES = {
  // standardwebhooks.com, "Signature scheme"; Svix sends the same, its headers by default as svix-id and so on.
  'standard-webhooks': {
    ...ofBody,
    header: 'webhook-signature',
    encoding: 'base64',
    prefix: 'v1,',
    separator: ' ',
    timestamp: { header: 'webhook-timestamp' },
    before: ({ timestamp, id }) => `${id}.${timestamp}.`,
    id: 'webhook-id',
    signsId: true,
    secretIsBase64: true,
  },
  // docs.github.com, "Validating webhook deliveries".
  github: { ...ofBody, header: 'x-hub-signature-256', prefix: 'sha256=', id: 'x-github-delivery' },
  // docs.gitlab.com, "Webhooks": the token as it is. X-Gitlab-Event-UUID is not one event's own: all that follow from
  // one cause share it.
  gitlab: {
    kind: 'carried',
    secretOf: ({ header }) => header('x-gitlab-token'),
    id: 'idempotency-key',
  },
  // docs.stripe.com, "Verify webhook signatures manually"; the event's id is in its body.
  stripe: {
    ...ofBody,
    header: 'stripe-signature',
    prefix: 'v1=',
    separator: ',',
    timestamp: { prefix: 't=' },
    before: ({ timestamp }) => `${timestamp}.`,
  },
  // api.slack.com, "Verifying requests from Slack".
  slack: {
    ...ofBody,
    header: 'x-slack-signature',
    prefix: 'v0=',
    timestamp: { header: 'x-slack-request-timestamp' },
    before: ({ timestamp }) => `v0:${timestamp}:`,
  },
  // docs.sentry.io, "Webhooks: Request Headers".
  sentry: { ...ofBody, header: 'sentry-hook-signature', id: 'request-id' },
  // shopify.dev, "Verify the origin of your webhooks".
  shopify: {
    ...ofBody,
    header: 'x-shopify-hmac-sha256',
    encoding: 'base64',
    id: 'x-shopify-webhook-id',
  },
  // grafana.com, "Configure webhook notifications": the time only where its header is configured.
  grafana: {
    ...ofBody,
    header: 'x-grafana-alerting-signature',
    timestamp: { header: 'x-grafana-alerting-timestamp' },
    timestampOptional: true,
    before: ({ timestamp }) => `${timestamp}:`,
  },
  bearer: {
    kind: 'carried',
    secretOf: ({ header }) => /^Bearer +(\S+) *$/i.exec(header('authorization') ?? '')?.[1] ?? null,
    id: null,
  },
  // The secret is `user:password`.
  basic: {
    kind: 'carried',
    secretOf: ({ header }) => {
      const encoded = /^Basic +([A-Za-z0-9+/=]+) *$/i.exec(header('authorization') ?? '')?.[1];
      return encoded === undefined ? null : Buffer.from(encoded, 'base64').toString();
    },
    id: null,
  },
  // For services that can be given an address and nothing else: `?secret=` or `/v1/hooks/{name}/{secret}`.
  secret: {
    kind: 'carried',
    secretOf: ({ secretInPath, query }) => secretInPath || query.get('secret'),
    id: null,
  },
} as const satisfies Record<string, Scheme>;

/** The delivery's id where the scheme has one, or a sentence on what is wrong. */
export async function verify(
  scheme: Scheme,
  secrets: readonly string[],
  request: HookRequest,
): Promise<{ readonly id: string | null } | string> {
  const header = (name: string) => request.header(name) ?? request.header(name.replace(/^webhook-/, 'svix-'));
  const id = (scheme.id && header(scheme.id)) || null;
  if (scheme.kind === 'carried') {
    const carried = scheme.secretOf(request);
    if (carried === null) return 'The secret is missing.';
    const given = new TextEncoder().encode(carried);
    const matches = await Promise.all(
      secrets.map((secret) => equal(new TextEncoder().encode(secret), given)),
    );
    return matches.includes(true) ? { id } : 'The secret is wrong.';
  }

  const text = header(scheme.header);
  if (!text) return `The ${scheme.header} header is missing.`;
  const parts = (scheme.separator === null ? [text] : text.split(scheme.separator, MOST_PARTS)).map((part) =>
    part.trim(),
  );
  const timestamp = timestampOf(scheme, parts, header);
  // Without its header, the time that is signed before the body could be passed off as the beginning of it.
  const beginsWithTime = /^\d+:/.test(Buffer.from(request.body.subarray(0, 20)).toString());
  if (timestamp === null && scheme.timestamp !== null && (!scheme.timestampOptional || beginsWithTime)) {
    return 'The time of the signature is missing.';
  }
  if (timestamp !== null) {
    const age = Math.abs(Date.now() / 1000 - Number(timestamp));
    if (!/^\d{1,12}$/.test(timestamp) || age > TOLERANCE_S) {
      return `The signature's time is more than ${TOLERANCE_S} seconds from now.`;
    }
  }
  if (scheme.signsId && id === null) {
    return `The ${scheme.id} header is missing.`;
  }
  const before = timestamp === null ? '' : scheme.before({ timestamp, id: id ?? '' });
  const signed = Buffer.concat([Buffer.from(before), request.body]);
  const given = parts
    .filter((part) => part.startsWith(scheme.prefix))
    // What is no hex or base64 makes other bytes, or none: it does not match.
    .map((part) => Buffer.from(part.slice(scheme.prefix.length), scheme.encoding));
  let found = false;
  for (const secret of secrets) {
    const expected = await mac(scheme, secret, signed);
    // Every one is compared, so that the time says nothing about which one is near.
    for (const signature of given) if (await equal(expected, signature)) found = true;
  }
  return found ? { id } : 'The signature does not match the body.';
}

/** Of signatures in one header: a service sends two while its secret is rotated. */
const MOST_PARTS = 20;

function timestampOf(
  { timestamp }: Signed,
  parts: readonly string[],
  header: HookRequest['header'],
): string | null {
  if (timestamp === null) return null;
  if ('header' in timestamp) return header(timestamp.header);
  const part = parts.find((one) => one.startsWith(timestamp.prefix));
  return part === undefined ? null : part.slice(timestamp.prefix.length);
}

async function mac({ algorithm, secretIsBase64 }: Signed, secret: string, signed: Uint8Array<ArrayBuffer>) {
  const key = secretIsBase64
    ? Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    : Buffer.from(secret, 'utf8');
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: algorithm }, false, [
    'sign',
  ]);
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, signed));
}

/** In constant time, whatever the lengths: digests are compared. */
async function equal(expected: Uint8Array, given: Uint8Array): Promise<boolean> {
  const [a, b] = await Promise.all(
    [expected, given].map(
      async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes))),
    ),
  );
  let difference = 0;
  for (const [index, byte] of (a ?? []).entries()) difference |= byte ^ (b?.[index] ?? 0);
  return difference === 0 && expected.length === given.length;
}
