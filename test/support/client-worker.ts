/** The client in a Worker without Node's modules: each of its methods against the gateway whose address it is given. */

import { createClient, PosternError } from '../../src/client/client.ts';

/** What it answers. */
export interface ClientReport {
  readonly receipt: object;
  readonly raw: object;
  readonly batch: readonly object[];
  readonly queued: object;
  readonly cancelled: object;
  readonly listed: number;
  readonly quota: object;
  readonly refused: { readonly code: string; readonly errors: readonly object[] };
  readonly aborted: string;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const postern = createClient((await request.json()) as { url: string; token: string });
    const message = {
      from: 'support@ifaxin.com',
      to: 'ben@ifaxin.com',
      subject: 'From a Worker',
      text: 'Hi',
    };
    const content = new Blob([new Uint8Array([0, 128, 255])]);
    const attachments = [{ filename: 'a.bin', contentType: 'application/octet-stream', content }];
    const receipt = await postern.send({ ...message, attachments });
    const raw = await postern.sendRaw('From: a@b.example\r\nSubject: Raw\r\n\r\nHi\r\n', {
      to: ['cy@ifaxin.com'],
    });
    const batch = await postern.sendBatch([message]);
    const queued = await postern.queue({ ...message, sendAt: new Date(Date.now() + 3_600_000) });
    const cancelled = await postern.cancel(queued.id);
    let listed = 0;
    for await (const _ of postern.eachMessage({ state: 'cancelled' })) listed++;
    const refused = await postern.send({ ...message, to: 'ben' }).catch((error: unknown) => {
      if (!(error instanceof PosternError)) throw error;
      return { code: error.code, errors: error.errors };
    });
    const aborted = await postern.quota({ signal: AbortSignal.abort(new Error('gone')) }).then(
      () => 'answered',
      (error: unknown) => String(error),
    );
    const quota = await postern.quota();
    return Response.json({ receipt, raw, batch, queued, cancelled, listed, quota, refused, aborted });
  },
};
