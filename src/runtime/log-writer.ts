/** Where Node's log lines go. */

/** For how long lines are gathered, in milliseconds. */
const GATHERING_MS = 20;

/**
 * Writes the lines of a moment together: under load a system call for each, which wakes the process that reads the log,
 * would cost more than the line. What is left is written at the process's exit.
 */
export function logWriter(stream: NodeJS.WritableStream): (line: string) => void {
  let pending = '';
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
