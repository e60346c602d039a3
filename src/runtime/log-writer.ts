/** Where Node's log lines go. */

/** For how long lines are gathered, in milliseconds. */
const GATHERING_MS = 20;

/**
 * Writes the lines of a moment together: under load a system call for each, which wakes the process that reads the log,
 * would cost more than the line. What is left is written at the process's exit. Lines that cannot be written (EPIPE,
 * ENOSPC) are lost, and nothing else: a log must not end the process amid a message.
 */
export function logWriter(stream: NodeJS.WritableStream): (line: string) => void {
  let pending = '';
  stream.on('error', () => {});
  const flush = () => {
    if (pending !== '') stream.write(pending);
    pending = '';
  };
  process.once('exit', flush);
  return (line) => {
    if (pending === '') setTimeout(flush, GATHERING_MS).unref();
    pending += `${line}\n`;
  };
}
