/** What a preset makes of an event, before it is mail: the same few parts for every service. */

export interface Fact {
  readonly name: string;
  readonly value: string;
  /** Where the value leads; `http:` and `https:` only, anything else is left out. */
  readonly url?: string;
}

export interface Section {
  readonly title: string | null;
  /** Paragraphs, as plain text; line breaks are kept. */
  readonly text: string | null;
  readonly facts: readonly Fact[];
}

export interface Notice {
  readonly subject: string;
  readonly title: string;
  readonly tone: 'good' | 'bad' | 'warning' | 'neutral';
  readonly sections: readonly Section[];
  /** The one thing to click. */
  readonly link: { readonly text: string; readonly url: string } | null;
  /** Events with the same value are one conversation in the reader's mailbox; null: on its own. */
  readonly thread: string | null;
  /** The event's own id where its payload has one: a repeated delivery is one mail. */
  readonly key: string | null;
}

/** An event as it arrived; header names in lower case. */
export interface HookEvent {
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/** Null: nothing worth a mail (a ping, an action that no reader waits for). It never throws, whatever the payload. */
export type Preset = (event: HookEvent) => Notice | null;
