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
  #messages: readonly ReceivedMessage[] = [];
  #last = 0;
  readonly #watchers = new Set<() => void>();

  /** Oldest first, at most 100. */
  get messages(): readonly ReceivedMessage[] {
    return this.#messages;
  }

  /** The number that the next message gets. */
  get next(): number {
    return this.#last + 1;
  }

  find(n: number): ReceivedMessage | null {
    return this.#messages.find((message) => message.n === n) ?? null;
  }

  add(message: Omit<ReceivedMessage, 'n'>): ReceivedMessage {
    this.#last += 1;
    const added = { n: this.#last, ...message };
    this.#change([...this.#messages, added].slice(-KEPT));
    return added;
  }

  /** Deletes those that a test picks. */
  remove(isUnwanted: (message: ReceivedMessage) => boolean): void {
    this.#change(this.#messages.filter((message) => !isUnwanted(message)));
  }

  clear(): void {
    this.#change([]);
  }

  /**
   * Calls the listener after every change.
   *
   * @returns ends it
   */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** The messages that a test picks, once there are at least `count` of them, or when the signal aborts. */
  async waitFor(
    count: number,
    isWanted: (message: ReceivedMessage) => boolean = () => true,
    signal?: AbortSignal,
  ): Promise<readonly ReceivedMessage[]> {
    for (;;) {
      const found = this.#messages.filter(isWanted);
      if (found.length >= count || signal?.aborted) return found;
      await this.#nextChange(signal);
    }
  }

  #nextChange(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        unwatch();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const unwatch = this.watch(end);
      signal?.addEventListener('abort', end);
    });
  }

  #change(messages: readonly ReceivedMessage[]): void {
    this.#messages = messages;
    for (const listener of [...this.#watchers]) listener();
  }
}
