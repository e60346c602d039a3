/** The environment, read once: settings in, a `Config` with nothing optional out, or all that is wrong at once. */

import * as v from 'valibot';
import type { Account } from './account.ts';
import { type Network, parseNetwork } from './client-address.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import {
  canonicalApiUser,
  isApiUser,
  MAX_MESSAGE_BYTES,
  QUOTA_CALLS,
  QUOTA_WINDOW_MS,
  SMTP_HOST,
} from './sendcloud.ts';

/** An account with the bearer tokens that may use it. */
export interface ConfiguredAccount extends Account {
  /** Each plain (at least 16 characters), or `sha256:` and the hex digest of one. */
  readonly tokens: readonly string[];
}

export interface Config {
  readonly accounts: readonly ConfiguredAccount[];
  readonly basicAuth: boolean;
  readonly smtp: {
    readonly host: string;
    /** In the order they are tried. */
    readonly ports: readonly number[];
    /** The name that the certificate must carry. */
    readonly servername: string;
    /** Most connections per login. */
    readonly connections: number;
  };
  readonly deadlineMs: number;
  readonly maxMessageBytes: number;
  readonly quota: {
    readonly limit: number;
    readonly windowMs: number;
    readonly guardMs: number;
    readonly onError: 'local' | 'refuse';
  };
  readonly redis: { readonly url: string; readonly token: string } | null;
  readonly corsOrigins: readonly string[];
  /** Where Node's doors listen; null for every address of the machine. */
  readonly host: string | null;
  readonly port: number;
  /** Whose word for a client's address is believed. */
  readonly trustedProxies: readonly Network[];
  /** The bearer token of `GET /metrics`; null where there is no such route. */
  readonly metricsToken: string | null;
  /** Null where messages are sent at once or not at all. */
  readonly outbox: OutboxSettings | null;
  readonly smtpDoor: {
    /** With STARTTLS; null where that is not open. */
    readonly port: number | null;
    /** With TLS from the first byte (RFC 8314); null where that is not open. */
    readonly tlsPort: number | null;
    /** PEM files; only the sandbox, which has a certificate of its own, can do without. */
    readonly files: { readonly cert: string; readonly key: string } | null;
  } | null;
  /** The JSON of the hooks, which `hooks/` reads; null where there are none. */
  readonly hooks: string | null;
  readonly logLevel: LogLevel;
}

export interface AwsSettings {
  readonly bucket: string;
  readonly queueUrl: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
  /** Instead of AWS's own. */
  readonly endpoints: { readonly s3: string | null; readonly sqs: string | null };
}

export interface OutboxSettings {
  /** The database's file on Node; `on` where the runtime brings its own store. */
  readonly location: string;
  /** Where S3 and SQS hold it instead. */
  readonly aws: AwsSettings | null;
  /** The share of the window that queued messages leave to those sent at once, from 0 to 1. */
  readonly reserve: number;
  /** How long the state of a message is kept after its end. */
  readonly keepMs: number;
  /** How long a message is tried. */
  readonly giveUpMs: number;
  /** The most that may wait. */
  readonly maxBytes: number;
}

/** The settings are wrong; `problems` has a line for each, by the variable's name. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The settings are wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** What differs between the runtimes. */
export interface Defaults {
  readonly connections: number;
  readonly ports: string;
  readonly outbox: string;
  /** Of a `hooks.json` in the bundle. */
  readonly hooks?: unknown;
}

const ACCOUNT_SETTINGS = [
  'SENDCLOUD_API_USER',
  'SENDCLOUD_API_KEY',
  'GATEWAY_TOKENS',
  'ACCOUNTS',
  'BASIC_AUTH',
] as const;

const AWS_OUTBOX = ['OUTBOX_BUCKET', 'OUTBOX_QUEUE_URL'] as const;

/** Each may be in a file instead, which `<NAME>_FILE` names: what Docker, systemd and Kubernetes mount. */
const SECRETS = [
  'SENDCLOUD_API_KEY',
  'GATEWAY_TOKENS',
  'ACCOUNTS',
  'UPSTASH_REDIS_REST_TOKEN',
  'METRICS_TOKEN',
  'HOOKS',
  'AWS_SECRET_ACCESS_KEY',
] as const;

const NO_TOKEN = 'without a token no one could send, unless BASIC_AUTH is on';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The text of a file; throws what the file system throws. */
export type ReadFile = (path: string) => string;

/** True where no setting says who may send: then, outside production, Node starts its sandbox. */
export const namesNoAccount = (environment: Environment): boolean =>
  ACCOUNT_SETTINGS.every((name) => !isSet(environment, name));

/** By itself or by its file. */
const isSet = (environment: Environment, name: string): boolean =>
  Boolean(environment[name] || (isSecret(name) && environment[`${name}_FILE`]));

const isSecret = (name: string): boolean => (SECRETS as readonly string[]).includes(name);

/** Digits only: `Number('')`, `1e9` and `0x10` are no limits that somebody meant. */
const wholeNumber = (least: number, most: number) =>
  v.pipe(
    v.string(),
    v.check(
      (text) => /^\d{1,15}$/.test(text) && Number(text) >= least && Number(text) <= most,
      `expected a whole number from ${least} to ${most}`,
    ),
    v.transform(Number),
  );

const list = <T extends v.GenericSchema<string, unknown>>(item: T) =>
  v.pipe(
    v.string(),
    v.transform((text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    ),
    v.array(item),
  );

const port = wholeNumber(1, 65535);

const apiUser = v.pipe(
  v.string('expected a string'),
  v.check(
    isApiUser,
    'expected printable ASCII without spaces, "#" (the label is given with each message) or ":"',
  ),
);
const apiKey = v.pipe(v.string('expected a string'), v.regex(/^[\x20-\x7e]+$/, 'expected printable ASCII'));
const token = v.pipe(
  v.string('expected a string'),
  v.regex(
    /^(?:sha256:[0-9a-fA-F]{64}|(?!sha256:)[A-Za-z0-9._~+/-]{16,}=*)$/,
    'expected bearer tokens of 16 or more of A-Z a-z 0-9 . _ ~ + / -, or sha256: and 64 hex digits',
  ),
  v.transform((text) => (text.startsWith('sha256:') ? text.toLowerCase() : text)),
);
const metricsToken = v.pipe(
  v.string(),
  v.regex(
    /^(?!sha256:)[A-Za-z0-9._~+/-]{16,}=*$/,
    'expected a bearer token of 16 or more of A-Z a-z 0-9 . _ ~ + / -',
  ),
);
/** An address or a domain; compared in lower case. */
const sender = v.pipe(
  v.string('expected a string'),
  v.regex(
    /^(?:[^\s@]+@)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+$/,
    'expected an address or a domain, in punycode where it is not ASCII',
  ),
  v.toLowerCase(),
);
/** A host name (RFC 1123 section 2.1) or an IP address; which numbers are one the URL parser knows. */
const host = (expected: string) => v.pipe(v.string(), v.check(isHost, expected));

function isHost(text: string): boolean {
  if (text.includes(':')) return /^[0-9A-Fa-f:.]+$/.test(text) && URL.canParse(`http://[${text}]`);
  const labels = /^(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*$/;
  // It reads 1.2.3 as 1.2.0.3, which is never meant.
  return labels.test(text) && URL.parse(`http://${text}`)?.hostname === text.toLowerCase();
}

/** In plain decimals. */
const share = (most: number) =>
  v.pipe(
    v.string(),
    v.check(
      (text) => /^(?:\d|\d?\.\d{1,6})$/.test(text) && Number(text) <= most,
      `expected a share from 0 to ${most}, such as 0.1`,
    ),
    v.transform(Number),
  );

const wholeJson = (least: number, most: number, expected: string) =>
  v.pipe(v.number(expected), v.integer(expected), v.minValue(least, expected), v.maxValue(most, expected));

const MOST_CALLS = 1_000_000;

const accountsJson = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return JSON.parse(dataset.value) as unknown;
    } catch {
      addIssue({ message: 'expected JSON' });
      return NEVER;
    }
  }),
  v.pipe(
    v.array(
      v.strictObject(
        {
          apiUser,
          apiKey,
          tokens: v.optional(v.array(token, 'expected an array of tokens'), []),
          from: v.optional(v.array(sender, 'expected an array of addresses or domains')),
          labels: v.optional(
            v.array(
              wholeJson(1, Number.MAX_SAFE_INTEGER, 'expected positive whole numbers'),
              'expected an array of label ids',
            ),
          ),
          quota: v.optional(wholeJson(1, MOST_CALLS, `expected a whole number from 1 to ${MOST_CALLS}`)),
        },
        (issue) =>
          issue.expected === 'never'
            ? 'unknown; an account has apiUser, apiKey, tokens, from, labels, quota'
            : 'missing, or not an object',
      ),
      'expected a JSON array of accounts',
    ),
    v.minLength(1, 'expected at least one account'),
    v.check(
      (accounts) =>
        new Set(accounts.map((account) => canonicalApiUser(account.apiUser))).size === accounts.length,
      'expected each apiUser once, whatever its case: an api_user has one quota and one policy',
    ),
    v.check((accounts) => {
      const tokens = accounts.flatMap((account) => account.tokens);
      return new Set(tokens).size === tokens.length;
    }, 'expected each token once: it says whose account is used'),
  ),
);

const origin = v.pipe(
  v.string(),
  v.check(
    (text) => text === '*' || (URL.canParse(text) && new URL(text).origin === text),
    'expected * or origins such as https://app.example.com, without a path',
  ),
);

const url = v.pipe(
  v.string(),
  v.check((text) => URL.canParse(text) && /^https?:/.test(text), 'expected an http(s) URL'),
);

const network = v.pipe(
  v.string(),
  v.rawTransform<string, Network>(({ dataset, addIssue, NEVER }) => {
    const parsed = parseNetwork(dataset.value);
    if (parsed !== null) return parsed;
    addIssue({ message: 'expected IP addresses or networks such as 10.0.0.0/8' });
    return NEVER;
  }),
);

const settings = (defaults: Defaults) =>
  v.object({
    SENDCLOUD_API_USER: v.optional(apiUser),
    SENDCLOUD_API_KEY: v.optional(apiKey),
    GATEWAY_TOKENS: v.optional(v.pipe(list(token), v.minLength(1, 'expected at least one token'))),
    ACCOUNTS: v.optional(accountsJson),
    BASIC_AUTH: v.optional(v.picklist(['on', 'off'], 'expected on or off'), 'off'),
    SMTP_HOST: v.optional(host('expected a host name or an IP address'), SMTP_HOST),
    SMTP_PORTS: v.optional(v.pipe(list(port), v.minLength(1, 'expected at least one port')), defaults.ports),
    SMTP_SERVERNAME: v.optional(host('expected the host name in the certificate')),
    SMTP_CONNECTIONS: v.optional(wholeNumber(1, 100), String(defaults.connections)),
    DEADLINE_MS: v.optional(wholeNumber(100, 600_000), '25000'),
    MAX_MESSAGE_BYTES: v.optional(wholeNumber(1024, 100_000_000), String(MAX_MESSAGE_BYTES)),
    QUOTA_LIMIT: v.optional(wholeNumber(1, MOST_CALLS), String(QUOTA_CALLS)),
    QUOTA_WINDOW_MS: v.optional(wholeNumber(1000, 86_400_000), String(QUOTA_WINDOW_MS)),
    QUOTA_GUARD_MS: v.optional(wholeNumber(0, 60_000), '500'),
    QUOTA_ON_ERROR: v.optional(v.picklist(['local', 'refuse'], 'expected local or refuse'), 'local'),
    UPSTASH_REDIS_REST_URL: v.optional(url),
    UPSTASH_REDIS_REST_TOKEN: v.optional(v.string()),
    OUTBOX_BUCKET: v.optional(
      v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'expected the name of an S3 bucket')),
    ),
    OUTBOX_QUEUE_URL: v.optional(url),
    AWS_REGION: v.optional(v.string()),
    AWS_ACCESS_KEY_ID: v.optional(v.string()),
    AWS_SECRET_ACCESS_KEY: v.optional(v.string()),
    AWS_SESSION_TOKEN: v.optional(v.string()),
    AWS_ENDPOINT_URL_S3: v.optional(url),
    AWS_ENDPOINT_URL_SQS: v.optional(url),
    CORS_ORIGINS: v.optional(list(origin), ''),
    HOST: v.optional(host('expected a host name or an IP address')),
    PORT: v.optional(wholeNumber(0, 65535), '8080'),
    TRUSTED_PROXIES: v.optional(list(network), ''),
    METRICS_TOKEN: v.optional(metricsToken),
    OUTBOX: v.optional(
      defaults.outbox === 'on' ? v.picklist(['on', 'off'], 'expected on or off') : v.string(),
      defaults.outbox,
    ),
    OUTBOX_RESERVE: v.optional(share(0.9), '0.1'),
    OUTBOX_KEEP_DAYS: v.optional(wholeNumber(1, 365), '7'),
    OUTBOX_GIVE_UP_HOURS: v.optional(wholeNumber(1, 720), '24'),
    OUTBOX_MAX_BYTES: v.optional(wholeNumber(1_000_000, 1_000_000_000_000), '1000000000'),
    HOOKS: v.optional(v.string()),
    SMTP_DOOR_PORT: v.optional(wholeNumber(0, 65535)),
    SMTPS_DOOR_PORT: v.optional(wholeNumber(0, 65535)),
    SMTP_DOOR_CERT: v.optional(v.string()),
    SMTP_DOOR_KEY: v.optional(v.string()),
    LOG_LEVEL: v.optional(v.picklist(LOG_LEVELS, `expected one of ${LOG_LEVELS.join(', ')}`), 'info'),
  });

type Settings = v.InferOutput<ReturnType<typeof settings>>;

/**
 * Reads the settings (docs/settings.md). An empty variable counts as unset.
 *
 * @param readFile - for the secrets that are in files; null where the runtime has none
 * @throws {ConfigError} with every wrong setting, by name, and what was expected; never its value,
 *   which may be a secret
 */
export function parseConfig(
  environment: Environment,
  defaults: Defaults,
  readFile: ReadFile | null = null,
): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value));
  const { secrets, problems } = secretsInFiles(SECRETS, given, readFile);
  const set: Record<string, string | undefined> = { ...given, ...secrets };
  // serverless.yml always names them, and serverless offline does not know what they are.
  if (set.OUTBOX === 'off') for (const name of AWS_OUTBOX) delete set[name];
  const parsed = v.safeParse(settings(defaults), set);
  problems.push(...(parsed.issues ?? []).map((issue) => `${v.getDotPath(issue)}: ${issue.message}`));
  problems.push(...combinationProblems(set));
  const hooks = set.HOOKS ?? bundledHooks(defaults.hooks);
  const filled = hooks === null ? null : fillIn(hooks, given, readFile);
  if (filled) problems.push(...filled.problems);
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);

  const value = parsed.output;
  const accounts = accountsOf(value);
  const basicAuth = value.BASIC_AUTH === 'on';
  if (!basicAuth && accounts.every(({ tokens }) => tokens.length === 0)) {
    throw new ConfigError([`ACCOUNTS: no account has tokens; ${NO_TOKEN}`]);
  }
  return {
    accounts,
    basicAuth,
    smtp: {
      host: value.SMTP_HOST,
      ports: value.SMTP_PORTS,
      servername: value.SMTP_SERVERNAME ?? value.SMTP_HOST,
      connections: value.SMTP_CONNECTIONS,
    },
    deadlineMs: value.DEADLINE_MS,
    maxMessageBytes: value.MAX_MESSAGE_BYTES,
    quota: {
      limit: value.QUOTA_LIMIT,
      windowMs: value.QUOTA_WINDOW_MS,
      guardMs: value.QUOTA_GUARD_MS,
      onError: value.QUOTA_ON_ERROR,
    },
    redis:
      value.UPSTASH_REDIS_REST_URL && value.UPSTASH_REDIS_REST_TOKEN
        ? { url: value.UPSTASH_REDIS_REST_URL, token: value.UPSTASH_REDIS_REST_TOKEN }
        : null,
    corsOrigins: value.CORS_ORIGINS,
    host: value.HOST ?? null,
    port: value.PORT,
    trustedProxies: value.TRUSTED_PROXIES,
    metricsToken: value.METRICS_TOKEN ?? null,
    outbox: value.OUTBOX === 'off' ? null : outboxOf(value),
    smtpDoor:
      value.SMTP_DOOR_PORT === undefined && value.SMTPS_DOOR_PORT === undefined
        ? null
        : {
            port: value.SMTP_DOOR_PORT ?? null,
            tlsPort: value.SMTPS_DOOR_PORT ?? null,
            files:
              value.SMTP_DOOR_CERT && value.SMTP_DOOR_KEY
                ? { cert: value.SMTP_DOOR_CERT, key: value.SMTP_DOOR_KEY }
                : null,
          },
    hooks: filled?.json ?? null,
    logLevel: value.LOG_LEVEL,
  };
}

/** What the log tells of the settings in force: named one by one, so that a new one is not told by accident. */
export function withoutSecrets(config: Config) {
  const { accounts, basicAuth, smtp, deadlineMs, maxMessageBytes, quota, redis, corsOrigins } = config;
  const { host, port, trustedProxies, metricsToken, outbox, smtpDoor, hooks, logLevel } = config;
  const told = outbox && {
    location: outbox.aws ? outbox.aws.queueUrl : outbox.location,
    reserve: outbox.reserve,
    keepMs: outbox.keepMs,
    giveUpMs: outbox.giveUpMs,
    maxBytes: outbox.maxBytes,
  };
  return {
    accounts: accounts.map(({ apiUser, tokens, from, labels, quota }) => ({
      apiUser,
      tokens: tokens.length,
      from,
      labels,
      quota,
    })),
    basicAuth,
    smtp,
    deadlineMs,
    maxMessageBytes,
    quota,
    redis: redis && URL.parse(redis.url)?.host,
    corsOrigins,
    host,
    port,
    trustedProxies: trustedProxies.map(({ text }) => text),
    metrics: metricsToken !== null,
    outbox: told,
    smtpDoor,
    hooks: hooks !== null,
    logLevel,
  };
}

/** The secrets that are in files, each without the line end that editors leave, and what is wrong with the files. */
function secretsInFiles(names: Iterable<string>, given: Environment, readFile: ReadFile | null) {
  const secrets: Record<string, string> = {};
  const problems: string[] = [];
  for (const name of names) {
    const setting = `${name}_FILE`;
    const path = given[setting];
    if (!path) continue;
    if (given[name]) {
      problems.push(`${setting}: set together with ${name}; keep one of them`);
    } else if (!readFile) {
      problems.push(`${setting}: files are read only on Node; set ${name}`);
    } else {
      try {
        const secret = readFile(path).trim();
        if (secret) secrets[name] = secret;
        else problems.push(`${setting}: the file is empty`);
      } catch (error) {
        const { code } = error as { code?: string };
        problems.push(`${setting}: the file cannot be read (${code})`);
      }
    }
  }
  return { secrets, problems };
}

/** An empty array is what a checkout has. */
function bundledHooks(hooks: unknown): string | null {
  const isEmpty = hooks === undefined || (Array.isArray(hooks) && hooks.length === 0);
  return isEmpty ? null : JSON.stringify(hooks);
}

const VARIABLE = /^\$\{([A-Za-z_]\w*)\}$/;

/**
 * JSON in which a string that is `${NAME}` and nothing else is the value of that variable or of its file, so that hooks
 * may be kept with the code and their secrets apart. What is no JSON stays as it is: it has its own problem.
 */
function fillIn(json: string, given: Environment, readFile: ReadFile | null) {
  const problems = new Set<string>();
  const readVariable = (name: string): string => {
    const { secrets, problems: wrong } = secretsInFiles([name], given, readFile);
    for (const problem of wrong) problems.add(problem);
    const value = given[name] ?? secrets[name];
    if (value === undefined && wrong.length === 0)
      problems.add(`${name}: not set, but the hooks refer to it`);
    return value ?? '';
  };
  try {
    const filled: unknown = JSON.parse(json, (_, value) => {
      const [, name] = (typeof value === 'string' && VARIABLE.exec(value)) || [];
      return name === undefined ? value : readVariable(name);
    });
    return { json: JSON.stringify(filled), problems: [...problems] };
  } catch {
    return { json, problems: [] };
  }
}

/** What is wrong between settings. Asked of the raw ones, so that it is listed beside what is wrong in each. */
function combinationProblems(set: Environment): string[] {
  const problems: string[] = [];
  const has = (name: string) => isSet(set, name);
  const together = (...names: string[]) => {
    const missing = names.filter((name) => !has(name));
    if (missing.length === 0 || missing.length === names.length) return;
    for (const name of missing) {
      problems.push(`${name}: missing, and needed with ${names.filter(has).join(' and ')}`);
    }
  };
  together('SENDCLOUD_API_USER', 'SENDCLOUD_API_KEY');
  together('UPSTASH_REDIS_REST_URL', 'UPSTASH_REDIS_REST_TOKEN');
  // The others may be there for another reason.
  if (AWS_OUTBOX.some(has)) {
    together(...AWS_OUTBOX, 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY');
  }
  together('SMTP_DOOR_CERT', 'SMTP_DOOR_KEY');
  if (has('SMTP_DOOR_CERT') && has('SMTP_DOOR_KEY') && !has('SMTP_DOOR_PORT') && !has('SMTPS_DOOR_PORT')) {
    problems.push(
      'SMTP_DOOR_PORT: missing, and it or SMTPS_DOOR_PORT is needed with SMTP_DOOR_CERT and SMTP_DOOR_KEY',
    );
  }

  const basic = set.BASIC_AUTH === 'on';
  if (has('ACCOUNTS')) {
    for (const name of ['SENDCLOUD_API_USER', 'SENDCLOUD_API_KEY', 'GATEWAY_TOKENS']) {
      if (has(name)) problems.push(`${name}: cannot be combined with ACCOUNTS; put it there`);
    }
  } else if (has('SENDCLOUD_API_USER')) {
    if (!has('GATEWAY_TOKENS') && !basic) problems.push(`GATEWAY_TOKENS: missing; ${NO_TOKEN}`);
  } else if (has('GATEWAY_TOKENS')) {
    problems.push('SENDCLOUD_API_USER: missing, and needed with GATEWAY_TOKENS');
  } else if (!basic) {
    problems.push(
      'SENDCLOUD_API_USER: missing; set it with SENDCLOUD_API_KEY and GATEWAY_TOKENS, or ACCOUNTS',
    );
  }
  return problems;
}

function awsOf(value: Settings): AwsSettings | null {
  const { OUTBOX_BUCKET: bucket, OUTBOX_QUEUE_URL: queueUrl, AWS_REGION: region } = value;
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = value;
  if (!bucket || !queueUrl || !region || !accessKeyId || !secretAccessKey) return null;
  const endpoints = { s3: value.AWS_ENDPOINT_URL_S3 ?? null, sqs: value.AWS_ENDPOINT_URL_SQS ?? null };
  const sessionToken = value.AWS_SESSION_TOKEN ?? null;
  return { bucket, queueUrl, region, accessKeyId, secretAccessKey, sessionToken, endpoints };
}

const HOUR_MS = 60 * 60 * 1000;

function outboxOf(value: Settings): OutboxSettings {
  return {
    location: value.OUTBOX,
    aws: awsOf(value),
    reserve: value.OUTBOX_RESERVE,
    keepMs: value.OUTBOX_KEEP_DAYS * 24 * HOUR_MS,
    giveUpMs: value.OUTBOX_GIVE_UP_HOURS * HOUR_MS,
    maxBytes: value.OUTBOX_MAX_BYTES,
  };
}

function accountsOf(value: Settings): ConfiguredAccount[] {
  if (value.ACCOUNTS) {
    return value.ACCOUNTS.map((account) => ({
      ...account,
      from: account.from ?? null,
      labels: account.labels ?? null,
      quota: account.quota ?? value.QUOTA_LIMIT,
    }));
  }
  if (!value.SENDCLOUD_API_USER || !value.SENDCLOUD_API_KEY) return [];
  return [
    {
      apiUser: value.SENDCLOUD_API_USER,
      apiKey: value.SENDCLOUD_API_KEY,
      tokens: value.GATEWAY_TOKENS ?? [],
      from: null,
      labels: null,
      quota: value.QUOTA_LIMIT,
    },
  ];
}
