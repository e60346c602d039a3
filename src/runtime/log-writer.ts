/** Where Node's log lines go. */

/**
 * Writes the lines of one turn of the event loop together: under load a system call for each would cost more
 * than the line. What is left is written at the process's exit.
 */
export function logWriter(stream: NodeJS.WritableStream): (line: string) => void {
  let pending = '';
  const flush = () => {
    if (pending !== '') stream.write(pending);
    pending = '';
  };
  process.once('exit', flush);
  return (line) => {
    if (pending === '') setImmediate(flush);
    pending += `${line}\n`;
  };
}
