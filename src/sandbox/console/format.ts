/** Times, sizes and words as a person reads them. */

import { html } from 'hono/html';
import type { Html } from './layout.ts';

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export const number = (value: number): string => value.toLocaleString('en');

/** The time of day; with its date for machines, and in the tooltip. */
export const time = (date: Date): Html =>
  html`<time datetime="${date.toISOString()}" title="${date.toISOString()}">${date.toLocaleTimeString('en-GB')}</time>`;

/** `in 12 s`, `3 min ago`. */
export function distance(at: number, now = Date.now()): string {
  const ahead = at - now;
  const words = duration(Math.abs(ahead));
  if (words === 'now') return 'now';
  return ahead > 0 ? `in ${words}` : `${words} ago`;
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 1) return 'now';
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${number(count)} ${count === 1 ? one : many}`;

/** A long list of addresses, by its first one; the others unfold. */
export const addressList = (addresses: readonly string[]): Html | string => {
  const [first = '', ...others] = addresses;
  if (addresses.length <= MOST_ADDRESSES) return addresses.join(', ');
  return html`<details class="many"><summary>${first} <span>… and ${number(others.length)} more</span></summary><div>${others.join(', ')}</div></details>`;
};

const MOST_ADDRESSES = 4;

/** A small word on a coloured ground; the word says it all. */
export const badge = (kind: 'good' | 'bad' | 'warn' | 'plain' | 'label', text: string | number): Html =>
  html`<span class="badge ${kind}">${text}</span>`;

export const labelBadge = (label: number | null): Html | '' =>
  label === null ? '' : html`<span class="badge label"><span class="unseen">label </span>#${label}</span>`;
