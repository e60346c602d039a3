import { describe } from 'vitest';
import { gatewayContract } from '../contract/gateway.ts';
import { startLambda } from '../support/lambda.ts';

describe('Lambda', () => {
  gatewayContract({
    start: startLambda,
    // An invocation takes 6 MB of JSON, and base64 is a third longer than the file.
    attachmentBytes: 4_000_000,
    takesBytes: false,
    refusesToStart: false,
    keepsOutbox: false,
    codes: {},
  });
});
