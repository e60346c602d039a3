/** Which of upstream's ports is tried when: one that swallows packets costs two seconds once, and not the deadline. */

import { firstOf } from '../deadline.ts';
import { type Failure, isFailure } from '../outcome.ts';

/** The most that one port may take to a session that can be logged in to, and that the login may take. */
export const OPENING_MS = 10_000;

/** Without a session by then, the next port starts as well (the idea of RFC 8305). */
const HEAD_START_MS = 2000;

interface Closable {
  close(): void;
}

export class Ports {
  /** The one that worked last comes first, the one that failed last comes last. */
  #order: readonly number[];

  /** @param ports - in the order they are tried at first */
  constructor(ports: readonly number[]) {
    this.#order = ports;
  }

  worked(port: number): void {
    this.#order = [port, ...this.#order.filter((other) => other !== port)];
  }

  failed(port: number): void {
    this.#order = [...this.#order.filter((other) => other !== port), port];
  }

  /**
   * Opens a session on the first port, and on the others too where it hangs; the first one is kept. Where a port fails
   * and no other is under way, that is the result: the next attempt begins at the next port.
   */
  open<T extends Closable>(
    open: (port: number, signal: AbortSignal) => Promise<T | Failure>,
    signal: AbortSignal,
  ): Promise<T | Failure> {
    const waiting = [...this.#order];
    const over = new AbortController();
    let underWay = 0;
    let failed: Failure | null = null;
    let headStart: ReturnType<typeof setTimeout> | undefined;

    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(headStart);
        over.abort();
      };
      const settle = (result: T | Failure) => {
        end();
        resolve(result);
      };
      /** An opening that throws has a bug; what the others have opened must not stay open. */
      const fail = (error: unknown) => {
        end();
        reject(error);
      };
      const startNext = () => {
        clearTimeout(headStart);
        const port = waiting.shift();
        if (port === undefined) return;
        underWay++;
        headStart = setTimeout(startNext, HEAD_START_MS);
        const limited = firstOf(signal, over.signal, AbortSignal.timeout(OPENING_MS));
        open(port, limited).then((result) => finished(port, result), fail);
      };
      const finished = (port: number, result: T | Failure) => {
        underWay--;
        if (over.signal.aborted) return isFailure(result) ? undefined : result.close();
        if (!isFailure(result)) {
          this.worked(port);
          return settle(result);
        }
        if (result.again) this.failed(port);
        // What upstream said tells more than that a port was lost.
        if (failed === null || (failed.again && !result.again)) failed = result;
        if (underWay === 0) return settle(failed);
        startNext();
      };
      startNext();
    });
  }
}
