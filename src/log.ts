/** JSON lines for machines to read. Callers pass facts: never a key, a token or a message body. */

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export type LogLevel = (typeof LEVELS)[number];
export const LOG_LEVELS: readonly LogLevel[] = LEVELS;

type Write = (event: string, facts?: Record<string, unknown>) => void;

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
      write(JSON.stringify({ time: new Date().toISOString(), level: lineLevel, event, ...facts }));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
