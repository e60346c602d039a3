/**
 * A SendCloud look-alike for development. It takes the way of the transcript (STARTTLS, AUTH LOGIN with labels,
 * `#id#Queued`), writes down what is said, and makes the faults of `faults.ts` happen, by the recipient's local part or
 * for the next messages. A `dropped` message is in the inbox although its sender cannot know: what an outcome of
 * `unknown` means.
 */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import {
  SMTPServer,
  type SMTPServerDataStream,
  type SMTPServerError,
  type SMTPServerSession,
} from 'smtp-server';
import type { SMTPConnection } from 'smtp-server/lib/smtp-connection';
import type { Certificate } from '../certificate.ts';
import { splitPathCommand } from '../message/path.ts';
import { FREQUENCY_LIMITED, type LoginName, MAX_MESSAGE_BYTES, parseLoginName } from '../sendcloud.ts';
import type { Fault, Faults } from './faults.ts';
import type { Inbox } from './inbox.ts';
import type { Recorder, Transcripts } from './transcript.ts';
import { speakSendCloud } from './wording.ts';

export interface LookAlikeOptions {
  readonly certificate: Certificate;
  /** api_user → api_key */
  readonly accounts: Readonly<Record<string, string>>;
  readonly inbox: Inbox;
  readonly transcripts: Transcripts;
  readonly faults: Faults;
  /** How late the reply to a message for `slow` comes, in milliseconds. */
  readonly slowMs: number;
}

export interface LookAlike {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function startLookAlike(options: LookAlikeOptions): Promise<LookAlike> {
  const { accounts, certificate, inbox, transcripts, faults, slowMs } = options;
  const sockets = new WeakMap<SMTPServerSession, Socket>();
  const recorders = new WeakMap<SMTPServerSession, Recorder>();
  /** Of the message that has begun, and not for its recipients' names. */
  const played = new WeakMap<SMTPServerSession, Fault | null>();
  const server = new SMTPServer({
    ...certificate,
    maxVersion: 'TLSv1.2',
    name: 'SendCloud Inbound Server',
    banner: 'Haraka 2.2.4 ready',
    heloResponse: 'SendCloud Inbound Server Hello, Haraka is at your service.',
    size: MAX_MESSAGE_BYTES,
    rejectOversized: true,
    authMethods: ['LOGIN'],
    hideSMTPUTF8: true,
    disableReverseLookup: true,
    logger: false,
    // A sandbox that ends need not say goodbye.
    closeTimeout: 1,

    onConnect(session, callback) {
      for (const connection of server.connections) {
        if (connection.session !== session) continue;
        recorders.set(session, transcripts.record(connection));
        speakSendCloud(connection);
        readPathsAsWritten(connection);
      }
      callback();
    },
    onSecure(socket, session, callback) {
      sockets.set(session, socket);
      recorders.get(session)?.secured(socket);
      callback();
    },
    onClose(session, callback) {
      recorders.get(session)?.lost();
      callback();
    },
    onAuth({ username = '', password }, _session, callback) {
      const name = parseLoginName(username);
      if (name && Object.hasOwn(accounts, name.apiUser) && accounts[name.apiUser] === password) {
        return callback(null, { user: username });
      }
      callback(refusal(535, 'Authentication failed'));
    },
    onMailFrom(_address, session, callback) {
      played.set(session, faults.take());
      callback();
    },
    onRcptTo({ address }, session, callback) {
      callback(refusalOf(played.get(session) ?? localPart(address), address));
    },
    onData(stream, session, callback) {
      // A connection lost before the dot rejects; the callback lets go of what is left of it.
      takeIn(stream, session, callback).catch(callback);
    },
  });

  async function takeIn(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    callback: (error: null, reply: string) => void,
  ): Promise<void> {
    const raw = await buffer(stream);
    const to = session.envelope.rcptTo.map(({ address }) => address);
    const receivedAt = new Date();
    const queueId = `${receivedAt.getTime()}_1_${session.transaction}_${inbox.next}.sc-127_0_0_1-inbound`;
    const socket = sockets.get(session);
    const recorder = recorders.get(session);
    recorder?.body(stream.byteLength);
    if (!stream.sizeExceeded) {
      const { n } = inbox.add({
        queueId,
        receivedAt,
        login: {
          user: session.user,
          ...(parseLoginName(session.user) as LoginName),
          tls: (socket instanceof TLSSocket && socket.getProtocol()) || 'none',
        },
        envelope: { from: session.envelope.mailFrom ? session.envelope.mailFrom.address : '', to },
        raw,
      });
      recorder?.taken(n);
    }
    const happening = [played.get(session), ...to.map(localPart)];
    if (happening.includes('dropped')) socket?.destroy();
    if (happening.includes('slow')) await delay(slowMs, undefined, { ref: false });
    callback(null, `#${queueId}#Queued`);
  }

  // A client that breaks off is its own affair.
  server.on('error', () => {});
  const listening = server.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return {
    port: (listening.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

function refusalOf(fault: string, address: string): SMTPServerError | null {
  switch (fault) {
    case 'refused':
      return refusal(550, `I cannot deliver mail for <${address}>`);
    case 'busy':
      return refusal(450, `<${address}> is busy, come back later`);
    case 'frequency-limited':
      return refusal(FREQUENCY_LIMITED.code, FREQUENCY_LIMITED.text);
    default:
      return null;
  }
}

const refusal = (responseCode: number, text: string): SMTPServerError =>
  Object.assign(new Error(text), { responseCode });

const localPart = (address: string) => address.slice(0, address.lastIndexOf('@')).toLowerCase();

/** smtp-server's own parser refuses quoted local parts (RFC 5321 section 4.1.2) and decodes punycode. */
function readPathsAsWritten(connection: SMTPConnection): void {
  const parse = connection._parseAddressCommand.bind(connection);
  connection._parseAddressCommand = (name, line) => {
    const command = splitPathCommand(line.toString());
    if (command === null) return false;
    const parsed = parse(name, `${command.verb}:<a@b.example> ${command.parameters}`);
    return parsed && { ...parsed, address: command.address };
  };
}
