/** The steps of a session with upstream, and the ways in which it goes wrong at each: the axes of the matrix. */

import { INSECURE } from '../support/faults.ts';
import type { Fault, Silence, Step, UpstreamOptions, Words } from '../support/upstream.ts';

/** The steps in their order; `rcpt one` strikes the second of three recipients, `after dot` right behind its reply. */
export const STEPS = [
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'tls',
  'ehlo2',
  'auth',
  'auth-key',
  'mail',
  'rcpt one',
  'rcpt all',
  'data',
  'body',
  'dot',
  'after dot',
  'idle',
  'rset',
] as const;
export type MatrixStep = (typeof STEPS)[number];

export const RECIPIENTS = ['anna@ifaxin.com', 'ben@ifaxin.com', 'carla@ifaxin.com'] as const;

export interface Way {
  readonly name: string;
  readonly do?: Silence | Words;
  /** In place of a fault: what upstream is from its start to its end. */
  readonly upstream?: UpstreamOptions;
  /** RFC 5321 has it so: the message must go. */
  readonly legal?: true;
  /** What upstream refuses with, as its only words. */
  readonly refuses?: string;
  /** At the dot: its 250 was written. */
  readonly accepts?: true;
  /** Sends far more than a reply has. */
  readonly flood?: true;
}

/** Steps that a used connection has; the others belong to its opening. */
export const USED: readonly MatrixStep[] = STEPS.slice(STEPS.indexOf('mail'));

const USUAL = {
  greeting: '220 hello',
  ehlo: '250-hello\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 16000000\r\n250 STARTTLS',
  starttls: '220 go ahead',
  ehlo2: '250-hello\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 16000000',
  auth: '334 UGFzc3dvcmQ6',
  'auth-key': '235 welcome',
  mail: '250 ok',
  'rcpt one': '250 ok',
  'rcpt all': '250 ok',
  data: '354 go ahead',
  dot: '250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued',
  rset: '250 ok',
} as const;
type Replying = keyof typeof USUAL;

const SILENCES: readonly Silence[] = ['close', 'half-close', 'reset', 'silent'];
const ENDS = [undefined, 'close', 'half-close', 'reset'] as const;
const REFUSALS = [
  '421 closing',
  '451 4.3.0 later',
  '550 5.7.1 no',
  '554-no\r\n554 never',
  '536 frequency limited',
  '550 \u001b[31mred\u0007\u202e\u2028\u0000',
];
const WRONG = [
  '000 what',
  '100 wait',
  '200 yes',
  '299 yes',
  '600 what',
  '999 what',
  '25',
  '2500 ok',
  '250ok',
];

/** What the text of a reply has been made of before it is told. */
const cleaned = (reply: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what upstream sends
  reply.replace(/[\u0000\u0007\u001b\u202e\u2028]/g, '\ufffd');

/** The ways of a step. */
export function waysOf(step: MatrixStep): readonly Way[] {
  switch (step) {
    case 'connect':
      return silences();
    case 'tls':
      return [...silences(), ...spoken(NONSENSE), ...INSECURE.slice(2)];
    case 'body':
      return [...silences(), ...refusals('silent'), ...spoken(NONSENSE), ...floods()];
    case 'after dot':
    case 'idle':
      return [...silences(), ...spoken(STRAYS), ...spoken(NONSENSE), ...floods()];
    default:
      return [
        ...silences(),
        ...replies(step),
        ...refusals(),
        ...spoken(NONSENSE),
        ...spoken(floodsOf(USUAL[step]), { flood: true }),
        // The first of them is whole.
        ...spoken({ 'endless replies': ENDLESS_REPLIES }, { flood: true, accepts: true }),
        ...(step === 'starttls' ? [...spoken(INJECTIONS), ...INSECURE.slice(0, 2)] : []),
      ];
  }
}

/** The faults that make a way happen at a step. */
export function faultsOf(step: MatrixStep, way: Way, times: number | null): readonly Fault[] {
  if (way.do === undefined) return [];
  const often = times === null ? {} : { times };
  const fault = (at: Step, more: Partial<Fault> = {}): Fault => ({
    at,
    do: way.do as Silence | Words,
    ...often,
    ...more,
  });
  switch (step) {
    case 'rcpt one':
      return [fault('rcpt', { address: RECIPIENTS[1] })];
    case 'rcpt all':
      return [fault('rcpt', times === null ? {} : { times: RECIPIENTS.length })];
    case 'dot':
      return [fault('dot', way.refuses === undefined ? { taken: true } : {})];
    case 'after dot':
      return [fault('idle', { times: 1 })];
    case 'idle':
      return [fault('idle', { delayMs: 20, times: 1 })];
    case 'rset':
      return [{ at: 'rcpt', do: { reply: '550 no' }, times: RECIPIENTS.length }, fault('rset')];
    default:
      return [fault(step)];
  }
}

const silences = (): Way[] => SILENCES.map((name) => ({ name, do: name }));

const spoken = (words: Readonly<Record<string, Words>>, more: Partial<Way> = {}): Way[] =>
  Object.entries(words).map(([name, say]) => ({ name, do: say, ...more }));

/** Each by itself, and with the end of the connection behind it. */
const refusals = (otherwise?: Silence): Way[] =>
  REFUSALS.flatMap((reply, index) =>
    ENDS.map((end) => {
      const after = end ?? otherwise;
      const name = index === REFUSALS.length - 1 ? 'dirty 550' : reply.replace(/[ -].*/s, '');
      return {
        name: end === undefined ? name : `${name}, ${end}`,
        do: { reply, ...(after && { after }) },
        refuses: cleaned(reply),
      };
    }),
  );

const NONSENSE: Readonly<Record<string, Words>> = {
  garbage: { reply: 'hello?' },
  'garbage, close': { reply: 'hello?', after: 'close' },
  'binary garbage': { reply: '\u0016\u0003\u0001\u0002\u0000\u0001\u00fc\u0003\u0003' },
  HTTP: { reply: 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n', after: 'close' },
  NUL: { reply: '\u0000\u0015\u0000250 ok' },
  'drip for ever': { reply: '250-a', cut: true, drip: true, endless: true },
  'half a code': { reply: '25', cut: true, after: 'silent' },
  'half a code, close': { reply: '55', cut: true, after: 'close' },
};

const FLOODS: Readonly<Record<string, Words>> = {
  'endless line': { reply: `250 ${'y'.repeat(50_000)}`, cut: true, endless: true },
  'endless lines': { reply: '250-yes\r\n'.repeat(5000), endless: true },
  'endless blank lines': { reply: '\r\n'.repeat(20_000), endless: true },
  'endless garbage': { reply: 'garbage\r\n'.repeat(5000), endless: true },
};

const ENDLESS_REPLIES: Words = { reply: '250 yes\r\n'.repeat(5000), endless: true };

const floods = (): Way[] => spoken({ ...FLOODS, 'endless replies': ENDLESS_REPLIES }, { flood: true });

const floodsOf = (usual: string): Record<string, Words> => ({
  ...FLOODS,
  'huge line': { reply: `${usual.slice(0, 3)} ${'y'.repeat(200_000)}` },
  'huge multi-line': { reply: `${`${usual.slice(0, 3)}-yes\r\n`.repeat(20_000)}${usual}` },
  'many blank lines': { reply: `${'\r\n'.repeat(100_000)}${usual}`, meant: Number(usual.slice(0, 3)) },
});

const STRAYS: Readonly<Record<string, Words>> = {
  'stray 250': { reply: '250 once more' },
  'stray 421': { reply: '421 idle for too long' },
  'stray 550': { reply: '550 no' },
  'stray 536': { reply: '536 frequency limited' },
  'stray 550, silent': { reply: '550 no', after: 'silent' },
  'a blank line': { reply: '' },
  'a byte': { reply: '2', cut: true, after: 'silent' },
};

const INJECTIONS: Readonly<Record<string, Words>> = {
  'injected reply': { reply: '220 go ahead\r\n250 injected' },
  'injected half': { reply: '220 go ahead\r\n250-inj', cut: true },
};

function replies(step: Replying): Way[] {
  const usual = USUAL[step];
  const code = usual.slice(0, 3);
  const meant = Number(code);
  const isEhlo = step === 'ehlo' || step === 'ehlo2';
  const good = { legal: true, accepts: true } as const;
  const legal: Record<string, Words> = {
    'single bytes': { reply: usual, drip: true },
    'multi-line': { reply: isEhlo ? usual.replace('hello', 'hi') : `${code}-first\r\n${usual}` },
    'blank lines before': { reply: `\r\n\r\n${usual}`, meant },
    ...(step !== 'ehlo' && {
      'bare code': { reply: code },
      'bare multi-line': { reply: `${code}-\r\n${code}` },
    }),
  };
  const also: Record<string, Words> = {
    'usual, close': { reply: usual, after: 'close' },
    'usual, half-close': { reply: usual, after: 'half-close' },
    'usual, reset': { reply: usual, after: 'reset' },
    'usual + 250': { reply: `${usual}\r\n250 stray`, meant },
    'usual + 550': { reply: `${usual}\r\n550 stray`, meant },
    'usual + 421, close': { reply: `${usual}\r\n421 bye`, after: 'close' },
    'usual + half a reply': { reply: `${usual}\r\n25`, cut: true, meant },
  };
  const wrong: Record<string, Words> = {
    '550 + usual': { reply: `550 stray\r\n${usual}`, meant },
    'two codes': { reply: `${code}-yes\r\n550 no`, meant: 0 },
    'half a line, silent': { reply: `${code}-yes`, cut: true, after: 'silent' },
    'half a reply, close': { reply: `${code} y`, cut: true, after: 'close' },
    ...(code === '354'
      ? { '250 for 354': { reply: '250 ok' } }
      : { '354 for it': { reply: '354 go ahead' } }),
    ...Object.fromEntries(WRONG.map((reply) => [reply.slice(0, 5), { reply }])),
  };
  const cutRefusal: Way = { name: 'half a 550, close', do: { reply: '550 n', cut: true, after: 'close' } };
  return [
    ...spoken(legal, good),
    ...spoken(also, { accepts: true }),
    ...spoken(wrong),
    { ...cutRefusal, refuses: '550 n' },
  ];
}
