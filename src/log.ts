/** JSON lines for machines to read. Callers pass facts: never a key, a token or a message body. */

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export type LogLevel = (typeof LEVELS)[number];
export const LOG_LEVELS: readonly LogLevel[] = LEVELS;

type Facts = Readonly<Record<string, unknown>>;

/** A function that makes the facts is called only where the line is written. */
type Write = (event: string, facts?: Facts | (() => Facts)) => void;

export type Log = Readonly<Record<Exclude<LogLevel, 'silent'>, Write>>;

/**
 * A log that writes one JSON object a line, from `level` on.
 *
 * @param write - takes one line without its line end; standard error is the usual place
 */
export function createLog(level: LogLevel, write: (line: string) => void = console.error): Log {
  const at =
    (lineLevel: LogLevel): Write =>
    (event, facts) => {
      if (LEVELS.indexOf(lineLevel) < LEVELS.indexOf(level)) return;
      const made = typeof facts === 'function' ? facts() : facts;
      write(JSON.stringify({ time: new Date().toISOString(), level: lineLevel, event, ...made }));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
