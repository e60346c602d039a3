import { describe } from 'vitest';
import { outboxContract } from '../../contract/outbox.ts';
import { useObjects } from '../../support/objects.ts';

const objects = useObjects();

describe('the outbox in a Durable Object', () => {
  outboxContract(async (options) => {
    const { store, move } = objects.outbox(options);
    return {
      outbox: store,
      async reopen() {
        await move();
        return store;
      },
      close: async () => {},
    };
  });
});
