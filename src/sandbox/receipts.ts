/** The events of the last messages: what the gateway knows of a message that upstream took. */

import type { MessageEvent } from '../message-event.ts';
import type { ReceivedMessage } from './inbox.ts';

const KEPT = 300;

export class Receipts {
  #events: readonly MessageEvent[] = [];

  observe(event: MessageEvent): void {
    if (event.replayed || event.outcome === 'queued') return;
    this.#events = [...this.#events, event].slice(-KEPT);
  }

  /**
   * The event of a message in the inbox; null where it has not ended yet, or came past the gateway.
   *
   * @param messageId - where no reply gave a queue id, the message's own id is in there
   */
  of({ queueId }: ReceivedMessage, messageId: string): MessageEvent | null {
    const byQueueId = this.#events.findLast((event) => event.queueId === queueId);
    if (byQueueId) return byQueueId;
    const isSame = ({ id, queueId: other }: MessageEvent) =>
      other === null && id !== null && messageId.startsWith(`<${id}@`);
    return this.#events.findLast(isSame) ?? null;
  }
}
