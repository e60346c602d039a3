import { describe } from 'vitest';
import { start } from '../../src/runtime/node.ts';
import { gatewayContract } from '../contract/gateway.ts';

describe('Node', () => {
  gatewayContract({
    async start(settings) {
      const lines: string[] = [];
      const postern = await start({ OUTBOX: ':memory:', ...settings, PORT: '0' }, (line) => lines.push(line));
      return {
        url: `http://127.0.0.1:${postern.port}`,
        output: () => lines.join('\n'),
        close: () => postern.close(),
      };
    },
    attachmentBytes: 5_000_000,
    takesBytes: true,
    refusesToStart: true,
    keepsOutbox: true,
    codes: {},
  });
});
