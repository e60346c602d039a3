/** The last messages that the sandbox's upstream took, as they came. */

export interface ReceivedMessage {
  /** Counts from 1 and is never used again. */
  readonly n: number;
  /** SendCloud's message id, the part between the `#` of the reply to the dot. */
  readonly queueId: string;
  readonly receivedAt: Date;
  readonly login: {
    /** The user name as sent: `api_user` or `api_user#label_id`. */
    readonly user: string;
    readonly apiUser: string;
    readonly label: number | null;
    /** The protocol that protected it, such as `TLSv1.2`. */
    readonly tls: string;
  };
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  /** The message after SMTP's dots were undone, otherwise byte for byte. */
  readonly raw: Buffer;
}

const KEPT = 100;

export class Inbox {
  #messages: ReceivedMessage[] = [];
  #last = 0;
  readonly #waiting = new Set<() => void>();

  /** Oldest first, at most 100. */
  get messages(): readonly ReceivedMessage[] {
    return this.#messages;
  }

  /** The number that the next message gets. */
  get next(): number {
    return this.#last + 1;
  }

  add(message: Omit<ReceivedMessage, 'n'>): void {
    this.#last += 1;
    this.#messages = [...this.#messages, { n: this.#last, ...message }].slice(-KEPT);
    for (const wake of this.#waiting) wake();
  }

  clear(): void {
    this.#messages = [];
  }

  /** The messages, once there are at least `count`. */
  async waitFor(count: number): Promise<readonly ReceivedMessage[]> {
    while (this.#messages.length < count) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
    return this.#messages;
  }
}
