/**
 * An upstream that costs little: it speaks the transcript's dialogue and throws every message away.
 * A process of its own, so that its work is not counted as anybody's.
 */

import { createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { createAuthority } from '../src/sandbox/certificate.ts';

const authority = await createAuthority();
const secureContext = createSecureContext({ ...(await authority.issue()), maxVersion: 'TLSv1.2' });

const FEATURES = ['PIPELINING', '8BITMIME', 'SIZE 16000000'];
const ehlo = (last: string[]) =>
  ['SendCloud Inbound Server Hello', ...FEATURES, ...last]
    .map((line, index, all) => `250${index === all.length - 1 ? ' ' : '-'}${line}\r\n`)
    .join('');

function serve(socket: Socket, secured: boolean): void {
  let pending: Buffer = Buffer.alloc(0);
  let inMessage = false;
  const say = (text: string) => socket.write(text);

  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    let replies = '';
    for (;;) {
      const end = inMessage ? pending.indexOf('\r\n.\r\n') : pending.indexOf('\r\n');
      if (end < 0) {
        // Of a message the end alone matters, which may come in two parts.
        if (inMessage) pending = pending.subarray(-4);
        break;
      }
      const line = inMessage ? '' : pending.subarray(0, end).toString('latin1');
      pending = pending.subarray(end + (inMessage ? 5 : 2));
      if (inMessage) {
        inMessage = false;
        replies += '250 #1426390015358_15_6484_8661.sc-10_10_127_51-inbound#Queued\r\n';
        continue;
      }
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') replies += ehlo(secured ? ['AUTH LOGIN'] : ['STARTTLS', 'AUTH LOGIN']);
      else if (verb === 'STAR') {
        socket.removeAllListeners('data');
        say('220 ready\r\n');
        return serve(new TLSSocket(socket, { isServer: true, secureContext }), true);
      } else if (verb === 'AUTH')
        replies += line.length > 11 ? '334 UGFzc3dvcmQ6\r\n' : '334 VXNlcm5hbWU6\r\n';
      else if (verb === 'DATA') {
        inMessage = true;
        replies += '354 go ahead, make my day\r\n';
      } else if (verb === 'QUIT') return void socket.end('221 bye\r\n');
      else if (/^(?:MAIL|RCPT|RSET|NOOP)$/.test(verb)) replies += '250 OK\r\n';
      else
        replies +=
          /^[A-Za-z0-9+/]+=*$/.test(line) && line === USER
            ? '334 UGFzc3dvcmQ6\r\n'
            : '235 Authentication successful\r\n';
    }
    if (replies) say(replies);
  });
}

const USER = Buffer.from('ifaxin#31337').toString('base64');

const server = createServer({ noDelay: true }, (socket) => {
  serve(socket, false);
  socket.write('220 SendCloud Inbound Server ESMTP Haraka 2.2.4 ready\r\n');
});
process.once('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as { port: number }).port, ca: authority.cert });
});
