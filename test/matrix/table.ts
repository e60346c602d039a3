/** What came of the pairs, as a table for reading: ways down, steps across. */

import { nameOf, type Verdict } from './pair.ts';
import { STEPS } from './ways.ts';

const LETTERS: Readonly<Record<string, string>> = { accepted: 'a', 'not-sent': 'n', unknown: 'u' };

/** Markdown. A cell has how many pairs were told accepted, not-sent and unknown; `!` those that were wrong. */
export function tableOf(verdicts: readonly Verdict[]): string {
  const steps = STEPS.filter((step) => verdicts.some(({ pair }) => pair.step === step));
  const ways = new Set(verdicts.map(({ pair }) => pair.way.name));
  const rows = [...ways].map((way) => [
    way,
    ...steps.map((step) =>
      cellOf(verdicts.filter(({ pair }) => pair.step === step && pair.way.name === way)),
    ),
  ]);
  const lines = [['', ...steps], ['---', ...steps.map(() => '---')], ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Counts and the slowest, in one paragraph. */
export function summaryOf(verdicts: readonly Verdict[]): string {
  const count = (delivery: string) => verdicts.filter((verdict) => verdict.delivery === delivery).length;
  const slowest = (of: (verdict: Verdict) => number) => {
    const [worst] = verdicts.toSorted((one, other) => of(other) - of(one));
    return worst ? `${Math.round(of(worst))} ms (${nameOf(worst.pair)})` : '';
  };
  const wrong = verdicts.filter((verdict) => verdict.wrong.length > 0).length;
  return [
    `${verdicts.length} pairs: ${count('accepted')} accepted (a), ${count('not-sent')} not-sent (n),`,
    `${count('unknown')} unknown (u), ${wrong} wrong (!); slowest answer ${slowest(({ toldMs }) => toldMs)},`,
    `slowest next message ${slowest(({ nextMs }) => nextMs)}.`,
  ].join(' ');
}

function cellOf(verdicts: readonly Verdict[]): string {
  const counts = new Map<string, number>();
  for (const { delivery, wrong } of verdicts) {
    const letter = wrong.length > 0 ? '!' : (LETTERS[delivery] ?? '?');
    counts.set(letter, (counts.get(letter) ?? 0) + 1);
  }
  return [...counts].map(([letter, number]) => `${letter}${number}`).join(' ');
}
