/**
 * One pair of the matrix: a gateway and an upstream of its own, one message that meets the fault, and the next one.
 * What was told is held against what upstream alone knows, its ledger.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { Client, certificateFiles } from '../smtp/door.ts';
import { type Running, startPostern } from '../support/postern.ts';
import type { Transaction } from '../support/upstream.ts';
import { faultsOf, type MatrixStep, RECIPIENTS, type Way } from './ways.ts';

export interface Pair {
  readonly step: MatrixStep;
  readonly way: Way;
  readonly door: 'http' | 'smtp';
  /** A message has gone over the connection before. */
  readonly isUsed: boolean;
  /** How often the fault happens; null for as long as the message is tried. */
  readonly times: 1 | null;
}

export interface Verdict {
  readonly pair: Pair;
  readonly delivery: string;
  /** All that is not as it should be. */
  readonly wrong: readonly string[];
  /** From the request to its answer. */
  readonly toldMs: number;
  readonly nextMs: number;
}

export const nameOf = ({ step, way, door, isUsed, times }: Pair): string =>
  [step, way.name, door, isUsed ? 'used' : 'new', times === null ? 'always' : 'once'].join(' × ');

/** For the whole of a message, in milliseconds. */
const DEADLINE_MS = 6000;

/** What a busy machine may add to it. */
const GRACE_MS = 4000;

/** What no answer and no line of the log may have. */
const CONTROL = /[^\P{Cc}\t\r\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

/** What the door answered, and what its log says of it. */
interface Told {
  readonly delivery: string;
  readonly code: string | null;
  readonly smtp: { readonly code: number; readonly phase: string; readonly response: string } | null;
  readonly attempts: number;
  /** Everything that the caller was answered. */
  readonly text: string;
  readonly ms: number;
}

export async function run(pair: Pair): Promise<Verdict> {
  const { step, way, isUsed, times } = pair;
  const wrong: string[] = [];
  const expect = (fact: boolean, otherwise: string) => {
    if (!fact) wrong.push(otherwise);
  };
  const settings = {
    DEADLINE_MS: String(DEADLINE_MS),
    SMTP_CONNECTIONS: '1',
    ...(pair.door === 'smtp' && { SMTP_DOOR_PORT: '0', ...certificateFiles }),
  };
  const postern = await startPostern(settings, way.upstream);
  const { upstream } = postern;
  const door = pair.door === 'http' ? httpDoor(postern) : await smtpDoor(postern);
  const send = async (subject: string) => {
    const told = await door.send(subject, step === 'body' && subject === 'first' ? LONG : 'Hello\r\n');
    const ledger = upstream.transactions.filter((one) => subjectOf(one) === subject && one.taken);
    expect(ledger.length <= 1, `${subject}: taken ${ledger.length} times`);
    expect(
      (told.delivery === 'accepted') === (ledger.length === 1) || told.delivery === 'unknown',
      `${subject}: told ${told.delivery} (${told.code}), taken ${ledger.length} times`,
    );
    expect(!CONTROL.test(told.text), `${subject}: control characters in ${JSON.stringify(told.text)}`);
    expect(told.ms < DEADLINE_MS + GRACE_MS, `${subject}: told after ${Math.round(told.ms)} ms`);
    return told;
  };

  try {
    const strikesBehind = step === 'after dot' || step === 'idle';
    if (isUsed) {
      if (strikesBehind) upstream.faults = faultsOf(step, way, times);
      expect((await send('warm')).delivery === 'accepted', 'the message before was not accepted');
      if (step === 'idle') await pause(40);
    }
    const before = { mails: upstream.transactions.length, drawn: await postern.drawn() };
    if (!(isUsed && strikesBehind)) upstream.faults = faultsOf(step, way, times);
    const told = await send('first');
    const mails = upstream.transactions.length - before.mails;
    for (const one of expectationsOf(pair, told)) expect(false, one);

    const { limit, remaining } = (await (await postern.request('/v1/quota')).json()) as Record<
      string,
      number
    >;
    const isClosed = remaining === 0;
    const said536 = way.refuses?.startsWith('536') === true && step !== 'rset' && !strikesBehind;
    // RST may overtake what was said before it.
    const isSure = step !== 'body' && !(said536 && way.name.endsWith('reset'));
    if (isSure) expect(isClosed === said536, `the window is ${isClosed ? 'closed' : 'open'}`);
    if (!isClosed && limit !== undefined && remaining !== undefined) {
      const drawn = limit - remaining - before.drawn;
      // MAIL may be on its way when the connection goes.
      const lost = CONNECTION_LOST_AT_MAIL.has(step) ? told.attempts : 0;
      expect(drawn >= mails && drawn <= mails + lost, `${drawn} drawn, ${mails} MAIL seen`);
    }

    if (way.upstream === undefined) {
      upstream.faults = upstream.faults.filter(({ at }) => at === 'rset');
      const next = await send('next');
      const wanted = isClosed ? 'quota-exceeded' : null;
      expect(next.code === wanted, `the next message: ${next.code ?? next.delivery}`);
      return { pair, delivery: told.delivery, wrong, toldMs: told.ms, nextMs: next.ms };
    }
    return { pair, delivery: told.delivery, wrong, toldMs: told.ms, nextMs: 0 };
  } finally {
    door.close();
    await postern.close();
    const isOpen = () => upstream.sessions.some(({ open }) => open);
    for (let waited = 0; isOpen() && waited < 3000; waited += 20) await pause(20);
    // There upstream has stopped to read, and sees no end.
    const isDeaf = step === 'body' && way.name === 'silent';
    expect(isDeaf || !isOpen(), 'a connection to upstream is left open');
    await upstream.close();
  }
}

const CONNECTION_LOST_AT_MAIL: ReadonlySet<MatrixStep> = new Set([
  'auth-key',
  'after dot',
  'idle',
  'rset',
  'mail',
]);

/** What holds for some ways alone. */
function expectationsOf({ step, way, isUsed, times }: Pair, told: Told): string[] {
  const { delivery, code, smtp } = told;
  const wrong: string[] = [];
  const isReset = /reset/.test(way.name);
  const isBehind = step === 'after dot' || step === 'idle';
  if (step === 'rset') {
    if (code !== 'recipients-refused') wrong.push(`told ${code}, not recipients-refused`);
  } else if (way.legal || isBehind) {
    if (delivery !== 'accepted') wrong.push(`not accepted: ${code}`);
  } else if (step === 'dot') {
    const due = way.accepts ? 'accepted' : way.refuses !== undefined ? 'not-sent' : 'unknown';
    if (delivery !== due && !(isReset && delivery === 'unknown')) wrong.push(`told ${delivery}, not ${due}`);
  } else if (delivery === 'unknown' && step !== 'body') {
    wrong.push('told unknown before the dot');
  } else if (way.upstream && code !== 'upstream-insecure') {
    wrong.push(`told ${code}, not upstream-insecure`);
  }
  if (step !== 'rset' && way.refuses !== undefined && !isBehind && delivery === 'not-sent') {
    const isRetried = isUsed && way.refuses.startsWith('421') && step === 'mail';
    const phase = PHASES[step] ?? step;
    const isSaid =
      step === 'rcpt one'
        ? told.text.includes(JSON.stringify(way.refuses).slice(1, -1))
        : smtp?.phase === phase && smtp.response === way.refuses;
    if (!isSaid && !isRetried && !isReset) wrong.push(`told ${JSON.stringify(smtp)}`);
  }
  if (times === 1 && step === 'connect' && way.name !== 'silent' && delivery !== 'accepted') {
    wrong.push(`one connection was lost, and none tried again: ${code}`);
  }
  return wrong;
}

/** In the words of an answer. */
const PHASES: Partial<Record<MatrixStep, string>> = {
  ehlo2: 'ehlo',
  'auth-key': 'auth',
  'rcpt one': 'rcpt',
  'rcpt all': 'rcpt',
  body: 'data',
};

const LONG = 'Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy.\r\n'.repeat(14_000);

const subjectOf = ({ message }: Transaction): string | undefined =>
  /^subject: (\w+)/im.exec(message?.toString('latin1', 0, 2000) ?? '')?.[1];

interface Door {
  send(subject: string, text: string): Promise<Told>;
  close(): void;
}

/** The event that every message ends with. */
interface Event {
  readonly outcome: string;
  readonly code: string | null;
  readonly smtp: Told['smtp'];
  readonly attempts: number;
}

/** Sends, and waits for the log to say the same. */
async function told(
  { logLines }: Running,
  send: () => Promise<{ readonly delivery: string; readonly text: string }>,
): Promise<Told> {
  const seen = logLines.length;
  const start = performance.now();
  const { delivery, text } = await send();
  const ms = performance.now() - start;
  const logged = () =>
    logLines
      .slice(seen)
      .map((line) => JSON.parse(line) as Event & { readonly event: string })
      .find(({ event }) => event === 'message');
  for (let waited = 0; !logged() && waited < 2000; waited += 5) await pause(5);
  const event = logged();
  if (event?.outcome !== delivery) throw new Error(`answered ${text}, logged ${JSON.stringify(event)}`);
  return {
    delivery,
    text: `${text}${JSON.stringify(event)}`,
    ms,
    code: event.code,
    smtp: event.smtp,
    attempts: event.attempts,
  };
}

function httpDoor(postern: Running): Door {
  return {
    send: (subject, text) =>
      told(postern, async () => {
        const message = { from: 'support@ifaxin.com', to: RECIPIENTS, subject, text };
        const answer = await postern.send(message);
        const body = (await answer.json()) as { delivery?: string };
        const strings = JSON.stringify(body).replace(/\\u([0-9a-f]{4})/g, (_, hex: string) =>
          String.fromCharCode(Number.parseInt(hex, 16)),
        );
        return { delivery: answer.ok ? 'accepted' : (body.delivery ?? '?'), text: strings };
      }),
    close() {},
  };
}

async function smtpDoor(postern: Running): Promise<Door> {
  const open = async () => {
    const client = new Client(postern.smtpPort ?? 0);
    await client.secure();
    await client.auth();
    return client;
  };
  let client = await open();
  return {
    send: (subject, text) =>
      told(postern, async () => {
        // Upstream's 421 is passed on, and ends the client's session as well.
        if (client.ended) client = await open();
        const header = `From: support@ifaxin.com\r\nTo: ${RECIPIENTS.join(', ')}\r\nSubject: ${subject}`;
        const reply = await client.transact({ recipients: RECIPIENTS, body: `${header}\r\n\r\n${text}` });
        if (reply.startsWith('421')) await client.end();
        const isUnknown = reply.includes('Outcome unknown');
        return {
          delivery: reply.startsWith('250') ? 'accepted' : isUnknown ? 'unknown' : 'not-sent',
          text: reply,
        };
      }),
    close: () => client.destroy(),
  };
}
