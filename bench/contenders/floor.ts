/**
 * The floor: a bare Node server that takes the request, and writes a message that was made beforehand over a kept
 * TLS session, in two writes. Whatever sends mail over HTTP costs this much.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { connect as secure, type TLSSocket } from 'node:tls';
import { createTransport } from 'nodemailer';
import { forNodemailer, type ShapeMessage } from './message.ts';
import { report, upstream } from './upstream.ts';

const SESSIONS = 5;
const ENVELOPE = 'MAIL FROM:<support@ifaxin.com>\r\nRCPT TO:<ben@ifaxin.com>\r\nDATA\r\n';

/** Waits for the last reply of a step. */
async function said(socket: TLSSocket, code: string): Promise<void> {
  let heard = '';
  while (!new RegExp(`(?:^|\\n)${code}[ ]`).test(heard)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    heard += chunk.toString('latin1');
  }
}

async function openSession(): Promise<TLSSocket> {
  const plain = connect(upstream.port, upstream.host);
  await once(plain, 'data');
  plain.write('EHLO bench\r\n');
  await once(plain, 'data');
  plain.write('STARTTLS\r\n');
  await once(plain, 'data');
  const socket = secure({ socket: plain, servername: upstream.host });
  await once(socket, 'secureConnect');
  socket.write('EHLO bench\r\n');
  await said(socket, '250');
  socket.write(`AUTH LOGIN ${btoa(upstream.user)}\r\n`);
  await said(socket, '334');
  socket.write(`${btoa(upstream.pass)}\r\n`);
  await said(socket, '235');
  return socket;
}

/** Ready messages by the length of the request that asked for one. */
const ready = new Map<number, Buffer>();
const composer = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });

async function readyMessage(body: Buffer): Promise<Buffer> {
  const known = ready.get(body.length);
  if (known) return known;
  const [message] = [JSON.parse(body.toString())].flat() as ShapeMessage[];
  const { message: bytes } = await composer.sendMail(forNodemailer(message as ShapeMessage));
  const made = Buffer.concat([bytes as Buffer, Buffer.from('\r\n.\r\n')]);
  ready.set(body.length, made);
  return made;
}

const idle = await Promise.all(Array.from({ length: SESSIONS }, openSession));
const waiting: ((socket: TLSSocket) => void)[] = [];
const lease = (): Promise<TLSSocket> | TLSSocket =>
  idle.pop() ?? new Promise<TLSSocket>((resolve) => waiting.push(resolve));

async function send(message: Buffer): Promise<void> {
  const socket = await lease();
  socket.write(ENVELOPE);
  await said(socket, '354');
  socket.write(message);
  await said(socket, '250');
  const next = waiting.shift();
  if (next) next(socket);
  else idle.push(socket);
}

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const message = await readyMessage(Buffer.concat(chunks));
  const count = request.url?.endsWith('/batch') ? 100 : 1;
  await Promise.all(Array.from({ length: count }, () => send(message)));
  response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"response":"250 Queued"}');
});
server.listen(0, () => report((server.address() as AddressInfo).port));
