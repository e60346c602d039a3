/** What the sandbox's upstream can be made to get wrong: by a recipient's name, or for the next messages. */

/** Each is also the local part of a recipient for whom it happens. */
export const FAULTS = {
  refused: '550 at RCPT: the recipient is refused for good',
  busy: '450 at RCPT: come back later',
  'frequency-limited': '536 at RCPT: the quota is spent, as upstream sees it',
  slow: 'the message is accepted, and the reply to its dot comes late',
  dropped: 'the message is accepted, and the connection is lost before the reply',
} as const;

export type Fault = keyof typeof FAULTS;

export const isFault = (name: unknown): name is Fault =>
  typeof name === 'string' && Object.hasOwn(FAULTS, name);

/** A fault for the next messages, to any recipient. */
export class Faults {
  #next: { readonly fault: Fault; readonly times: number } | null = null;

  /** Null where messages go as their recipients say. */
  get next(): { readonly fault: Fault; readonly times: number } | null {
    return this.#next;
  }

  /** @param times - messages; 0 ends it */
  play(fault: Fault, times: number): void {
    this.#next = times > 0 ? { fault, times } : null;
  }

  /** The fault of a message that begins now. */
  take(): Fault | null {
    if (this.#next === null) return null;
    const { fault, times } = this.#next;
    this.play(fault, times - 1);
    return fault;
  }
}
