/**
 * The look-alike of SendCloud as a process of its own, to be killed: each message that it takes stands in a file before
 * its client hears of it. SIGUSR2 ends its faults.
 */

import { appendFileSync, readFileSync } from 'node:fs';
import { makeMoments } from '../support/moments.ts';
import { startUpstream } from '../support/upstream.ts';

const [folder = '', port = '0'] = process.argv.slice(2);
const upstream = await startUpstream({
  port: Number(port),
  certificate: {
    cert: readFileSync(`${folder}/cert.pem`, 'utf8'),
    key: readFileSync(`${folder}/key.pem`, 'utf8'),
  },
  onTaken: (message) => {
    const [, number = '?'] = /^Subject: soak (\d+)\./m.exec(message.toString('latin1')) ?? [];
    appendFileSync(`${folder}/taken`, `${number}\n`);
  },
});
process.on('SIGUSR2', makeMoments(upstream, 0.002));
console.log(`upstream on ${upstream.port}`);
