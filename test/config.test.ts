import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, namesNoAccount, parseConfig } from '../src/config.ts';

const DEFAULTS = { connections: 5, ports: '587,2525,25', outbox: 'data/outbox.db' };
const ACCOUNT = {
  SENDCLOUD_API_USER: 'ifaxin',
  SENDCLOUD_API_KEY: 'the-key',
  GATEWAY_TOKENS: 'a-token-for-the-tests',
};
const parse = (settings: Record<string, string | undefined>) => parseConfig(settings, DEFAULTS);

/** The lines of a refusal; none where the settings are taken. */
function problems(settings: Record<string, string | undefined>): readonly string[] {
  try {
    parse(settings);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('the settings', () => {
  it('have the defaults of the design', () => {
    expect(parse(ACCOUNT)).toEqual({
      accounts: [
        {
          apiUser: 'ifaxin',
          apiKey: 'the-key',
          tokens: ['a-token-for-the-tests'],
          from: null,
          labels: null,
          quota: 20000,
        },
      ],
      basicAuth: false,
      smtp: {
        host: 'smtp.sendcloud.net',
        ports: [587, 2525, 25],
        servername: 'smtp.sendcloud.net',
        connections: 5,
      },
      deadlineMs: 25000,
      maxMessageBytes: 16000000,
      quota: { limit: 20000, windowMs: 60000, guardMs: 500, onError: 'local' },
      redis: null,
      corsOrigins: [],
      host: null,
      port: 8080,
      trustedProxies: [],
      metricsToken: null,
      outbox: {
        location: 'data/outbox.db',
        aws: null,
        reserve: 0.1,
        keepMs: 604_800_000,
        giveUpMs: 86_400_000,
        maxBytes: 1_000_000_000,
      },
      smtpDoor: null,
      hooks: null,
      logLevel: 'info',
    });
  });

  it('take several accounts as JSON', () => {
    const { accounts } = parse({
      ACCOUNTS: JSON.stringify([
        {
          apiUser: 'a',
          apiKey: 'k',
          tokens: [`sha256:${'0'.repeat(64)}`],
          from: ['Example.com'],
          labels: [1],
          quota: 7,
        },
        { apiUser: 'b', apiKey: 'k', tokens: ['another-token-0000'] },
      ]),
      QUOTA_LIMIT: '9',
    });
    expect(accounts).toMatchObject([
      { apiUser: 'a', from: ['example.com'], labels: [1], quota: 7 },
      { apiUser: 'b', from: null, labels: null, quota: 9 },
    ]);
  });

  it('are refused all at once, by name, with what was expected and never with a value', () => {
    const secret = 'short-secret';
    const found = problems({
      ...ACCOUNT,
      GATEWAY_TOKENS: secret,
      QUOTA_LIMIT: 'abc',
      SMTP_PORTS: '587,70000',
      DEADLINE_MS: '1e9',
      QUOTA_ON_ERROR: 'ignore',
      UPSTASH_REDIS_REST_URL: 'https://redis.example.com',
      SMTP_DOOR_CERT: 'cert.pem',
    });
    expect(found.map((line) => line.split(':')[0])).toEqual([
      'GATEWAY_TOKENS.0',
      'SMTP_PORTS.1',
      'DEADLINE_MS',
      'QUOTA_LIMIT',
      'QUOTA_ON_ERROR',
      'UPSTASH_REDIS_REST_TOKEN',
      'SMTP_DOOR_KEY',
    ]);
    for (const line of found) expect(line).toMatch(/: (?:expected|missing)/);
    expect(found.join()).not.toContain(secret);
  });

  it.each([
    ['nothing at all', {}, 'SENDCLOUD_API_USER'],
    [
      'an api_user alone',
      { SENDCLOUD_API_USER: 'a', GATEWAY_TOKENS: ACCOUNT.GATEWAY_TOKENS },
      'SENDCLOUD_API_KEY',
    ],
    ['a key alone', { SENDCLOUD_API_KEY: 'k', BASIC_AUTH: 'on' }, 'SENDCLOUD_API_USER'],
    ['no token and no Basic', { SENDCLOUD_API_USER: 'a', SENDCLOUD_API_KEY: 'k' }, 'GATEWAY_TOKENS'],
    ['tokens alone', { GATEWAY_TOKENS: ACCOUNT.GATEWAY_TOKENS }, 'SENDCLOUD_API_USER'],
    [
      'one account and several',
      { ...ACCOUNT, ACCOUNTS: '[{"apiUser":"b","apiKey":"k"}]' },
      'SENDCLOUD_API_USER',
    ],
    ['accounts that are no JSON', { ACCOUNTS: '{' }, 'ACCOUNTS'],
    ['accounts that are no list', { ACCOUNTS: '{}' }, 'ACCOUNTS'],
    ['no accounts', { ACCOUNTS: '[]' }, 'ACCOUNTS'],
    [
      'an api_user twice',
      { ACCOUNTS: '[{"apiUser":"b","apiKey":"k"},{"apiUser":"b","apiKey":"k"}]' },
      'ACCOUNTS',
    ],
    [
      'an api_user twice, but for its case',
      { ACCOUNTS: '[{"apiUser":"b","apiKey":"k"},{"apiUser":"B","apiKey":"k"}]', BASIC_AUTH: 'on' },
      'ACCOUNTS',
    ],
    [
      'a token twice, but for the case of its digest',
      {
        ACCOUNTS: JSON.stringify([
          { apiUser: 'a', apiKey: 'k', tokens: [`sha256:${'a'.repeat(64)}`] },
          { apiUser: 'b', apiKey: 'k', tokens: [`sha256:${'A'.repeat(64)}`] },
        ]),
      },
      'ACCOUNTS',
    ],
    ['an unknown field', { ACCOUNTS: '[{"apiUser":"b","apiKey":"k","form":["x.com"]}]' }, 'ACCOUNTS.0.form'],
    ['a label in the api_user', { ...ACCOUNT, SENDCLOUD_API_USER: 'a#1' }, 'SENDCLOUD_API_USER'],
    ['an origin with a path', { ...ACCOUNT, CORS_ORIGINS: 'https://a.example.com/x' }, 'CORS_ORIGINS.0'],
    ['no ports', { ...ACCOUNT, SMTP_PORTS: ',' }, 'SMTP_PORTS'],
    ['no tokens but commas', { ...ACCOUNT, GATEWAY_TOKENS: ' , ' }, 'GATEWAY_TOKENS'],
    [
      'a proxy that is no address',
      { ...ACCOUNT, TRUSTED_PROXIES: '10.0.0.0/8, proxy.local' },
      'TRUSTED_PROXIES.1',
    ],
    ['a short token for the metrics', { ...ACCOUNT, METRICS_TOKEN: 'short' }, 'METRICS_TOKEN'],
    ['a digest for the metrics', { ...ACCOUNT, METRICS_TOKEN: `sha256:${'a'.repeat(64)}` }, 'METRICS_TOKEN'],
    ['a share in percent', { ...ACCOUNT, OUTBOX_RESERVE: '10%' }, 'OUTBOX_RESERVE'],
    ['the whole as a share', { ...ACCOUNT, OUTBOX_RESERVE: '1' }, 'OUTBOX_RESERVE'],
    ['a bucket without a queue', { ...ACCOUNT, OUTBOX_BUCKET: 'bucket' }, 'OUTBOX_QUEUE_URL'],
    [
      'a certificate without a door',
      { ...ACCOUNT, SMTP_DOOR_CERT: 'c', SMTP_DOOR_KEY: 'k' },
      'SMTP_DOOR_PORT',
    ],
    ['accounts without a token', { ACCOUNTS: '[{"apiUser":"b","apiKey":"k","tokens":[]}]' }, 'ACCOUNTS'],
  ])('refuse %s', (_, settings, name) => {
    expect(problems(settings).map((line) => line.split(':')[0])).toContain(name);
  });

  it.each([
    ['STARTTLS alone', { SMTP_DOOR_PORT: '587' }, { port: 587, tlsPort: null }],
    ['TLS alone', { SMTPS_DOOR_PORT: '465' }, { port: null, tlsPort: 465 }],
    ['both', { SMTP_DOOR_PORT: '587', SMTPS_DOOR_PORT: '465' }, { port: 587, tlsPort: 465 }],
  ])('open the SMTP door with %s', (_, ports, door) => {
    const files = { cert: 'c.pem', key: 'k.pem' };
    const settings = { ...ACCOUNT, ...ports, SMTP_DOOR_CERT: files.cert, SMTP_DOOR_KEY: files.key };
    expect(parse(settings).smtpDoor).toEqual({ ...door, files });
  });

  it('take an outbox elsewhere, other limits, or none', () => {
    const settings = {
      ...ACCOUNT,
      OUTBOX: '/data/outbox.db',
      OUTBOX_RESERVE: '.25',
      OUTBOX_GIVE_UP_HOURS: '1',
    };
    expect(parse(settings).outbox).toMatchObject({
      location: '/data/outbox.db',
      reserve: 0.25,
      giveUpMs: 3_600_000,
    });
    expect(parse({ ...ACCOUNT, OUTBOX: 'off' }).outbox).toBeNull();
    const elsewhere = { ...DEFAULTS, outbox: 'on' };
    expect(() => parseConfig({ ...ACCOUNT, OUTBOX: 'data/outbox.db' }, elsewhere)).toThrow(
      'OUTBOX: expected on or off',
    );
  });

  it('take accounts without a token where a caller may bring its own key', () => {
    const settings = { ACCOUNTS: '[{"apiUser":"b","apiKey":"k"}]', BASIC_AUTH: 'on' };
    expect(parse(settings).accounts).toHaveLength(1);
  });

  it.each(['smtp.sendcloud.net', 'localhost', 'mail-1', '192.0.2.1', '::1', '2001:db8::192.0.2.1'])(
    'take the host %s',
    (host) => {
      expect(parse({ ...ACCOUNT, SMTP_HOST: host }).smtp).toMatchObject({ host, servername: host });
    },
  );

  it.each([
    ':::',
    '1.2.3',
    '256.1.1.1',
    '0x7f.1',
    '[::1]',
    '::1%eth0',
    'a..b',
    '-a.example',
    'a.example:587',
    'a/b',
  ])('refuse the host %s', (host) => {
    for (const name of ['SMTP_HOST', 'SMTP_SERVERNAME']) {
      expect(problems({ ...ACCOUNT, [name]: host })).toEqual([expect.stringMatching(`^${name}: expected`)]);
    }
  });

  it('put the outbox into S3 and SQS', () => {
    const queueUrl = 'https://sqs.eu-central-1.amazonaws.com/123456789012/outbox';
    const outbox = { OUTBOX_BUCKET: 'postern-outbox', OUTBOX_QUEUE_URL: queueUrl };
    const keys = { AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: 'secret' };
    expect(parse({ ...ACCOUNT, ...outbox, ...keys }).outbox?.aws).toEqual({
      bucket: 'postern-outbox',
      queueUrl,
      region: 'eu-central-1',
      accessKeyId: 'AKID',
      secretAccessKey: 'secret',
      sessionToken: null,
      endpoints: { s3: null, sqs: null },
    });
    const more = { AWS_SESSION_TOKEN: 'session', AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:4566' };
    expect(parse({ ...ACCOUNT, ...outbox, ...keys, ...more }).outbox?.aws).toMatchObject({
      sessionToken: 'session',
      endpoints: { s3: null, sqs: 'http://127.0.0.1:4566' },
    });
    // AWS's own settings may be there for another reason, and serverless offline cannot name the queue.
    expect(parse({ ...ACCOUNT, ...keys }).outbox?.aws).toBeNull();
    const offline = { OUTBOX: 'off', OUTBOX_BUCKET: '[object Object]', OUTBOX_QUEUE_URL: '[object Object]' };
    expect(parse({ ...ACCOUNT, ...offline }).outbox).toBeNull();

    expect(problems({ ...ACCOUNT, ...outbox }).map((problem) => problem.split(':')[0])).toEqual(
      Object.keys(keys),
    );
    expect(problems({ ...ACCOUNT, ...keys, OUTBOX_BUCKET: 'postern-outbox' })).toEqual([
      expect.stringMatching('^OUTBOX_QUEUE_URL: missing'),
    ]);
    expect(problems({ ...ACCOUNT, ...keys, OUTBOX_BUCKET: 'Outbox/', OUTBOX_QUEUE_URL: 'outbox' })).toEqual([
      'OUTBOX_BUCKET: expected the name of an S3 bucket',
      'OUTBOX_QUEUE_URL: expected an http(s) URL',
    ]);
  });

  it('say how to write a sender that is not ASCII', () => {
    const account = { apiUser: 'b', apiKey: 'k', tokens: ['a-token-for-the-tests'], from: ['münchen.de'] };
    expect(problems({ ACCOUNTS: JSON.stringify([account]) })).toEqual([
      expect.stringMatching(/^ACCOUNTS\.0\.from\.0: .*punycode/),
    ]);
  });

  it('never make a limit of what is not a whole number', () => {
    const numbers = [
      'QUOTA_LIMIT',
      'QUOTA_WINDOW_MS',
      'QUOTA_GUARD_MS',
      'DEADLINE_MS',
      'MAX_MESSAGE_BYTES',
      'SMTP_CONNECTIONS',
      'PORT',
    ];
    const noNumber = fc
      .oneof(fc.string({ minLength: 1 }), fc.double().map(String), fc.integer({ max: -1 }).map(String))
      .filter((text) => !/^\d+$/.test(text));
    fc.assert(
      fc.property(fc.constantFrom(...numbers), noNumber, (name, value) => {
        const expected = expect.stringMatching(`^${name}: expected a whole number`);
        expect(problems({ ...ACCOUNT, [name]: value })).toEqual([expected]);
      }),
    );
  });

  it('count as unset when they are empty', () => {
    expect(parse({ ...ACCOUNT, QUOTA_LIMIT: '', ACCOUNTS: '' }).quota.limit).toBe(20000);
    expect(namesNoAccount({ SENDCLOUD_API_USER: '' })).toBe(true);
    expect(namesNoAccount({ BASIC_AUTH: 'on' })).toBe(false);
  });

  describe('in files', () => {
    const FILES: Readonly<Record<string, string>> = {
      '/run/key': 'the key, with spaces \n',
      '/run/tokens': 'a-token-for-the-tests,another-token-0000\r\n',
      '/run/accounts': '[{"apiUser":"b","apiKey":"k","tokens":["a-token-for-the-tests"]}]',
      '/run/empty': '\n',
    };
    const read = (path: string): string => {
      if (FILES[path] === undefined) throw Object.assign(new Error(path), { code: 'ENOENT' });
      return FILES[path];
    };
    const problemsWith = (settings: Record<string, string>, readFile: typeof read | null = read) => {
      try {
        parseConfig(settings, DEFAULTS, readFile);
        return [];
      } catch (error) {
        return (error as ConfigError).problems;
      }
    };

    it('are taken for every secret', () => {
      const single = parseConfig(
        { SENDCLOUD_API_USER: 'a', SENDCLOUD_API_KEY_FILE: '/run/key', GATEWAY_TOKENS_FILE: '/run/tokens' },
        DEFAULTS,
        read,
      );
      expect(single.accounts).toMatchObject([
        { apiKey: 'the key, with spaces', tokens: ['a-token-for-the-tests', 'another-token-0000'] },
      ]);
      const several = parseConfig({ ACCOUNTS_FILE: '/run/accounts' }, DEFAULTS, read);
      expect(several.accounts).toMatchObject([{ apiUser: 'b' }]);
      const others = {
        UPSTASH_REDIS_REST_URL: 'https://r.example',
        UPSTASH_REDIS_REST_TOKEN_FILE: '/run/key',
      };
      expect(parseConfig({ ...ACCOUNT, ...others }, DEFAULTS, read).redis?.token).toBe(
        'the key, with spaces',
      );
    });

    it('and in variables fill in what hooks name', () => {
      const HOOKS = `[{"secret":"\${CI}"},{"secret":["\${SHOP}","\${CI}"]},{"from":"\${ not }","to":"a \${CI}","cc":"\\"\${CI}"}]`;
      const settings = { ...ACCOUNT, HOOKS, CI: 'a "quoted" one', SHOP_FILE: '/run/key' };
      expect(JSON.parse(parseConfig(settings, DEFAULTS, read).hooks ?? '')).toEqual([
        { secret: 'a "quoted" one' },
        { secret: ['the key, with spaces', 'a "quoted" one'] },
        { from: `\${ not }`, to: `a \${CI}`, cc: `"\${CI}` },
      ]);
      expect(problemsWith({ ...ACCOUNT, HOOKS, SHOP_FILE: '/run/nowhere' })).toEqual([
        'CI: not set, but the hooks refer to it',
        'SHOP_FILE: the file cannot be read (ENOENT)',
      ]);
    });

    it.each([
      [undefined, {}, null],
      [[], {}, null],
      [[{ name: 'ci' }], {}, '[{"name":"ci"}]'],
      // No array: to be refused at the start, not passed over.
      [{ name: 'ci' }, {}, '{"name":"ci"}'],
      [[{ name: 'ci' }], { HOOKS: '[]' }, '[]'],
    ])('of hooks: a bundle with %j and %j have %j', (hooks, settings, expected) => {
      expect(parseConfig({ ...ACCOUNT, ...settings }, { ...DEFAULTS, hooks }).hooks).toBe(expected);
    });

    it.each([
      ['both ways', { ...ACCOUNT, GATEWAY_TOKENS_FILE: '/run/tokens' }, 'GATEWAY_TOKENS_FILE: set together'],
      [
        'a file that is away',
        { SENDCLOUD_API_USER: 'a', SENDCLOUD_API_KEY: 'k', GATEWAY_TOKENS_FILE: '/none' },
        'GATEWAY_TOKENS_FILE: the file cannot be read (ENOENT)',
      ],
      ['an empty file', { ACCOUNTS_FILE: '/run/empty' }, 'ACCOUNTS_FILE: the file is empty'],
      ['what a file holds', { ...ACCOUNT, METRICS_TOKEN_FILE: '/run/key' }, 'METRICS_TOKEN: expected'],
    ])('are refused with %s, and with that alone', (_, settings, problem) => {
      expect(problemsWith(settings)).toEqual([expect.stringContaining(problem)]);
    });

    it('are refused where a runtime has no files', () => {
      expect(problemsWith({ ACCOUNTS_FILE: '/run/accounts' }, null)).toEqual([
        'ACCOUNTS_FILE: files are read only on Node; set ACCOUNTS',
      ]);
    });

    it('name an account as the settings themselves do', () => {
      expect(namesNoAccount({ GATEWAY_TOKENS_FILE: '/run/tokens' })).toBe(false);
      expect(namesNoAccount({ METRICS_TOKEN_FILE: '/run/key' })).toBe(true);
    });
  });
});
