/** How many sockets this process can have open, shared out between its doors. */

import { readFileSync } from 'node:fs';

/**
 * A door's share of the process's descriptors: a third each for HTTP and SMTP, and one for the connections to
 * upstream and to the stores. At most what `wanted` says.
 */
export const shareOfDescriptors = (wanted: number): number => Math.min(wanted, Math.floor(descriptors() / 3));

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
