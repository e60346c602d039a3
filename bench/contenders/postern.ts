/** Postern, as it is deployed, with everything on. */

import { start } from '../../src/runtime/node.ts';
import { report, TOKEN, upstream } from './upstream.ts';

const postern = await start({
  OUTBOX: ':memory:',
  ...process.env,
  SENDCLOUD_API_USER: 'ifaxin',
  SENDCLOUD_API_KEY: upstream.pass,
  GATEWAY_TOKENS: TOKEN,
  SMTP_HOST: upstream.host,
  SMTP_PORTS: String(upstream.port),
  QUOTA_LIMIT: '1000000',
  PORT: '0',
});
report(postern.port);
