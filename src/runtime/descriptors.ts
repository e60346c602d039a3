/** How many sockets this process can have open, shared out between its doors and its upstream. */

import { readFileSync } from 'node:fs';

/** A quarter each for HTTP and SMTP; what is left is for files and the stores. */
const DOOR = 1 / 4;
const UPSTREAM = 1 / 5;

/** Most sockets of a door: what is `wanted`, or its share of the process's descriptors. */
export const doorSockets = (wanted: number): number => share(DOOR, wanted);

/** Most connections to upstream: what is `wanted`, or their share of the process's descriptors. */
export const upstreamSockets = (wanted: number): number => share(UPSTREAM, wanted);

const share = (part: number, wanted: number): number => Math.min(wanted, Math.floor(descriptors() * part));

/** The soft limit, which Node raises to the hard one as it starts; infinite where the system shows none. */
function descriptors(): number {
  try {
    // `process.report` has it everywhere, and looks up the name of every open connection's peer first.
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
