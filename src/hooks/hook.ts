/** A hook's settings, checked at the start. */

import * as v from 'valibot';
import { type Account, policyFailure } from '../account.ts';
import { parseMessage } from '../message/parse.ts';
import { canonicalApiUser } from '../sendcloud.ts';
import { oneLine } from './one-line.ts';
import { PRESETS, type PresetName } from './presets.ts';
import { SCHEMES, type Scheme } from './schemes.ts';
import { compile, type Template } from './template.ts';

export interface Hook {
  readonly name: string;
  readonly apiUser: string;
  /** Null for a form, which has no secret that a browser could keep. */
  readonly verifiedBy: { readonly scheme: Scheme; readonly secrets: readonly string[] } | null;
  readonly preset: PresetName | 'form';
  readonly from: string;
  readonly to: readonly Template[];
  readonly cc: readonly Template[];
  readonly replyTo: readonly string[];
  readonly label: number | null;
  readonly mode: 'queued' | 'now';
  readonly subject: Template | null;
  readonly text: Template | null;
  readonly html: Template | null;
  readonly skip: Template | null;
  readonly key: Template | null;
  readonly form: {
    /** Null: any page may post it. */
    readonly origins: readonly string[] | null;
    /** A field that people do not see: what fills it in is no person. */
    readonly honeypot: string | null;
    readonly redirect: string | null;
    /** Forms of one client address in a minute. */
    readonly perMinute: number;
  };
}

const SCHEME_NAMES = [...(Object.keys(SCHEMES) as (keyof typeof SCHEMES)[]), 'hmac', 'none'] as const;
const PRESET_NAMES = [...(Object.keys(PRESETS) as PresetName[]), 'form'] as const;

const MOST_HOOKS = 1000;
const MOST_TEMPLATE = 100_000;

const text = v.pipe(v.string('expected a string'), v.nonEmpty('expected a string that is not empty'));
const template = v.pipe(text, v.maxLength(MOST_TEMPLATE, `expected at most ${MOST_TEMPLATE} characters`));
const oneOrMore = (item: v.GenericSchema<unknown, string>) =>
  v.pipe(
    v.unknown(),
    v.transform((value) => (typeof value === 'string' ? [value] : value)),
    v.array(item, 'expected a string, or an array of them'),
  );
const some = (item: v.GenericSchema<unknown, string>) =>
  v.pipe(oneOrMore(item), v.minLength(1, 'expected at least one'));
const secret = v.pipe(
  v.string('expected a string'),
  v.minLength(8, 'expected secrets of 8 or more characters'),
);
const headerName = v.pipe(
  v.string('expected the name of a header'),
  v.regex(/^[A-Za-z0-9-]{1,100}$/, 'expected the name of a header'),
  v.toLowerCase(),
);
const whole = (most: number) => {
  const expected = `expected a whole number from 1 to ${most}`;
  return v.pipe(v.number(expected), v.integer(expected), v.minValue(1, expected), v.maxValue(most, expected));
};
const httpUrl = v.pipe(
  v.string('expected an http(s) URL'),
  v.check((url) => /^https?:/.test(url) && URL.canParse(url), 'expected an http(s) URL'),
);
const known = (issue: v.BaseIssue<unknown>, what: string) =>
  issue.expected === 'never' ? `unknown here: ${what}` : 'missing, or not an object';

const HookSchema = v.strictObject(
  {
    name: v.pipe(text, v.regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 of A-Z a-z 0-9 . _ -')),
    preset: v.optional(v.picklist(PRESET_NAMES, `expected one of ${PRESET_NAMES.join(', ')}`), 'any'),
    scheme: v.picklist(SCHEME_NAMES, `expected one of ${SCHEME_NAMES.join(', ')}`),
    secret: v.optional(
      v.pipe(
        some(secret),
        v.check((secrets) => secrets.length <= 2, 'expected at most two: the new one and the old one'),
      ),
    ),
    signature: v.optional(
      v.strictObject(
        {
          header: headerName,
          algorithm: v.optional(
            v.picklist(['sha1', 'sha256', 'sha512'], 'expected sha1, sha256 or sha512'),
            'sha256',
          ),
          encoding: v.optional(v.picklist(['hex', 'base64'], 'expected hex or base64'), 'hex'),
          prefix: v.optional(v.string('expected a string'), ''),
          timestampHeader: v.optional(headerName),
          idHeader: v.optional(headerName),
        },
        (issue) => known(issue, 'header, algorithm, encoding, prefix, timestampHeader, idHeader'),
      ),
    ),
    account: v.optional(text),
    from: text,
    to: some(template),
    cc: v.optional(oneOrMore(template), []),
    replyTo: v.optional(oneOrMore(text), []),
    label: v.optional(whole(Number.MAX_SAFE_INTEGER)),
    mode: v.optional(v.picklist(['queued', 'now'], 'expected queued or now'), 'queued'),
    skip: v.optional(template),
    key: v.optional(template),
    template: v.optional(
      v.strictObject(
        { subject: v.optional(template), text: v.optional(template), html: v.optional(template) },
        (issue) => known(issue, 'a template has subject, text, html'),
      ),
      {},
    ),
    origins: v.optional(
      v.array(
        v.pipe(
          v.string(),
          v.check(
            (origin) => URL.canParse(origin) && new URL(origin).origin === origin,
            'expected origins such as https://shop.example, without a path',
          ),
        ),
        'expected an array of origins',
      ),
    ),
    honeypot: v.optional(text),
    redirect: v.optional(httpUrl),
    perMinute: v.optional(whole(10_000)),
  },
  (issue) => known(issue, 'see docs/hooks.md for what a hook has'),
);
type Settings = v.InferOutput<typeof HookSchema>;

/**
 * Reads the hooks and compiles their templates.
 *
 * @param json - the value of HOOKS
 * @returns the hooks by name, or all that is wrong with them, a line each; no line has a secret
 */
export async function parseHooks(
  json: string,
  accounts: readonly Account[],
): Promise<{ readonly hooks: ReadonlyMap<string, Hook> } | { readonly problems: readonly string[] }> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { problems: ['HOOKS: expected JSON'] };
  }
  if (!Array.isArray(value) || value.length > MOST_HOOKS) {
    return { problems: [`HOOKS: expected an array of at most ${MOST_HOOKS} hooks`] };
  }
  const problems: string[] = [];
  const hooks = new Map<string, Hook>();
  for (const [index, item] of value.entries()) {
    const parsed = v.safeParse(HookSchema, item);
    const at = `HOOKS.${index}`;
    for (const issue of parsed.issues ?? []) {
      problems.push(`${[at, v.getDotPath(issue)].filter(Boolean).join('.')}: ${issue.message}`);
    }
    if (!parsed.success) continue;
    const settings = parsed.output;
    if (hooks.has(settings.name)) problems.push(`${at}.name: another hook has this name`);
    const account = accountOf(settings, accounts);
    problems.push(...combinationProblems(settings, account).map((problem) => `${at}.${problem}`));
    const hook = await hookOf(settings, account?.apiUser ?? '', (field, problem) =>
      problems.push(`${at}.${field}: ${problem}`),
    );
    hooks.set(hook.name, hook);
  }
  return problems.length > 0 ? { problems } : { hooks };
}

/** The account that is named, or the only one there is. */
function accountOf({ account }: Settings, accounts: readonly Account[]): Account | undefined {
  if (account === undefined) return accounts.length === 1 ? accounts[0] : undefined;
  return accounts.find(({ apiUser }) => canonicalApiUser(apiUser) === canonicalApiUser(account));
}

function combinationProblems(settings: Settings, account: Account | undefined): string[] {
  const { scheme, secret: secrets, signature, preset, template: own } = settings;
  const problems: string[] = [];
  if (scheme === 'none') {
    if (preset !== 'form') problems.push('scheme: none is for the form preset alone; anyone could send');
    if (secrets) problems.push('secret: not together with the scheme none');
  } else if (!secrets) {
    problems.push(`secret: missing, and needed for the scheme ${scheme}`);
  }
  if ((scheme === 'hmac') !== (signature !== undefined)) {
    problems.push('signature: belongs to the scheme hmac, which needs it');
  }
  if (scheme === 'standard-webhooks') {
    for (const one of secrets ?? []) {
      if (!/^(?:whsec_)?[A-Za-z0-9+/]{16,}={0,2}$/.test(one))
        problems.push('secret: expected whsec_ and base64');
    }
  }
  if (preset === 'form' && [...settings.to, ...settings.cc].some(isTemplate)) {
    problems.push('to: the recipients of a form are fixed; a template there would be an open relay');
  }
  const { origins, honeypot, redirect, perMinute } = settings;
  if (preset !== 'form' && (origins || honeypot || redirect || perMinute)) {
    problems.push('preset: origins, honeypot, redirect and perMinute belong to form');
  }
  if (scheme === 'basic' && !secrets?.every((one) => one.includes(':'))) {
    problems.push('secret: expected user:password');
  }
  if (!account) {
    problems.push(
      settings.account === undefined
        ? 'account: missing, and needed where there are several'
        : 'account: not one of the accounts',
    );
  }
  // The same rules as for every message: what could never be sent is refused now.
  const fixed = (addresses: readonly string[]) => addresses.filter((address) => !isTemplate(address));
  const tried = parseMessage({
    from: settings.from,
    to: fixed(settings.to).length > 0 ? fixed(settings.to) : [settings.from],
    cc: fixed(settings.cc),
    replyTo: [...settings.replyTo],
    subject: 'x',
    text: own.text ?? 'x',
    ...(settings.label !== undefined && { label: settings.label }),
  });
  if ('errors' in tried) {
    problems.push(
      ...tried.errors.map(({ pointer, message }) => `${pointer.slice(1).replaceAll('/', '.')}: ${message}`),
    );
  } else if (account) {
    const { from, label } = tried.message;
    const forbidden = policyFailure(account, from.address, label);
    if (forbidden)
      problems.push(`${forbidden.code === 'forbidden-label' ? 'label' : 'from'}: ${forbidden.detail}`);
  }
  return problems;
}

const isTemplate = (value: string): boolean => /\{[{%]/.test(value);

/** Each line is a recipient: what the payload has of line breaks must make no more of them. */
const asLine = (value: unknown): string => oneLine(String(value ?? ''), MOST_TEMPLATE);

async function hookOf(
  settings: Settings,
  apiUser: string,
  problem: (field: string, problem: string) => void,
): Promise<Hook> {
  const compiled = async (field: string, source?: string, outputEscape?: Parameters<typeof compile>[1]) => {
    if (source === undefined) return null;
    const result = await compile(source, outputEscape);
    if (typeof result !== 'string') return result;
    problem(field, result);
    return null;
  };
  const all = async (field: string, sources: readonly string[]) => {
    const results = await Promise.all(sources.map((source) => compiled(field, source, asLine)));
    return results.filter((result) => result !== null);
  };
  const { name, preset, from, replyTo, mode, template: own, honeypot, redirect, perMinute } = settings;
  return {
    name,
    apiUser,
    verifiedBy: verifiedBy(settings),
    preset,
    from,
    to: await all('to', settings.to),
    cc: await all('cc', settings.cc),
    replyTo,
    label: settings.label ?? null,
    mode,
    subject: await compiled('template.subject', own.subject),
    text: await compiled('template.text', own.text),
    html: await compiled('template.html', own.html, 'escape'),
    skip: await compiled('skip', settings.skip),
    key: await compiled('key', settings.key),
    form: {
      origins: settings.origins ?? null,
      honeypot: honeypot ?? null,
      redirect: redirect ?? null,
      perMinute: perMinute ?? 5,
    },
  };
}

const ALGORITHMS = { sha1: 'SHA-1', sha256: 'SHA-256', sha512: 'SHA-512' } as const;

function verifiedBy({ scheme, secret: secrets = [], signature }: Settings): Hook['verifiedBy'] {
  if (scheme === 'none') return null;
  if (scheme !== 'hmac') return { scheme: SCHEMES[scheme], secrets };
  if (!signature) return { scheme: SCHEMES.bearer, secrets };
  const { timestampHeader } = signature;
  return {
    secrets,
    scheme: {
      kind: 'signed',
      header: signature.header,
      algorithm: ALGORITHMS[signature.algorithm],
      encoding: signature.encoding,
      prefix: signature.prefix,
      separator: null,
      timestamp: timestampHeader === undefined ? null : { header: timestampHeader },
      before: ({ timestamp }) => `${timestamp}.`,
      id: signature.idHeader ?? null,
    },
  };
}
