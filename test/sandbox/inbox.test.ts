import { expect, it } from 'vitest';
import { Inbox } from '../../src/sandbox/inbox.ts';

const message = (queueId: string) => ({
  queueId,
  receivedAt: new Date(0),
  login: { user: 'a', apiUser: 'a', label: null, tls: 'TLSv1.2' },
  envelope: { from: 'a@ifaxin.com', to: ['b@ifaxin.com'] },
  raw: Buffer.from('x'),
});

it('keeps the last hundred and never gives a number twice', () => {
  const inbox = new Inbox();
  for (let n = 1; n <= 101; n += 1) inbox.add(message(`id${n}`));
  expect(inbox.messages).toHaveLength(100);
  expect(inbox.messages[0]).toMatchObject({ n: 2, queueId: 'id2' });
  inbox.clear();
  expect(inbox.messages).toEqual([]);
  expect(inbox.next).toBe(102);
});

it('lets several wait for messages', async () => {
  const inbox = new Inbox();
  const one = inbox.waitFor(1);
  const two = inbox.waitFor(2);
  inbox.add(message('first'));
  expect(await one).toHaveLength(1);
  inbox.add(message('second'));
  expect((await two).map(({ queueId }) => queueId)).toEqual(['first', 'second']);
  expect(await inbox.waitFor(2)).toHaveLength(2);
});
