/**
 * SendCloud's own HTTP API, version 2 (`POST /apiv2/mail/send`), so that its clients change the host alone. What SMTP
 * has no way for is refused by name: nothing that a caller asks for is passed over.
 */

import type { AdapterRequest, AdapterResponse, SelfAuthenticatingAdapter } from '../adapter.ts';
import type { Authenticator, Caller } from '../authenticate.ts';
import { BATCH_WORKERS, eachOf } from '../each-of.ts';
import { type Form, type FormFile, readForm } from '../form.ts';
import { hasAtMost } from '../json.ts';
import type { Log } from '../log.ts';
import { type MailboxInput, parseMailbox } from '../message/mailbox.ts';
import { type Failure, type FailureCode, failure, isFailure, kindOf } from '../outcome.ts';
import type { Send, Sent } from '../send.ts';
import { MAX_RECIPIENTS } from '../sendcloud.ts';

/** The parameters that are sent on. */
const FIELDS = [
  ...['apiUser', 'apiKey', 'from', 'fromName', 'to', 'cc', 'bcc', 'replyTo', 'subject', 'html', 'plain'],
  ...['labelId', 'headers', 'respEmailId', 'sendRequestId'],
] as const;

type Field = (typeof FIELDS)[number];

/** Why a parameter is refused, where there is more to say than that it is not known. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  labelName: "SMTP takes only a label's id: use labelId.",
  templateInvokeName: "SMTP has none of SendCloud's templates: send html or plain.",
  xsmtpapi: 'Send one request for each recipient.',
  contentSummary: 'Put the summary into the html.',
};

/** Parameters that ask for nothing where they are `false`, which is their default. PHP writes `0` and `1`. */
const SWITCHES = ['useAddressList', 'useNotification', 'gzipCompress'];
const OFF = /^(?:false|0)$/i;

/** One file, or one of several as PHP and others number them. */
const ATTACHMENT = /^attachments(?:\[\d*\])?$/;

/** SendCloud's codes for a field that is wrong, by its name in our message. */
const FIELD_CODES: Readonly<Record<string, number>> = {
  from: 40802,
  to: 40806,
  subject: 40809,
  replyTo: 40811,
  text: 40831,
  cc: 40853,
  bcc: 40856,
  attachments: 40867,
  headers: 40869,
  html: 40871,
  label: 40015,
};
const TOO_MANY_CODES: Readonly<Record<string, number>> = { to: 40807, cc: 40854, bcc: 40857 };

/** Those of the failures that SendCloud has a code for: its clients read it from a 200. */
const FAILURE_CODES: Partial<Record<FailureCode, number>> = {
  unauthorized: 40005,
  'request-in-progress': 40000,
  'idempotency-key-reused': 40000,
};

/** A request of so many bytes has one mail in flight at a time, since each is composed in memory. */
const LARGE = 1024 * 1024;

/** Values in the JSON of `headers`: a name and a value each, far over the 50 that a message takes. */
const MOST_HEADER_VALUES = 1000;

/** SendCloud knows a `sendRequestId` for an hour. */
const REQUEST_ID_MS = 60 * 60 * 1000;

/** A failure with the code that SendCloud has for it. */
interface Refused {
  readonly failed: Failure;
  readonly statusCode: number | null;
}

/** What a form asks for: one message, or one for each of `to`. */
interface Order {
  readonly message: Readonly<Record<string, unknown>>;
  readonly to: readonly (readonly string[])[];
  readonly key: string | null;
  readonly respondIds: boolean;
}

export function createSendCloudApi({
  authenticator,
  send,
  log,
}: {
  readonly authenticator: Authenticator;
  readonly send: Send;
  readonly log: Log;
}): SelfAuthenticatingAdapter {
  return {
    prefix: '/apiv2',
    credentials: 'own',
    refuse: (failed) => unread(failed),

    async handle(request) {
      const { path, method, origin, signal } = request;
      if (path !== '/mail/send') {
        const detail =
          "Only POST /apiv2/mail/send of SendCloud's API is available; templates are not supported.";
        return unread(failure('not-found', detail));
      }
      if (method !== 'POST') {
        const detail = '/apiv2/mail/send takes POST.';
        return unread(failure('method-not-allowed', detail), { Allow: 'POST' });
      }
      const form = readForm(request.body, request.header('Content-Type') ?? '');
      if (typeof form === 'string') return unread(failure('invalid-request', form));
      const caller = await callerOf(form, request);
      if (isFailure(caller)) {
        const { requestId, door, clientAddress } = origin;
        const { code, detail } = caller;
        log.info('login refused', { requestId, door, clientAddress, code, detail });
        return refusal(refused(caller));
      }
      const order = orderOf(form);
      if ('failed' in order) return refusal(order);
      const sendTo = (to: readonly string[], index: number) =>
        send(
          {
            caller,
            message: { json: { ...order.message, to } },
            key:
              order.key === null
                ? null
                : { key: order.key, index: order.to.length === 1 ? null : index, keptMs: REQUEST_ID_MS },
            deferred: false,
            origin,
          },
          signal,
        );
      return answer(order, await sendAll(order.to, request.body.length > LARGE ? 1 : BATCH_WORKERS, sendTo));
    },
  };

  function callerOf(form: Form, { origin, signal }: AdapterRequest): Promise<Caller | Failure> {
    const { apiUser, apiKey } = readFields(form);
    if (!apiUser || !apiKey) {
      return Promise.resolve(failure('unauthorized', 'Give apiUser and apiKey in the form.'));
    }
    return authenticator.login(apiUser, apiKey, origin.clientAddress, signal);
  }
}

const refused = (failed: Failure): Refused => ({ failed, statusCode: FAILURE_CODES[failed.code] ?? null });

const wrong = (statusCode: number, detail: string): Refused => ({
  failed: failure('invalid-message', detail),
  statusCode,
});

const unsupported = (name: string, how = ''): Refused => {
  const reason = Object.hasOwn(UNSUPPORTED, name) ? ` ${UNSUPPORTED[name]}` : '';
  return refused(
    failure('unsupported-field', `"${name.slice(0, 50)}" is not supported here${how}.${reason}`),
  );
};

/** The value of each parameter; an empty one is none, as at SendCloud. */
const readFields = ({ fields }: Form): Partial<Record<Field, string>> =>
  Object.fromEntries(
    FIELDS.flatMap((name) => {
      const values = (fields.get(name) ?? []).filter((value) => value !== '');
      return values.length === 0 ? [] : [[name, values.join(';')]];
    }),
  );

function orderOf(form: Form): Order | Refused {
  const problem = shapeProblem(form);
  if (problem) return problem;
  const fields = readFields(form);
  const from = fromOf(fields);
  if ('failed' in from) return from;
  const headers = headersOf(fields.headers);
  if (headers === null) return wrong(40869, 'headers: give a JSON object of names and values.');

  const [to, cc, bcc] = [addressesIn(fields.to), addressesIn(fields.cc), addressesIn(fields.bcc)];
  for (const [name, list] of Object.entries({ to, cc, bcc })) {
    if (list.length > MAX_RECIPIENTS) {
      return wrong(TOO_MANY_CODES[name] as number, `${name}: list at most ${MAX_RECIPIENTS} addresses.`);
    }
  }
  if (to.length === 0) return wrong(40805, 'to: give the address of a recipient.');
  // All of them before the first goes out: a repeated request would send those again that were right.
  for (const address of to) {
    const parsed = parseMailbox(address);
    if ('problem' in parsed) return wrong(40806, `to: ${inTheirWords(parsed.problem)}`);
  }
  if (fields.subject === undefined) return wrong(40808, 'subject: give a subject.');
  if (fields.html === undefined && fields.plain === undefined) return wrong(40870, 'Give html or plain.');
  const { respEmailId = 'true', sendRequestId = null } = fields;
  if (!/^(?:true|false|[01])$/i.test(respEmailId)) return wrong(40859, 'respEmailId: give true or false.');
  if (sendRequestId !== null && !/^[\x20-\x7e]{1,128}$/.test(sendRequestId)) {
    const detail = 'sendRequestId: give 1 to 128 characters of printable ASCII.';
    return refused(failure('invalid-request', detail));
  }
  return {
    message: {
      from: from.mailbox,
      cc,
      bcc,
      replyTo: addressesIn(fields.replyTo),
      subject: fields.subject,
      text: fields.plain,
      html: fields.html,
      label: fields.labelId,
      headers,
      // A page's form has a nameless one where no file was chosen.
      attachments: form.files.filter(({ filename }) => filename !== '').map(attachmentOf),
    },
    to: cc.length + bcc.length === 0 ? to.map((address) => [address]) : [to],
    key: sendRequestId,
    respondIds: !OFF.test(respEmailId),
  };
}

/** What the form has and may not, before any value is looked at. */
function shapeProblem({ fields, files }: Form): Refused | null {
  for (const [name, values] of fields) {
    const asked = values.filter((value) => value !== '');
    if (asked.length === 0 || (SWITCHES.includes(name) && asked.every((value) => OFF.test(value)))) {
      continue;
    }
    if (ATTACHMENT.test(name)) return wrong(40867, 'attachments: send files, with a file name each.');
    if (!(FIELDS as readonly string[]).includes(name)) return unsupported(name);
    if (asked.length > 1 && !['to', 'cc', 'bcc', 'replyTo'].includes(name)) {
      return refused(failure('invalid-request', `Give ${name} once.`));
    }
  }
  const other = files.find(({ name }) => !ATTACHMENT.test(name));
  return other ? unsupported(other.name, ' as a file') : null;
}

/** `from` may have a name of its own, for which `fromName` stands where both are given. */
function fromOf({
  from,
  fromName,
}: Partial<Record<Field, string>>): { readonly mailbox: MailboxInput } | Refused {
  if (from === undefined) return wrong(40801, 'from: give an address.');
  const parsed = parseMailbox(from);
  if ('problem' in parsed) return wrong(40802, `from: ${parsed.problem}`);
  if (fromName === undefined) return { mailbox: from };
  const mailbox = { name: fromName, address: parsed.mailbox.address };
  const named = parseMailbox(mailbox);
  return 'problem' in named ? wrong(40804, `fromName: ${named.problem}`) : { mailbox };
}

/** @returns null where it is no JSON object */
function headersOf(json = '{}'): object | null {
  if (!hasAtMost(MOST_HEADER_VALUES, json)) return null;
  try {
    const headers: unknown = JSON.parse(json);
    return typeof headers === 'object' && !Array.isArray(headers) ? headers : null;
  } catch {
    return null;
  }
}

const addressesIn = (list: string | undefined): string[] =>
  (list ?? '')
    .split(';')
    .map((address) => address.trim())
    .filter((address) => address !== '');

const attachmentOf = ({ filename, type, bytes }: FormFile) => ({
  filename: plainName(filename),
  contentType: type,
  content: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
});

/** Without the path, which old browsers send; and SendCloud's sample for Python percent-encodes what is not ASCII. */
function plainName(filename: string): string {
  const name = filename.split(/[/\\]/).at(-1) as string;
  if (!/%[89a-f][0-9a-f]/i.test(name)) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Where upstream had no say in why the first one failed, the others would fail just so, and are not tried. */
async function sendAll(
  [first = [], ...others]: Order['to'],
  workers: number,
  sendOne: (to: readonly string[], index: number) => Promise<Sent>,
): Promise<Sent['result'][]> {
  const { result } = await sendOne(first, 0);
  if (isFailure(result) && !result.smtp) return [result];
  const sent = await eachOf(others, workers, (to, index) => sendOne(to, index + 1));
  return [result, ...sent.map((one) => one.result)];
}

function answer(order: Order, results: readonly Sent['result'][]): AdapterResponse {
  const emailIdList = results.flatMap((result) =>
    'emailIds' in result ? Object.values(result.emailIds) : [],
  );
  const info = order.respondIds ? { emailIdList } : {};
  const failed = results.find(isFailure);
  if (!failed) return { status: 200, body: { result: true, statusCode: 200, message: '请求成功', info } };
  const sent = results.filter((result) => !isFailure(result)).length;
  const statusCode = failed.code === 'invalid-message' ? codeOf(failed) : refused(failed).statusCode;
  if (order.to.length === 1) return refusal({ failed: explained(failed), statusCode });
  const detail = `${explained(failed).detail} Of ${order.to.length} mails ${sent} went out.`;
  return refusal({ failed: { ...failed, detail }, statusCode }, sent === 0 ? {} : info);
}

/** The failure in SendCloud's words, with its first error, for which SendCloud's answer has no other place. */
function explained(failed: Failure): Failure {
  const [error] = failed.errors ?? [];
  if (!error) return { ...failed, detail: failed.detail.replace('Idempotency-Key', 'sendRequestId') };
  const field = error.pointer
    .slice(1)
    .replace(/^label$/, 'labelId')
    .replace(/^text$/, 'plain');
  return { ...failed, detail: `${field}: ${inTheirWords(error.message)}` };
}

/** Advice that holds for a form: addresses are no list, and some headers have no parameter. */
const inTheirWords = (advice: string): string =>
  advice
    .replace(/^Write one address in each.*/, 'Put ";" between addresses.')
    .replace(/^Use the field "(?:messageId|returnPath)".*/, 'Remove this header.');

function codeOf({ errors = [] }: Failure): number | null {
  const field = errors[0]?.pointer.split('/')[1] ?? '';
  return FIELD_CODES[field] ?? null;
}

/**
 * With SendCloud's code where it has one, and else with our HTTP status in its place and our code beside it. The answer
 * itself is a 200, for SendCloud's own clients read the body of no other: `Of 2 mails 1 went out` would be lost.
 */
function refusal(
  { failed, statusCode }: Refused,
  info: object = {},
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): AdapterResponse {
  const { code, detail, retryAfterMs } = failed;
  const retryAfter =
    retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) };
  return {
    status,
    headers: { ...headers, ...retryAfter },
    body: {
      result: false,
      statusCode: statusCode ?? kindOf(code).status,
      message: detail,
      info: statusCode === null ? { code, ...info } : info,
    },
  };
}

/** Where no form was read the HTTP status says so, to proxies and monitors as well. */
const unread = (failed: Failure, headers?: Readonly<Record<string, string>>): AdapterResponse =>
  refusal(refused(failed), {}, kindOf(failed.code).status, headers);
